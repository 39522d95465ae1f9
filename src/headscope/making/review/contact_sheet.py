"""Contact sheets: random cases of a folder on one page, their pictures with boxes drawn."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from headscope.data.cases import Cases
from headscope.data.schema import Case, Object
from headscope.errors import DataError

_CELL, _HIGH, _GAP = 320, 240, 10  # pixels of a cell's width, its picture's height, the room between
_LINES, _LINE, _WIDE = 7, 15, 52  # lines of text under a picture, pixels and characters of each
_INK, _PAPER, _PALE = (24, 24, 27), (255, 255, 255), (228, 228, 231)
_COLOURS = ((217, 70, 39), (37, 99, 235), (22, 130, 60), (161, 98, 7), (147, 51, 234), (8, 120, 140))


def contact_sheet(
    cases: Cases, count: int = 20, seed: int = 0, columns: int = 4
) -> tuple[Image.Image, list[str]]:
    """A page of random cases, and their ids in order.

    The same cases, count and seed give the same page. Of several pictures of a case all stand side by side,
    each with its own boxes; a picture that is not there leaves its place empty and says so.

    Raises:
        DataError: no case, or less than one asked for.

    Example:
        >>> import headscope as hs
        >>> made = hs.draw_scenes("data", 3)
        >>> sheet, ids = contact_sheet(made, count=2)
        >>> sheet.size, len(ids)
        ((670, 375), 2)
    """
    if count < 1 or columns < 1 or not len(cases):
        raise DataError(
            f"{cases.folder}: asked for {count} of {len(cases)} cases on a sheet; expected one or more"
        )
    chosen = sorted(random.Random(seed).sample(range(len(cases)), min(count, len(cases))))
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    wide, high = _CELL + _GAP, _HIGH + _LINES * _LINE + _GAP
    sheet = Image.new("RGB", (columns * wide + _GAP, rows * (high + _GAP) - _GAP + 2 * _GAP), _PAPER)
    for place, number in enumerate(chosen):
        at = (_GAP + place % columns * wide, _GAP + place // columns * (high + _GAP))
        _draw_case(sheet, cases, cases[number], at)
    return sheet, [cases[n].id for n in chosen]


def _draw_case(sheet: Image.Image, cases: Cases, case: Case, at: tuple[int, int]) -> None:
    shown = case.pictures
    wide = _CELL // len(shown)
    for number in range(len(shown)):
        things = [o for o in case.objects if o.picture == number]
        picture = _marked(cases, case, number, things, (wide - (2 if len(shown) > 1 else 0), _HIGH))
        sheet.paste(picture, (at[0] + number * wide, at[1]))
    draw = ImageDraw.Draw(sheet)
    for i, line in enumerate(_lines(case)):
        draw.text((at[0], at[1] + _HIGH + 4 + i * _LINE), line, _INK, _font(12))


def _marked(
    cases: Cases, case: Case, number: int, things: Sequence[Object], room: tuple[int, int]
) -> Image.Image:
    """One picture within its room, with the boxes of its things and their names."""
    out = Image.new("RGB", room, _PALE)
    try:
        whole = cases.picture(case, number)
    except DataError:
        ImageDraw.Draw(out).text((8, 8), "no picture", _INK, _font(12))
        return out
    scale = min(room[0] / whole.width, room[1] / whole.height)
    size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    left, top = (room[0] - size[0]) // 2, (room[1] - size[1]) // 2
    out.paste(whole.resize(size), (left, top))
    draw = ImageDraw.Draw(out)
    for i, thing in enumerate(things):
        if thing.box is not None:
            x0, y0, x1, y1 = (v * scale for v in thing.box)
            colour = _COLOURS[i % len(_COLOURS)]
            draw.rectangle(
                (left + x0, top + y0, left + max(x1 - 1, x0), top + max(y1 - 1, y0)), None, colour, 2
            )
            name, font = thing.name[:24], _font(11)
            at = (left + x0 + 2, max(0, top + y0 - 13))
            draw.rectangle(draw.textbbox(at, name, font), _PAPER)
            draw.text(at, name, colour, font)
    return out


def _lines(case: Case) -> list[str]:
    """What stands under a picture: id, question, answer among its choices, steps."""
    of = f" (of {', '.join(case.choices)})" if case.choices else ""
    open_steps = sum(not s.answered for s in case.steps)
    steps = f"{len(case.steps)} steps, {open_steps} unanswered" if case.steps else "no steps"
    asked = textwrap.wrap(" ".join(case.question.split()), _WIDE)
    answer = textwrap.wrap(f"-> {case.answer}{of}", _WIDE)
    room = _LINES - 2
    if len(asked) + min(len(answer), 2) > room:
        asked = [*asked[: room - 3], "..."]
    answer = answer[: room - len(asked)]
    return [f"{case.id}"[:_WIDE], *asked, *answer, f"{steps}; {len(case.objects)} things"]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
