"""An edit at the projection's input equals the same factor written into the projection's columns."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.proofs.steps import BAKED, NOT_APPLICABLE, Step, ends, gap, logits_of, scaled
from headscope.models.sites import Geometry, Site, has_plain_matrix

# No power of two, so that rounding shows.
_FACTOR = 1.7


def prove_baked(model: nn.Module, inputs: dict[str, Any], geometry: Geometry) -> Step:
    """The step ``baked``: a head scaled by a hook, and by the columns of a copy of the weight.

    Raises:
        GeometryError: the two differ by more than the stated tolerance.
    """
    shown = "a head scaled by a hook equals its columns scaled in the weight; relative difference of logits"
    worst = 0.0
    for site in ends(geometry):
        reason = why_not(model, site)
        if reason:
            return Step("baked", shown, float("nan"), NOT_APPLICABLE, reason)
        head = site.n_heads - 1
        with scaled(site, {head: _FACTOR}):
            hooked = logits_of(model, inputs)
        worst = max(worst, gap(hooked, _with_columns(model, inputs, site, head)))
        limit = BAKED.get(hooked.dtype, 2e-2)
        if not worst <= limit:
            raise GeometryError(
                f"proof step 'baked' failed at {site.path}: head {head} scaled by {_FACTOR} in the hook and "
                f"in the weight give logits that differ by {worst:.3g} relative (limit {limit:g})"
            )
    return Step("baked", shown, worst)


def why_not(model: nn.Module, site: Site) -> str:
    """Why the projection of a site cannot carry an edit in its weights; empty if it can."""
    projection = site.projection
    kind, weight = type(projection).__name__, getattr(projection, "weight", None)
    name = f"the output projection {site.path} ({kind})"
    if not isinstance(weight, Tensor) or not has_plain_matrix(projection):
        return f"{name} has no plain weight matrix; it is quantised or wrapped"
    if not weight.is_floating_point() or weight.element_size() < 2 or weight.is_meta:
        return f"{name} is quantised or not in memory (weights are {weight.dtype} on {weight.device})"
    users = [n for n, p in model.named_parameters(remove_duplicate=False) if p is weight]
    if len(users) > 1:
        return f"{name} is shared: {', '.join(users)}"
    return ""


def _with_columns(model: nn.Module, inputs: dict[str, Any], site: Site, head: int) -> Tensor:
    """Logits with the head's columns scaled in a copy of the weight, which is then taken away again."""
    weight: Any = site.projection.weight
    plain = weight.data
    new = plain.clone()
    columns = (
        new[site.block(head)] if type(site.projection).__name__ == "Conv1D" else new[:, site.block(head)]
    )
    columns *= _FACTOR
    weight.data = new
    try:
        return logits_of(model, inputs)
    finally:
        weight.data = plain
