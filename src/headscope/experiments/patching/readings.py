"""What patches do to both runs of a pair, and the numbers that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headscope.asking.items import Item
from headscope.edits.patching import Patch, prompt_z
from headscope.engine.estimate import estimate_patches
from headscope.engine.patched_prompt import MEMORY, Logprobs, PatchedPrompt
from headscope.experiments.patching.asked_pair import AskedPair
from headscope.models.geometry import Head
from headscope.models.vlm import VLM
from headscope.storage import Row

Floats = NDArray[np.float64]
Place = tuple[tuple[Head, ...], str]
"""Heads that are patched at once, and the name of the group of positions."""


@dataclass(frozen=True, eq=False)
class PairReading:
    """Both runs of a pair, each with z of the other at some places.

    Attributes:
        clean: (2,) margin of each run's own answer over the other's, nats per token; of a control, whose
            answers are the same, over the best wrong choice.
        patched: (2, place) the same with the other run's z; NaN where the pair has no such positions.
        right: (2,) 1 where the own answer is the likeliest choice of the clean run, else 0.
        follows: (2, place) 1 where the likeliest choice is the other run's answer; of a control, where it is
            still the own one.
        lost: (2, place) 1 where the likeliest choice is not the own answer any more.
    """

    clean: Floats
    patched: Floats
    right: Floats
    follows: Floats
    lost: Floats

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
        return {name: getattr(self, name).tolist() for name in _FIELDS}

    @classmethod
    def from_json(cls, row: Mapping[str, Sequence[float]]) -> PairReading:
        """Inverse of :meth:`to_json`."""
        return cls(**{name: np.array(row[name], dtype=np.float64) for name in _FIELDS})


_FIELDS = ("clean", "patched", "right", "follows", "lost")


def read_pair(vlm: VLM, asked: AskedPair, places: Sequence[Place], memory: int = MEMORY) -> PairReading:
    """Read both runs of a pair, each with z of the other at every place in turn."""
    heads = tuple(dict.fromkeys(h for some, _ in places for h in some))
    sources = [prompt_z(vlm, encoded, heads) for encoded in asked.encoded]
    there = [i for i, (_, group) in enumerate(places) if group in asked.groups]
    count = len(places)
    clean, right = np.zeros(2), np.zeros(2)
    patched, follows, lost = (np.full((2, count), np.nan) for _ in range(3))
    for run in (0, 1):
        prompt = PatchedPrompt(vlm, asked.encoded[run], asked.choices, memory)
        own, other = asked.items[run].truth, asked.items[1 - run].truth
        rival = None if own == other else other
        before = prompt.clean()
        clean[run], right[run] = _margin(before, own, rival), float(_winner(before) == own)
        patches = [
            Patch(
                places[i][0], sources[1 - run], asked.groups[places[i][1]].to(asked.encoded[run].image.device)
            )
            for i in there
        ]
        for i, after in zip(there, prompt.scores(patches), strict=True):
            patched[run, i] = _margin(after, own, rival)
            follows[run, i] = float(_winner(after) == other)
            lost[run, i] = float(_winner(after) != own)
    return PairReading(clean, patched, right, follows, lost)


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


def _margin(scores: Logprobs, own: str, rival: str | None) -> float:
    """The own answer's log-probability minus the rival's, by default the best other choice's."""
    others = [v for c, v in scores.items() if c != own] if rival is None else [scores[rival]]
    return scores[own] - max(others, default=0.0)


def _winner(scores: Logprobs) -> str:
    return max(scores, key=scores.__getitem__)
