"""Do heads wake? What each head writes into the stream, and how much it attends to the named objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headscope.errors import ModelError
from headscope.models.attention_rows import attention_row, watch_attention
from headscope.models.geometry import Geometry, Site, has_plain_matrix
from headscope.models.loading import input_device
from headscope.models.types import Encoded, ImageGrid
from headscope.models.vlm import VLM
from headscope.pointing.regions import Box

Floats = NDArray[np.float64]
_SHARE = 0.25  # an image token belongs to an object if the object's box covers this much of it


class ContributionNorms:
    """Length of what each head writes into the residual stream: ||z_h W_h|| per (item, head).

    W_h is head h's block of columns of the output projection. Unlike ||z_h|| this counts only what passes the
    projection; the projection's bias belongs to no head and is left out. Each projection is read once, on its
    own device, and kept as the triangular factor R of W_h = Q R: ||W_h z|| is ||R z||, in float64.

    Args:
        geometry: the model's heads.

    Example:
        ``norms = ContributionNorms(vlm.geometry)``, then ``norms(z)`` for every batch.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self._factors = [_factors(site) for site in geometry.sites]

    def __call__(self, z: NDArray[np.floating[Any]]) -> Floats:
        """Norms of one batch.

        Args:
            z: (item, head, width) outputs of the heads before the projection, NaN beyond a head's own width.

        Returns:
            (item, head) Euclidean norms, float64.
        """
        norms = np.zeros(z.shape[:2])
        for site, factors in zip(self.geometry.sites, self._factors, strict=True):
            heads = self.geometry.slice_of(site)
            own = np.asarray(z[:, heads, : site.head_dim], dtype=np.float64)
            written = own.transpose(1, 0, 2) @ factors.transpose(0, 2, 1)  # (head, item, rank)
            norms[:, heads] = np.linalg.norm(written, axis=2).T
        return norms


def _factors(site: Site) -> Floats:
    """(head, rank, width) R of each head's block of the output projection."""
    weight = _weight(site)
    # Of one head at a time: a large projection in float64 might not fit beside the model.
    blocks = (weight[:, site.block(h)] for h in range(site.n_heads))
    made = [torch.linalg.qr(_precise(block), mode="r").R.cpu() for block in blocks]
    return np.asarray(torch.stack(made).numpy(), dtype=np.float64)


def _precise(block: Tensor) -> Tensor:
    """In float64, where its device has it, else on the CPU."""
    return block.cpu().double() if block.device.type == "mps" else block.double()


def _weight(site: Site) -> Tensor:
    """The output projection as a matrix (out, in), whatever class it is."""
    projection = site.projection
    weight: Tensor | None = None
    if isinstance(projection, nn.Linear) and has_plain_matrix(projection) and not projection.weight.is_meta:
        weight = projection.weight
    if weight is None:
        # Quantised, transposed or offloaded projections: their answer to unit vectors.
        other = next(projection.parameters(), torch.empty(0))
        dtype = other.dtype if other.is_floating_point() else torch.float32
        device = input_device(projection)
        eye = torch.eye(site.width, device=device, dtype=dtype)
        with torch.no_grad():
            weight = (projection(eye) - projection(torch.zeros_like(eye[:1]))).T
    return weight.detach()


