"""Batches: a fixed, deterministic plan by length, and prompts encoded once to be asked many times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from PIL import Image

from headscope.asking.items import Item, history_of
from headscope.errors import StudyError
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

Pictures = Callable[[Item], Image.Image]
Batch = tuple[Encoded, list[Item]]


def length_key(item: Item) -> tuple[int, int, str]:
    """Sort key: turns before the question, characters of the whole dialogue, id.

    Own answers are not known when a plan is made; true ones stand in for them.
    """
    earlier = item.earlier
    characters = sum(len(s.question) + len(s.answer) for s in earlier) + len(item.question)
    return len(earlier), characters, item.id


def plan_batches(items: Sequence[Item], batch_size: int) -> list[list[Item]]:
    """Items in batches of near equal length; the same items give the same plan in whatever order they come.

    Raises:
        StudyError: ``batch_size`` is not positive.
    """
    if batch_size < 1:
        raise StudyError(f"asked for batches of {batch_size}; expected at least 1")
    ordered = sorted(items, key=length_key)
    return [ordered[i : i + batch_size] for i in range(0, len(ordered), batch_size)]


def encode_batch(
    vlm: VLM, items: Sequence[Item], pictures: Pictures, own_answers: Mapping[str, str] | None = None
) -> Encoded:
    """Encode the prompts of one batch, kept on the host.

    Args:
        pictures: item -> picture, asked once an item.
        own_answers: item id -> generated text, for ``own`` items.
    """
    prompts = [Prompt(pictures(i), i.question, history_of(i, own_answers)) for i in items]
    encoded: Encoded = vlm.encode(prompts).to("cpu")
    return encoded


def iter_batches(
    vlm: VLM,
    items: Sequence[Item],
    pictures: Pictures,
    batch_size: int,
    own_answers: Mapping[str, str] | None = None,
) -> Iterator[Batch]:
    """Encoded batches in plan order, made one at a time."""
    for batch in plan_batches(items, batch_size):
        yield encode_batch(vlm, batch, pictures, own_answers), batch


def encode_batches(
    vlm: VLM,
    items: Sequence[Item],
    pictures: Pictures,
    batch_size: int,
    own_answers: Mapping[str, str] | None = None,
) -> list[Batch]:
    """Encode all items once, so that they can be asked again and again under other edits.

    Args:
        pictures: item -> picture; called once an item, so it may draw on them.
        own_answers: item id -> generated text, which ``own`` items need
            (``{row["item"]: row["text"] for row in open_answers(folder)}``).

    Returns:
        (encoded batch on the host, its items) in plan order (:func:`plan_batches`).
    """
    return list(iter_batches(vlm, items, pictures, batch_size, own_answers))


def tile(encoded: Encoded, times: int) -> Encoded:
    """The whole batch ``times`` times one after another: item i of copy c is row c * items + i.

    Every input is item-major in its first dimension (pictures cut into patches are concatenated item by
    item), so that one rule holds for all of them.
    """

    def repeat(value: torch.Tensor) -> torch.Tensor:
        return torch.cat([value] * times)

    return replace(
        encoded,
        inputs={name: repeat(value) for name, value in encoded.inputs.items()},
        image=repeat(encoded.image),
        question=repeat(encoded.question),
        grids=encoded.grids * times,
    )
