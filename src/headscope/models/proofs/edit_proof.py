"""Edits as hooks make them, and the exact check that one acts where it should and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.geometry import Site


@contextmanager
def scaled(site: Site, factors: Mapping[int, float]) -> Iterator[None]:
    """Within, heads of a site are multiplied at the projection's input, as edits do it."""

    def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        z = args[0].clone()
        for head, factor in factors.items():
            z[..., site.block(head)] *= factor
        return (z, *args[1:])

    handle = site.projection.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def watched(sites: Sequence[Site], site: Site, head: int, factor: float) -> Iterator[list[str]]:
    """Within, a head is scaled, and at every call of every site z after the hook is held against z before.

    At ``site`` the head's block has to be its multiple and all else the same bits; elsewhere every bit is the
    same. No rounding comes in, so this is as sharp in any number format and at any depth.

    Yields:
        What does not fit, in words, as it is found.
    """
    faults: list[str] = []
    before: dict[int, Tensor] = {}

    def keep(at: Site) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...]) -> None:
            before[id(at)] = args[0]

        return hook

    def check(at: Site) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...]) -> None:
            wanted, found = before.pop(id(at)), args[0]
            if at is site:
                wanted = wanted.clone()
                wanted[..., site.block(head)] *= factor
            if found is not wanted and not torch.equal(found, wanted):
                faults.append(_fault(at, wanted, found, site))

        return hook

    with ExitStack() as stack:
        for at in sites:
            stack.callback(at.projection.register_forward_pre_hook(keep(at)).remove)
        stack.enter_context(scaled(site, {head: factor}))
        for at in sites:
            stack.callback(at.projection.register_forward_pre_hook(check(at)).remove)
        yield faults


def _fault(at: Site, wanted: Tensor, found: Tensor, site: Site) -> str:
    if at is not site:
        return f"{at.path}, which is not under the edit, is changed"
    if found.shape != wanted.shape:
        return f"z is {tuple(found.shape)} after the hook, {tuple(wanted.shape)} before"
    shape = (*found.shape[:-1], at.n_heads, at.head_dim)
    wrong = (found != wanted).view(shape).flatten(0, -3).any(dim=-1).any(dim=0)
    heads = torch.nonzero(wrong).flatten().tolist()
    positions = found.shape[-2]
    return f"in a call over {positions} positions, heads {heads} are not what the edit makes of them"
