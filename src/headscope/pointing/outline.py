"""Style ``box``: an outline around each box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from headscope.pointing.look import Colour, Look, Pointed, pixels_of
from headscope.pointing.regions import Box, Mask, Size, cover


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


def draw(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    """Outlines around the boxes."""
    size = image.size
    drawn = box(image, boxes, look.colour, look.line(size), look.pixels(look.pad, size))
    return Pointed(drawn, tuple(boxes))
