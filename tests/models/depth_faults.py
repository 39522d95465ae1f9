"""Faults put into deep models, each with what the proof makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache

from headscope.errors import GeometryError
from headscope.models.geometry import Geometry, Site
from headscope.models.proofs import baked, edit_proof
from headscope.models.proofs.batch_proof import padded_batch, prove_batch
from headscope.models.proofs.cached import prove_cached
from headscope.models.proofs.head_proof import prove_heads
from headscope.models.proofs.picture_proof import is_picture
from headscope.models.proofs.proof_steps import REFUSED, Step
from models.broken import swapped

Inputs = dict[str, Tensor]
# A fault at one layer: runs what is to catch it; gives the step that did, "" if none did, and the figure's
# share of its limit where a figure decides.
Outcome = tuple[str, float | None]
Fault = Callable[[nn.Module, Inputs, Geometry, int], Outcome]


class Reordered(nn.Module):
    """Columns in another order."""

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.order]


def _site(geometry: Geometry, layer: int, **changes: Any) -> Geometry:
    sites = list(geometry.sites)
    sites[layer] = replace(sites[layer], **changes)
    return Geometry(tuple(sites))


def _heads(model: nn.Module, inputs: Inputs, geometry: Geometry, name: str = "") -> Outcome:
    """Run the steps about heads; ``name`` is the step that is looked at where none raises."""
    try:
        steps = prove_heads(model, inputs, geometry)
    except GeometryError as exc:
        return str(exc).split("'")[1], None
    return next((_outcome(s) for s in steps if s.name == name), ("", None))


def _outcome(step: Step) -> Outcome:
    share = step.figure / step.limit if step.limit == step.limit else None
    return (step.name if step.status == REFUSED else ""), share


def _wrong_width(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
    site = geometry.sites[layer]
    claim = _site(geometry, layer, n_heads=site.n_heads * 2, head_dim=site.head_dim // 2)
    return _heads(model, inputs, claim)


def _too_wide(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
    site = geometry.sites[layer]
    claim = _site(geometry, layer, n_heads=site.n_heads // 2, head_dim=site.head_dim * 2)
    return _heads(model, inputs, claim)


def _reordered(order: Callable[[Site], Tensor]) -> Fault:
    """Heads stand in another order at the projection than in the attention function."""

    def fault(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
        site = geometry.sites[layer]
        name = next(n for n, child in site.attention.named_children() if child is site.projection)
        with swapped(site.attention, name, nn.Sequential(Reordered(order(site)), site.projection)):
            return _heads(model, inputs, geometry)

    return fault


def _two_swapped(site: Site) -> Tensor:
    heads = torch.arange(site.width).view(site.n_heads, -1)
    return heads[[1, 0, *range(2, site.n_heads)]].flatten()


def _one_on(site: Site) -> Tensor:
    return torch.arange(site.width).roll(site.head_dim)


def _wrong_projection(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
    site = geometry.sites[layer]
    like = [s for s in geometry.sites if s is not site and s.width == site.width]
    return _heads(model, inputs, _site(geometry, layer, projection=like[0].projection))


def _output_for_input(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
    site, after = geometry.sites[layer], nn.Identity()
    name = next(n for n, child in site.attention.named_children() if child is site.projection)
    with swapped(site.attention, name, nn.Sequential(site.projection, after)):
        return _heads(model, inputs, _site(geometry, layer, projection=after))


def _edited_by(change: Callable[[Geometry, int], Callable[..., AbstractContextManager[None]]]) -> Fault:
    """Edits of one layer act otherwise than they should; the layer is the only one that is edited."""

    def fault(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
        alone = Geometry((geometry.sites[layer],))
        with swapped(edit_proof, "scaled", change(geometry, layer)):  # type: ignore[arg-type]
            found = _heads(model, inputs, alone, "baked")
            return found if found[0] else _outcome(prove_cached(model, inputs, alone.sites))

    return fault


_SCALED = edit_proof.scaled


def _wrong_layer(geometry: Geometry, layer: int) -> Callable[..., AbstractContextManager[None]]:
    like = [s for s in geometry.sites if s.head_dim == geometry.sites[layer].head_dim]
    other = like[like.index(geometry.sites[layer]) - 1]
    return lambda _site, factors: _SCALED(other, factors)


def _wrong_head(_geometry: Geometry, _layer: int) -> Callable[..., AbstractContextManager[None]]:
    return lambda site, factors: _SCALED(site, {(h + 1) % site.n_heads: f for h, f in factors.items()})


def _prompt_only(_geometry: Geometry, _layer: int) -> Callable[..., AbstractContextManager[None]]:
    @contextmanager
    def scaled(site: Site, factors: Mapping[int, float]) -> Iterator[None]:
        def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            z = args[0].clone()
            for head, factor in factors.items():
                z[..., site.block(head)] *= factor if z.ndim < 3 or z.shape[1] > 1 else 1.0
            return (z, *args[1:])

        handle = site.projection.register_forward_pre_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    return scaled


def _next_columns(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
    """The next head's columns are baked."""
    plain = baked.scaled_columns
    alone = Geometry((geometry.sites[layer],))
    with swapped(baked, "scaled_columns", lambda s, h: plain(s, (h + 1) % s.n_heads)):  # type: ignore[arg-type]
        return _heads(model, inputs, alone, "baked")


