"""Proof that the heads lie where the geometry says, and of what rests on it."""

from __future__ import annotations

from headscope.models.proofs.full import prove, prove_geometry
from headscope.models.proofs.steps import Proof, Step

__all__ = ["Proof", "Step", "prove", "prove_geometry"]
