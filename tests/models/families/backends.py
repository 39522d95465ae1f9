"""How far the pixels and the logits of a model differ between PIL and torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from headscope.making.scenes.generate import one_case
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model

LEVELS = 255  # of a picture's channel
QUESTION = "Where in the picture is the red car?"
# Width and height of pictures of noise, in which no two neighbours are alike: the worst case of a resize.
NOISE = ((120, 70), (64, 130), (250, 333), (500, 333))


class Gap(NamedTuple):
    """Largest and mean difference of pixels, in steps of 1/255 of the original range."""

    largest: float
    mean: float


def scenes(count: int = 6) -> list[Image.Image]:
    """Drawn scenes."""
    stories = [one_case(number, 7)[1] for number in range(count)]
    return [Image.fromarray(story.scene.render()) for story in stories if story.scene]


def noise() -> list[Image.Image]:
    """Pictures of noise in several sizes."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in NOISE]


def both_forms() -> list[str]:
    """The families with a tiny folder whose pictures can be read with PIL and with torchvision."""
    from models.families import kinds, kinds_encoders, kinds_surveyed  # noqa: F401  (fill the table)
    from models.families.folders import FAMILIES
    from models.families.kinds_torchvision import TORCHVISION_ONLY

    return ["llava", "qwen2_5_vl", *(f for f in FAMILIES if f not in TORCHVISION_ONLY)]


def both(folder: Path) -> tuple[VLM, VLM]:
    """A model read with PIL and with torchvision."""
    return load_model(folder, prove=False, image_backend="pil"), load_model(
        folder, prove=False, image_backend="torchvision"
    )


def plain(images: Any) -> Any:
    """An image processor that does not normalise, so that its pixels lie in the picture's own range."""
    if images.do_normalize:
        images.image_mean, images.image_std = [0.0] * 3, [1.0] * 3
    return images


def levels(images: Any) -> float:
    """Steps of 1/255 of the original range in one unit of an image processor's pixels."""
    return LEVELS if images.do_rescale else 1.0


def pixels(images: Any, pictures: Sequence[Image.Image]) -> list[torch.Tensor]:
    """Pixels of each picture by itself, unnormalised, in steps of 1/255."""
    found = []
    for picture in pictures:
        made = images([[picture]], return_tensors="pt")["pixel_values"]
        found.append(torch.as_tensor(np.asarray(made), dtype=torch.float64) * levels(images))
    return found


def pixel_gap(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> Gap:
    """Over all pixels of all pictures.

    Raises:
        ValueError: a picture has another shape.
    """
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"pixels of shape {tuple(a.shape)} and {tuple(b.shape)}")
    gaps = [(a - b).abs() for a, b in zip(one, other, strict=True)]
    total = sum(g.numel() for g in gaps)
    return Gap(max(float(g.max()) for g in gaps), sum(float(g.sum()) for g in gaps) / total)


def logit_gap(one: VLM, other: VLM, pictures: Sequence[Image.Image]) -> float:
    """Largest difference of the prompt's last logits, in standard deviations over the vocabulary."""
    worst = 0.0
    for picture in pictures:
        with torch.no_grad():
            a, b = (
                vlm.model(**vlm.encode([Prompt(picture, QUESTION)]).inputs, use_cache=False)
                .logits[0, -1]
                .double()
                for vlm in (one, other)
            )
        worst = max(worst, float((a - b).abs().max() / a.std()))
    return worst
