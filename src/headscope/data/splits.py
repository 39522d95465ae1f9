"""Splits by picture: all questions about one picture are in one of ``fit``, ``select`` and ``test``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

from headscope.data.pictures import PictureError, content_keys, key_of, locate
from headscope.data.schema import SPLITS, Case, Split
from headscope.data.validation import wanted_split
from headscope.errors import DataError


@runtime_checkable
class Grouped(Protocol):
    """Cases that know which of them show the same picture: :class:`headscope.data.cases.Cases`."""

    @property
    def picture_groups(self) -> dict[str, str]:
        """Case id -> a name of its picture."""
        ...


def assign_splits(
    cases: Sequence[Case], seed: int = 0, shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
) -> dict[str, Split]:
    """Case id -> split, whole pictures at a time.

    Cases that share a picture (same path, or files with identical bytes) go together. A case with a
    ``split`` of its own keeps it; a case without one that has anything ``held_out`` goes to ``test``.
    The other pictures are divided by ``shares``, to the nearest whole picture (and at least one each
    where there are three or more), in the order of a hash of seed and path: the order of the cases
    does not matter. Held-out pictures come on top, so that ``test`` always holds ordinary ones too.

    Args:
        cases: the cases; only ``Cases`` have files whose contents can be compared.
        seed: another seed, another division.
        shares: of ``fit``, ``select`` and ``test``; they add up to 1.

    Raises:
        DataError: shares that do not add up to 1, or one picture asked for in two splits.

    Example:
        >>> four = [Case(id=i, image=i, width=8, height=8, question="?", answer="no") for i in "abcd"]
        >>> sorted(assign_splits(four).values())
        ['fit', 'fit', 'select', 'test']
    """
    if len(shares) != 3 or not all(0 <= s <= 1 for s in shares) or abs(sum(shares) - 1) > 1e-6:
        raise DataError(f"splits: asked for shares {shares}; expected three from 0 to 1 that add up to 1")
    groups = picture_groups(cases)
    members: dict[str, list[Case]] = {}
    for case in cases:
        members.setdefault(groups[case.id], []).append(case)
    fixed = {name: wanted for name, group in members.items() if (wanted := _wanted(group))}
    free = [name for name in members if name not in fixed]
    free.sort(key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    counts = _counts(len(free), shares)
    drawn = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    chosen = fixed | dict(zip(free, drawn, strict=True))
    return {case.id: chosen[groups[case.id]] for case in cases}


def picture_groups(cases: Sequence[Case]) -> dict[str, str]:
    """Case id -> a name of its picture, the same for all cases that show the same picture.

    Everything that splits, folds, resamples or counts pictures goes by this. Two cases show the same picture
    if their files are the same or hold identical bytes; plain cases have no files and go by path. ``Cases``
    remember the answer, and a subset has that of its whole.
    """
    if isinstance(cases, Grouped):
        return cases.picture_groups
    return _joined(cases, lambda image: image)


def group_by_content(cases: Sequence[Case], folder: Path) -> dict[str, str]:
    """What :func:`picture_groups` says of cases in a folder; reads files only where two have one size."""
    paths = sorted({key_of(p.image) for c in cases for p in c.pictures})
    files: dict[str, Path] = {}
    for path in paths:
        try:
            files[path] = locate(folder, path)
        except PictureError:  # reading the picture will say what is wrong with it
            continue
    content = content_keys(files.values())
    name = {path: path for path in paths}
    first: dict[str, str] = {}
    for path, file in files.items():
        name[path] = first.setdefault(content[file], path)
    return _joined(cases, name.__getitem__)


def _joined(cases: Sequence[Case], name: Callable[[str], str]) -> dict[str, str]:
    """Case id -> the name of its pictures; cases that share any picture, by way of others too, have one."""
    first: dict[str, str] = {}

    def root(one: str) -> str:
        while first.setdefault(one, one) != one:
            first[one] = one = first[first[one]]
        return one

    for case in cases:
        own, *others = (root(name(key_of(p.image))) for p in case.pictures)
        for other in others:
            first[root(other)] = root(own)
    return {c.id: root(name(key_of(c.image))) for c in cases}


def _wanted(group: list[Case]) -> Split | None:
    """The split that the cases of one picture ask for."""
    asked = [(wanted, c) for c in group if (wanted := wanted_split(c.split, c.held_out))]
    for (one, a), (other, b) in pairwise(asked):
        if one != other:
            raise DataError(
                f"splits: cases {a.id!r} and {b.id!r} show the same picture ({a.image!r}, {b.image!r}) but "
                f"ask for {one!r} and {other!r}; give them one split (a held-out case that names none asks "
                "for 'test')"
            )
    return asked[0][0] if asked else None


def _counts(total: int, shares: tuple[float, float, float]) -> list[int]:
    """Whole numbers nearest to the shares, by largest remainder; none empty where there are enough."""
    exact = [share * total for share in shares]
    counts = [math.floor(value + 1e-9) for value in exact]
    by_rest = sorted(range(3), key=lambda i: (-round(exact[i] - counts[i], 9), i))
    for i in by_rest[: total - sum(counts)]:
        counts[i] += 1
    for i in range(3):
        if shares[i] > 0 and counts[i] == 0 and total >= sum(s > 0 for s in shares):
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    return counts
