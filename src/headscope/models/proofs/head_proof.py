"""Where the heads are: by experiment on the loaded model, not by reading its code."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.attention import OutputPoint, attention_function, find_output_point
from headscope.models.geometry import Geometry, Site
from headscope.models.proofs import edit_proof
from headscope.models.proofs.baked import baked_step, compare_baked, unplain
from headscope.models.proofs.norms import frozen, norm_over_heads
from headscope.models.proofs.proof_steps import NOT_APPLICABLE, REFUSED, Step, ends, logits_of, prompt_ids
from headscope.models.proofs.rounding import RoundedDifference, limit_of


def prove_heads(model: nn.Module, inputs: dict[str, Tensor], geometry: Geometry) -> list[Step]:
    """The steps ``hooks``, ``blocks``, ``sum``, ``edit``, ``restored``, ``positions`` and ``baked``.

    Each site is proved inside one forward, and its tensors are let go of before the next one is reached.

    Raises:
        GeometryError: a step failed; the message names it, the layer, and what was found.
    """
    bare = logits_of(model, inputs)
    steps = [_hooks(model, inputs, geometry, bare)]
    probes = [_Probe(site) for site in geometry.sites]
    with ExitStack() as stack:
        for probe in probes:
            probe.attach(stack)
        logits_of(model, inputs)
    for probe in probes:
        probe.check_calls()
    steps.append(_blocks_step(probes))
    sums = [p.sum for p in probes if p.sum is not None]
    worst = max(sums, key=lambda c: c.share, default=RoundedDifference(0.0, limit_of(bare.dtype, 0.0), ""))
    shown = "heads' parts add up to the projection's output; relative error"
    steps.append(Step("sum", shown, worst.figure, limit=worst.limit))
    least = min(_prove_edit(model, inputs, geometry, site, bare) for site in ends(geometry))
    shown = "muting a head zeroes its block at its site, nothing else, and moves the logits; least change"
    steps.append(Step("edit", shown, least))
    steps.append(_same_bits("restored", "the bare logits come back", bare, logits_of(model, inputs)))
    steps.append(_positions(probes, model, inputs))
    steps.append(baked_step(model, geometry, [p.baked for p in probes if p.baked is not None]))
    normed = next((p for p in probes if p.norm is not None), None)
    if normed is not None:
        reason = (
            f"{normed.site.path} norms all heads together before the projection: z is read and edited after "
            "that norm, and muting a head there leaves the norm's scale as it was"
        )
        steps.append(Step("before norm", "", float("nan"), REFUSED, reason))
    return steps


def _hooks(model: nn.Module, inputs: dict[str, Tensor], geometry: Geometry, bare: Tensor) -> Step:
    def nothing(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0].clone(), *args[1:])

    with ExitStack() as stack:
        for site in geometry.sites:
            stack.callback(site.projection.register_forward_pre_hook(nothing).remove)
        hooked = logits_of(model, inputs)
    return _same_bits("hooks", "hooks that change nothing leave the logits as they are", bare, hooked)


def _same_bits(name: str, shown: str, expected: Tensor, found: Tensor) -> Step:
    if not torch.equal(expected, found):
        gap = (expected - found).abs().max().item()
        raise GeometryError(f"proof step {name!r} failed: expected {shown}; logits differ by up to {gap:.3g}")
    return Step(name, shown, 0.0)


def _blocks_step(probes: list[_Probe]) -> Step:
    points = {str(p.point) for p in probes}
    held = "; a norm over all heads held fixed" if any(p.norm is not None for p in probes) else ""
    shown = f"heads zeroed one by one ({', '.join(sorted(points))}{held}); each changed its own block only"
    return Step("blocks", shown, sum(p.site.n_heads for p in probes))


def _positions(probes: list[_Probe], model: nn.Module, inputs: dict[str, Tensor]) -> Step:
    """Whether the decoder's sites read the prompt's positions: else spans of tokens mean nothing there."""
    shown = "the decoder reads the prompt's positions, one z for each token"
    if not any(probe.site.tower == "decoder" for probe in probes):
        reason = "none of the heads asked for is the decoder's"
        return Step("positions", shown, float("nan"), NOT_APPLICABLE, reason)
    wanted = tuple(prompt_ids(model, inputs).shape)
    for probe in probes:
        if probe.site.tower == "decoder" and probe.read != wanted:
            reason = (
                f"{probe.site.path} reads {probe.read} (item, position) for {wanted} tokens; spans of tokens "
                "do not hold there, so capture is refused"
            )
            return Step("positions", shown, float("nan"), REFUSED, reason)
    return Step("positions", shown, float(wanted[1]))


@dataclass
class _Probe:
    """Proves one site in the middle of a forward: the module's call is repeated with heads zeroed."""

    site: Site
    point: OutputPoint = field(default_factory=OutputPoint)
    norm: nn.Module | None = None
    sum: RoundedDifference | None = None
    baked: RoundedDifference | None = None
    z: Tensor | None = None
    runs: int = 0
    read: tuple[int, ...] = ()
    _call: tuple[Any, Any] | None = None
    _busy: bool = False

    def attach(self, stack: ExitStack) -> None:
        attention, projection = self.site.attention, self.site.projection
        for handle in (
            attention.register_forward_pre_hook(self._before, with_kwargs=True),
            projection.register_forward_pre_hook(self._entry),
            attention.register_forward_hook(self._after),
        ):
            stack.callback(handle.remove)

    def check_calls(self) -> None:
        if self.z is None or self._call is None:
            raise GeometryError(
                f"proof step 'blocks' failed at {self.site.path}: its projection was not called in a "
                "forward; it is not in use, or its weight is read past the module, and hooks cannot reach it"
            )
        if self.runs > 1 and self.site.tower == "decoder":
            raise GeometryError(
                f"proof step 'blocks' failed at {self.site.path}: its projection was called {self.runs} "
                "times in one forward; a layer that is run more than once has no single z"
            )

    def _before(self, _module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if not self._busy and self._call is None:
            self._call = (_kept(args), _kept(kwargs))  # as they are now; the call may alter caches

    def _entry(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self._busy:
            self.runs += 1
            if self.z is None:
                self.z, self.read = args[0], tuple(args[0].shape[:-1])

    def _after(self, *_: Any) -> None:
        if self._busy or self.z is None or self.runs > 1:
            return
        self._busy = True
        try:
            self._prove_blocks(self.z)
            self.sum = _prove_sum(self.site, self.z)
            if not unplain(self.site):
                self.baked = compare_baked(self.site, self.z)
        finally:
            self._busy = False
        self._call, self.z = ((), {}), self.z[:0]  # proved; let go of the tensors

    def _again(self) -> None:
        assert self._call is not None
        args, kwargs = self._call
        self.site.attention(*_kept(args), **_kept(kwargs))

    def _prove_blocks(self, z: Tensor) -> None:
        """Zero every head once inside the attention function.

        What follows the attention function works on each position alone, so one call of the attention module
        tests many heads: position p is tested with head p (modulo the number of heads), and any spill to
        other positions is seen too.
        """
        site = self.site
        if z.shape[-1] != site.width:
            raise GeometryError(
                f"proof step 'blocks' failed at {site.path}: {site.n_heads} heads of width {site.head_dim} "
                f"claimed, but the projection's input is {z.shape[-1]} wide"
            )
        with find_output_point(site) as points:
            self._again()
        self.point, self.norm = points[0], norm_over_heads(site, z, self._again)
        z = z.reshape(-1, site.width)
        n_positions = z.shape[0]
        for first in range(0, site.n_heads, n_positions):
            heads = torch.arange(n_positions) + first
            tested = heads < site.n_heads
            _compare(site, z, self._zeroed(heads, tested), heads, tested)
            if first == 0 and n_positions > site.n_heads:
                heads = torch.arange(n_positions) % site.n_heads
                tested = torch.ones(n_positions, dtype=torch.bool)
                _compare(site, z, self._zeroed(heads, tested), heads, tested)

    def _zeroed(self, heads: Tensor, tested: Tensor) -> Tensor:
        """The projection's input (position, width), head ``heads[p]`` zeroed at each tested position p."""
        site, seen = self.site, []

        def zero(output: Tensor) -> Tensor:
            if output.ndim != 4 or tuple(output.shape[-2:]) != (site.n_heads, site.head_dim):
                raise GeometryError(
                    f"proof step 'blocks' failed at {site.path}: {site.n_heads} heads of width "
                    f"{site.head_dim} claimed, but the {self.point} returns {tuple(output.shape)} (item, "
                    "position, head, width)"
                )
            flat = output.clone().reshape(-1, site.n_heads, site.head_dim)
            rows = torch.nonzero(tested).flatten()
            flat[rows.to(flat.device), heads[rows].to(flat.device)] = 0.0
            return flat.reshape(output.shape)

        handle = site.projection.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
        try:
            with ExitStack() as stack:
                if self.norm is not None:
                    stack.enter_context(frozen(self.norm, self._again))
                stack.enter_context(attention_function(site, zero, self.point))
                self._again()
        finally:
            handle.remove()
        return seen[-1].reshape(-1, site.width)


def _kept(value: Any) -> Any:
    """A call's argument as it is now: caches copied, containers rebuilt, tensors and the rest as they are."""
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_kept(v) for v in value)
    if type(value) is list:
        return [_kept(v) for v in value]
    if type(value) is dict:
        return {k: _kept(v) for k, v in value.items()}
    return copy.deepcopy(value) if "Cache" in type(value).__name__ else value


def _compare(site: Site, before: Tensor, after: Tensor, heads: Tensor, tested: Tensor) -> None:
    """Exactly the block of the zeroed head may differ."""
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


def _prove_sum(site: Site, z: Tensor) -> RoundedDifference:
    """Error of the heads' parts, summed, relative to the projection's output; the bias counted once.

    The rounding that it is held to follows from the format and the parts' sizes alone, so that a projection
    that is not linear cannot widen it.
    """
    z = z.reshape(-1, site.width)[-8:]
    zero = site.projection(torch.zeros_like(z[:1])).cpu().double()
    parts = torch.zeros_like(z).repeat(site.n_heads, 1, 1)
    for head in range(site.n_heads):
        parts[head, :, site.block(head)] = z[:, site.block(head)]
    each = site.projection(parts).cpu().double() - zero
    output = site.projection(z).cpu().double() - zero
    size = output.abs().max().clamp_min(1e-30)
    error = float((each.sum(dim=0) - output).abs().max() / size)
    rounding = torch.finfo(z.dtype).eps * float(each.pow(2).sum(dim=0).sqrt().max() / size)
    limit = limit_of(z.dtype, rounding)
    if getattr(getattr(site.projection, "weight", None), "dtype", None) == torch.int8:
        limit = max(limit, 5e-2)  # 8-bit products round each row of their input to 127 steps either way
    if not error <= limit:
        raise GeometryError(
            f"proof step 'sum' failed at {site.path}: the heads' parts add up to the projection's output "
            f"only to {error:.3g} relative (limit {limit:.3g}); the projection is not linear in its input"
        )
    return RoundedDifference(error, limit, site.path)


def _prove_edit(
    model: nn.Module, inputs: dict[str, Tensor], geometry: Geometry, site: Site, bare: Tensor
) -> float:
    """How far the logits move when head 0 of a site is muted, seen to act on its block alone."""
    with edit_proof.watched(geometry.sites, site, 0, 0.0) as faults:
        edited = logits_of(model, inputs)
    if faults:
        raise GeometryError(
            f"proof step 'edit' failed at {site.path}: head 0 was muted at the projection's input, and "
            f"{faults[0]}"
        )
    change = (edited - bare).abs().max().item()
    if not change > 0:
        raise GeometryError(
            f"proof step 'edit' failed at {site.path}: muting head 0 at the projection's input leaves "
            "every logit as it is; hooks do not reach this model's computation"
        )
    return change
