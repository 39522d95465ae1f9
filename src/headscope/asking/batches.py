"""Batches: a fixed, deterministic plan by length, and prompts encoded once to be asked many times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from PIL import Image

from headscope.asking.items import Item, history_of
from headscope.data.schema import Case
from headscope.errors import ModelError, StudyError
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

Pictures = Callable[[Item], Image.Image | list[Image.Image]]
"""Item -> the picture that it is asked about, or the list of all of them."""
Batch = tuple[Encoded, list[Item]]


def length_key(item: Item) -> tuple[int, int, str]:
    """Sort key: turns before the question, characters of the whole dialogue, id.

    Own answers are not known when a plan is made; true ones stand in for them.
    """
    earlier = item.earlier
    characters = sum(len(s.question) + len(s.answer) for s in earlier) + len(item.question)
    return len(earlier), characters, item.id


def plan_batches(items: Sequence[Item], batch_size: int) -> list[list[Item]]:
    """Items in batches of near equal length, and of equal numbers of pictures.

    The same items give the same plan in whatever order they come.

    Raises:
        StudyError: ``batch_size`` is not positive.
    """
    if batch_size < 1:
        raise StudyError(f"asked for batches of {batch_size}; expected at least 1")
    by_pictures: dict[int, list[Item]] = {}
    for item in sorted(items, key=length_key):
        by_pictures.setdefault(len(item.case.pictures), []).append(item)
    return [
        alike[i : i + batch_size]
        for _, alike in sorted(by_pictures.items())
        for i in range(0, len(alike), batch_size)
    ]


def refuse_untaken_pictures(vlm: VLM, cases: Iterable[Case]) -> None:
    """Refuse cases with more pictures than a model takes in one prompt.

    Raises:
        ModelError: there are some, with the model, the first of them, how many they are, and why.
    """
    several = [c for c in cases if c.more]
    refused = [c for c in several if vlm.pictures_refusal(len(c.pictures))]
    if refused:
        first = refused[0]
        count = len(first.pictures)
        raise ModelError(
            f"{vlm.name}: cannot be asked about case {first.id!r}, which has {count} pictures "
            f"({len(refused)} such cases): {vlm.pictures_refusal(count)}; take these cases out, or score "
            "answers that others saved with `headscope score`"
        )


def encode_batch(
    vlm: VLM, items: Sequence[Item], pictures: Pictures, own_answers: Mapping[str, str] | None = None
) -> Encoded:
    """Encode the prompts of one batch, kept on the host.

    Args:
        pictures: item -> picture or pictures, asked once an item.
        own_answers: item id -> generated text, for ``own`` items.

    Raises:
        ModelError: an item's case has more pictures than the model takes in one prompt.
    """
    refuse_untaken_pictures(vlm, (i.case for i in items))
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
