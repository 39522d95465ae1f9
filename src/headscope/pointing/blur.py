"""Style ``blur``: the background out of focus, the boxes sharp; nothing is hidden, and no edge is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from headscope.pointing.look import Look, Pointed, pixels_of
from headscope.pointing.regions import Box, mask_of

SIGMA = 0.05  # standard deviation of the blur, a share of the picture's shorter side


def blurred(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """(row, column, rgb) smoothed by a Gaussian of ``sigma`` pixels, cut off at three; edges go on."""
    smooth = gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0), mode="nearest", truncate=3.0)
    return smooth.round().clip(0, 255).astype(np.uint8)


def draw(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    """The boxes as they are on a blurred background."""
    pixels = pixels_of(image)
    sharp = mask_of(boxes, image.size, look.pixels(look.pad, image.size))
    out = blurred(pixels, SIGMA * min(image.size))
    out[sharp] = pixels[sharp]
    return Pointed(Image.fromarray(out), tuple(boxes))
