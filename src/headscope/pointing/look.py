"""How pointing looks: colours, lengths and fills, and a picture that points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headscope.data.pictures import to_rgb
from headscope.errors import DataError
from headscope.pointing.regions import Box, Mask, Size

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
