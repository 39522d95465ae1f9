"""The blank picture: what a question alone lets a head know."""

from __future__ import annotations

from typing import Any

from PIL import Image

GREY = (128, 128, 128)


def blank_picture(item: Any) -> Image.Image:
    """A mid-grey picture of the size of the item's own."""
    return Image.new("RGB", (item.case.width, item.case.height), GREY)
