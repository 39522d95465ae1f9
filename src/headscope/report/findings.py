"""What was expected, what was measured, and whether it holds; and the warning about a model at chance."""

from __future__ import annotations

from dataclasses import dataclass

from headscope.asking.form import form_of, warnings_of
from headscope.functions import MAIN
from headscope.report.charts.base import interval, scaled, words
from headscope.report.charts.heads import CRITERIA
from headscope.report.measure import near_chance, paired, select
from headscope.report.stage_views import Emphasis, Estimate, MuteTest
from headscope.report.theme import number
from headscope.report.views import Scarcity, StudyView

HOLDS, OPPOSITE, UNCLEAR, NOT_RUN = "holds", "the opposite holds", "not shown", "not run"
LEVEL = 0.05


@dataclass(frozen=True)
class Finding:
    """One claim, what was measured, its verdict on this model and data, and the anchor of the evidence."""

    claim: str
    measured: str
    verdict: str
    anchor: str


def findings(study: StudyView) -> list[Finding]:
    """The findings expected after the papers, each with its verdict, whatever it is."""
    found = [_steps(study, "own"), _steps(study, "gold"), _scarcity(study), *_muting(study), _specific(study)]
    return [*found, _emphasis(study), *_wake(study)]


def verdict(difference: Estimate, wanted: int = 1) -> str:
    """Holds if the interval is clear of zero on the wanted side."""
    if not difference.clear_of_zero:
        return UNCLEAR
    return HOLDS if difference.value * wanted > 0 else OPPOSITE


def _steps(study: StudyView, context: str) -> Finding:
    given = {
        "gold": "after the true answers to its steps",
        "own": "after the model’s own answers to its steps",
    }
    claim = f"The main question is answered better {given[context]} than asked at once"
    difference = paired(study, MAIN, context, "alone")
    if difference is None:
        return Finding(claim, "no such answers", NOT_RUN, "accuracy")
    points = scaled(difference)
    text = f"{interval(points, 1, True)} points, n = {points.n}"
    return Finding(claim, text, verdict(points), "accuracy-by-context")


def scarcity_of(study: StudyView) -> Scarcity | None:
    """Scarcity of spatial heads by the atlas's default criterion."""
    atlas = study.atlas
    return next((s for s in atlas.scarcity if s.criterion == atlas.criterion), None) if atlas else None


def _scarcity(study: StudyView) -> Finding:
    claim = "Fewer heads serve a spatial function than another function"
    found = scarcity_of(study)
    if found is None:
        return Finding(claim, "no atlas with both kinds of function", NOT_RUN, "sparsity-section")
    name = CRITERIA.get(found.criterion, found.criterion)
    text = f"{interval(scaled(found.difference), 1, True)} percentage points of all heads (criterion: {name})"
    return Finding(claim, text, verdict(found.difference, -1), "scarcity")


def spatial_tests(study: StudyView) -> list[MuteTest]:
    """Muting of each spatial function's heads, measured on that function."""
    tests = study.ablation.tests if study.ablation else ()
    return [t for t in tests if t.function in study.taxonomy.spatial and t.measured == t.function]


def beyond_controls(test: MuteTest) -> bool:
    """The stage's own verdict; else: the loss is beyond the control sets (q) and clear of zero."""
    if test.claimed is not None:
        return test.claimed
    return test.q is not None and test.q < LEVEL and test.drop.clear_of_zero and test.drop.value > 0


def against_sets(test: MuteTest) -> str:
    """How sure the loss is beyond random heads, in words: ``q = 0.010, 200 distinct sets``."""
    fair = "" if test.layer_matched else ", not layer-matched"
    return f"q = {number(test.q, 3)}, {test.distinct} distinct sets{fair}"


def _muting(study: StudyView) -> list[Finding]:
    tests = spatial_tests(study)
    if not tests:
        claim = "Muting a spatial function’s heads hurts it more than muting random heads"
        return [Finding(claim, "no muting on test", NOT_RUN, "muting-section")]
    found = []
    for test in tests:
        claim = f"Muting the heads of {words(test.function)} hurts it more than muting random heads"
        text = (
            f"{interval(test.drop)} points lost with {test.k} heads, {number(test.excess)} more than with "
            f"random heads on average ({against_sets(test)})"
        )
        found.append(Finding(claim, text, HOLDS if beyond_controls(test) else UNCLEAR, "muting"))
    return found


