"""Layer x head maps small enough for thousands of heads: one pixel a head, values on hover from one table."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headscope.probing.atlas import Atlas
from headscope.report import theme
from headscope.report.charts.heads import HeadScores, colours, domain, places, rankings
from headscope.report.theme import number
from headscope.statistics.ranking import BY_SIZE, strongest
from headscope.storage import Row

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, TALLEST, LEFT, TOP = 152.0, 300.0, 22.0, 4.0  # of the map's grid, in units of its picture


@dataclass(frozen=True)
class HeadMap:
    """One map: a picture of one pixel a head, where its grid lies, and what it says in words."""

    function: str
    ranking: str
    unit: str
    picture: str  # data URI of a PNG, columns x rows pixels
    columns: int
    rows: int
    cell: tuple[float, float]  # width and height of a cell
    layer_ticks: tuple[tuple[float, str], ...]
    head_ticks: tuple[tuple[float, str], ...]
    low: str  # ends of the colour scale
    high: str
    gradient: str  # CSS gradient of the scale
    dots: tuple[tuple[float, float], ...]  # centres of the heads that pass this ranking's own criterion
    boxes: tuple[tuple[float, float], ...]  # corners of the heads that were muted for the claim
    alt: str

    @property
    def left(self) -> float:
        """Where the grid begins."""
        return LEFT

    @property
    def width(self) -> float:
        """Width of the picture with its ticks."""
        return LEFT + self.columns * self.cell[0] + 4

    @property
    def height(self) -> float:
        """Height of the picture with its ticks."""
        return TOP + self.rows * self.cell[1] + 18


def head_maps(atlas: Atlas, function: str, muted: tuple[str, ...] = ()) -> list[HeadMap]:
    """The function's map under each ranking that has it; ``muted`` heads are outlined."""
    return [
        one_map(atlas, r, function, muted, domain(r, function))
        for r in rankings(atlas)
        if function in r.scores
    ]


def hover_table(atlas: Atlas) -> Row:
    """What the page needs to show values on hover: labels, places and scores rounded to four digits."""
    scores = {
        f"{ranking.name}/{function}": [None if v is None else float(f"{v:.4g}") for v in values]
        for ranking in rankings(atlas)
        for function, values in ranking.scores.items()
    }
    marks = {
        f"{criterion}/{function}": [i for i, yes in enumerate(flags) if yes]
        for criterion, table in atlas.selected.items()
        for function, flags in table.items()
        if flags is not None
    }
    labels = [head.label for head in atlas.heads]
    return {"heads": labels, "places": places(atlas)[1], "scores": scores, "passes": marks}


def top_heads(atlas: Atlas, ranking: HeadScores, function: str, count: int = 5) -> list[tuple[str, float]]:
    """The heads with the greatest scores (for the joint probe, whose sign is kept, in absolute value)."""
    scores = ranking.scores[function]
    best = strongest(scores, count, by_size=ranking.name in BY_SIZE)
    return [(atlas.heads[i].label, float(scores[i] or 0.0)) for i in best]


def one_map(
    atlas: Atlas, ranking: HeadScores, function: str, muted: Sequence[str], ends: tuple[float, float]
) -> HeadMap:
    """The function's map under one ranking; ``muted`` heads are outlined, ``ends`` those of the colours."""
    names, grid = places(atlas)
    columns = max(c for _, c in grid) + 1
    rows = len(names)
    wide = WIDTH / columns
    cell = (wide, min(wide, TALLEST / rows))
    scale = colours(ranking)
    flags = atlas.selected.get(ranking.name, {}).get(function) or [False] * len(atlas.heads)
    corners = [(LEFT + c * cell[0], TOP + r * cell[1]) for r, c in grid]
    spots = [(x + cell[0] / 2, y + cell[1] / 2) for (x, y), yes in zip(corners, flags, strict=True) if yes]
    best = ", ".join(f"{h} {number(v, 3)}" for h, v in top_heads(atlas, ranking, function, 3))
    digits = 3 if max(abs(e) for e in ends) < 1 else 2
    return HeadMap(
        function=function,
        ranking=ranking.name,
        unit=ranking.unit,
        picture=_pixels(grid, ranking.scores[function], ends, scale, (columns, rows)),
        columns=columns,
        rows=rows,
        cell=cell,
        layer_ticks=_ticks([name.removeprefix("L") for name in names], TOP, cell[1], 11),
        head_ticks=_ticks([str(i) for i in range(columns)], LEFT, cell[0], 16),
        low=number(ends[0], digits),
        high=number(ends[1], digits),
        gradient=f"linear-gradient(to right, {', '.join(scale)})",
        dots=tuple(spots),
        boxes=tuple(xy for xy, head in zip(corners, atlas.heads, strict=True) if head.label in muted),
        alt=f"{function.replace('_', ' ')}, {ranking.name} ranking: greatest {best}",
    )


def _ticks(names: list[str], start: float, size: float, room: float) -> tuple[tuple[float, str], ...]:
    """Centres and names of as many cells as have room for a label."""
    every = next(n for n in (1, 2, 4, 5, 8, 10, 16, 20, 32, 64, 10_000) if n * size >= room)
    return tuple((start + (i + 0.5) * size, name) for i, name in enumerate(names) if i % every == 0)


def _pixels(
    grid: tuple[tuple[int, int], ...],
    scores: list[float | None],
    ends: tuple[float, float],
    scale: tuple[str, ...],
    size: tuple[int, int],
) -> str:
    from PIL import Image

    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    for (row, column), value in zip(grid, scores, strict=True):
        if value is not None:
            rgb = theme.blend(scale, (value - ends[0]) / (ends[1] - ends[0]))
            picture.putpixel((column, row), (*rgb, 255))
    return data_uri(picture)


def data_uri(picture: Image, form: Literal["PNG", "WEBP"] = "PNG") -> str:
    """A PIL picture as one that the page carries in itself; WebP is smaller and not exact."""
    buffer = io.BytesIO()
    options: Row = {"optimize": True} if form == "PNG" else {"quality": 82, "method": 6}
    picture.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()
