"""Path patching: which later head reads what which earlier one wrote, and which writes the answer itself.

Of the run on one picture, one head (the sender) takes its z from the other run while all other heads keep
their own: what a later head (the receiver) would then put out follows from the sender alone, over the
residual stream and the MLPs. With only that in the receiver's place, and everything above free to follow, the
margin moves by what the edge carries (Wang and others, 2023, "path patching"; Goldowsky-Dill and others,
2023). What moves while all heads are kept is what the sender writes into the answer directly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headscope.edits.patching import Patch, head_columns, prompt_z
from headscope.engine.patched_prompt import PatchedPrompt
from headscope.experiments.patching.asked_pair import AskedPair
from headscope.experiments.patching.readings import PatchedMargins, margin_between
from headscope.models.geometry import Head, Site
from headscope.models.vlm import VLM

Floats = NDArray[np.float64]
ANSWER = "answer"
HeadEdge = tuple[Head, Head | None]
"""Sender and receiver; None: the answer."""


def edges_among(heads: Sequence[Head]) -> list[HeadEdge]:
    """Every sender with every receiver of a later layer, and with the answer.

    Example:
        >>> [(str(a), str(b)) for a, b in edges_among([Head(0, 1), Head(2, 0)])]
        [('L0H1', 'L2H0'), ('L0H1', 'None'), ('L2H0', 'None')]
    """
    found: list[HeadEdge] = []
    for sender in heads:
        found += [(sender, receiver) for receiver in heads if receiver.layer > sender.layer]
        found.append((sender, None))
    return found


def read_edges(vlm: VLM, asked: AskedPair, edges: Sequence[HeadEdge]) -> PatchedMargins:
    """The margins of both runs of a pair under every edge; a sender costs a run, an edge those above it."""
    every = tuple(h for h in vlm.geometry.heads if h.tower == "decoder")
    own = [prompt_z(vlm, encoded, every) for encoded in asked.encoded]
    clean, patched = np.zeros(2), np.zeros((2, len(edges)))
    for run in (0, 1):
        prompt = PatchedPrompt(vlm, asked.encoded[run], asked.choices)
        answers = asked.items[run].truth, asked.items[1 - run].truth
        clean[run] = margin_between(prompt.clean(), *answers)
        patches = []
        frozen: dict[Head, Patch] = {}
        carried: dict[Head, Mapping[Site, Tensor]] = {}
        for sender, receiver in edges:
            if sender not in frozen:
                frozen[sender] = _all_but(vlm, every, sender, own[run], own[1 - run])
                later = [b for a, b in edges if a == sender and b is not None]
                carried[sender] = prompt_z(vlm, asked.encoded[run], later, under=frozen[sender])
            patches.append(frozen[sender] if receiver is None else Patch((receiver,), carried[sender]))
        found = prompt.scores(patches)
        patched[run] = [margin_between(scores, *answers) for scores in found]
    return PatchedMargins(clean, patched)


def _all_but(
    vlm: VLM,
    every: tuple[Head, ...],
    sender: Head,
    own: Mapping[Site, Tensor],
    other: Mapping[Site, Tensor],
) -> Patch:
    """All heads keep the z of their own run, but for the sender, which takes that of the other one."""
    site = vlm.geometry.site_of(sender)
    columns = head_columns(site, [sender.head]).to(own[site].device)
    return Patch(every, {**own, site: own[site].where(~columns, other[site])})
