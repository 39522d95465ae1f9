"""Depth and number format: sound models are proved, broken ones are caught, with room between the two."""

from __future__ import annotations

import pytest
import torch

from headscope.models.finding import find_geometry
from headscope.models.proofs.full import prove
from headscope.models.proofs.proof_steps import Proof
from models.deep import DEPTHS, FAMILIES, FORMATS, deep_model
from models.depth_faults import BELOW_ROUNDING, FAULTS

CELLS = [(depth, name) for depth in DEPTHS for name in FORMATS]


def largest_share(proof: Proof) -> float:
    """The greatest share that a figure takes of its limit."""
    return max(step.figure / step.limit for step in proof.steps if step.limit == step.limit)


@pytest.mark.parametrize(("depth", "name"), CELLS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_model_is_proved(family: str, depth: int, name: str) -> None:
    model, inputs = deep_model(family, depth, FORMATS[name])
    proof = prove(model, inputs)
    assert [s.name for s in proof.steps if s.status != "held"] == ["spans"], proof.reason
    assert largest_share(proof) < 0.6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_model_with_the_scales_of_training_is_proved(family: str) -> None:
    model, inputs = deep_model(family, 64, torch.bfloat16, "trained-like", seed=1)
    proof = prove(model, inputs)
    assert [s.name for s in proof.steps if s.status != "held"] == ["spans"], proof.reason
    assert largest_share(proof) < 0.6


@pytest.mark.parametrize(("depth", "name"), CELLS)
@torch.no_grad()
def test_every_fault_is_caught(depth: int, name: str) -> None:
    family = FAMILIES[CELLS.index((depth, name)) % len(FAMILIES)]
    model, inputs = deep_model(family, depth, FORMATS[name])
    geometry = find_geometry(model)
    missed, shares = [], []
    for fault, inject in FAULTS.items():
        if name != "float32" and fault in BELOW_ROUNDING:
            continue
        step, share = inject(model, inputs, geometry, depth - 1)
        missed += [] if step else [fault]
        shares += [] if share is None else [share]
    assert not missed
    assert min(shares) > 2.0
