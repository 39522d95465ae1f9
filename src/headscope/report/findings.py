"""What was expected, what was measured, and whether it holds; and the warning about a model at chance."""

from __future__ import annotations

from dataclasses import dataclass

from headscope.asking.form import form_of, warnings_of
from headscope.experiments.ablation_result import MutingTest
from headscope.experiments.controls import CLAIM_SETS
from headscope.experiments.emphasis_result import Headline
from headscope.experiments.significance import EMPHASIS_SETS, beyond_random
from headscope.experiments.waking.gain_records import WakingMeasure
from headscope.experiments.waking.head_gains import shows_waking
from headscope.experiments.waking.questions import BOTH
from headscope.experiments.waking.wake_result import WakeResult
from headscope.functions import MAIN
from headscope.probing.atlas import Contrast
from headscope.report.chain import beside
from headscope.report.charts.base import interval, scaled, words
from headscope.report.charts.wake import unread
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate, estimate, forced_lost, gained, lost
from headscope.report.measure import near_chance, paired, select
from headscope.report.theme import number

HOLDS, OPPOSITE, UNCLEAR, NOT_RUN = "holds", "the opposite holds", "not shown", "not run"
UNTESTABLE = "not testable"  # no, or too few, control sets match the layers


@dataclass(frozen=True)
class Finding:
    """One claim, what was measured, its verdict on this model and data, and the anchor of the evidence."""

    claim: str
    measured: str
    verdict: str
    anchor: str


def findings(study: StudyContents) -> list[Finding]:
    """The findings expected after the papers, each with its verdict, whatever it is."""
    found = [_steps(study, "own"), _steps(study, "gold"), _scarcity(study), *_muting(study), _specific(study)]
    return [*found, _emphasis(study), *_wake(study)]


def verdict(difference: Estimate, wanted: int = 1) -> str:
    """Holds if the interval is clear of zero on the wanted side."""
    if not difference.clear_of_zero:
        return UNCLEAR
    return HOLDS if difference.value * wanted > 0 else OPPOSITE


def _steps(study: StudyContents, context: str) -> Finding:
    given = {
        "gold": "after the true answers to its steps",
        "own": "after the model’s own answers to its steps",
    }
    claim = f"The main question is answered better {given[context]} than asked at once, the verdict left out"
    difference = paired(study, MAIN, context, "alone")
    if difference is None:
        return Finding(claim, "no such answers", NOT_RUN, "accuracy")
    points = scaled(difference)
    text = f"{interval(points, 1, True)} points, n = {points.n}{beside(study)}"
    return Finding(claim, text, verdict(points), "accuracy-by-context")


def _scarcity(study: StudyContents) -> Finding:
    claim = "Fewer heads serve a spatial function than another function"
    found = study.atlas.default_scarcity if study.atlas else None
    if found is None:
        return Finding(claim, "no atlas with both kinds of function", NOT_RUN, "sparsity-section")
    text = (
        f"{number(found.spatial)} effective heads on average, other functions {number(found.other)} "
        f"(difference {number(found.difference, 1, True)}; relabelling functions "
        f"p = {number(found.relabel_p, 3)}, {found.ways} ways)"
    )
    return Finding(claim, text, scarcity_verdict(found), "scarcity")


def scarcity_verdict(found: Contrast, alpha: float = 0.05) -> str:
    """By the relabelling of functions: no interval over heads decides."""
    if found.relabel_p >= alpha:
        return UNCLEAR
    return HOLDS if found.difference < 0 else OPPOSITE


def spatial_tests(study: StudyContents) -> dict[str, MutingTest]:
    """Muting of each spatial function's heads, measured on that function."""
    tests = study.ablation.functions if study.ablation else {}
    return {f: test for f, test in tests.items() if f in study.taxonomy.spatial}


def against_sets(test: MutingTest) -> str:
    """How sure the loss is beyond random heads, in words: ``q = 0.010, 200 distinct sets``."""
    fair = "" if test.layer_matched else ", not layer-matched"
    return f"q = {number(test.q, 3)}, {test.sets} distinct sets{fair}"


