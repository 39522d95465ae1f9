"""Batches of a shard in order, the pictures of the next one read and processed ahead of time in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from PIL import Image

from headscope.asking.batches import Batch, Pictures, encode_batch
from headscope.asking.items import Item
from headscope.models.vlm import VLM

Shown = Image.Image | list[Image.Image]


def prepared(
    vlm: VLM,
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

    def fetch(batch: Sequence[Item]) -> dict[str, Shown]:
        found = {item.id: pictures(item) for item in batch}
        if warm is not None:
            for shown in found.values():
                for image in shown if isinstance(shown, list) else [shown]:
                    warm(image)
        return found

    with ThreadPoolExecutor(1, "pictures") as pool:
        coming: Future[dict[str, Shown]] | None = pool.submit(fetch, batches[0]) if batches else None
        for number, batch in enumerate(batches):
            assert coming is not None
            shown = coming.result()
            later = batches[number + 1 : number + 2]
            coming = pool.submit(fetch, later[0]) if later else None
            yield encode_batch(vlm, batch, _among(shown), own_answers), list(batch)


def _among(shown: Mapping[str, Shown]) -> Pictures:
    return lambda item: shown[item.id]
