"""Scores of main questions by the source's own rule, and what an intervention changes, paired by picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headscope.benchmarks.registry import rule
from headscope.benchmarks.scoring import ACCURACY
from headscope.data.schema import Case
from headscope.models.answers import normalise
from headscope.statistics.accuracy import accuracy_table
from headscope.statistics.resampling import Difference, paired_difference
from headscope.statistics.shares import share_difference

Row = Mapping[str, Any]
_SHARED = 10


def score(rows: Sequence[Row], cases: Mapping[str, Case], images: Mapping[str, str]) -> dict[str, Any]:
    """How well main questions were answered.

    Args:
        rows: one answer row a main question (``case``, ``text``, ``answer``, ``correct``, ``kind``), as
            :func:`judged` gives them.
        cases: case id -> case.
        images: case id -> name of its picture, the unit of every interval.

    Returns:
        ``accuracy`` (``value``, ``n``, ``images``, ``ci``, ``margin``), ``unreadable`` (share of answers that
        amount to no choice; they count as wrong), ``constant`` (what :func:`constant` answers reach),
        ``by_kind`` (rows of accuracy), ``official`` (:func:`official`).
    """
    whole = _cell(accuracy_table([dict(r, all="") for r in rows], "all", images=images)[0])
    return {
        "accuracy": whole,
        "unreadable": sum(r["answer"] is None for r in rows) / len(rows),
        "constant": constant([cases[str(r["case"])] for r in rows]),
        "by_kind": [
            {"kind": c["kind"] or "(none)"} | _cell(c) for c in accuracy_table(rows, "kind", images=images)
        ],
        "official": official(rows, cases),
    }


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cell[key] for key in ("value", "n", "images", "ci", "margin")}


def constant(cases: Sequence[Case]) -> float:
    """Share right without looking: the best constant answer, or a guess where choices change.

    Of every set of choices that at least ten questions share, and of open questions from ten on, the most
    frequent answer; of other questions one of their choices at random.

    Example:
        >>> case = Case(id="a", image="a", width=1, height=1, question="?", answer="a", choices=("a", "b"))
        >>> constant([case] * 9), constant([case] * 10)
        (0.5, 1.0)
    """
    sets: dict[tuple[str, ...], Counter[str]] = {}
    for case in cases:
        answer = case.answer if case.choices else normalise(case.answer)
        sets.setdefault(tuple(sorted(case.choices)), Counter())[answer] += 1
    right = 0.0
    for choices, answers in sets.items():
        asked = answers.total()
        if asked >= _SHARED:
            right += max(answers.values())
        elif choices:
            right += asked / len(choices)
    return right / len(cases)


def judged(rows: Sequence[Row], cases: Mapping[str, Case]) -> list[dict[str, Any]]:
    """The rows with ``correct`` as the source's own rule judges the text; other sources keep theirs."""
    right: dict[str, bool] = {}
    texts = {str(r["case"]): r["text"] for r in rows}
    for source, members in _by_source(cases[name] for name in texts).items():
        if _has_own(source):
            right |= rule(source).right(members, texts)
    return [dict(r, correct=right.get(str(r["case"]), bool(r["correct"]))) for r in rows]


def official(rows: Sequence[Row], cases: Mapping[str, Case]) -> dict[str, Any]:
    """Source -> ``rule`` (its name), where it is ``published``, ``table``; for sources that have one.

    ``parser``: the plain share right as headscope's own parser reads the answers, beside the official figure.
    """
    texts = {str(r["case"]): r["text"] for r in rows}
    out = {}
    for source, members in _by_source(cases[name] for name in texts).items():
        if _has_own(source):
            own = rule(source)
            parsed = [ACCURACY.judge(c, texts[c.id]) for c in members]
            out[source] = {
                "rule": own.name,
                "published": own.source,
                "table": own(members, texts),
                "parser": {"value": sum(parsed) / len(parsed), "n": len(parsed)},
            }
    return out


def _has_own(source: str) -> bool:
    return rule(source) is not ACCURACY


def _by_source(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """``vsr/zeroshot/dev`` and ``vsr/random/test`` are one source."""
    out: dict[str, list[Case]] = {}
    for case in cases:
        out.setdefault(case.source.partition("/")[0], []).append(case)
    return out


def difference(
    plain: Sequence[Row], changed: Sequence[Row], images: Mapping[str, str], only: set[str] | None = None
) -> dict[str, Any]:
    """Changed minus plain on the same questions, with 95 % intervals by picture.

    Args:
        only: case ids to count; None: all.

    Returns:
        ``accuracy`` and ``margin``: ``value``, ``ci``, ``p`` (sign flips by picture), ``n``, ``images``;
        ``to_right`` and ``to_wrong``: questions whose answer turned.
    """
    other = {r["case"]: r for r in changed}
    pairs = [(r, other[r["case"]]) for r in plain if only is None or r["case"] in only]
    groups = [images[a["case"]] for a, _ in pairs]
    before, after = ([float(side["correct"]) for side in sides] for sides in zip(*pairs, strict=True))
    margins = [[_number(side["margin"]) for side in sides] for sides in zip(*pairs, strict=True)]
    return {
        "accuracy": _changed(share_difference(after, before, groups)),
        "margin": _changed(paired_difference(margins[1], margins[0], groups)),
        "to_right": sum(b > a for a, b in zip(before, after, strict=True)),
        "to_wrong": sum(b < a for a, b in zip(before, after, strict=True)),
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _changed(found: Difference) -> dict[str, Any]:
    return {
        "value": found.value,
        "ci": list(found.ci),
        "p": found.p_signflip,
        "n": found.n,
        "images": found.groups,
    }
