"""The findings in one paragraph, every sentence made from numbers and saying what they do not show."""

from __future__ import annotations

from headscope.functions import MAIN
from headscope.report.charts.base import interval, scaled, words
from headscope.report.charts.heads import CRITERIA
from headscope.report.findings import (
    HOLDS,
    OPPOSITE,
    beyond_controls,
    headline,
    own_worst,
    scarcity_of,
    spatial_tests,
    verdict,
)
from headscope.report.measure import accuracy, chance, majority, paired, select
from headscope.report.stage_views import Estimate
from headscope.report.theme import number, percent
from headscope.report.views import StudyView


def paragraph(study: StudyView) -> str:
    """The summary; parts that were not run are left out, results that are not clear are said to be so."""
    parts = (
        _answers(study),
        _steps(study),
        _heads(study),
        _muting(study),
        _emphasis(study),
        _pointing(study),
    )
    return " ".join(part for part in parts if part)


def _answers(study: StudyView) -> str:
    spatial = study.taxonomy.spatial
    steps = [r for r in select(study, context="gold") if r["function"] != MAIN]
    told = []
    for title, rows in (
        ("spatial steps", [r for r in steps if r["function"] in spatial]),
        ("other steps", [r for r in steps if r["function"] not in spatial]),
    ):
        if rows:
            guess = max(chance(rows), majority(rows))
            told.append(
                f"{percent(accuracy(rows).value)} of {title} (n = {len(rows)}; guessing {percent(guess)})"
            )
    if not told:
        return ""
    name = study.run.model.get("name") or "the model"
    return f"Given the true answers to earlier steps, {name} gets {' and '.join(told)} of test right."


def _steps(study: StudyView) -> str:
    told = []
    clear: dict[str, str] = {}
    for context, title in (("own", "its own answers"), ("gold", "the true answers")):
        difference = paired(study, MAIN, context, "alone")
        if difference is not None:
            points = scaled(difference)
            clear[context] = verdict(points)
            told.append(f"{interval(points, 1, True)} points after {title}")
    alone = select(study, function=MAIN, context="alone")
    if not told or not alone:
        return ""
    own = clear.get("own", "")
    says = "Asking step by step does not clearly change main questions"
    if own in (HOLDS, OPPOSITE):
        says = f"Asking step by step {'helps' if own == HOLDS else 'hurts'} main questions"
    elif clear.get("gold") in (HOLDS, OPPOSITE):
        does = "help" if clear["gold"] == HOLDS else "hurt"
        says = f"True answers to the steps {does} main questions"
        says += ", the model's own do not clearly" if own else ""
    return f"{says}: {percent(accuracy(alone).value)} asked at once, {' and '.join(told)} to the steps."


def _heads(study: StudyView) -> str:
    found = scarcity_of(study)
    if found is None or found.spatial is None or found.other is None:
        return ""
    says = {HOLDS: "scarcer than", OPPOSITE: "more numerous than"}.get(
        verdict(found.difference, -1), "not clearly scarcer than"
    )
    name = CRITERIA.get(found.criterion, found.criterion)
    return (
        f"Spatial heads are {says} others: {percent(found.spatial)} of all heads serve a spatial function "
        f"on average, {percent(found.other)} another (difference "
        f"{interval(scaled(found.difference), 1, True)} percentage points; criterion: {name})."
    )


def _muting(study: StudyView) -> str:
    tests = spatial_tests(study)
    if not tests:
        return ""
    losses = ", ".join(f"{words(t.function)} {interval(t.drop)} points" for t in tests)
    means = [t.mean for t in tests if t.mean is not None]
    random = f"; random heads cost {number(sum(means) / len(means))} on average" if means else ""
    sure = [t for t in tests if beyond_controls(t)]
    greatest = max((t.q for t in sure if t.q is not None), default=None)
    beyond = f" (q {number(greatest, 3)} or less)" if sure else ""
    text = (
        f"Muting the heads chosen on select costs {losses}{random}. Beyond random heads: {len(sure)} of "
        f"{len(tests)} spatial functions{beyond}."
    )
    hits, total = own_worst(study)
    if total:
        text += (
            f" {hits} of all {total} functions lose more from their own heads than the others do on average."
        )
    return text


def _emphasis(study: StudyView) -> str:
    best = headline(study)
    if best is None:
        return ""
    says = {HOLDS: "helps", OPPOSITE: "hurts"}.get(verdict(best.delta), "does not clearly help")
    side = (
        f", at worst {number(best.worst[1], 1, True)} points elsewhere ({words(best.worst[0])})"
        if best.worst
        else ""
    )
    return (
        f"Turning heads up {says}: the edit that looked best on select ({words(best.function)}, {best.edit} "
        f"{best.strength:g}) changes its function by {interval(best.delta, 1, True)} points on test{side}."
    )


def _pointing(study: StudyView) -> str:
    wake = study.wake
    main = wake.delta(wake.style) if wake else None
    if wake is None or main is None:
        return ""
    where = " on crowded pictures" if wake.population == "beyond" else ""
    says = {HOLDS: "helps", OPPOSITE: "hurts"}.get(verdict(main.delta), "does not clearly help")
    text = f"Pointing at the named objects {says}{where}: {interval(main.delta, 1, True)} points"
    equal = wake.delta(wake.style, against="equal_area")
    if equal is not None:
        text += f", {interval(equal.delta, 1, True)} against masking background only ({_clear(equal.delta)})"
    inside = wake.delta(wake.style, "in_training_range") if wake.population == "beyond" else None
    if inside is not None:
        text += f"; {interval(inside.delta, 1, True)} on pictures of a kind it was trained on"
    group = wake.group()
    if group is not None:
        text += (
            f". Spatial heads’ contribution changes by {number(100 * group.spatial.value, 0, True)} %, "
            f"that of the others by {number(100 * group.other.value, 0, True)} % "
            f"({_clear(group.difference)})"
        )
    return text + "."


def _clear(difference: Estimate) -> str:
    return "a clear difference" if difference.clear_of_zero else "no clear difference"