def _muting(study: StudyContents) -> list[Finding]:
    tests = spatial_tests(study)
    if not tests:
        claim = "Muting a spatial function’s heads hurts it more than muting random heads"
        return [Finding(claim, "no muting on test", NOT_RUN, "muting-section")]
    found = []
    for function, test in tests.items():
        claim = f"Muting the heads of {words(function)} hurts it more than muting random heads"
        text = (
            f"{interval(lost(test))} points lost with {test.k} heads, {interval(forced_lost(test))} by "
            f"forced choice, {number(test.excess_points)} more than with random heads on average "
            f"({against_sets(test)}); {test.verdict}"
        )
        found.append(Finding(claim, text, muting_verdict(test), "muting"))
    return found


def muting_verdict(test: MutingTest) -> str:
    """Whether a function's heads may be called functional, or could not be tested."""
    fair = not test.not_testable and test.sets >= CLAIM_SETS
    return HOLDS if test.claimed else UNCLEAR if fair else UNTESTABLE


def own_worst(study: StudyContents) -> tuple[int, int]:
    """How many functions lose more forced choice to their own heads than others do; of how many."""
    matrix = study.ablation.specificity if study.ablation else None
    hits = total = 0
    if matrix is None:
        return hits, total
    for row, line in zip(matrix.muted, matrix.forced_drop_points, strict=True):
        cells = {c: drop for c, drop in zip(matrix.measured, line, strict=True) if drop is not None}
        others = [drop for c, drop in cells.items() if c != row]
        if row in cells and others:
            total += 1
            hits += cells[row] > sum(others) / len(others)
    return hits, total


def _specific(study: StudyContents) -> Finding:
    claim = "A function’s own heads cost it more forced choice than they cost the others on average"
    hits, total = own_worst(study)
    if not total:
        return Finding(claim, "no specificity matrix", NOT_RUN, "specificity-section")
    text = f"so for {hits} of {total} functions"
    return Finding(claim, text, HOLDS if hits == total else UNCLEAR, "specificity")


def side_effect(best: Headline) -> str:
    """The function that suffers most from the headline's edit, in words; empty where there is none."""
    if best.worst_side_effect is None:
        return ""
    return f"{words(best.worst_side_effect)} {number(best.worst_side_effect_points, 1, True)}"


def _emphasis(study: StudyContents) -> Finding:
    claim = (
        "Turning a function’s heads up, or steering them, improves it more than random heads turned up alike"
    )
    made = study.emphasis
    if made is None:
        return Finding(claim, "no emphasis on test", NOT_RUN, "emphasis-section")
    best = made.headline
    if best is None:
        return Finding(claim, made.untestable or "no function was tried", UNTESTABLE, "emphasis-headroom")
    delta = estimate(best.delta_points, best.ci, best.n)
    side = f"; worst side effect {side_effect(best)}" if best.worst_side_effect else ""
    edit = f"{best.edit} {best.strength:g}, {len(best.heads)} heads"
    text = (
        f"{words(best.function)}, chosen on select ({edit}): {interval(delta, 1, True)} points, "
        f"n = {delta.n}; random heads {number(best.random_sets_mean, 1, True)} on average, "
        f"{number(best.random_sets_max, 1, True)} at most ({best.random_sets} sets, q = {number(best.q, 3)})"
    )
    return Finding(claim, text + side, emphasis_verdict(best), "emphasis")


def emphasis_verdict(best: Headline) -> str:
    """Holds if claimed; not testable without enough matched random sets; the opposite if it hurts."""
    if best.claimed:
        return HOLDS
    if verdict(estimate(best.delta_points, best.ci, best.n)) == OPPOSITE:
        return OPPOSITE
    return UNTESTABLE if best.random_sets < EMPHASIS_SETS else UNCLEAR


