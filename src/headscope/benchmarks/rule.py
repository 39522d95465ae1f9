"""What every rule gives: a judgement of each answer, and a table of scores, each with its n."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headscope.benchmarks.score_types import OfficialScore
from headscope.data.schema import Case
from headscope.models.answer_words import normalise
from headscope.models.answers import parse_answer
from headscope.records import JsonValue

Answers = Mapping[str, str | None]
Right = Mapping[str, bool]
Table = list[OfficialScore]


@dataclass(frozen=True)
class Rule:
    """A benchmark's rule: call it on cases and answers.

    Attributes:
        name: of the rule.
        judge: whether one answer is right; a missing or unreadable answer never is.
        tabulate: from cases and judgements to rows of scores; the first row is the headline.
        source: where the rule is published.
        beside: further rows of cases and answers that are not the official figure.
        scored: rows of scores between right and wrong, which then come first.

    Example:
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="?", answer="yes")
        >>> from headscope.benchmarks.registry import rule
        >>> rule("")([case], {"a": "Yes."})[0]
        OfficialScore(score='accuracy', group='all', value=1.0, n=1)
    """

    name: str
    judge: Callable[[Case, str], bool]
    tabulate: Callable[[Sequence[Case], Right], Table]
    source: str = ""
    beside: Callable[[Sequence[Case], Answers], Table] | None = None
    scored: Callable[[Sequence[Case], Answers], Table] | None = None

    def right(self, cases: Iterable[Case], answers: Answers) -> dict[str, bool]:
        """Case id -> whether its answer is right; one without an answer is wrong."""
        found = {c.id: answers.get(c.id) for c in cases}
        return {c.id: (text := found[c.id]) is not None and self.judge(c, text) for c in cases}

    def __call__(self, cases: Sequence[Case], answers: Answers) -> Table:
        """The table of scores."""
        first = self.scored(cases, answers) if self.scored else []
        table = [*first, *self.tabulate(cases, self.right(cases, answers))]
        return table + self.beside(cases, answers) if self.beside else table


def score_row(score: str, group: str, hits: Iterable[bool | float], n: float | None = None) -> OfficialScore:
    """One row: the mean of ``hits`` (or their sum over ``n``); None where there is nothing to divide by."""
    values = [float(h) for h in hits]
    size = len(values) if n is None else n
    size = int(size) if size == int(size) else size
    return OfficialScore(score=score, group=group, value=sum(values) / size if size else None, n=size)


def by_group(
    score: str, cases: Iterable[Case], right: Right, group: Callable[[Case], str], title: str
) -> Table:
    """One row per group, in order of the groups' names."""
    members: dict[str, list[bool]] = {}
    for case in cases:
        members.setdefault(group(case), []).append(right[case.id])
    return [score_row(score, f"{title}: {name or '(none)'}", members[name]) for name in sorted(members)]


def every(
    score: str, cases: Iterable[Case], right: Right, key: Callable[[Case], str], group: str = "all"
) -> OfficialScore:
    """The share of groups of which every member is right."""
    groups: dict[str, bool] = {}
    for case in cases:
        groups[key(case)] = groups.get(key(case), True) and right[case.id]
    return score_row(score, group, groups.values())


def mean_of(score: str, group: str, rows: Sequence[OfficialScore]) -> OfficialScore:
    """The plain mean of other rows' values; ``n`` is how many rows; None where one of them has no value."""
    values = [r.value for r in rows]
    known = [v for v in values if v is not None]
    value = sum(known) / len(known) if known and len(known) == len(values) else None
    return OfficialScore(score=score, group=group, value=value, n=len(values))


def field(case: Case, *path: str) -> str:
    """A text in the case's own record, empty where it is not there."""
    value: JsonValue = case.original
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def judge(case: Case, text: str) -> bool:
    """Whether the text amounts to the case's answer among its choices; without choices it has to equal it.

    Letters stand for options, since the benchmarks' own prompts show them.
    """
    said = parse_answer(text, case.choices, lettered=True)
    return said == case.answer if case.choices else said is not None and said == normalise(case.answer)


def overall(cases: Sequence[Case], right: Right, score: str = "accuracy") -> OfficialScore:
    """One row: accuracy over all."""
    return score_row(score, "all", [right[c.id] for c in cases])


def accuracy_by(title: str, score: str = "accuracy") -> Callable[[Sequence[Case], Right], Table]:
    """A table of accuracy over all and by the cases' kind, which is called ``title``."""

    def table(cases: Sequence[Case], right: Right) -> Table:
        return [overall(cases, right, score), *by_group(score, cases, right, lambda c: c.kind, title)]

    return table


ACCURACY = Rule("accuracy", judge, accuracy_by("kind"))
