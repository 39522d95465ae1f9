"""Style ``crop``: the part around the boxes, enlarged to the picture's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from headscope.data.pictures import to_rgb
from headscope.pointing.look import Fill, Look, Pointed, fill_colour
from headscope.pointing.regions import Box, Size, cover, union


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


def draw(image: Image.Image, boxes: Sequence[Box], look: Look) -> Pointed:
    """The part around the boxes, and where they lie in it."""
    pad = look.pixels(look.crop_pad, image.size)
    plan = plan_crop(boxes, image.size, pad)
    x0, y0, x1, y1 = plan.region
    gone = 1.0 - (x1 - x0) * (y1 - y0) / (image.size[0] * image.size[1])
    return Pointed(crop(image, boxes, look.fill, pad), tuple(plan.moved(b) for b in boxes), gone)