def _wake(study: StudyContents) -> list[Finding]:
    claim = "Pointing at the named objects improves answers that neither boxes nor window tell"
    wake = study.wake
    main = pointed(wake) if wake else None
    if wake is None or main is None:
        return [Finding(claim, (unread(wake) if wake else "") or "no pointing on test", NOT_RUN, "wake")]
    text = f"{interval(main, 1, True)} points (style {BOTH}), n = {main.n}"
    leaky = wake.test[BOTH].leaky
    text += f"; where they tell it {number(leaky.delta_points, 1, True)}, n = {leaky.n}" if leaky else ""
    named = wake.wrong_name
    if named.share is not None:
        told = f"{number(named.share)} % (plain {number(named.share_plain)} %)"
        text += f"; an absent thing gets the box’s place in {told}"
    found = [Finding(claim, text, verdict(main), "wake-styles")]
    for control, words_of in _CONTROLS.items():
        less = beyond_control(wake, control)
        if less is not None:
            text = f"{interval(less, 1, True)} points more than that control, n = {less.n}"
            # Other boxes hide what is asked about: to do better than that is no help in itself.
            says = verdict(less) if verdict(main) == HOLDS or verdict(less) != HOLDS else UNCLEAR
            found.append(Finding(f"It helps, and more than {words_of}", text, says, "wake-contrasts"))
    return [*found, *_mediation(wake), *_waking(wake)]


_CONTROLS = {
    "equal_area": "masking background with all objects left visible",
    "other_boxes": "pointing at as many other things",
}


def _mediation(wake: WakeResult) -> list[Finding]:
    """Whether the gain goes through the spatial heads."""
    left = wake.mediation
    if left.muted is None or left.gain is None:
        return []
    gone = estimate(left.mediated_points, left.ci, left.muted.n)
    text = (
        f"muted, pointing gains {number(left.muted.delta_points, 1, True)} points instead of "
        f"{number(left.gain.delta_points, 1, True)} (difference {interval(gone, 1, True)}, n = {gone.n})"
    )
    if left.p is None:
        says = UNTESTABLE
        text += f"; {left.reason or 'no random sets were muted'}"
    else:
        text += f"; random heads {number(left.random_mean, 1, True)}, p = {number(left.p, 3)}"
        says = HOLDS if beyond_random(gone.low, left.p) else UNCLEAR
    return [Finding("The gain needs the spatial heads", text, says, "wake-apart")]


def waking_verdict(measure: WakingMeasure) -> str:
    """Whether spatial heads wake, and more than others, by intervals and random head sets."""
    if shows_waking(measure):
        return HOLDS
    high = measure.ci[1]
    return OPPOSITE if high is not None and high < 0 else UNCLEAR


def _waking(wake: WakeResult) -> list[Finding]:
    if wake.waking is None:
        return []
    first = wake.waking.primary
    difference = scaled(estimate(first.difference, first.ci, first.n))
    text = (
        f"contribution, medians: spatial heads {number(_percent(first.spatial), 1, True)} %, others "
        f"{number(_percent(first.other), 1, True)} %, difference {interval(difference, 1, True)} "
        f"(n = {first.n}; p = {number(first.p, 3)} over {first.sets} random sets of the same layers)"
    )
    says = waking_verdict(first)
    return [Finding("It wakes spatial heads more than the others", text, says, "wake-heads")]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def pointed(wake: WakeResult) -> Estimate | None:
    """Change of accuracy under the style fixed in advance, on the questions that test pointing."""
    table = wake.test.get(BOTH)
    return gained(table.all) if table and table.all else None


def beyond_control(wake: WakeResult, control: str) -> Estimate | None:
    """That style less a control, on the questions that test pointing."""
    found = wake.contrasts.get(f"{BOTH} - {control}", {}).get("all")
    return gained(found) if found else None


def banner(study: StudyContents) -> tuple[str, bool] | None:
    """A plain warning, and whether it is a grave one, if the model does no better than blind guessing, or
    does not want to answer in the form it is asked for."""
    form = [f"{said[0].upper()}{said[1:]}." for said in warnings_of(form_of(study.answers or ()))]
    blind = _blind(study)
    if not form:
        return blind
    text, grave = blind or ("", False)
    return " ".join([*form, text]).strip(), grave


def _blind(study: StudyContents) -> tuple[str, bool] | None:
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
