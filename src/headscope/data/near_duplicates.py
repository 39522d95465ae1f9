"""Pictures that look the same though their files differ: re-encoded and resized copies.

Each picture has a perceptual hash, the signs about their median of the 16 x 16 lowest frequencies of its
brightness (a discrete cosine transform of 64 x 64 pixels), and its mean colours on a grid of 24 x 24 cells.
Two are near-duplicates if their hashes differ in few bits and no cell differs by much: a copy's error is
small everywhere, while one thing that moved, turned or changed its colour shows in the cells that it covers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headscope.data.pictures import decode_rgb

SIDE, KEPT = 64, 16  # pixels transformed, frequencies kept
CELLS = 24
BITS = 40  # of 256 that may differ
LEVELS = 9  # of 255 by which a cell may differ
_ROWS = 256  # hashes compared with all others at once


@dataclass(frozen=True, eq=False)
class Appearance:
    """What a picture looks like.

    Attributes:
        size: (width, height) in pixels.
        bits: (4,) uint64, the perceptual hash.
        cells: (row, column, channel) uint8, mean colours.
    """

    size: tuple[int, int]
    bits: NDArray[np.uint64]
    cells: NDArray[np.uint8]


def look_of(picture: Image.Image) -> Appearance:
    """What a picture in RGB looks like."""
    from scipy.fft import dctn

    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(small, dtype=np.float64), norm="ortho")[:KEPT, :KEPT].ravel()
    bits = np.packbits(low > np.median(low[1:])).view(np.uint64)
    # A smooth filter: with a sharp one the edges of cells fall otherwise in a copy of another size.
    cells = np.asarray(picture.resize((CELLS, CELLS), Image.Resampling.BILINEAR))
    return Appearance(picture.size, bits, cells)


def look_at(path: Path) -> Appearance:
    """What the picture in a file looks like; every pixel is decoded (in a thread: see ``decode_rgb``).

    Raises:
        PictureError: not a picture, truncated, or refused by its header.
    """
    return look_of(decode_rgb(path))


def near_pairs(looks: Sequence[Appearance]) -> list[tuple[int, int]]:
    """Numbers of the pictures that are near-duplicates of each other, the lower number first.

    Example:
        >>> red = Image.linear_gradient("L").convert("RGB")
        >>> near_pairs([look_of(p) for p in (red, red.resize((90, 90)), red.rotate(90))])
        [(0, 1)]
    """
    if len(looks) < 2:
        return []
    bits = np.stack([look.bits for look in looks])
    found = []
    for start in range(0, len(bits), _ROWS):
        rows = bits[start : start + _ROWS, None]
        differ = np.bitwise_count(rows ^ bits[None, start:]).sum(axis=2, dtype=np.uint16)
        for row, column in np.argwhere(differ <= BITS):
            if column > row and same_cells(looks[start + row], looks[start + column]):
                found.append((int(start + row), int(start + column)))
    return found


def same_cells(one: Appearance, other: Appearance) -> bool:
    """Whether no cell's mean differs by more than a copy's would."""
    gap = np.abs(one.cells.astype(np.int16) - other.cells.astype(np.int16)).mean(axis=2)
    return bool(gap.max() <= LEVELS)


class ShownPicture(NamedTuple):
    """A case with its line, its picture and the split that it asks for (None: drawn by the seed)."""

    line: int
    case: str
    image: str
    split: str | None

    def __str__(self) -> str:
        return f"case {self.case!r} ({self.image}, line {self.line}, {self.split or 'no split of its own'})"


@dataclass(frozen=True)
class NearDuplicate:
    """Two pictures that look the same, each with the first case that shows it."""

    file: str
    first: ShownPicture
    second: ShownPicture

    @property
    def across_splits(self) -> bool | None:
        """Whether the two lie in different splits; None where that depends on the seed."""
        known = self.first.split is not None and self.second.split is not None
        return self.first.split != self.second.split if known else None

    def __str__(self) -> str:
        where = {True: "in two splits", False: "in one split", None: "in splits that the seed draws"}
        return (
            f"{self.file}:{self.second.line}: image: warning: near-duplicate pictures "
            f"{where[self.across_splits]}: {self.first} and {self.second}"
        )


def near_duplicates(
    file: str, shown: Mapping[Hashable, ShownPicture], looks: Mapping[Hashable, Appearance]
) -> list[NearDuplicate]:
    """Pairs of pictures that are near-duplicates: those in two splits first, then those that may be.

    Args:
        file: the JSONL file, for messages.
        shown: picture -> the first case that shows it.
        looks: picture -> what it looks like.
    """
    keys = sorted(looks, key=lambda key: shown[key].line)
    pairs = near_pairs([looks[key] for key in keys])
    found = [NearDuplicate(file, shown[keys[i]], shown[keys[j]]) for i, j in pairs]
    rank = {True: 0, None: 1, False: 2}
    return sorted(found, key=lambda n: (rank[n.across_splits], n.first.line, n.second.line))
