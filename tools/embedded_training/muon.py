"""Muon in float32 with matrices of one shape orthogonalised together.

``torch.optim.Muon`` iterates matrix by matrix in bfloat16, which is some ten times slower on a CPU without
bfloat16 matrix units. Same update: momentum, Newton-Schulz iteration (coefficients of Jordan et al., 2024),
scaled by 0.2 sqrt(max(rows, columns)) so that AdamW's learning rates carry over (Liu et al., 2025).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(
    matrices: torch.Tensor, iterations: int = 5, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Push the singular values of (matrix, row, column) float32 towards one, all matrices at once.

    ``dtype``: what the products are computed in; bfloat16 pays where the processor has it.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    x = x.to(dtype)
    for _ in range(iterations):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay. Takes matrices only."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.02,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[p.shape].append(p)
            for shape, params in shapes.items():
                moved = torch.stack([self._nesterov(p, group["momentum"]) for p in params])
                updates = orthogonalise(moved, dtype=self.dtype)
                scale = group["lr"] * 0.2 * max(shape) ** 0.5
                for p, update in zip(params, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)

    def _nesterov(self, p: torch.Tensor, momentum: float) -> torch.Tensor:
        assert p.grad is not None
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state["momentum"], momentum)
