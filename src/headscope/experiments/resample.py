"""Resample ablation: a head says what it says on another case, asked in the same words.

Zero takes a head out of its usual range, and the mean is a value that it never has; here it keeps a value of
its own, of a prompt with the same layout, that has nothing to do with the case (causal scrubbing, Chan et al.
2022; interchange, Geiger et al. 2021).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headscope.asking.ask import ask
from headscope.asking.batches import Pictures, encode_batch
from headscope.asking.items import Item
from headscope.edits.patching import Patch, prompt_z
from headscope.engine.readings import Reading
from headscope.models.geometry import Head
from headscope.models.types import Encoded
from headscope.models.vlm import VLM

RESAMPLE = "resample"
TRIES = 30  # donors whose layout is looked at before an item is left out


@dataclass(frozen=True, eq=False)
class Resampled:
    """Items read with z of donors.

    Attributes:
        kept: numbers of the items that have a donor.
        reading: of those items, in this order.
    """

    kept: list[int]
    reading: Reading


def donors_of(item: Item, pool: Sequence[Item], seed: int) -> list[Item]:
    """Items of other cases asked in the same wording and context, in a seeded order of the item's own."""

    def about(one: Item) -> tuple[str, str, str]:
        return one.function, one.step.wording, one.context

    def place(other: Item) -> str:
        return hashlib.sha256(f"{seed} {item.id} {other.id}".encode()).hexdigest()

    same = [other for other in pool if other.case.id != item.case.id and about(other) == about(item)]
    return sorted(same, key=place)


def read_resampled(
    vlm: VLM,
    items: Sequence[Item],
    pool: Sequence[Item],
    pictures: Pictures,
    heads: Sequence[Head],
    seed: int,
    max_new_tokens: int,
) -> Resampled:
    """Ask each item with these heads' z from a donor's prompt, at every position of the prompt.

    Args:
        items: what is asked.
        pool: where donors come from; one must have as many tokens, and the picture at the same places.
        pictures: item -> picture.
    """
    kept: list[int] = []
    rows = []
    for i, item in enumerate(items):
        encoded = encode_batch(vlm, [item], pictures)
        donor = next(
            (
                other
                for d in donors_of(item, pool, seed)[:TRIES]
                if same_layout(encoded, other := encode_batch(vlm, [d], pictures))
            ),
            None,
        )
        if donor is None:
            continue
        patch = Patch(tuple(heads), prompt_z(vlm, donor, heads))
        kept.append(i)
        rows += ask(vlm, encoded, [item], edit=patch, max_new_tokens=max_new_tokens).rows
    columns = (
        [float(r["correct"]) for r in rows],
        [r["margin"] for r in rows],
        [float(r["answer"] is not None) for r in rows],
    )
    return Resampled(kept, Reading(*(np.array(c, dtype=np.float64) for c in columns)))


def same_layout(one: Encoded, other: Encoded) -> bool:
    """Whether two prompts have as many positions, and the picture and the question at the same ones."""
    return (
        one.length == other.length
        and bool((one.image == other.image).all())
        and bool((one.question == other.question).all())
    )
