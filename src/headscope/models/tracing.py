"""How heads are found where no name tells them: by what one forward does with what attention returns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.overrides import TorchFunctionMode

from headscope.errors import GeometryError
from headscope.models.attention import PRODUCTS, every_function
from headscope.models.geometry import Geometry, Site
from headscope.models.proofs.proof_steps import logits_of, prompt_ids
from headscope.models.structure import in_features, in_order, kind_of, left_out, refuse_doubles


class _Returned(NamedTuple):
    """What attention returned in one call: by which module, and the heads (item, position, head, width)."""

    path: str
    start: Tensor
    items: int
    positions: int
    heads: int
    width: int


class _Taken(NamedTuple):
    """A linear module that takes what attention returned."""

    path: str
    returned: _Returned


def trace_decoder(model: nn.Module, inputs: Mapping[str, Any]) -> Geometry:
    """Locate the decoder's heads by one forward, whatever its modules and their sizes are called.

    What the attention function returns, (item, position, head, width), tells number and width of the heads.
    In the forward it is made the start of a gradient's graph, and the first linear module whose input has
    that start and is as wide as all heads together is their projection. The decoder's attention is the one
    that reads the prompt's positions.

    Args:
        model: any transformers model.
        inputs: keyword arguments for one item.

    Raises:
        GeometryError: no such attention ran, or two claim one place.
    """
    wanted = tuple(prompt_ids(model, inputs).shape)
    taken: dict[
        str, _Taken
    ] = {}  # of a module that is called again, the first call: the proof will refuse it
    for one in _traced(model, inputs):
        if (one.returned.items, one.returned.positions) == wanted:
            taken.setdefault(one.path, one)
    if not taken:
        raise GeometryError(
            f"in a forward of {type(model).__name__} no attention over the prompt's {wanted} (item, "
            "position) was seen whose heads enter a linear module side by side"
        )
    modules = dict(model.named_modules())
    sites, places = [], []
    for order, one in enumerate(taken.values()):
        path = _shared(one.path, one.returned.path)
        listed, layer = _place(modules, path)
        places.append((listed, layer))
        number = layer if listed else order
        attention, heads, width = modules[path], one.returned.heads, one.returned.width
        projection = modules[one.path]
        sites.append(
            Site("decoder", number, kind_of(attention, path), heads, width, projection, attention, path)
        )
    refuse_doubles(type(model).__name__, sites)
    return Geometry(in_order(sites), tuple(left_out(model, places)))


def _shared(one: str, other: str) -> str:
    """The innermost module that holds both."""
    parts = []
    for a, b in zip(one.split("."), other.split("."), strict=False):
        if a != b:
            break
        parts.append(a)
    return ".".join(parts)


def _place(modules: Mapping[str, nn.Module], path: str) -> tuple[str, int]:
    """The outermost list of layers around a module, and its number there; an empty name if there is none."""
    parts = path.split(".")
    for end in range(len(parts)):
        listed = ".".join(parts[:end])
        if isinstance(modules[listed], (nn.ModuleList, nn.Sequential)):
            return listed, list(modules[listed]._modules).index(parts[end])
    return "", 0


def _traced(model: nn.Module, inputs: Mapping[str, Any]) -> list[_Taken]:
    """In the order of the calls: which linear modules take what attention returned."""
    names = {id(module): name for name, module in model.named_modules()}
    trace = _Trace(int(prompt_ids(model, inputs).shape[0]))

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        if id(module) in names:
            trace.running.append(names[id(module)])
            if args and isinstance(args[0], Tensor) and in_features(module) is not None:
                trace.take(names[id(module)], args[0])

    def leave(module: nn.Module, *_: Any) -> None:
        if id(module) in names:
            trace.running.pop()

    def called(module: nn.Module, output: Tensor) -> Tensor:
        if output.ndim != 4:
            return output
        items, positions, heads, width = output.shape
        return trace.give(output, names.get(id(module), ""), items, positions, heads, width)

    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.callback(module_hooks.register_module_forward_pre_hook(enter).remove)
        stack.callback(module_hooks.register_module_forward_hook(leave, always_call=True).remove)
        stack.enter_context(every_function(list(model.modules()), called, trace.inside))
        stack.enter_context(trace)
        logits_of(model, inputs)
    return trace.taken


class _Trace(TorchFunctionMode):
    """Follows what attention returns; in attention that asks no registry, what its products give."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = items
        self.inside: list[int] = []
        self.running: list[str] = []
        self.open: list[_Returned] = []
        self.taken: list[_Taken] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func not in PRODUCTS or self.inside or not self.running or not output.is_floating_point():
            return output
        shape = tuple(output.shape)
        if len(shape) == 3 and shape[0] % self.items == 0:  # items and heads in one axis
            shape = (self.items, shape[0] // self.items, *shape[1:])
        if len(shape) != 4:
            return output
        items, heads, positions, width = shape
        return self.give(output, self.running[-1], items, positions, heads, width)

    def give(self, output: Tensor, path: str, items: int, positions: int, heads: int, width: int) -> Tensor:
        """What attention returned, as the start of a graph of its own."""
        start = output.detach().clone().requires_grad_()
        self.open.append(_Returned(path, start, items, positions, heads, width))
        return start * 1  # no leaf, so that it may be changed in place

    def take(self, path: str, given: Tensor) -> None:
        """A linear module's input: whether it is made of what attention returned last."""
        for returned in reversed(self.open):
            fits = given.shape[-1] == returned.heads * returned.width
            if fits and given.numel() == returned.start.numel() and _made_of(given, returned.start):
                self.taken.append(_Taken(path, returned))
                self.open.clear()
                return


def _made_of(value: Tensor, start: Tensor) -> bool:
    """Whether a start of a graph is among what a value was computed from."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node, "variable", None) is start:
            return True
        waiting += [parent for parent, _ in node.next_functions]
    return False
