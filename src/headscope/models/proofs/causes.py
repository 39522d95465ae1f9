"""Why families refuse a step, where the figures alone do not tell: a word for the reader, no exemption."""

from __future__ import annotations

from dataclasses import replace

from headscope.models.families import family_named
from headscope.models.proofs.proof_steps import REFUSED, Step


def explained(step: Step, family: str) -> Step:
    """The step; where it is refused, with the family's known cause before what was measured."""
    cause = family_named(family).causes.get(step.name)
    if cause is None or step.status != REFUSED:
        return step
    return replace(step, reason=f"{cause} ({step.reason})")
