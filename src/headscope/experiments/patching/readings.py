"""What patches do to both runs of a pair, and the numbers that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headscope.asking.items import Item
from headscope.edits.patching import Patch, head_columns, prompt_z
from headscope.engine.estimate import estimate_patches
from headscope.engine.patched_prompt import MEMORY, Logprobs, PatchedPrompt
from headscope.experiments.patching.asked_pair import AskedPair
from headscope.models.geometry import Head, Site
from headscope.models.vlm import VLM
from headscope.storage import Row

Floats = NDArray[np.float64]
HeadSet = tuple[Head, ...]
Place = tuple[HeadSet, str]
"""Heads that are patched at once, and the name of the group of positions."""


@dataclass(frozen=True, eq=False)
class PatchedMargins:
    """Both runs of a pair, each under every patch.

    Attributes:
        clean: (2,) margin of each run's own answer over the other's, nats per token; of a control, whose
            answers are the same, over the best wrong choice.
        patched: (2, place) the same with the other run's z; NaN where the pair has no such positions.
    """

    clean: Floats
    patched: Floats

    @property
    def difference(self) -> float:
        """Nats between the two runs: what patching everything moves the margin by."""
        return float(self.clean.sum())

    @property
    def moved(self) -> Floats:
        """(place,) nats by which patches move the margin towards the other run, mean of both runs."""
        found: Floats = (self.clean[:, None] - self.patched).mean(axis=0)
        return found

    def to_json(self) -> Row:
        """As the ledger keeps it."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Sequence[float]]) -> Self:
        """Inverse of :meth:`to_json`."""
        return cls(**{f.name: np.array(row[f.name], dtype=np.float64) for f in fields(cls)})


@dataclass(frozen=True, eq=False)
class PairReading(PatchedMargins):
    """The margins, and which answer is the likeliest.

    Attributes:
        right: (2,) 1 where the own answer is the likeliest choice of the clean run, else 0.
        follows: (2, place) 1 where the likeliest choice is the other run's answer; of a control, where it is
            still the own one.
        lost: (2, place) 1 where the likeliest choice is not the own answer any more.
    """

    right: Floats
    follows: Floats
    lost: Floats


def read_pair(
    vlm: VLM,
    asked: AskedPair,
    places: Sequence[Place],
    memory: int = MEMORY,
    muted: tuple[Head, ...] = (),
) -> PairReading:
    """Read both runs of a pair, each with z of the other at every place in turn.

    Args:
        muted: heads whose z is zero in both runs meanwhile, the clean ones too; places are then at all
            positions. What others carry in their absence is seen so.
    """
    heads = tuple(dict.fromkeys((*muted, *(h for some, _ in places for h in some))))
    sources = [without(vlm, prompt_z(vlm, encoded, heads), muted) for encoded in asked.encoded]
    there = [i for i, (_, group) in enumerate(places) if group in asked.groups]
    count = len(places)
    clean, right = np.zeros(2), np.zeros(2)
    patched, follows, lost = (np.full((2, count), np.nan) for _ in range(3))
    for run in (0, 1):
        prompt = PatchedPrompt(vlm, asked.encoded[run], asked.choices, memory)
        own, other = asked.items[run].truth, asked.items[1 - run].truth
        rival = None if own == other else other
        before = prompt.scores([Patch(muted, sources[run])])[0] if muted else prompt.clean()
        clean[run], right[run] = margin_between(before, own, rival), float(_winner(before) == own)
        where = {g: mask.to(asked.encoded[run].image.device) for g, mask in asked.groups.items()}
        patches = []
        for i in there:
            some = (*muted, *(h for h in places[i][0] if h not in muted))
            patches.append(Patch(some, sources[1 - run], where[places[i][1]]))
        for i, after in zip(there, prompt.scores(patches), strict=True):
            patched[run, i] = margin_between(after, own, rival)
            follows[run, i] = float(_winner(after) == other)
            lost[run, i] = float(_winner(after) != own)
    return PairReading(clean, patched, right, follows, lost)


def without(vlm: VLM, z: Mapping[Site, Tensor], heads: Sequence[Head]) -> dict[Site, Tensor]:
    """z of a run with that of these heads set to zero."""
    found = dict(z)
    for head in heads:
        site = vlm.geometry.site_of(head)
        found[site] = found[site].masked_fill(head_columns(site, [head.head]).to(found[site].device), 0)
    return found


def estimated_moves(vlm: VLM, asked: AskedPair, heads: Sequence[Head], groups: Sequence[str]) -> Floats:
    """(group * head,) what :attr:`PairReading.moved` would be for every head alone, to first order.

    NaN where the pair has no such positions.
    """
    found = np.zeros((len(groups), len(heads)))
    mine = [vlm.geometry.index(h) for h in heads]
    for run in (0, 1):
        own, other = asked.items[run], asked.items[1 - run]
        step = own.step.model_copy(update={"choices": (own.truth, other.truth)})
        source = prompt_z(vlm, asked.encoded[1 - run], heads)
        between = Item(own.id, own.case, step, own.context)
        _, drops = estimate_patches(vlm, asked.encoded[run], between, source)
        each = drops.numpy()[mine]
        for g, group in enumerate(groups):
            where = asked.groups.get(group)
            found[g] += np.nan if where is None else each[:, where[0].cpu().numpy()].sum(axis=1)
    return found.ravel() / 2


def margin_between(scores: Logprobs, own: str, rival: str | None) -> float:
    """The own answer's log-probability minus the rival's, by default the best other choice's."""
    others = [v for c, v in scores.items() if c != own] if rival is None else [scores[rival]]
    return scores[own] - max(others, default=0.0)


def _winner(scores: Logprobs) -> str:
    return max(scores, key=scores.__getitem__)
