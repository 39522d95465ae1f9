"""What the survey of families has shown in single precision and half precision would hide by rounding."""

from __future__ import annotations

from dataclasses import replace

import torch

from headscope.models.proofs.proof_steps import HELD, REFUSED, Step
from headscope.models.survey import load


def known_refusal(step: Step, family: str, dtype: torch.dtype) -> Step:
    """A step that held in half precision, refused where the family's models fail it in single precision.

    A fault that grows with the batch (pictures numbered over all of it) may lie below the rounding of two
    items in half precision, and above it in use.
    """
    if step.status != HELD or dtype not in (torch.bfloat16, torch.float16):
        return step
    row = next((r for r in load() if r.family == family), None)
    if row is None or row.proofs.get(step.name) != REFUSED:
        return step
    reason = (
        f"models of this family fail it in single precision (docs/families.md), which {str(dtype)[6:]} is "
        "too coarse to show; ask one item at a time"
    )
    return replace(step, status=REFUSED, reason=reason)
