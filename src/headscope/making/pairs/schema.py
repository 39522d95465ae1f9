"""The typed pair, and the folder that holds pairs beside their cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from headscope.data.cases import Cases, load_cases, save_cases
from headscope.data.schema import Case, Step
from headscope.errors import DataError
from headscope.storage import write_atomic

PAIRS_FILE = "pairs.jsonl"
SCHEMA = "headscope/pair/1"


class Pair(BaseModel):
    """Two cases that ask the same question of pictures that differ in one fact.

    Attributes:
        id: of the pair.
        function: the cognitive function that the question needs.
        fact: what differs: ``place``, ``facing``, ``colour``, ``size``, ``letter``, ``count``, ``further``,
            ``higher``, ``nearer``, ``presence``, or ``mirror``.
        first, second: ids of the cases.
        question: id of the step that is asked in both; ``main`` for the main question.
        changed: ids of the objects that differ; the rest of the picture is the same, pixel by pixel. Of a
            mirrored picture: empty, since every place is another.
        control: the answer must be the same in both, although the pictures differ (a mirrored picture asked
            for a colour).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    function: str
    fact: str
    first: str
    second: str
    question: str
    changed: tuple[str, ...] = ()
    control: bool = False


@dataclass(frozen=True)
class Pairs(Sequence[Pair]):
    """Pairs in order, with the cases that they name.

    Example:
        >>> pairs = load_pairs("pairs")  # doctest: +SKIP
        >>> first, second = pairs.asked(pairs[0])  # doctest: +SKIP
    """

    cases: Cases
    pairs: tuple[Pair, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        return self.pairs[index]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def asked(self, pair: Pair) -> tuple[Step, Step]:
        """The question in both cases, with its true answer there."""
        first, second = (self.question_of(self.cases.by_id[c], pair) for c in (pair.first, pair.second))
        return first, second

    def question_of(self, case: Case, pair: Pair) -> Step:
        """A pair's question in one of its cases.

        Raises:
            DataError: the case has no such question.
        """
        steps = {"main": case.main_step()} | {s.id: s for s in case.steps}
        if pair.question not in steps:
            raise DataError(f"pair {pair.id!r}: case {case.id!r} has no question {pair.question!r}")
        return steps[pair.question]


def save_pairs(cases: Sequence[Case], pairs: Sequence[Pair], folder: str | Path) -> Pairs:
    """Write cases and pairs into a folder that holds the pictures already.

    Raises:
        DataError: as :func:`check_pairs`. StoreError: the disk is full.
    """
    folder = Path(folder)
    found = Pairs(save_cases(cases, folder), tuple(pairs))
    check_pairs(found)
    lines = "".join(f"{pair.model_dump_json()}\n" for pair in pairs)
    write_atomic(folder / PAIRS_FILE, f'{{"schema": "{SCHEMA}"}}\n{lines}'.encode())
    return found


def load_pairs(folder: str | Path) -> Pairs:
    """Read a folder of pairs.

    Raises:
        DataError: no such file, a line that is no pair, or a pair that is none (:func:`check_pairs`).
    """
    folder = Path(folder)
    file = folder / PAIRS_FILE
    try:
        head, *lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as exc:
        raise DataError(f"{file}: no pairs to read ({exc}); `headscope data pairs` makes them") from exc
    if SCHEMA not in head:
        raise DataError(f"{file}:1: expected {SCHEMA}, found {head[:80]!r}")
    pairs = []
    for number, line in enumerate(lines, 2):
        try:
            pairs.append(Pair.model_validate_json(line))
        except ValidationError as exc:
            fault = exc.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the line"
            raise DataError(f"{file}:{number}: {where}: {fault['msg']}") from exc
    found = Pairs(load_cases(folder), tuple(pairs))
    check_pairs(found)
    return found


def check_pairs(pairs: Pairs) -> None:
    """Refuse what is no pair.

    Raises:
        DataError: ids that are twice there; an unknown case; questions or choices that differ; answers that
            do not differ, or do where they must not; pictures of two sizes; cases in two splits.
    """
    seen: set[str] = set()
    for pair in pairs:
        where = f"pair {pair.id!r}"
        if pair.id in seen:
            raise DataError(f"{where}: two pairs have this id; ids must differ")
        seen.add(pair.id)
        for name in (pair.first, pair.second):
            if name not in pairs.cases.by_id:
                raise DataError(f"{where}: no case {name!r} in {pairs.cases.folder}")
        one, other = pairs.cases.by_id[pair.first], pairs.cases.by_id[pair.second]
        a, b = pairs.asked(pair)
        if (a.question, a.choices) != (b.question, b.choices):
            raise DataError(f"{where}: its cases ask {a.question!r} and {b.question!r}; one question needed")
        if not (a.answered and b.answered):
            raise DataError(f"{where}: its question is unanswered in one of its cases")
        if (a.answer == b.answer) != pair.control:
            wanted = "the same answer, since it is a control" if pair.control else "two different answers"
            raise DataError(f"{where}: expected {wanted}, found {a.answer!r} and {b.answer!r}")
        if (one.width, one.height) != (other.width, other.height):
            raise DataError(f"{where}: its pictures have two sizes; the tokens would not line up")
        if one.split != other.split:
            raise DataError(f"{where}: its cases are in {one.split!r} and {other.split!r}; one split needed")
