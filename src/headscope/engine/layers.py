"""Calling one decoder layer again: with other rows, another cache, or a stand-in for its attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.pytorch_utils import Conv1D

from headscope.edits.hooks import Pair
from headscope.engine.trace import Call
from headscope.models.geometry import Site


@dataclass(frozen=True, eq=False)
class Swap:
    """z of some columns of a projection, replaced by another run's at some of the prompt's positions.

    Attributes:
        columns: (heads * width,) bool.
        positions: (position,) bool.
        source: (position, heads * width) z of the other run; a trimmed one has the last positions alone.
    """

    columns: Tensor
    positions: Tensor
    source: Tensor


# Per touched site: factor and offset as compile_edit gives them, or a swap.
Variant = Mapping[Site, Pair | Swap]


class AttentionReached(Exception):
    """The attention was reached; the rest of the layer is of no interest."""


class Change(NamedTuple):
    """z' = factor * z + offset; the offset may be None.

    Each is (variant, heads * width), or, where a variant swaps z, (variant, position, heads * width).
    """

    factor: Tensor
    offset: Tensor | None


def change_of(variants: Sequence[Variant], site: Site, like: Tensor) -> Change | None:
    """What the variants do at one site; None where none of them touches it."""
    if not any(site in v for v in variants):
        return None
    if any(isinstance(v.get(site), Swap) for v in variants):
        return _swapped(variants, site, like)
    factor = like.new_ones(len(variants), site.width)
    offset = None
    for i, variant in enumerate(variants):
        pair = variant.get(site)
        if pair is not None and not isinstance(pair, Swap):
            own, added = pair
            factor[i] = torch.from_numpy(own).to(factor)
            if added is not None:
                offset = torch.zeros_like(factor) if offset is None else offset
                offset[i] = torch.from_numpy(added).to(factor)
    return Change(factor, offset)


def _swapped(variants: Sequence[Variant], site: Site, like: Tensor) -> Change:
    """The same position by position; the last positions alone where ``like`` has no others."""
    length = like.shape[1]
    factor = like.new_ones(len(variants), length, site.width)
    offset = torch.zeros_like(factor)
    for i, variant in enumerate(variants):
        found = variant.get(site)
        if isinstance(found, Swap):
            where = (found.positions[-length:, None] & found.columns).to(like.device)
            factor[i].masked_fill_(where, 0)
            offset[i] = torch.where(where, found.source[-length:].to(like), 0)
        elif found is not None:
            factor[i] = torch.from_numpy(found[0]).to(factor)
            offset[i] = 0 if found[1] is None else torch.from_numpy(found[1]).to(factor)
    return Change(factor, offset)


def _by_position(value: Tensor, read: slice) -> Tensor:
    """(variant, position or 1, heads * width) of what is the same at all positions, or differs."""
    return value[:, None] if value.ndim == 2 else value[:, read]


@contextmanager
def changed(site: Site, change: Change | None, axis: int) -> Iterator[None]:
    """Within, z of variant i, along ``axis`` (0: rows, 1: positions), is changed as variant i says."""
    if change is None:
        yield
        return

    def fitted(value: Tensor, z: Tensor) -> Tensor:
        if axis == 0:
            return _by_position(value, slice(-z.shape[1], None))
        return (value if value.ndim == 2 else value[:, -1])[None]

    def hook(_m: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        z = args[0] * fitted(change.factor, args[0])
        return (z if change.offset is None else z + fitted(change.offset, args[0]), *args[1:])

    handle = site.projection.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def stand_in(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Within, the module's forward is another function."""
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if before is not None:
            module.__dict__["forward"] = before