def own_worst(study: StudyView) -> tuple[int, int]:
    """How many functions lose more from their own heads than the others do on average, and of how many."""
    matrix = study.ablation.specificity if study.ablation else None
    hits = total = 0
    for row, line in zip(matrix.rows, matrix.change, strict=True) if matrix else ():
        cells = {c: e.value for c, e in zip(matrix.columns, line, strict=True) if e is not None}  # type: ignore[union-attr]
        others = [v for c, v in cells.items() if c != row]
        if row in cells and others:
            total += 1
            hits += cells[row] < sum(others) / len(others)
    return hits, total


def _specific(study: StudyView) -> Finding:
    claim = "A function’s own heads hurt it more than they hurt the others on average"
    hits, total = own_worst(study)
    if not total:
        return Finding(claim, "no specificity matrix", NOT_RUN, "specificity-section")
    text = f"so for {hits} of {total} functions"
    return Finding(claim, text, HOLDS if hits == total else UNCLEAR, "specificity")


def headline(study: StudyView) -> Emphasis | None:
    """The edit that was chosen on select as the most promising of all."""
    view = study.emphasis
    return next((e for e in view.items if e.function == view.headline), None) if view else None


def _emphasis(study: StudyView) -> Finding:
    claim = "Turning a function’s heads up, or steering them, improves it"
    best = headline(study)
    if best is None:
        return Finding(claim, "no emphasis on test", NOT_RUN, "emphasis-section")
    side = (
        f"; worst side effect {words(best.worst[0])} {number(best.worst[1], 1, True)}" if best.worst else ""
    )
    edit = f"{best.edit} {best.strength:g}, {len(best.heads)} heads"
    text = f"{words(best.function)}, chosen on select ({edit}): {interval(best.delta, 1, True)} points"
    return Finding(claim, f"{text}, n = {best.delta.n}{side}", verdict(best.delta), "emphasis")


def _wake(study: StudyView) -> list[Finding]:
    claim = "Pointing at the named objects improves answers"
    wake = study.wake
    main = wake.delta(wake.style) if wake else None
    if wake is None or main is None:
        why = wake.unread if wake else ""
        return [Finding(claim, why or "no pointing on test", NOT_RUN, "wake")]
    where = {"beyond": " on pictures more crowded than the model was trained on"}.get(wake.population, "")
    text = f"{interval(main.delta, 1, True)} points (style {wake.style}), n = {main.delta.n}"
    inside = wake.delta(wake.style, "in_training_range") if wake.population == "beyond" else None
    text += f"; within the trained range {interval(inside.delta, 1, True)}" if inside else ""
    found = [Finding(claim + where, text, verdict(main.delta), "wake-styles")]
    equal = wake.delta(wake.style, against="equal_area")
    if equal is not None:
        claim = "It helps more than masking background with all objects left visible"
        text = f"{interval(equal.delta, 1, True)} points more than that control, n = {equal.delta.n}"
        found.append(Finding(claim, text, verdict(equal.delta), "wake-contrasts"))
    group = wake.group()
    if group is not None:
        claim = "It wakes spatial heads more than the others"
        text = (
            f"contribution of spatial heads {number(100 * group.spatial.value, 1, True)} %, of the others "
            f"{number(100 * group.other.value, 1, True)} %, difference "
            f"{interval(scaled(group.difference), 1, True)}"
        )
        found.append(Finding(claim, text, verdict(group.difference), "wake-heads"))
    return found


def banner(study: StudyView) -> tuple[str, bool] | None:
    """A plain warning, and whether it is a grave one, if the model does no better than blind guessing, or
    does not want to answer in the form it is asked for."""
    form = [f"{said[0].upper()}{said[1:]}." for said in warnings_of(form_of(study.answers or ()))]
    blind = _blind(study)
    if not form:
        return blind
    text, grave = blind or ("", False)
    return " ".join([*form, text]).strip(), grave


def _blind(study: StudyView) -> tuple[str, bool] | None:
    weak, seen = [], []
    for name in [*study.functions, MAIN]:
        rows = select(study, function=name, context="gold") or select(study, function=name)
        if rows:
            seen.append(name)
            weak += [name] if near_chance(rows) else []
    if not weak:
        return None
    names = ", ".join(words(f) for f in weak)
    if 2 * len(weak) >= len(seen):
        return (
            f"This model reads these data badly: on {len(weak)} of {len(seen)} kinds of question it does "
            f"not clearly beat a blind guess ({names}). Heads that serve a function cannot be found where "
            "the function is absent; read the maps, the muting and the gains below as noise unless an "
            "interval says otherwise.",
            True,
        )
    rests = "it rests" if len(weak) == 1 else "them rests"
    return (
        f"The model does not clearly beat a blind guess on: {names}. Whatever is said below about heads "
        f"for {rests} on guesses.",
        False,
    )
