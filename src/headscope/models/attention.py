"""Inside the attention function: the heads' outputs before they are merged, with any kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from headscope.errors import GeometryError
from headscope.models.geometry import Site

Change = Callable[[Tensor], Tensor]

# Products with which an attention that does not go through the registry can sum values over keys.
PRODUCTS = frozenset(
    {
        torch.matmul,
        torch.bmm,
        torch.einsum,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.bmm,
        torch.nn.functional.scaled_dot_product_attention,
    }
)


@dataclass(frozen=True)
class OutputPoint:
    """Where the heads' outputs are taken hold of: transformers' registry, or the ``index``-th product."""

    name: str = "registry"
    index: int = 0

    def __str__(self) -> str:
        where = {"registry": "attention function", "product": "last product before the projection"}
        return where[self.name]


@contextmanager
def attention_function(site: Site, change: Change, point: OutputPoint | None = None) -> Iterator[None]:
    """Within, what the attention function returns for one attention module passes through ``change``.

    The function in use stays in use: it is wrapped in transformers' registry under its own name, and the
    registry is put back exactly as it was. At the point ``product``, the module computes attention by
    itself; the product that sums values over keys is taken then, seen as (item, position, head, width) too.

    Raises:
        GeometryError: it was not called exactly once in the block.
    """
    point = point or OutputPoint()
    calls: list[int] = []
    inside = (
        _registered(site, change, calls) if point.name == "registry" else _product(site, change, point, calls)
    )
    with inside:
        yield
    if len(calls) != 1:
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: the {point} was called {len(calls)} times in one "
            "forward of the layer; expected once"
        )


@contextmanager
def find_output_point(site: Site) -> Iterator[list[OutputPoint]]:
    """Within, one forward of the attention module tells which point reaches it; it stands in the list then.

    Raises:
        GeometryError: neither does.
    """
    found: list[OutputPoint] = []
    calls: list[int] = []
    seen = _Products(None, -1)
    at_projection: list[int] = []
    handle = site.projection.register_forward_pre_hook(lambda *_: at_projection.append(seen.count))
    try:
        with _registered(site, lambda output: output, calls), seen:
            yield found
    finally:
        handle.remove()
    products = at_projection[0] if at_projection else 0
    if not calls and not products:
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: {type(site.attention).__name__} does not take its "
            "attention function from transformers' registry and sums values over keys by no product that is "
            "known, so its heads cannot be proved; refused"
        )
    found.append(OutputPoint() if calls else OutputPoint("product", products - 1))


@contextmanager
def _registered(site: Site, change: Change, calls: list[int]) -> Iterator[None]:
    """Every function of the registry wrapped for this site's module."""
    own = set(map(id, site.attention.modules()))

    def changed(module: nn.Module, output: Tensor) -> Tensor:
        if id(module) not in own:
            return output
        calls.append(1)
        return change(output)

    with every_function(list(site.attention.modules()), changed):
        yield


@contextmanager
def every_function(
    modules: Sequence[nn.Module],
    change: Callable[[nn.Module, Tensor], Tensor],
    inside: list[int] | None = None,
) -> Iterator[None]:
    """Within, what any attention function of the modules' registries returns passes through ``change``.

    Args:
        modules: those whose files name the registries.
        change: given the module that called, and what was returned.
        inside: holds an entry while a function runs.
    """
    running: list[int] = [] if inside is None else inside
    files = {type(m).__module__ for m in modules}
    registries = {
        id(r): r
        for f in files
        if (r := getattr(sys.modules.get(f), "ALL_ATTENTION_FUNCTIONS", None)) is not None
    }

    def wrapper(plain: Any) -> Any:
        def wrapped(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            function = plain or sys.modules[type(module).__module__].eager_attention_forward
            running.append(1)
            try:
                output, *rest = function(module, *args, **kwargs)
            finally:
                running.pop()
            return (change(module, output), *rest)

        return wrapped

    before = {key: dict(r._local_mapping) for key, r in registries.items()}
    for registry in registries.values():
        plain = {name: registry.get(name) for name in (*registry.keys(), "eager")}
        for name, function in plain.items():
            registry._local_mapping[name] = wrapper(function)
    try:
        yield
    finally:
        for key, registry in registries.items():
            registry._local_mapping.clear()
            registry._local_mapping.update(before[key])


class _Products(TorchFunctionMode):
    """Counts products; passes one of them through ``change``."""

    def __init__(self, change: Change | None, index: int) -> None:
        super().__init__()
        self.change, self.index, self.count = change, index, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func not in PRODUCTS:
            return output
        self.count += 1
        if self.change is not None and self.count - 1 == self.index:
            return self.change(output)
        return output


@contextmanager
def _product(site: Site, change: Change, point: OutputPoint, calls: list[int]) -> Iterator[None]:
    """One product inside the attention's forward, heads second: (item, head, position, width)."""

    def turned(output: Tensor) -> Tensor:
        calls.append(1)
        if output.ndim == 3 and output.shape[0] % site.n_heads == 0:  # items and heads in one axis
            heads = output.unflatten(0, (-1, site.n_heads))
            return change(heads.transpose(1, 2)).transpose(1, 2).reshape(output.shape)
        return change(output.transpose(1, 2)).transpose(1, 2) if output.ndim == 4 else change(output)

    with _Products(turned, point.index):
        yield
