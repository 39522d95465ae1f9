"""The decoder's layers as a list, many rows through them, and how far two ways to the same numbers part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headscope.errors import ModelError
from headscope.models.vlm import VLM

_BANNED = 1e30


def decoder_layers(vlm: VLM) -> nn.ModuleList:
    """The list that holds the decoder's layers.

    Raises:
        ModelError: there is no one such list.
    """
    lists: dict[int, nn.ModuleList] = {}
    for site in vlm.geometry.sites:
        if site.tower != "decoder":
            continue
        module, found = vlm.model, None
        for name in site.path.split("."):
            if isinstance(module, nn.ModuleList) and name == str(site.layer) and found is None:
                found = module
            module = getattr(module, name)
        if found is None:
            raise ModelError(f"{site.path} stands in no list of layers")
        lists[id(found)] = found
    if len(lists) != 1:
        raise ModelError(f"the decoder's layers stand in {len(lists)} lists")
    return next(iter(lists.values()))


def difference(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, relative to the largest value; bans (the lowest number there is) are no values.

    Infinite where forms or bans differ, or where something is not a number.
    """
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return float("inf")
    if torch.equal(found, wanted):
        return 0.0
    if not wanted.is_floating_point() or wanted.isnan().any() or found.isnan().any():
        return float("inf")
    counted = wanted.abs() < _BANNED
    if not torch.equal(counted, found.abs() < _BANNED) or not counted.any():
        return float("inf")
    found, wanted = found[counted], wanted[counted]
    gap = float((found - wanted).abs().max() / wanted.abs().max())
    return gap if gap == gap else float("inf")


@contextmanager
def rows_aside(vlm: VLM) -> Iterator[None]:
    """While inside, what grows to many rows in a layer stays many for the layers, and one for the rest.

    Code between layers is written for the items that the model was given: DeepStack adds features of the
    picture at a mask of one row. It sees the first row alone; what it adds to that is added to every row. The
    last layer gives out all of them.

    Raises:
        ModelError: the decoder's layers stand in no one list.
    """
    layers = list(decoder_layers(vlm))
    held: list[tuple[Tensor, Tensor]] = []  # all rows, and the one that is shown

    def before(_m: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not held:
            return None
        rows, shown = held.pop()
        given = args[0] if args else kwargs["hidden_states"]
        if given is not shown:
            rows = rows + (given - shown)
        return ((rows, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": rows})

    def after(_m: Any, _args: Any, output: Any) -> Any:
        rows = output if isinstance(output, Tensor) else output[0]
        if rows.shape[0] == 1:
            return None
        held.append((rows, rows[:1]))
        return held[-1][1] if isinstance(output, Tensor) else (held[-1][1], *output[1:])

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_pre_hook(before, with_kwargs=True).remove)
        for layer in layers[:-1]:
            stack.callback(layer.register_forward_hook(after).remove)
        yield
