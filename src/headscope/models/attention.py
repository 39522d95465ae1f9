"""A hand inside the attention function: the heads' outputs before they are merged, with any kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.geometry import Site


@contextmanager
def attention_function(site: Site, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within, what the attention function returns for one attention module passes through ``change``.

    The function in use stays in use: it is wrapped in transformers' registry under its own name, and the
    registry is put back exactly as it was.
    """
    code = sys.modules[type(site.attention).__module__]
    registry = getattr(code, "ALL_ATTENTION_FUNCTIONS", None)
    config = getattr(site.attention, "config", None)
    name = getattr(config, "_attn_implementation", None) or "eager"
    if registry is None:
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: {type(site.attention).__name__} does not take its "
            "attention function from transformers' registry, so its heads cannot be proved; refused"
        )
    plain = registry.get(name, getattr(code, "eager_attention_forward", None))
    calls = 0

    def wrapped(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        output, *rest = plain(module, *args, **kwargs)
        if module is site.attention:
            calls += 1
            output = change(output)
        return (output, *rest)

    local = registry._local_mapping
    had, old = name in local, local.get(name)
    local[name] = wrapped
    try:
        yield
    finally:
        if had:
            local[name] = old
        else:
            del local[name]
    if calls != 1:
        raise GeometryError(
            f"proof step 'blocks' failed at {site.path}: the attention function was called {calls} times "
            "in one forward of the layer; expected once"
        )
