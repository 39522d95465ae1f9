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
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.progress import track


def head_means(vlm: VLM, batches: Iterable[Encoded]) -> NDArray[np.float64]:
    """Mean of z over all prompt positions (padding left out) of the given batches: (head, width), NaN beyond
    a width.

    This is what mean-muting at scope ``all`` wants: the mean over the very positions that it replaces.
    """
    geometry = vlm.geometry
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
                masks[z.device] = encoded.inputs["attention_mask"].bool().to(z.device)[..., None]
            wide = torch.float32 if z.device.type == "mps" else torch.float64  # mps has no float64
            total = torch.where(masks[z.device], z, 0).to(wide).sum((0, 1))
            sums[site] = sums[site] + total if site in sums else total

        return hook

    with ExitStack() as stack, torch.no_grad():
        for site in geometry.sites:
            stack.callback(site.projection.register_forward_pre_hook(collect(site)).remove)
        for batch in track(list(batches), "mean of heads"):
            encoded = batch.to(vlm.device)
            masks.clear()
            count += int(encoded.inputs["attention_mask"].bool().sum())
            vlm.model(**encoded.inputs)
    for site in geometry.sites:
        whole = sums.get(site, torch.zeros(site.width)).to("cpu", torch.float64)
        mean = (whole / max(count, 1)).view(site.n_heads, site.head_dim).numpy()
        for head in range(site.n_heads):
            row = geometry.index(type(geometry.heads[0])(site.layer, head, site.tower, site.site))
            total[row, : site.head_dim] = mean[head]
    return total


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
