"""Scores of main questions by the source's own rule, and what an intervention changes, paired by picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from headscope.benchmarks.registry import rule
from headscope.benchmarks.rule import ACCURACY
from headscope.benchmarks.score_types import (
    AnswerChange,
    AnsweredQuestion,
    KindScore,
    OfficialScores,
    PairedDifference,
    ParserScore,
    Score,
    Scores,
)
from headscope.data.schema import Case
from headscope.models.answer_words import normalise
from headscope.statistics.accuracy import accuracy_table
from headscope.statistics.resampling import Difference, paired_difference
from headscope.statistics.shares import share_difference

AnyAnswered = TypeVar("AnyAnswered", bound=AnsweredQuestion)
_SHARED = 10


def score(rows: Sequence[AnsweredQuestion], cases: Mapping[str, Case], images: Mapping[str, str]) -> Scores:
    """How well main questions were answered.

    Args:
        rows: one a main question, as :func:`judged` gives them.
        cases: case id -> case.
        images: case id -> name of its picture, the unit of every interval.
    """
    answered = [dict(r) for r in rows]
    (whole,) = accuracy_table(answered, (), images=images)
    kinds = accuracy_table(answered, "kind", images=images)
    return Scores(
        accuracy=Score(**whole),
        unreadable=sum(r.answer is None for r in rows) / len(rows),
        constant=constant([cases[r.case] for r in rows]),
        by_kind=tuple(KindScore(**kind | {"kind": kind["kind"] or "(none)"}) for kind in kinds),
        official=official(rows, cases),
    )


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


def judged(rows: Sequence[AnyAnswered], cases: Mapping[str, Case]) -> list[AnyAnswered]:
    """The rows with ``correct`` as the source's own rule judges the text; other sources keep theirs."""
    right: dict[str, bool] = {}
    texts = {r.case: r.text for r in rows}
    for source, members in _by_source(cases[name] for name in texts).items():
        if _has_own(source):
            right |= rule(source).right(members, texts)
    return [r.model_copy(update={"correct": right.get(r.case, r.correct)}) for r in rows]


def official(rows: Sequence[AnsweredQuestion], cases: Mapping[str, Case]) -> dict[str, OfficialScores]:
    """Source -> scores by its own rule, for sources that have one."""
    texts = {r.case: r.text for r in rows}
    out = {}
    for source, members in _by_source(cases[name] for name in texts).items():
        if _has_own(source):
            own = rule(source)
            parsed = [ACCURACY.judge(c, texts[c.id]) for c in members]
            out[source] = OfficialScores(
                rule=own.name,
                published=own.source,
                table=tuple(own(members, texts)),
                parser=ParserScore(value=sum(parsed) / len(parsed), n=len(parsed)),
            )
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
    plain: Sequence[AnsweredQuestion],
    changed: Sequence[AnsweredQuestion],
    images: Mapping[str, str],
    only: set[str] | None = None,
) -> AnswerChange:
    """Changed minus plain on the same questions, with 95 % intervals by picture.

    Args:
        only: case ids to count; None: all.
    """
    after = {r.case: r for r in changed}
    pairs = [(r, after[r.case]) for r in plain if only is None or r.case in only]
    groups = [images[a.case] for a, _ in pairs]
    before, now = ([float(side.correct) for side in sides] for sides in zip(*pairs, strict=True))
    margins = [[_number(side.margin) for side in sides] for sides in zip(*pairs, strict=True)]
    return AnswerChange(
        accuracy=_paired(share_difference(now, before, groups)),
        margin=_paired(paired_difference(margins[1], margins[0], groups)),
        to_right=sum(b > a for a, b in zip(before, now, strict=True)),
        to_wrong=sum(b < a for a, b in zip(before, now, strict=True)),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _paired(found: Difference) -> PairedDifference:
    return PairedDifference(
        value=found.value, ci=found.ci, p=found.p_signflip, n=found.n, images=found.groups
    )
