"""Ways to point in a picture, as pure functions: box, spotlight (background masked), both, crop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headscope.data.pictures import to_rgb
from headscope.errors import DataError
from headscope.pointing.regions import Box, Mask, Size, cover, mask_of, union

Colour = tuple[int, int, int]
Fill = str | Colour
"""``mean`` (the picture's mean colour), ``grey``, or a colour (red, green, blue) of 0 to 255."""


@dataclass(frozen=True)
class Look:
    """How pointing looks; lengths are shares of the picture's shorter side, so that they fit any picture.

    Attributes:
        colour: colour of box outlines; by default one that no colour word of the generated scenes means, and
            that the embedded model is least disturbed by (docs/visual-prompting.md).
        width: width of an outline, at least one pixel.
        pad: margin left around a box.
        fill: what masked pixels become.
        crop_pad: margin left around a crop.
    """

    colour: Colour = (255, 255, 255)
    width: float = 0.01
    pad: float = 0.05
    fill: Fill = "mean"
    crop_pad: float = 0.05

    def pixels(self, share: float, size: Size) -> int:
        """A share of the shorter side in whole pixels."""
        return round(share * min(size))

    def line(self, size: Size) -> int:
        """Width of an outline in pixels."""
        return max(1, self.pixels(self.width, size))


@dataclass(frozen=True)
class Pointed:
    """A picture that points, where the boxes lie in it, and the share of pixels masked (0 to 1)."""

    image: Image.Image
    boxes: tuple[Box, ...]
    masked: float = 0.0


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """A fresh (row, column, rgb) copy of a picture."""
    return np.array(to_rgb(image), dtype=np.uint8)


def fill_colour(image: Image.Image, fill: Fill) -> Colour:
    """The colour that masked pixels take.

    Raises:
        DataError: ``fill`` is neither ``mean`` nor ``grey`` nor a colour.
    """
    if fill == "grey":
        return 128, 128, 128
    if fill == "mean":
        red, green, blue = pixels_of(image).reshape(-1, 3).mean(axis=0).round().astype(int)
        return int(red), int(green), int(blue)
    if isinstance(fill, str) or len(fill) != 3 or not all(0 <= v <= 255 for v in fill):
        raise DataError(f'fill {fill!r}: expected "mean", "grey" or a colour (red, green, blue) of 0 to 255')
    return fill


def mask(image: Image.Image, hidden: Mask, fill: Fill = "mean") -> Image.Image:
    """Fill the pixels where ``hidden`` (row, column) is true; all others stay as they are."""
    pixels = pixels_of(image)
    pixels[hidden] = fill_colour(image, fill)
    return Image.fromarray(pixels)


def ring(box: Box, size: Size, width: int, pad: float = 0.0) -> Mask:
    """Pixels of an outline around a box: bool (row, column).

    The outline lies outside the padded box; at the border of the picture it moves inside, so that it is
    always closed. A box too small to hold an inside is filled.
    """
    x0, y0, x1, y1 = cover(box, size, pad + width)
    drawn = np.zeros((size[1], size[0]), dtype=bool)
    drawn[y0:y1, x0:x1] = True
    if x1 - x0 > 2 * width and y1 - y0 > 2 * width:
        drawn[y0 + width : y1 - width, x0 + width : x1 - width] = False
    return drawn


def box(
    image: Image.Image, boxes: Sequence[Box], colour: Colour = (0, 255, 255), width: int = 2, pad: float = 0.0
) -> Image.Image:
    """Outline each box; pixels not on an outline stay as they are.

    Args:
        image: the picture.
        boxes: boxes in pixels.
        colour: colour of the outlines.
        width: width of the outlines in pixels.
        pad: pixels left free between a box and its outline.
    """
    pixels = pixels_of(image)
    for one in boxes:
        pixels[ring(one, image.size, width, pad)] = colour
    return Image.fromarray(pixels)


def hidden_by_spotlight(boxes: Sequence[Box], size: Size, pad: float = 0.0) -> Mask:
    """Pixels that a spotlight masks: those outside every padded box; bool (row, column)."""
    return ~mask_of(boxes, size, pad)


def spotlight(image: Image.Image, boxes: Sequence[Box], fill: Fill = "mean", pad: float = 0.0) -> Image.Image:
    """Mask everything but the boxes, grown by ``pad`` pixels; pixels inside stay as they are."""
    return mask(image, hidden_by_spotlight(boxes, image.size, pad), fill)


@dataclass(frozen=True)
class CropPlan:
    """How a crop maps the picture: ``region`` is cut out, scaled to ``inner``, pasted at ``offset``."""

    region: tuple[int, int, int, int]
    inner: Size
    offset: tuple[int, int]

    def moved(self, one: Box) -> Box:
        """Where a box of the original picture lies in the cropped one."""
        x0, y0, x1, y1 = self.region
        sx, sy = self.inner[0] / (x1 - x0), self.inner[1] / (y1 - y0)
        ox, oy = self.offset
        return (
            (one[0] - x0) * sx + ox,
            (one[1] - y0) * sy + oy,
            (one[2] - x0) * sx + ox,
            (one[3] - y0) * sy + oy,
        )


def plan_crop(boxes: Sequence[Box], size: Size, pad: float = 0.0) -> CropPlan:
    """Cut to the box around all boxes, grown by ``pad``, enlarged to fill the picture with its shape kept."""
    region = cover(union(boxes), size, pad)
    width, height = region[2] - region[0], region[3] - region[1]
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    return CropPlan(region, inner, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))