def call_layer(
    call: Call, hidden: Tensor, fit: Callable[[str, Any], Any] | None = None, cache: Any = None
) -> Tensor:
    """The layer's output for another residual stream.

    Args:
        fit: argument name and tensor -> what takes its place; the name of positional ones is empty.
        cache: takes the place of the cache.
    """

    def fitted(name: str, value: Any) -> Any:
        if isinstance(value, Cache):
            return cache
        if isinstance(value, Tensor):
            return value if fit is None else fit(name, value)
        if isinstance(value, tuple | list):
            return type(value)(fitted(name, v) for v in value)
        if name == "attention_mask" and value is None and fit is not None:
            return fit(name, value)
        return value

    args = tuple(fitted("", v) for v in call.args[1:])
    kwargs = {name: fitted(name, v) for name, v in call.kwargs.items() if name != "hidden_states"}
    given = {} if call.args else {"hidden_states": hidden}
    output = call.layer(*((hidden, *args) if call.args else ()), **given, **kwargs)
    return output if isinstance(output, Tensor) else output[0]


def rows_fit(rows: int) -> Callable[[str, Any], Any]:
    """Arguments of one prompt for ``rows`` rows, by views."""

    def fit(_name: str, value: Any) -> Any:
        if value is not None and value.ndim >= 2 and value.shape[0] == 1:
            return value.expand(rows, *value.shape[1:])
        return value

    return fit


def with_attention(call: Call, hidden: Tensor, attended: Tensor) -> Tensor:
    """The layer's output where its attention gives ``attended``, both (variant or 1, position, width)."""
    assert call.site is not None
    assert call.wrap is not None
    wrap = call.wrap
    with stand_in(call.site.attention, lambda *_a, **_k: wrap(attended)):
        return call_layer(call, hidden)


def attention_input(call: Call, hidden: Tensor, fit: Callable[[str, Any], Any], cache: Any) -> Any:
    """What the layer gives its attention: (args, kwargs)."""
    assert call.site is not None
    found: list[Any] = []

    def stop(*args: Any, **kwargs: Any) -> Any:
        found.append((args, kwargs))
        raise AttentionReached

    with stand_in(call.site.attention, stop), suppress(AttentionReached):
        call_layer(call, hidden, fit, cache)
    return found[0]


def direct(call: Call) -> bool:
    """Whether the attention's output can be had from z by adding to it."""
    if call.site is None or call.attended is None or call.z.ndim != 3:
        return False
    projection: Any = call.site.projection
    plain = type(projection) in (nn.Linear, Conv1D) and projection.weight.is_floating_point()
    return plain and call.attended.shape[:2] == call.z.shape[:2]


def attended_under(call: Call, change: Change, variants: Sequence[Variant], read: slice) -> Tensor:
    """(variant, position, width) output of the attention under each variant: the clean one, and what the
    change of z adds through the projection's columns."""
    site = call.site
    assert site is not None
    assert call.attended is not None
    projection: Any = site.projection
    weight: Tensor = projection.weight if type(projection) is Conv1D else projection.weight.T
    z, clean = call.z[0, read], call.attended[0, read]
    touched = [_touched(v, site) for v in variants]
    if all(len(t) == 1 for t in touched):
        heads = torch.tensor([t[0] for t in touched], device=z.device)

        def own(value: Tensor) -> Tensor:  # (variant, position or 1, width) of the head that is touched
            blocks = _by_position(value, read).unflatten(2, (site.n_heads, -1))
            return blocks[torch.arange(len(heads)), :, heads]

        step = z.unflatten(1, (site.n_heads, -1))[:, heads].transpose(0, 1) * (own(change.factor) - 1)
        if change.offset is not None:
            step = step + own(change.offset)
        columns = weight.unflatten(0, (site.n_heads, -1))[heads]
        return torch.baddbmm(clean.expand(len(heads), -1, -1), step, columns)
    moved = z * (_by_position(change.factor, read) - 1)
    if change.offset is not None:
        moved = moved + _by_position(change.offset, read)
    return clean + moved @ weight


def _touched(variant: Variant, site: Site) -> list[int]:
    if site not in variant:
        return []
    found = variant[site]
    if isinstance(found, Swap):
        columns: list[int] = found.columns.view(site.n_heads, -1).any(dim=1).nonzero()[:, 0].tolist()
        return columns
    factor, offset = found
    other = factor != 1 if offset is None else (factor != 1) | (offset != 0)
    return other.reshape(site.n_heads, -1).any(axis=1).nonzero()[0].tolist()