def _padding_attended(model: nn.Module, inputs: Inputs, geometry: Geometry, layer: int) -> Outcome:
    """One layer attends to padding."""
    attention = geometry.sites[layer].attention
    alone, together = padded_batch(inputs)

    def unmasked(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        mask = kwargs.get("attention_mask")
        if isinstance(mask, Tensor) and mask.ndim == 4 and len(mask) == len(together["input_ids"]):
            seen = mask[1:2].expand_as(mask)  # the item that is not padded
            return args, {**kwargs, "attention_mask": seen.clone()}
        return args, kwargs

    handle = attention.register_forward_pre_hook(unmasked, with_kwargs=True)
    try:
        return _outcome(prove_batch(model, alone, together, geometry.sites))
    finally:
        handle.remove()


def _pictures_swapped(model: nn.Module, inputs: Inputs, geometry: Geometry, _layer: int) -> Outcome:
    """Each item of a batch gets the other's picture."""
    alone, together = padded_batch(inputs)
    name = next(n for n in together if is_picture(n))
    rows = together[name].unflatten(0, (2, -1)).flip(0).flatten(0, 1)
    return _outcome(prove_batch(model, alone, {**together, name: rows}, geometry.sites))


def _stale_cache(model: nn.Module, inputs: Inputs, geometry: Geometry, _layer: int) -> Outcome:
    """The cache gives out the value before the newest in its place."""
    update = Cache.update

    def stale(self: Cache, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> Any:
        new = update(self, keys, values, *args, **kwargs)
        if keys.shape[-2] > 1:
            return new
        old = new[1].clone()
        old[:, :, -1] = old[:, :, -2]
        return new[0], old

    with swapped(Cache, "update", stale):  # type: ignore[arg-type]
        return _outcome(prove_cached(model, inputs, geometry.sites))


FAULTS: dict[str, Fault] = {
    "half the width": _wrong_width,
    "twice the width": _too_wide,
    "two heads swapped": _reordered(_two_swapped),
    "heads one on": _reordered(_one_on),
    "another layer's projection": _wrong_projection,
    "the projection's output": _output_for_input,
    "another layer edited": _edited_by(_wrong_layer),
    "the next head edited": _edited_by(_wrong_head),
    "generated tokens not edited": _edited_by(_prompt_only),
    "the next head baked": _next_columns,
    "padding attended to": _padding_attended,
    "pictures swapped": _pictures_swapped,
    "a stale cache": _stale_cache,
}

# Of a cache that is wrong in its newest value alone, half precision may show less than rounding does.
BELOW_ROUNDING = ("a stale cache",)
