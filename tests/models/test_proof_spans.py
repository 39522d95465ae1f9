"""What the spans' experiment silences: attention and convolutions that reach beyond their own positions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from headscope.models.proofs.full import prove
from headscope.models.proofs.span_proof import silenced
from headscope.models.vlm import load_model
from models.families.folders import family_folder


class Vision(nn.Module):
    """A vision part of one convolution."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.vision = nn.Sequential(convolution)


@pytest.mark.parametrize(
    ("width", "stride", "padding"),
    [(3, 1, 1), (3, 1, "same"), (5, 1, 2), (3, 2, 1), (4, 2, 1), (7, 4, 3), (4, 4, 0), (1, 1, 0)],
)
def test_a_silenced_convolution_sees_only_the_positions_that_become_one(
    width: int, stride: int, padding: int | str
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(2, 3, width, stride, padding)
    model, picture = Vision(convolution), torch.rand(1, 2, 16, 16, requires_grad=True)
    before = convolution.weight
    with silenced(model):
        output = model.vision(picture)
        (seen,) = torch.autograd.grad(output[0, :, 2, 1].sum(), picture)
    rows, columns = torch.nonzero(seen.abs().sum(dim=(0, 1)), as_tuple=True)
    assert set(rows.tolist()) == set(range(2 * stride, 3 * stride))
    assert set(columns.tolist()) == set(range(stride, 2 * stride))
    assert convolution.weight is before


def test_convolutions_elsewhere_are_left_alone() -> None:
    model = nn.ModuleDict({"language": nn.Conv1d(2, 2, 3, padding=1)})
    given = torch.rand(1, 2, 5)
    wanted = model["language"](given)
    with silenced(model):
        assert torch.equal(model["language"](given), wanted)


def test_a_proof_gives_the_same_figures_each_time(tmp_path: Path) -> None:
    vlm = load_model(family_folder("deepseek_vl", tmp_path / "deepseek_vl"), prove=False)
    first, second = ([(s.name, s.status, s.figure) for s in prove(vlm).steps] for _ in range(2))
    assert first == second
    assert {status for _, status, _ in first} == {"held"}
