"""Style ``both``: a spotlight, and outlines on it; the style that is fixed in advance."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from headscope.pointing import outline, spotlight
from headscope.pointing.look import Look, Pointed
from headscope.pointing.regions import Box


def draw(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    """Outlines around the boxes on a masked background."""
    lit = spotlight.draw(image, boxes, look)
    return Pointed(outline.draw(lit.image, boxes, look).image, lit.boxes, lit.masked)
