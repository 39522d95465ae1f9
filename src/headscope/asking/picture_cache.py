"""The picture cache: a picture is read, processed and encoded once for all that is asked about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import make_flat_list_of_images

from headscope.asking.batches import Pictures
from headscope.asking.items import Item
from headscope.asking.picture_features import PIXELS, PictureFeatures, shared_features
from headscope.data.cases import Cases
from headscope.models.vlm import VLM


@dataclass(frozen=True)
class PictureCache:
    """What is held while a cache is open.

    Attributes:
        picture: item -> picture of its case, or pictures, read once.
        warm: processes a picture before it is asked for; may run beside other work.
        features: what the model made of pictures; None where it gives no features by themselves.
    """

    picture: Pictures
    warm: Callable[[Image.Image], None]
    features: PictureFeatures | None


@contextmanager
def picture_cache(vlm: VLM, cases: Cases) -> Iterator[PictureCache]:
    """While inside, each picture of the cases is read, processed and encoded once.

    Open one for each unit of work that is complete or absent (a shard): from an empty cache the same batches
    in the same order give the same bytes. Where pictures are other than the cases' own,
    :func:`headscope.asking.picture_features.shared_features` is what can be shared.
    """
    with ExitStack() as stack:
        pixels = stack.enter_context(shared_pixels(vlm.processor))
        features = stack.enter_context(shared_features(vlm))
        yield PictureCache(case_pictures(cases), pixels.warm, features)


class SharedPixels:
    """An image processor that works on each picture once, in everything else the one that it stands for.

    Only where a picture's pixels are one array of fixed shape and nothing else is returned, so that they
    cannot depend on the pictures beside it; else the processor is called as ever.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._kept: dict[int, tuple[Any, torch.Tensor]] = {}
        self._options: dict[str, Any] | None = None
        self._shareable = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, images: Any, **options: Any) -> Any:
        """Pixels of the pictures, as the processor gives them."""
        if self._options != options:
            self._options, self._kept = options, {}
        if self._shareable:
            flat: list[Any] = list(make_flat_list_of_images(images))  # type: ignore[arg-type]
            found = [p for image in flat if (p := self._pixels(image, options)) is not None]
            if len(found) == len(flat) and len({p.shape for p in found}) == 1:
                return BatchFeature({PIXELS: torch.cat(found)})
            self._shareable, self._kept = False, {}
        return self._inner(images, **options)

    def warm(self, image: Any) -> None:
        """Process a picture before it is asked for; may run beside other work."""
        if self._options is not None and self._shareable:
            self._pixels(image, self._options)

    def _pixels(self, image: Any, options: Mapping[str, Any]) -> torch.Tensor | None:
        """(1, channel, row, column), or None if this processor's pixels cannot be shared."""
        if id(image) not in self._kept:
            out = self._inner([[image]], **options)
            pixels = out.get(PIXELS)
            if set(out) != {PIXELS} or not isinstance(pixels, torch.Tensor) or pixels.ndim != 4:
                return None
            if len(pixels) != 1:
                return None
            self._kept[id(image)] = image, pixels  # with the picture, so that its id stays its own
        return self._kept[id(image)][1]


@contextmanager
def shared_pixels(processor: Any) -> Iterator[SharedPixels]:
    """While inside, the processor works on each picture object once."""
    inner = processor.image_processor
    processor.image_processor = SharedPixels(inner)
    try:
        yield processor.image_processor
    finally:
        processor.image_processor = inner


def case_pictures(cases: Cases) -> Pictures:
    """Item -> picture of its case, or all of its pictures, each read once."""
    read: dict[str, Image.Image | list[Image.Image]] = {}

    def picture(item: Item) -> Image.Image | list[Image.Image]:
        if item.case.id not in read:
            read[item.case.id] = cases.shown(cases.by_id[item.case.id])
        return read[item.case.id]

    return picture
