"""Style ``spotlight``: everything outside the boxes is masked."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from headscope.pointing.look import Fill, Look, Pointed, mask
from headscope.pointing.regions import Box, Mask, Size, mask_of


def hidden_by_spotlight(boxes: Sequence[Box], size: Size, pad: float = 0.0) -> Mask:
    """Pixels that a spotlight masks: those outside every padded box; bool (row, column)."""
    return ~mask_of(boxes, size, pad)


def spotlight(image: Image.Image, boxes: Sequence[Box], fill: Fill = "mean", pad: float = 0.0) -> Image.Image:
    """Mask everything but the boxes, grown by ``pad`` pixels; pixels inside stay as they are."""
    return mask(image, hidden_by_spotlight(boxes, image.size, pad), fill)


def draw(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    """The boxes on a masked background."""
    hidden = hidden_by_spotlight(boxes, image.size, look.pixels(look.pad, image.size))
    return Pointed(mask(image, hidden, look.fill), tuple(boxes), float(hidden.mean()))