def object_tokens(grid: ImageGrid, boxes: Sequence[Box], picture: int = 0) -> NDArray[np.bool_]:
    """Image tokens that show the boxes: bool (image token,).

    A token counts if boxes cover at least a quarter of its rectangle; of a box that covers no token so far (a
    small thing), the token that it covers most counts.

    Args:
        picture: number of the prompt's picture that the boxes lie in, from 0.

    Raises:
        ModelError: it is not known where the model's image tokens lie in the picture.
    """
    if grid.boxes is None:
        raise ModelError(f"asked which image tokens show a box; {grid.reason or 'the map is not known'}")
    rects = np.nan_to_num(grid.boxes.double().cpu().numpy())
    if (mine := grid.of(picture)) is not None:
        rects = np.where(mine.cpu().numpy()[:, None], rects, 0.0)
    size = (rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1])
    found = np.zeros(len(rects), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        wide = np.minimum(rects[:, 2], x1) - np.maximum(rects[:, 0], x0)
        high = np.minimum(rects[:, 3], y1) - np.maximum(rects[:, 1], y0)
        shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
        mine = (shared >= _SHARE * size) & (shared > 0)
        if not mine.any() and shared.max(initial=0.0) > 0:
            mine[shared.argmax()] = True
        found |= mine
    return found


def token_positions(
    encoded: Encoded, boxes: Sequence[Sequence[Box]], pictures: Sequence[Sequence[int]] | None = None
) -> Tensor:
    """Prompt positions of the image tokens that show each item's boxes: bool (item, position).

    Args:
        pictures: for each box the number of the prompt's picture that it lies in; None: the first.
    """
    targets = torch.zeros_like(encoded.image)
    for i, (grid, mine) in enumerate(zip(encoded.grids, boxes, strict=True)):
        if mine:
            where = torch.nonzero(encoded.image[i]).squeeze(1)
            places = pictures[i] if pictures is not None else (0,) * len(mine)
            for number in dict.fromkeys(places):
                there = [box for box, place in zip(mine, places, strict=True) if place == number]
                shown = torch.from_numpy(object_tokens(grid, there, number)).to(targets.device)
                targets[i, where] |= shown
    return targets


@dataclass
class AttentionMass:
    """Attention of the last prompt position.

    Attributes:
        sums: target name -> (item, head) share of that row's attention that falls on the target, 0 to 1.
    """

    sums: dict[str, Floats] = field(default_factory=dict)


@contextmanager
def attention_to(vlm: VLM, encoded: Encoded, targets: Mapping[str, Tensor]) -> Iterator[AttentionMass]:
    """While inside, sum each head's last-prompt-row attention over sets of positions.

    The model keeps its own attention kernel: queries and keys are read on their way into it (after rotary
    embedding and cache), and softmax(q k^T * scaling + mask) is recomputed for the one row that predicts the
    first answer token. Later forwards (answer tokens, choices) pass untouched.

    Args:
        vlm: the model.
        encoded: the batch that is going to be read.
        targets: name -> bool (item, position) over the prompt.

    Yields:
        The mass, filled when the block is left; heads whose layer was never called hold NaN.

    Raises:
        ModelError: the model's attention adds terms that this recomputation does not know.
    """
    geometry = vlm.geometry
    places = {id(site.attention): geometry.slice_of(site) for site in geometry.sites}
    weights: dict[torch.device, dict[str, Tensor]] = {}  # one set for each device that holds layers
    seen: dict[tuple[str, int], tuple[slice, Tensor]] = {}  # left on their device until the block ends

    def look(
        module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, kwargs: dict[str, Any]
    ) -> None:
        heads = places.get(id(module))
        if heads is None or query.shape[2] < encoded.length or query.shape[0] != encoded.items:
            return
        try:
            row = attention_row(module, query, key, mask, kwargs, encoded.length - 1)
        except ModelError as exc:
            raise ModelError(f"{exc}; use WakeSettings(attention=False)") from exc
        if row.device not in weights:
            weights[row.device] = {name: t.to(row.device, torch.float32) for name, t in targets.items()}
        for name, weight in weights[row.device].items():
            summed = torch.einsum("ihp,ip->ih", row[..., : encoded.length], weight)
            seen[name, heads.start] = heads, summed

    shape = (encoded.items, len(geometry.heads))
    mass = AttentionMass({name: np.full(shape, np.nan) for name in targets})
    with watch_attention(geometry.sites, look):
        yield mass
    for (name, _), (heads, summed) in seen.items():
        mass.sums[name][:, heads] = summed.double().cpu().numpy()
