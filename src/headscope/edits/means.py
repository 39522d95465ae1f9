"""Reference vectors of heads: means of z for mean-muting, directions from wrong to right for steering."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.errors import EditError
from headscope.models.geometry import Head
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.progress import track


def head_means(
    vlm: VLM, batches: Iterable[Encoded], scope: str = "all", heads: Sequence[Head] | None = None
) -> NDArray[np.float64]:
    """Mean of z over the prompt positions of a scope (padding left out) of the given batches.

    This is what mean-muting at that scope wants: the mean over the very positions that it replaces.

    Args:
        scope: ``all``, ``image``, ``question`` or ``last``.
        heads: those whose layers are looked at; None: all.

    Returns:
        (head, width) over all heads, NaN beyond a width, and of layers that were not looked at.

    Raises:
        EditError: a layer that reads other positions than the prompt's; a scope without positions.
    """
    geometry = vlm.geometry
    looked = list(dict.fromkeys(geometry.site_of(h) for h in geometry.heads if heads is None or h in heads))
    total = np.full((len(geometry.heads), geometry.max_width), np.nan)
    sums: dict[Any, Tensor] = {}  # each on its own site's device until all is read
    masks: dict[torch.device, Tensor] = {}  # of the batch now being read, one for each device
    count = 0

    def collect(site: Any) -> Any:
        def hook(_module: Any, args: tuple[Any, ...]) -> None:
            z: Tensor = args[0]
            if z.shape[:2] != encoded.image.shape:
                raise EditError(
                    f"mean of heads: {site.path or site.tower} reads {tuple(z.shape[:-1])}, not the "
                    f"prompt's {tuple(encoded.image.shape)} (item, position), which means are taken over"
                )
            if z.device not in masks:
                masks[z.device] = where.to(z.device)[..., None]
            wide = torch.float32 if z.device.type == "mps" else torch.float64  # mps has no float64
            total = torch.where(masks[z.device], z, 0).to(wide).sum((0, 1))
            sums[site] = sums[site] + total if site in sums else total

        return hook

    with ExitStack() as stack, torch.no_grad():
        for site in looked:
            stack.callback(site.projection.register_forward_pre_hook(collect(site)).remove)
        for batch in track(list(batches), "mean of heads"):
            encoded = batch.to(vlm.device)
            masks.clear()
            where = _positions(encoded, scope)
            count += int(where.sum())
            vlm.model(**encoded.inputs)
    if not count:
        raise EditError(f"mean of heads: the prompts have no positions of scope {scope!r}")
    for site in looked:
        whole = sums.get(site, torch.zeros(site.width)).to("cpu", torch.float64)
        mean = (whole / max(count, 1)).view(site.n_heads, site.head_dim).numpy()
        for head in range(site.n_heads):
            row = geometry.index(type(geometry.heads[0])(site.layer, head, site.tower, site.site))
            total[row, : site.head_dim] = mean[head]
    return total


def _positions(encoded: Encoded, scope: str) -> Tensor:
    """(item, position) bool of a scope, padding left out."""
    real = encoded.inputs["attention_mask"].bool()
    if scope == "last":
        real = real & (torch.arange(real.shape[1], device=real.device) == real.shape[1] - 1)
    elif scope != "all":
        real = real & (encoded.image if scope == "image" else encoded.question)
    return real


@dataclass(frozen=True, eq=False)
class Direction:
    """From wrong answers to right ones, per head.

    ``vectors`` (head, width): unit direction times the head's typical norm of z, so that strength 1 adds as
    much as the head itself puts out; None where there are too few answers of one kind, with the ``reason``.
    """

    vectors: NDArray[np.float64] | None
    right: int
    wrong: int
    reason: str = ""


def steering_direction(
    z: NDArray[np.floating[Any]], correct: Sequence[bool] | NDArray[Any], least: int = 8
) -> Direction:
    """Mean of z over right answers minus mean over wrong ones, to unit length, times the mean norm of z.

    Args:
        z: (item, head, width), NaN beyond a head's width; items of ``fit`` only.
        correct: (item,) whether the answer was right.
        least: how many answers of each kind are needed.
    """
    right = np.asarray(correct, dtype=bool)
    n_right, n_wrong = int(right.sum()), int((~right).sum())
    if min(n_right, n_wrong) < least:
        return Direction(
            None, n_right, n_wrong, f"{n_right} right and {n_wrong} wrong answers; needs {least} of each"
        )
    values = np.nan_to_num(np.asarray(z, dtype=np.float64))
    difference = values[right].mean(0) - values[~right].mean(0)
    length = np.linalg.norm(difference, axis=-1, keepdims=True)
    typical = np.linalg.norm(values, axis=-1).mean(0)[:, None]
    unit = np.divide(difference, length, out=np.zeros_like(difference), where=length > 0)
    return Direction(unit * typical, n_right, n_wrong)
