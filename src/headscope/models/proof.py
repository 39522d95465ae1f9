"""Proof that the heads lie where the geometry says: by experiment on the loaded model, not by reading its
code."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.attention import attention_function
from headscope.models.geometry import Geometry, Site
from headscope.models.types import Prompt

# Greatest difference allowed between a projection's output and the sum of its heads' parts, relative to the
# output.
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class Step:
    """One step of the proof: what was shown, and the figure that it rests on."""

    name: str
    shown: str
    figure: float


@dataclass(frozen=True)
class Proof:
    """Steps that all held; a step that fails raises instead."""

    steps: tuple[Step, ...] = field(default_factory=tuple)

    def figure(self, name: str) -> float:
        """The figure of a step."""
        return next(s.figure for s in self.steps if s.name == name)

    def __str__(self) -> str:
        return "\n".join(f"{s.name}: {s.shown} ({s.figure:.3g})" for s in self.steps)


@dataclass
class _Seen:
    """What one bare forward shows of a site: the call of its attention module and the projection's input."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    z: Tensor | None = None


def prove_geometry(
    vlm: Any, inputs: dict[str, Tensor] | None = None, geometry: Geometry | None = None
) -> Proof:
    """Prove a geometry on the loaded model, over a tiny input.

    Steps, each a fact about the running model:

    - ``hooks``: a forward with hooks that change nothing gives the bare forward's logits bit for bit.
    - ``blocks``: zeroing head h in what the attention function returns, (item, position, head, width), before
      heads are merged, changes block h of the projection's input and no other, for every head.
    - ``sum``: the projection's outputs for one block at a time, summed over heads, are its output less bias.
    - ``edit``: muting a head through a hook on the projection's input changes the logits.
    - ``restored``: afterwards the bare logits come back bit for bit.

    Args:
        vlm: a :class:`headscope.models.vlm.VLM`, or a bare model (then ``inputs`` are needed).
        inputs: keyword arguments of the model for one item without padding; a small blank picture by default.
        geometry: the claim to be tested; the VLM's own, or what is found on the model, by default.

    Raises:
        GeometryError: a step failed; the message names it, the layer, and what was found.
    """
    from headscope.models.geometry import find_geometry

    model = getattr(vlm, "model", vlm) if hasattr(vlm, "processor") else vlm
    geometry = geometry or getattr(vlm, "geometry", None) or find_geometry(model)
    if inputs is None:
        inputs = _tiny_inputs(vlm)
    with torch.no_grad():
        seen = {id(site): _Seen() for site in geometry.sites}
        bare = _logits(model, inputs)
        with ExitStack() as stack:
            for site in geometry.sites:
                _watch(stack, site, seen[id(site)])
            hooked = _logits(model, inputs)
        steps = [_same_bits("hooks", "hooks that change nothing leave the logits as they are", bare, hooked)]
        changed = sum(_prove_blocks(site, seen[id(site)]) for site in geometry.sites)
        steps.append(Step("blocks", "heads zeroed one by one; each changed its own block only", changed))
        worst = max(_prove_sum(site, seen[id(site)]) for site in geometry.sites)
        steps.append(Step("sum", "heads' parts add up to the projection's output; relative error", worst))
        least = min(_prove_edit(model, inputs, site, bare) for site in _ends(geometry))
        steps.append(Step("edit", "muting a head moves the logits; least change", least))
        steps.append(_same_bits("restored", "the bare logits come back", bare, _logits(model, inputs)))
    return Proof(tuple(steps))


def _tiny_inputs(vlm: Any) -> dict[str, Tensor]:
    """One small blank picture with a short question."""
    from PIL import Image

    picture = Image.new("RGB", (32, 32), (127, 90, 60))
    inputs: dict[str, Tensor] = vlm.encode([Prompt(picture, "What is in the picture?")]).inputs
    return inputs


