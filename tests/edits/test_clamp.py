"""Clamping heads to given values, held against a walk over items, positions and heads in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edits.naive import double, logits, slow_copy
from headscope.edits.clamp import clamp
from headscope.edits.edits import Edit, edit, mute
from headscope.edits.means import head_means
from headscope.edits.named import NAMED_EDITS, Reference, named_edits, need_mean
from headscope.engine.replay_trial import logits_under, replay_of
from headscope.engine.trace import run_clean
from headscope.errors import EditError
from headscope.models.geometry import Head
from headscope.models.types import Prompt

HEADS = (Head(0, 1), Head(1, 0), Head(1, 3))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_a_clamp_is_the_weighted_mean_of_z_and_its_target(
    vlm: Any, prompts: list[Prompt], strength: float
) -> None:
    mean = head_means(vlm, [vlm.encode(prompts)])

    def change(layer: int, _item: int, _position: int, head: int, z: torch.Tensor) -> torch.Tensor:
        if Head(layer, head) not in HEADS:
            return z
        target = torch.from_numpy(mean[vlm.geometry.index(Head(layer, head)), : len(z)])
        return torch.stack([z[k] + strength * (target[k] - z[k]) for k in range(len(z))])

    encoded = vlm.encode(prompts)
    wanted = logits(vlm, double(encoded.inputs), slow_copy(vlm, change))
    with edit(vlm, HEADS, clamp(mean, strength)):
        found = logits(vlm, encoded.inputs)
    torch.testing.assert_close(found.double(), wanted, atol=2e-4, rtol=2e-4)
    if strength:
        assert (wanted - logits(vlm, encoded.inputs).double()).abs().max() > 1e-3


def test_held_altogether_it_is_mean_muting_and_not_at_all_it_is_nothing(
    vlm: Any, prompts: list[Prompt]
) -> None:
    encoded = vlm.encode(prompts)
    mean = head_means(vlm, [encoded])
    with edit(vlm, HEADS, mute(mean=mean)):
        muted = logits(vlm, encoded.inputs)
    with edit(vlm, HEADS, clamp(mean)):
        assert torch.equal(logits(vlm, encoded.inputs), muted)
    plain = logits(vlm, encoded.inputs)
    with edit(vlm, HEADS, clamp(mean, 0.0)):
        assert torch.equal(logits(vlm, encoded.inputs), plain)


@pytest.mark.parametrize("scope", ["all", "last"])
def test_a_replay_clamps_as_a_whole_run_does(vlm: Any, prompts: list[Prompt], scope: str) -> None:
    encoded = vlm.encode(prompts[:1])
    mean = head_means(vlm, [encoded])
    edits = [Edit((head,), clamp(mean, 0.6), scope) for head in vlm.geometry.heads]
    engine = replay_of(vlm, encoded, scope)
    found = logits_under(vlm, run_clean(vlm, encoded, engine.trimmed), edits, engine, 2**28)
    for one, row in zip(edits, found, strict=True):
        with torch.no_grad(), vlm.reading(encoded), one.applied(vlm):
            wanted = vlm.model(**encoded.inputs).logits[0, -1].float()
        torch.testing.assert_close(row, wanted, atol=1e-5, rtol=1e-5)


def test_a_strength_that_is_no_share_and_a_mean_that_is_not_there_are_refused() -> None:
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(EditError, match="expected 0"):
            clamp(np.zeros((1, 1)), strength)
    with pytest.raises(EditError, match="needs the mean"):
        named_edits(["clamp"], Reference())
    with pytest.raises(EditError, match="there are: zero, small, mean, clamp"):
        need_mean(["halve"])


def test_every_named_edit_is_made_and_stands_in_the_docs() -> None:
    mean = np.ones((2, 3))
    made = named_edits(NAMED_EDITS, Reference(0.02, mean))
    assert [(w.kind, w.factor) for w in made.values()] == [
        ("mute", 0.0), ("mute", 0.02), ("mute-mean", 0.0), ("clamp", 0.5),
    ]  # fmt: skip
    page = (Path(__file__).parents[2] / "docs" / "scan.md").read_text()
    for name, row in NAMED_EDITS.items():
        assert f"| `{name}` | {row.says} |" in page
