"""Pictures of a shard, each read and processed once, the next batch's ahead of time in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import make_flat_list_of_images

from headscope.asking.batches import Batch, Pictures, encode_batch
from headscope.asking.items import Item

PIXELS = "pixel_values"


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


def case_pictures(cases: Any) -> Pictures:
    """Item -> picture of its case, each read once."""
    read: dict[str, Image.Image] = {}

    def picture(item: Item) -> Image.Image:
        if item.case.id not in read:
            read[item.case.id] = cases.image(cases.by_id[item.case.id])
        return read[item.case.id]

    return picture


def prepared(
    vlm: Any,
    batches: Sequence[Sequence[Item]],
    pictures: Pictures,
    own_answers: Mapping[str, str],
    warm: Callable[[Any], None] | None = None,
) -> Generator[Batch]:
    """Encoded batches in order; while one is asked, a thread reads and processes the next one's pictures.

    Texts are encoded here, at the last moment: they may hold what the model has just said, and a tokenizer
    is not to be used by two threads at once.

    Args:
        pictures: item -> picture, called once an item, by one thread only.
        own_answers: item id -> generated text; may grow meanwhile.
        warm: what else can be done to a picture ahead of time.
    """

    def fetch(batch: Sequence[Item]) -> dict[str, Image.Image]:
        found = {item.id: pictures(item) for item in batch}
        if warm is not None:
            for image in found.values():
                warm(image)
        return found

    with ThreadPoolExecutor(1, "pictures") as pool:
        coming: Future[dict[str, Image.Image]] | None = pool.submit(fetch, batches[0]) if batches else None
        for number, batch in enumerate(batches):
            assert coming is not None
            shown = coming.result()
            later = batches[number + 1 : number + 2]
            coming = pool.submit(fetch, later[0]) if later else None
            yield encode_batch(vlm, batch, _among(shown), own_answers), list(batch)


def _among(shown: Mapping[str, Image.Image]) -> Pictures:
    return lambda item: shown[item.id]