def crop(image: Image.Image, boxes: Sequence[Box], fill: Fill = "mean", pad: float = 0.0) -> Image.Image:
    """Enlarge the part around the boxes to the picture's own size, aspect kept, the rest filled."""
    plan = plan_crop(boxes, image.size, pad)
    part = to_rgb(image).crop(plan.region).resize(plan.inner, Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", image.size, fill_colour(image, fill))
    canvas.paste(part, plan.offset)
    return canvas


def _box(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    size = image.size
    drawn = box(image, boxes, look.colour, look.line(size), look.pixels(look.pad, size))
    return Pointed(drawn, tuple(boxes))


def _spotlight(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    hidden = hidden_by_spotlight(boxes, image.size, look.pixels(look.pad, image.size))
    return Pointed(mask(image, hidden, look.fill), tuple(boxes), float(hidden.mean()))


def _both(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    lit = _spotlight(image, boxes, look)
    return Pointed(_box(lit.image, boxes, look).image, lit.boxes, lit.masked)


def _crop(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    pad = look.pixels(look.crop_pad, image.size)
    plan = plan_crop(boxes, image.size, pad)
    x0, y0, x1, y1 = plan.region
    gone = 1.0 - (x1 - x0) * (y1 - y0) / (image.size[0] * image.size[1])
    return Pointed(crop(image, boxes, look.fill, pad), tuple(plan.moved(b) for b in boxes), gone)


STYLES: dict[str, Callable[[Image.Image, Sequence[Box], Look], Pointed]] = {
    "box": _box,
    "spotlight": _spotlight,
    "both": _both,
    "crop": _crop,
}
"""Every style by name."""


def point(style: str, image: Image.Image, boxes: Sequence[Box], look: Look | None = None) -> Pointed:
    """Point at boxes in a style; with no boxes the picture comes back unchanged.

    Raises:
        DataError: there is no such style.

    Example:
        >>> import headscope as hs
        >>> cases = hs.draw_scenes("data", 1)
        >>> boxes = [o.box for o in cases[0].objects if o.box]
        >>> pointed = hs.point("both", cases.image(cases[0]), boxes)
        >>> pointed.image.size, 0 < pointed.masked < 1
        ((192, 192), True)
    """
    if style not in STYLES:
        raise DataError(f"asked for style {style!r}; there are: {', '.join(STYLES)}")
    if not boxes:
        return Pointed(to_rgb(image), ())
    return STYLES[style](to_rgb(image), boxes, look or Look())