def _logits(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    logits: Tensor = model(**inputs, use_cache=False).logits
    return logits


def _ends(geometry: Geometry) -> tuple[Site, ...]:
    """First and last site: enough for the way from a hook to the logits, which all sites share."""
    return tuple(dict.fromkeys((geometry.sites[0], geometry.sites[-1])))


def _same_bits(name: str, shown: str, expected: Tensor, found: Tensor) -> Step:
    if not torch.equal(expected, found):
        gap = (expected - found).abs().max().item()
        raise GeometryError(f"proof step {name!r} failed: expected {shown}; logits differ by up to {gap:.3g}")
    return Step(name, shown, 0.0)


def _watch(stack: ExitStack, site: Site, seen: _Seen) -> None:
    """Record the attention module's call and the projection's input, changing nothing."""

    def call(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.args, seen.kwargs = args, dict(kwargs)

    def entry(_module: nn.Module, args: tuple[Any, ...]) -> None:
        seen.z = args[0]

    for handle in (
        site.attention.register_forward_pre_hook(call, with_kwargs=True),
        site.projection.register_forward_pre_hook(entry),
    ):
        stack.callback(handle.remove)


def _prove_blocks(site: Site, seen: _Seen) -> int:
    """Zero every head once inside the attention function; returns how many heads were shown to lie right.

    What follows the attention function works on each position alone, so one call of the attention module
    tests many heads: position p is tested with head p (modulo the number of heads), and any spill to other
    positions is seen too.
    """
    z = seen.z
    if z is None or not (seen.args or seen.kwargs):
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: its projection was not called in a forward; it is "
            "not in use, or its weight is read past the module, and hooks cannot reach it"
        )
    if z.shape[-1] != site.width:
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: {site.n_heads} heads of width {site.head_dim} "
            f"claimed, but the projection's input is {z.shape[-1]} wide"
        )
    z = z.reshape(-1, site.width)
    n_positions = z.shape[0]
    for first in range(0, site.n_heads, n_positions):
        heads = torch.arange(n_positions) + first
        tested = heads < site.n_heads
        _compare(site, z, _rerun(site, seen, heads, tested), heads, tested)
        if first == 0 and n_positions > site.n_heads:
            heads = torch.arange(n_positions) % site.n_heads
            tested = torch.ones(n_positions, dtype=torch.bool)
            _compare(site, z, _rerun(site, seen, heads, tested), heads, tested)
    return site.n_heads


def _rerun(site: Site, seen: _Seen, heads: Tensor, tested: Tensor) -> Tensor:
    """The projection's input (position, width) when head ``heads[p]`` is zeroed at each tested position p."""

    def zero(output: Tensor) -> Tensor:
        if output.ndim != 4 or tuple(output.shape[-2:]) != (site.n_heads, site.head_dim):
            raise GeometryError(
                f"proof step 'blocks' failed at {site.path}: {site.n_heads} heads of width {site.head_dim} "
                f"claimed, but the attention function returns {tuple(output.shape)} (item, position, head, "
                "width)"
            )
        flat = output.clone().reshape(-1, site.n_heads, site.head_dim)
        rows = torch.nonzero(tested).flatten()
        flat[rows.to(flat.device), heads[rows].to(flat.device)] = 0.0
        return flat.reshape(output.shape)

    after = _Seen()
    with ExitStack() as stack:
        stack.enter_context(attention_function(site, zero))
        _watch(stack, site, after)
        site.attention(*seen.args, **seen.kwargs)
    assert after.z is not None
    return after.z.reshape(-1, site.width)


def _compare(site: Site, before: Tensor, after: Tensor, heads: Tensor, tested: Tensor) -> None:
    """Exactly the block of the zeroed head may differ, and it must be zero now and not before."""
    shape = (before.shape[0], site.n_heads, site.head_dim)
    moved = (before.reshape(shape) != after.reshape(shape)).any(dim=-1).cpu()
    # A block that was zero anyway shows nothing; it counts as unmoved and thus fails.
    expected = torch.zeros_like(moved)
    rows = torch.nonzero(tested).flatten()
    expected[rows, heads[rows]] = True
    wrong = torch.nonzero(moved != expected)
    if len(wrong):
        position = int(wrong[0, 0])
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: head {int(heads[position])} was zeroed inside the "
            f"attention function, and of {site.n_heads} blocks of width {site.head_dim} in the "
            f"projection's input there changed {torch.nonzero(moved[position]).flatten().tolist()}; the "
            "geometry does not fit this model"
        )


def _prove_sum(site: Site, seen: _Seen) -> float:
    """Relative error of the heads' parts, summed, against the projection's output; the bias counted once."""
    assert seen.z is not None
    z = seen.z.reshape(-1, site.width)[-8:]
    zero = site.projection(torch.zeros_like(z[:1])).double()
    parts = torch.zeros_like(z).repeat(site.n_heads, 1, 1)
    for head in range(site.n_heads):
        parts[head, :, site.block(head)] = z[:, site.block(head)]
    total = (site.projection(parts).double() - zero).sum(dim=0)
    output = site.projection(z).double() - zero
    error = ((total - output).abs().max() / output.abs().max().clamp_min(1e-30)).item()
    limit = TOLERANCES.get(z.dtype, 5e-2)
    if not error <= limit:
        raise GeometryError(
            f"proof step 'sum' failed at {site.path}: the heads' parts add up to the projection's output "
            f"only to {error:.3g} relative (limit {limit:g}); the projection is not linear in its input"
        )
    return error


def _prove_edit(model: nn.Module, inputs: dict[str, Tensor], site: Site, bare: Tensor) -> float:
    """How far the logits move when head 0 of a site is muted at the projection's input."""

    def mute(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        z = args[0].clone()
        z[..., site.block(0)] = 0.0
        return (z, *args[1:])

    handle = site.projection.register_forward_pre_hook(mute)
    try:
        edited = _logits(model, inputs)
    finally:
        handle.remove()
    change = (edited - bare).abs().max().item()
    if not change > 0:
        raise GeometryError(
            f"proof step 'edit' failed at {site.path}: muting head 0 at the projection's input leaves "
            "every logit as it is; hooks do not reach this model's computation"
        )
    return change
