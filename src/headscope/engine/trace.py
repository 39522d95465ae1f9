"""A clean run, with everything that a replay of the decoder's layers needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from headscope.engine.decoder import decoder_layers, difference
from headscope.engine.shared_prefix import TOLERANCE, last_position
from headscope.errors import ModelError
from headscope.models.answering.generation import Prefill, generate
from headscope.models.geometry import Site
from headscope.models.types import Encoded
from headscope.models.vlm import VLM

_TAILS: WeakKeyDictionary[Any, Tail] = WeakKeyDictionary()


@dataclass(eq=False)
class Call:
    """One decoder layer's call in the clean run.

    Attributes:
        inputs, output: (1, position, width) residual stream before and after the layer.
        between: what the model adds to it before the next layer (deep-stacked features), None if nothing.
        z: (1, position, heads * width) input of the projection of ``site``; in the last layer of a trimmed
            run z and ``attended`` have the last position alone, and only there ``output`` holds.
        attended: (1, position, width) the attention's output, where it is the projection's, bit for bit.
        wrap: puts a tensor in the place of ``attended`` into what the attention module returns.
    """

    layer: nn.Module
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: Any = None
    output: Any = None
    between: Tensor | None = None
    site: Site | None = None
    z: Any = None
    attended: Tensor | None = None
    wrap: Callable[[Tensor], Any] | None = None


@dataclass(eq=False)
class Tail:
    """What follows the last layer: modules in a row, then what is done to their output to give logits."""

    modules: list[nn.Module]
    after: Callable[[Tensor], Tensor]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocabulary) of (..., width) outputs of the last layer."""
        for module in self.modules:
            hidden = module(hidden)
        return self.after(hidden)


@dataclass(eq=False)
class Trace:
    """A clean run: the layers' calls in order, the tail, and what the prompt left behind."""

    calls: list[Call]
    tail: Tail
    prefill: Prefill
    encoded: Encoded

    @property
    def length(self) -> int:
        """Positions of the prompt."""
        return self.encoded.length


def first_tensor(output: Any, items: int = 1) -> Tensor:
    """The residual stream of so many prompts among what a layer returns."""
    value = output if isinstance(output, Tensor) else output[0]
    if not isinstance(value, Tensor) or value.ndim != 3 or value.shape[0] != items:
        raise ModelError(f"a layer returns no residual stream of {items} prompts")
    return value


def run_clean(vlm: VLM, encoded: Encoded, trimmed: bool = False) -> Trace:
    """Read one prompt as generation reads it and keep what a replay needs.

    Args:
        trimmed: of the last layer compute the last position alone behind the attention.

    Raises:
        ModelError: more than one prompt, or a decoder whose layers are not called once each, in order.
    """
    if encoded.items != 1:
        raise ModelError(f"a replay takes one prompt; found {encoded.items}")
    return run_prompts(vlm, encoded, trimmed)


def run_prompts(vlm: VLM, encoded: Encoded, trimmed: bool = False) -> Trace:
    """:func:`run_clean` of several prompts, none padded; what it keeps has an item for each.

    Raises:
        ModelError: a decoder that does not read the prompt, or does not call its layers once each, in order.
    """
    if encoded.apart:
        raise ModelError("a replay takes prompts of a model whose decoder reads them")
    encoded = encoded.to(vlm.device)
    layers = decoder_layers(vlm)
    calls = [Call(layer) for layer in layers]
    _place_sites(vlm, calls)
    order: list[int] = []
    with ExitStack() as stack:
        for i, call in enumerate(calls):
            stack.enter_context(_watched(call, i, order, encoded.items))
        watch = None if vlm in _TAILS else stack.enter_context(_watched_tail(vlm, layers, calls[-1]))
        with vlm.reading(encoded), torch.no_grad(), last_position(vlm) if trimmed else nullcontext():
            _, prefill = generate(vlm, encoded, 1)
    if order != list(range(len(calls))):
        raise ModelError("the decoder does not call its layers once each, in order")
    for call, after in pairwise(calls):
        if after.inputs is not call.output and not torch.equal(after.inputs, call.output):
            call.between = after.inputs - call.output
    if watch is not None:
        assert prefill.logits is not None
        _TAILS[vlm] = _tail(vlm, watch, calls[-1].output, prefill.logits)
    return Trace(calls, _TAILS[vlm], prefill, encoded)


