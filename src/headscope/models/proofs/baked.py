"""An edit at the projection's input equals the same factor written into the projection's columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.geometry import Geometry, Site, has_plain_matrix
from headscope.models.proofs import edit_proof
from headscope.models.proofs.proof_steps import NOT_APPLICABLE, REFUSED, Step
from headscope.models.proofs.rounding import RoundedDifference, in_halves, limit_of, wide

# No power of two, so that rounding shows.
_FACTOR = 1.7
# Rows of z that are used at each site.
ROWS = 16
_SHOWN = (
    "a head scaled by a hook equals its columns scaled in the weight; difference of its outputs, "
    "relative to the edit's effect on them"
)


def compare_baked(site: Site, z: Tensor) -> RoundedDifference:
    """The outputs of a site's projection under a hook and with scaled columns, on the same z.

    What follows the projection is the same computation either way, so that the two are compared here, where
    depth does not come in. The difference is relative to the edit's own effect: a wrong head, or rows for
    columns, differs by about 1.

    Args:
        site: one whose projection has a plain weight.
        z: (..., width) as a forward brought it there.
    """
    rows, head = z.reshape(-1, site.width)[-ROWS:], site.n_heads - 1
    plain: Tensor = site.projection(rows)
    with edit_proof.scaled(site, {head: _FACTOR}):
        hooked: Tensor = site.projection(rows)
    with scaled_columns(site, head):
        columns: Tensor = site.projection(rows)
    kind = wide(plain.dtype)
    effect = float((hooked.to(kind) - plain.to(kind)).norm())
    gap = float((hooked.to(kind) - columns.to(kind)).norm())
    noise = float((in_halves(site.projection, rows).to(kind) - plain.to(kind)).norm())
    if effect == 0:  # a head that is silent here
        return RoundedDifference(0.0 if gap == 0 else torch.inf, limit_of(plain.dtype, 0.0), site.path)
    return RoundedDifference(gap / effect, limit_of(plain.dtype, noise / effect), site.path)


def baked_step(model: nn.Module, geometry: Geometry, compared: list[RoundedDifference]) -> Step:
    """The step ``baked``, from what was compared at the sites."""
    reason = why_not(model, geometry.sites)
    if reason:
        return Step("baked", _SHOWN, float("nan"), NOT_APPLICABLE, reason)
    worst = max(compared, key=lambda c: c.share)
    if worst.held:
        return Step("baked", _SHOWN, worst.figure, limit=worst.limit)
    reason = (
        f"a head scaled by {_FACTOR} in the hook and in the weight give different outputs "
        f"({worst.place}: {worst.figure:.3g} relative, limit {worst.limit:.3g})"
    )
    return Step("baked", _SHOWN, worst.figure, REFUSED, reason, limit=worst.limit)


def why_not(model: nn.Module, sites: Sequence[Site]) -> str:
    """Why the projections of sites cannot carry an edit in their weights; empty if they can."""
    users: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        users.setdefault(id(weight), []).append(name)
    for site in sites:
        reason = unplain(site)
        names = users.get(id(site.projection.weight), []) if not reason else []
        if reason or len(names) > 1:
            return reason or f"{_name(site)} is shared: {', '.join(names)}"
    return ""


def unplain(site: Site) -> str:
    """Why the projection of a site has no weight whose columns can be scaled; empty if it has."""
    weight = getattr(site.projection, "weight", None)
    if not isinstance(weight, Tensor) or not has_plain_matrix(site.projection):
        return f"{_name(site)} has no plain weight matrix; it is quantised or wrapped"
    if not weight.is_floating_point() or weight.element_size() < 2 or weight.is_meta:
        return f"{_name(site)} is quantised or not in memory (weights are {weight.dtype} on {weight.device})"
    return ""


def _name(site: Site) -> str:
    return f"the output projection {site.path} ({type(site.projection).__name__})"


@contextmanager
def scaled_columns(site: Site, head: int) -> Iterator[None]:
    """Within, the weight is a copy with the head's columns scaled."""
    weight: Any = site.projection.weight
    plain = weight.data
    new = plain.clone()
    columns = (
        new[site.block(head)] if type(site.projection).__name__ == "Conv1D" else new[:, site.block(head)]
    )
    columns *= _FACTOR
    weight.data = new
    try:
        yield
    finally:
        weight.data = plain
