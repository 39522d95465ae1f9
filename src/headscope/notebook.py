"""How objects show themselves in a notebook: small tables and head maps, every text escaped."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Mapping, Sequence

from headscope.errors import shown

ROWS, LETTERS = 40, 80  # at most, of a table and of a cell
_LOW, _NONE, _HIGH, _UNKNOWN = (0x9C, 0x2F, 0x1B), (0xF7, 0xF7, 0xF5), (0x1D, 0x5B, 0x8F), (0xDD, 0xDD, 0xDD)
_STYLE = 'style="text-align:left"'


def text(value: object) -> str:
    """A value as a cell shows it: short, numbers to three digits, nothing in it that a page would obey.

    Example:
        >>> text("<b>dog</b>"), text(0.12345), text(None), text(["a", "b"])
        ('&lt;b&gt;dog&lt;/b&gt;', '0.123', '–', 'a, b')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(text(one) for one in value[:8]) + (", ..." if len(value) > 8 else "")
    said = shown(str(value)).replace("\n", " ")
    return html.escape(said if len(said) <= LETTERS else f"{said[: LETTERS - 3]}...")


def heading(*parts: object) -> str:
    """A line over a view, its first part bold."""
    first, *rest = (text(part) for part in parts)
    return f"<p><b>{first}</b>{''.join(f', {part}' for part in rest)}</p>"


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as an HTML table, the columns those of the first row; of many rows the first."""
    if not rows:
        return ""
    head = "".join(f"<th {_STYLE}>{text(name)}</th>" for name in rows[0])
    lines = [
        f"<tr>{''.join(f'<td {_STYLE}>{text(row.get(name))}</td>' for name in rows[0])}</tr>"
        for row in rows[:ROWS]
    ]
    more = f"<p>and {len(rows) - ROWS} more</p>" if len(rows) > ROWS else ""
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>{more}"


def head_map(title: str, cells: Mapping[tuple[int, int], float | None], note: str = "") -> str:
    """A map of heads as inline SVG: rows are layers, columns heads; blue above 0, red below, grey: no score.

    Args:
        title: over it.
        cells: (row, column) -> value.
        note: under it.
    """
    rows, columns = (1 + max(place[axis] for place in cells) for axis in (0, 1))
    most = max((abs(v) for v in cells.values() if v is not None), default=0.0)
    pixels = [_UNKNOWN] * (rows * columns)
    for (row, column), value in cells.items():
        if value is not None:
            pixels[row * columns + column] = _colour(value / most if most else 0.0)
    side = min(14.0, max(2.0, 220 / max(rows, columns)))
    width, height = max(columns * side, 150.0) + 4, rows * side + 38
    size = f'width="{columns * side:g}" height="{rows * side:g}"'
    label = f"{title}: {rows} layers by {columns} heads, largest {most:.3g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{text(label)}">'
        f'<text x="0" y="14" font-size="12" fill="currentColor">{text(title)}</text>'
        f'<image x="0" y="20" {size} preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{base64.b64encode(_png(columns, rows, pixels)).decode()}"/>'
        f'<text x="0" y="{rows * side + 33:g}" font-size="10" fill="currentColor">{text(note)}</text></svg>'
    )


def _colour(share: float) -> tuple[int, int, int]:
    """Of a value from -1 to 1."""
    end = _HIGH if share >= 0 else _LOW
    red, green, blue = (round(a + (b - a) * min(abs(share), 1.0)) for a, b in zip(_NONE, end, strict=True))
    return red, green, blue


def _png(width: int, height: int, pixels: Sequence[tuple[int, int, int]]) -> bytes:
    """A PNG picture of RGB pixels, row by row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = (pixels[row * width : (row + 1) * width] for row in range(height))
    raw = b"".join(b"\0" + bytes(part for pixel in line for part in pixel) for line in lines)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )
