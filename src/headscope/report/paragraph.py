"""The findings in one paragraph, every sentence made from numbers and saying what they do not show."""

from __future__ import annotations

from headscope.functions import MAIN
from headscope.report.chain import beside
from headscope.report.charts.base import interval, scaled, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate, estimate, lost
from headscope.report.findings import (
    HOLDS,
    OPPOSITE,
    UNTESTABLE,
    beyond_control,
    emphasis_verdict,
    own_worst,
    pointed,
    scarcity_verdict,
    spatial_tests,
    verdict,
    waking_verdict,
)
from headscope.report.measure import accuracy, chance, majority, paired, select
from headscope.report.theme import number, percent


def paragraph(study: StudyContents) -> str:
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


def _answers(study: StudyContents) -> str:
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
    name = study.model_name or "the model"
    return f"Given the true answers to earlier steps, {name} gets {' and '.join(told)} of test right."


def _steps(study: StudyContents) -> str:
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
    asked = f"{percent(accuracy(alone).value)} asked at once, {' and '.join(told)} to the steps"
    return f"{says}: {asked} (no step that gives the answer is shown){beside(study)}."


def _heads(study: StudyContents) -> str:
    found = study.atlas.default_scarcity if study.atlas else None
    if found is None:
        return ""
    says = {HOLDS: "scarcer than", OPPOSITE: "more numerous than"}.get(
        scarcity_verdict(found), "not clearly scarcer than"
    )
    return (
        f"Spatial heads are {says} others: a spatial function rests on {number(found.spatial)} effective "
        f"heads on average, another on {number(found.other)} (relabelling functions: p = "
        f"{number(found.relabel_p, 3)})."
    )


def _muting(study: StudyContents) -> str:
    tests = spatial_tests(study)
    if not tests:
        return ""
    losses = ", ".join(f"{words(f)} {interval(lost(t))} points" for f, t in tests.items())
    means = [t.control_mean for t in tests.values() if t.control_mean is not None]
    random = f"; random heads cost {number(sum(means) / len(means))} on average" if means else ""
    sure = [t for t in tests.values() if t.claimed]
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


def _emphasis(study: StudyContents) -> str:
    made = study.emphasis
    if made is None:
        return ""
    best = made.headline
    if best is None:
        return f"Turning heads up could not be tested: {made.untestable or 'no function was tried'}."
    delta, worst = estimate(best.delta_points, best.ci, best.n), best.worst_side_effect
    says = {HOLDS: "helps", OPPOSITE: "hurts", UNTESTABLE: "was not tested against enough random heads"}.get(
        emphasis_verdict(best), "does not clearly help"
    )
    side = (
        f", at worst {number(best.worst_side_effect_points, 1, True)} points elsewhere ({words(worst)})"
        if worst
        else ""
    )
    return (
        f"Turning heads up {says}: the edit that looked best on select ({words(best.function)}, {best.edit} "
        f"{best.strength:g}) changes its function by {interval(delta, 1, True)} points on test, random heads "
        f"turned up alike by {number(best.random_sets_mean, 1, True)} on average{side}."
    )


def _pointing(study: StudyContents) -> str:
    wake = study.wake
    main = pointed(wake) if wake else None
    if wake is None or main is None:
        return ""
    says = {HOLDS: "helps", OPPOSITE: "hurts"}.get(verdict(main), "does not clearly help")
    text = (
        f"Pointing at the named objects {says} where neither boxes nor window tell the answer: "
        f"{interval(main, 1, True)} points (n = {main.n})"
    )
    equal = beyond_control(wake, "equal_area")
    if equal is not None:
        text += f", {interval(equal, 1, True)} against masking background only ({_clear(equal)})"
    named, left = wake.wrong_name, wake.mediation
    if named.share is not None:
        text += (
            f"; asked for a thing that is not there, the model gives the place of the box in "
            f"{number(named.share, 0)} % of questions"
        )
    if left.muted is not None:
        text += f"; with the spatial heads muted it gains {number(left.muted.delta_points, 1, True)} points"
    if wake.waking is not None:
        first = wake.waking.primary
        does = {HOLDS: "wakes spatial heads more", OPPOSITE: "wakes spatial heads less"}.get(
            waking_verdict(first), "does not clearly wake spatial heads more"
        )
        text += f". It {does} than other heads (p = {number(first.p, 3)})"
    return text + "."


def _clear(difference: Estimate) -> str:
    return "a clear difference" if difference.clear_of_zero else "no clear difference"
