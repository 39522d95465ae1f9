"""How edits act: factors and offsets compiled per projection, and the forward pre-hooks that apply them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.errors import EditError
from headscope.models.geometry import Geometry, Head, Site
from headscope.models.vlm import VLM

Pair = tuple[NDArray[np.float32], NDArray[np.float32] | None]


class Affine(Protocol):
    """What happens to a head's z: ``factor * z + block``."""

    @property
    def factor(self) -> float:
        """What z is multiplied by."""
        ...

    def block(self, geometry: Geometry, head: Head, width: int) -> NDArray[np.float32] | None:
        """What is added, (width,); None if nothing is."""
        ...


class Change(Protocol):
    """Heads and what happens to them: :class:`headscope.edits.edits.Edit`."""

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads."""
        ...

    @property
    def what(self) -> Affine:
        """What happens to each."""
        ...


def compile_edit(geometry: Geometry, change: Change) -> dict[Site, Pair]:
    """Per touched site: factor (n_heads * head_dim,) and offset of the same shape, or None."""
    made: dict[Site, Pair] = {}
    known = set(geometry.heads)
    for head in change.heads:
        if head not in known:
            raise EditError(
                f"edit: this model has no head {head}; it has {len(known)} heads, "
                f"{geometry.heads[0]} to {geometry.heads[-1]}"
            )
        site = geometry.site_of(head)
        width = site.n_heads * site.head_dim
        factor, offset = made.get(site) or (np.ones(width, np.float32), None)
        block = slice(head.head * site.head_dim, (head.head + 1) * site.head_dim)
        factor[block] = change.what.factor
        vector = change.what.block(geometry, head, site.head_dim)
        if vector is not None:
            offset = np.zeros(width, np.float32) if offset is None else offset
            offset[block] = vector
        made[site] = (factor, offset)
    return made


def stack(compiled: list[dict[Site, Pair]], site: Site) -> Pair:
    """(edit, n_heads * head_dim) factors and offsets of one site."""
    width = site.n_heads * site.head_dim
    neutral: Pair = (np.ones(width, np.float32), None)
    pairs = [one.get(site, neutral) for one in compiled]
    factor = np.stack([p[0] for p in pairs])
    if all(p[1] is None for p in pairs):
        return factor, None
    return factor, np.stack([np.zeros(width, np.float32) if p[1] is None else p[1] for p in pairs])


@dataclass(eq=False)
class Plan:
    """Factors and offsets of one site: (width,) for all, or (edit, width) and ``which`` edit per item.

    ``one_prompt``: a forward over a single row becomes one over a row per item here
    (:mod:`headscope.engine.shared_prefix`).
    """

    site: Site
    factor: NDArray[np.float32]
    offset: NDArray[np.float32] | None
    which: Tensor | None = None
    one_prompt: bool = False


@contextmanager
def hooked(vlm: VLM, plans: list[Plan], scope: str) -> Iterator[None]:
    for plan in plans:
        if plan.site.tower != "decoder" and (scope != "all" or plan.which is not None):
            raise EditError(
                f"edit: heads of the {plan.site.tower} tower see patches, not the prompt's tokens, and no "
                "items of a batch; only scope 'all', the same for every item, is defined there"
            )
    with ExitStack() as stack:
        for plan in plans:
            handle = plan.site.projection.register_forward_pre_hook(_hook(vlm, plan, scope))
            stack.callback(handle.remove)
        yield


def only_this_thread(vlm: VLM) -> Callable[[], None]:
    """A check, for hooks, that the model runs in the thread that opened the edit.

    Raises:
        EditError: when checked in another thread.
    """
    opener = get_ident()

    def check() -> None:
        if get_ident() != opener:
            raise EditError(
                f"{vlm.name}: asked to run while an edit of it is open in another thread; leave the edit "
                "first, run the model in the thread that opened it, or load it once for each thread"
            )

    return check


def _hook(vlm: VLM, plan: Plan, scope: str) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]:
    factor_on: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor | None]] = {}
    which_on: dict[tuple[torch.device, int], Tensor] = {}
    refuse_others = only_this_thread(vlm)

    def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        refuse_others()
        z: Tensor = args[0]
        kind = (z.device, z.dtype)
        if kind not in factor_on:
            factor = torch.from_numpy(plan.factor).to(*kind)
            factor_on[kind] = (
                factor,
                None if plan.offset is None else torch.from_numpy(plan.offset).to(*kind),
            )
        factor, offset = factor_on[kind]
        if plan.which is not None:
            rows = _rows(vlm, plan, z)
            which = which_on.get((z.device, len(rows)))
            if which is None:
                which = which_on[z.device, len(rows)] = plan.which[rows].to(z.device)
            shape = (len(rows), *[1] * (z.ndim - 2), z.shape[-1])
            factor = factor[which].view(shape)
            offset = None if offset is None else offset[which].view(shape)
        edited = z * factor if offset is None else torch.addcmul(offset, z, factor)
        if scope != "all":
            edited = torch.where(_mask(vlm, scope, z)[..., None], edited, z)
        return (edited, *args[1:])

    return hook


def _rows(vlm: VLM, plan: Plan, z: Tensor) -> Tensor:
    """Which item of the batch each row of z belongs to, (row,): items may be repeated in a row (choices)."""
    assert plan.which is not None
    items, held = len(plan.which), vlm.frame.encoded.items if vlm.frame is not None else None
    if plan.one_prompt and held == 1 and z.shape[0] in (1, items):
        return torch.arange(items)
    times, rest = divmod(z.shape[0], items)
    if rest or not times or held not in (None, items):
        raise EditError(
            f"per-item edit: {items} edits were given for a forward over {z.shape[0]} rows; give one edit "
            "per item"
        )
    return torch.arange(items).repeat_interleave(times)


def _mask(vlm: VLM, scope: str, z: Tensor) -> Tensor:
    """Positions that the scope touches, (item, position)."""
    if vlm.frame is None:
        raise EditError(
            f"edit: scope {scope!r} needs to know where the tokens of image, question and answer are; run "
            "the model inside `with vlm.reading(encoded):`, or use scope 'all'"
        )
    mask: Tensor = vlm.frame.scope_mask(scope, z.shape[1], z.shape[0], z.device)
    return mask
