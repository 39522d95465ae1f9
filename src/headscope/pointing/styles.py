"""Ways to point in a picture, one row each: a new one is a file with ``draw`` and its row here.

Light to import: the command line lists the names in its help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from headscope.errors import DataError

if TYPE_CHECKING:
    from headscope.data.pictures import AnyPicture
    from headscope.pointing.look import Look, Pointed
    from headscope.pointing.regions import Box


@dataclass(frozen=True)
class Style:
    """One row.

    Attributes:
        module: what has ``draw(image, boxes, look) -> Pointed``; imported when it is first used.
        says: what it does, in words.
        tried: whether a study tries it on ``select``. Studies begun before a style came in have not, and
            those that are compared should try the same.
    """

    module: str
    says: str
    tried: bool = True


STYLES: dict[str, Style] = {
    "box": Style("headscope.pointing.outline", "draws an outline around each box, just outside of it"),
    "spotlight": Style(
        "headscope.pointing.spotlight", "fills everything outside the boxes with the picture's mean colour"
    ),
    "both": Style("headscope.pointing.both", "spotlight and outlines; the style that is fixed in advance"),
    "crop": Style(
        "headscope.pointing.crop",
        "cuts to the boxes and enlarges to the picture's size, shape kept; places in the picture are lost",
    ),
    "blur": Style(
        "headscope.pointing.blur", "blurs everything outside the boxes; nothing is hidden", tried=False
    ),
}
"""Every style by name."""
TRIED = tuple(name for name, style in STYLES.items() if style.tried)
"""Those that a study tries."""


def point(style: str, image: AnyPicture, boxes: Sequence[Box] | Box, look: Look | None = None) -> Pointed:
    """Point at boxes in a style; with no boxes the picture comes back unchanged.

    Args:
        style: one of :data:`STYLES`.
        image: the picture: of Pillow, the path of a file, or an array (row, column, 3) of uint8.
        boxes: one or several (x0, y0, x1, y1) in pixels of it.
        look: colours and lengths.

    Raises:
        DataError: there is no such style, or a box is empty, reversed or not in the picture.

    Example:
        >>> import headscope as hs
        >>> cases = hs.draw_scenes("data", 1)
        >>> boxes = [o.box for o in cases[0].objects if o.box]
        >>> pointed = hs.point("both", cases.image(cases[0]), boxes)
        >>> pointed.image.size, 0 < pointed.masked < 1
        ((192, 192), True)
    """
    from headscope.data.pictures import to_rgb
    from headscope.pointing.boxes import boxes_of
    from headscope.pointing.look import Look, Pointed

    if style not in STYLES:
        raise DataError(f"asked for style {style!r}; there are: {', '.join(STYLES)}")
    picture = to_rgb(image)
    proved = boxes_of(boxes, picture.size)
    if not proved:
        return Pointed(picture, ())
    pointed: Pointed = import_module(STYLES[style].module).draw(picture, proved, look or Look())
    return pointed
