"""A counterfactual pair as a model reads it: two prompts that line up, and groups of their positions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headscope.asking.ask import scored_choices
from headscope.asking.batches import encode_batch
from headscope.asking.items import Item
from headscope.data.schema import Case
from headscope.errors import DataError, ModelError
from headscope.experiments.waking.awakening import object_tokens
from headscope.making.pairs.schema import Pair, Pairs
from headscope.models.types import Encoded
from headscope.models.vlm import VLM

GROUPS = ("all", "image", "objects", "question", "names", "last")
"""Where z is patched: everywhere, picture, what it shows of the things asked about, question, names, last."""


@dataclass(frozen=True, eq=False)
class AskedPair:
    """Both prompts of a pair.

    Attributes:
        pair: the pair.
        items: the question in each of the two cases, asked alone.
        encoded: each as a batch of one prompt.
        groups: name of ``GROUPS`` -> (1, position) bool; groups without a position are left out.
        ungrouped: why groups are left out; empty where none is.
    """

    pair: Pair
    items: tuple[Item, Item]
    encoded: tuple[Encoded, Encoded]
    groups: dict[str, Tensor]
    ungrouped: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """What is scored behind both prompts, both answers among it."""
        first, second = self.items
        return tuple(dict.fromkeys((*scored_choices(first), second.truth)))


def open_pair(vlm: VLM, pairs: Pairs, pair: Pair) -> AskedPair:
    """Encode both prompts of a pair and line them up.

    Raises:
        DataError: their tokens do not line up; says where.
        ModelError: the model cannot take a prompt, or its decoder does not read it.
    """
    cases = tuple(pairs.cases.by_id[name] for name in (pair.first, pair.second))
    items = tuple(
        Item(f"{case.id}/{pair.question}/alone", case, pairs.question_of(case, pair), "alone")
        for case in cases
    )
    one, other = (encode_batch(vlm, [item], lambda i: pairs.cases.image(i.case)) for item in items)
    if one.apart:
        raise ModelError(f"{vlm.name}: an encoder reads the prompt, so that z has no positions to patch")
    reason = unlike(one, other)
    if reason:
        raise DataError(f"pair {pair.id!r}: its prompts do not line up token by token: {reason}")
    groups, ungrouped = _groups(vlm, one, other, cases, items[0], pair)
    return AskedPair(pair, (items[0], items[1]), (one, other), groups, ungrouped)


def unlike(one: Encoded, other: Encoded) -> str:
    """Where the layouts of two prompts differ; empty where they are alike token by token."""
    if one.length != other.length:
        return f"{one.length} positions and {other.length}"
    for name, a, b in (("image", one.image, other.image), ("question", one.question, other.question)):
        if not torch.equal(a, b):
            return f"{int(a.sum())} and {int(b.sum())} {name} tokens, or at other positions"
    ids, others = one.inputs["input_ids"], other.inputs["input_ids"]
    differ = torch.nonzero((ids != others)[0]).flatten().tolist()
    if differ:
        return f"token {differ[0]} is {int(ids[0, differ[0]])} and {int(others[0, differ[0]])}"
    return ""


def _groups(
    vlm: VLM, one: Encoded, other: Encoded, cases: Sequence[Case], item: Item, pair: Pair
) -> tuple[dict[str, Tensor], str]:
    last = torch.zeros_like(one.image)
    last[:, -1] = True
    found = {"all": torch.ones_like(one.image), "image": one.image, "question": one.question, "last": last}
    named = pair.changed or item.step.objects
    names = [o.name for o in cases[0].objects if o.id in item.step.objects]
    found["names"] = name_tokens(vlm, one, names)
    reason = ""
    try:
        found["objects"] = _object_positions(one, cases[0], named) | _object_positions(other, cases[1], named)
    except ModelError as exc:
        reason = str(exc)
    return {name: found[name] for name in GROUPS if name in found and bool(found[name].any())}, reason


def _object_positions(encoded: Encoded, case: Case, named: Sequence[str]) -> Tensor:
    """(1, position) bool: image tokens that show these objects of the case."""
    boxes = [o.box for o in case.objects if o.id in named and o.box is not None]
    found = torch.zeros_like(encoded.image)
    if boxes:
        where = torch.nonzero(encoded.image[0]).squeeze(1)
        found[0, where] = torch.from_numpy(object_tokens(encoded.grids[0], boxes)).to(found.device)
    return found


def name_tokens(vlm: VLM, encoded: Encoded, names: Sequence[str]) -> Tensor:
    """(1, position) bool: the question's tokens that hold characters of any of these names.

    Names are looked for as whole words, whatever their case, in what the tokens read as.
    """
    found = torch.zeros_like(encoded.question)
    where = torch.nonzero(encoded.question[0]).squeeze(1).tolist()
    ids = encoded.inputs["input_ids"][0, where].tolist()
    ends = [len(vlm.decode(ids[: i + 1])) for i in range(len(ids))]
    text = vlm.decode(ids)
    for name in names:
        for hit in re.finditer(rf"\b{re.escape(name)}(s|es)?\b", text, re.IGNORECASE):
            for i, position in enumerate(where):
                start = ends[i - 1] if i else 0
                if start < hit.end() and ends[i] > hit.start():
                    found[0, position] = True
    return found
