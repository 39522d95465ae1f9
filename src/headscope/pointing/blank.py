"""The blank picture: what a question alone lets a head know."""

from __future__ import annotations

from typing import Any

from PIL import Image

GREY = (128, 128, 128)


def blank_picture(item: Any) -> Image.Image | list[Image.Image]:
    """A mid-grey picture of the size of the item's own; of several pictures as many, each of its size."""
    made = [Image.new("RGB", (shown.width, shown.height), GREY) for shown in item.case.pictures]
    return made if item.case.more else made[0]