def _place_sites(vlm: VLM, calls: Sequence[Call]) -> None:
    doubled = set()
    for site in vlm.geometry.sites:
        if site.tower == "decoder":
            if calls[site.layer].site is not None:
                doubled.add(site.layer)
            calls[site.layer].site = site
    if doubled:
        raise ModelError(f"layer {min(doubled)} holds more than one attention")


@contextmanager
def _watched(call: Call, number: int, order: list[int], items: int) -> Iterator[None]:
    made: list[Any] = []

    def before(_m: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        order.append(number)
        call.args, call.kwargs = args, dict(kwargs)
        call.inputs = args[0] if args else kwargs["hidden_states"]
        first_tensor(call.inputs, items)

    def after(_m: Any, _a: Any, output: Any) -> None:
        call.output = first_tensor(output, items)

    def projected(_m: Any, args: tuple[Any, ...], output: Any) -> None:
        call.z = args[0]
        made.append(output)

    def attended(_m: Any, _a: Any, output: Any) -> None:
        values = output if isinstance(output, tuple) else (output,)
        same = [i for i, v in enumerate(values) if made and _same(v, made[-1])]
        if len(made) == 1 and same[:1] == [0]:
            call.attended = values[0]
            rest = tuple(None if isinstance(v, Tensor) else v for v in values[1:])
            call.wrap = (lambda t: (t, *rest)) if isinstance(output, tuple) else (lambda t: t)

    handles = [
        call.layer.register_forward_pre_hook(before, with_kwargs=True),
        call.layer.register_forward_hook(after),
    ]
    if call.site is not None:
        handles += [
            call.site.projection.register_forward_hook(projected),
            call.site.attention.register_forward_hook(attended),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same(value: Any, other: Any) -> bool:
    if not isinstance(value, Tensor) or not isinstance(other, Tensor):
        return False
    return value is other or (value.shape == other.shape and torch.equal(value, other))


@contextmanager
def _watched_tail(vlm: VLM, layers: nn.ModuleList, last: Call) -> Iterator[list[tuple[nn.Module, Any, Any]]]:
    """Every module that ends after the last layer has, with its first input and its output."""
    inside = {id(m) for m in layers.modules()}
    seen: list[tuple[nn.Module, Any, Any]] = []

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if last.output is not None and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            seen.append((module, args[0], output))

    handles = [m.register_forward_hook(after) for m in vlm.model.modules() if id(m) not in inside]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _tail(vlm: VLM, seen: Sequence[tuple[nn.Module, Any, Any]], hidden: Tensor, logits: Tensor) -> Tail:
    modules = []
    for module, given, output in seen:
        if given.ndim == 3 and _same(given, hidden[:, -given.shape[1] :]):
            modules.append(module)
            hidden = output
    if hidden.ndim == 3 and hidden.shape[-1] == logits.shape[-1]:
        # The nearest, not the first within rounding: small logits hardly feel a cap, and other prompts do.
        after = min(_afters(vlm.config), key=lambda f: difference(f(hidden[:, -1]).to(logits.dtype), logits))
        if difference(after(hidden[:, -1]).to(logits.dtype), logits) <= TOLERANCE.get(logits.dtype, 3e-2):
            return Tail(modules, after)
    raise ModelError("what follows the last layer is more than modules in a row")


def _afters(config: Any) -> Iterator[Callable[[Tensor], Tensor]]:
    """What families do to the head's output, by their configuration's names."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    yield lambda x: x
    cap = getattr(text, "final_logit_softcapping", None)
    if cap:
        yield lambda x: torch.tanh(x / cap) * cap
    for name in ("logit_scale", "logits_scaling", "lm_head_multiplier"):
        scale = getattr(text, name, None)
        if scale:
            yield partial(torch.mul, other=scale)
            yield partial(torch.div, other=scale)
