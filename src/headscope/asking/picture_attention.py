"""Where in the picture heads look as the answer's first token is predicted: an array, and laid over it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from headscope import notebook
from headscope.errors import ModelError
from headscope.models.attention_rows import attention_row, registry_of, watch_attention
from headscope.models.geometry import Head, Heads, Site, heads_of
from headscope.models.types import Encoded, ImageGrid
from headscope.models.vlm import VLM

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float32]
_HEAT = (255, 48, 0)  # what the overlay is tinted with


@dataclass(frozen=True, eq=False, repr=False)
class PictureAttention:
    """How much heads attend to each place of a picture: what :meth:`headscope.Reading.attention` gives.

    Attributes:
        weights: (head, row, column) share of the head's attention at the last position of the prompt that
            falls on each cell, 0 to 1; what is missing to 1 falls on the text, or beside the picture. It has
            the coordinates ``head`` (label), and ``row`` and ``column``, the cells' middles in pixels.
        picture: what was asked about.
        area: x0, y0, x1, y1 that the cells cover, in pixels; beyond the picture where the model pads it.
    """

    weights: xr.DataArray
    picture: Image.Image
    area: tuple[float, float, float, float]

    def __repr__(self) -> str:
        shape = " x ".join(f"{size} {name}" for name, size in self.weights.sizes.items())
        return f"PictureAttention({shape})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the overlay, at most 320 pixels wide and high, and each head's share."""
        laid, data = self.overlay(), BytesIO()
        laid.thumbnail((320, 320))
        laid.save(data, "PNG")
        shares = self.weights.sum(("row", "column"))
        rows = [
            {"head": str(head), "share on the picture": float(share)}
            for head, share in zip(self.weights["head"].values, shares.values, strict=True)
        ]
        picture = base64.b64encode(data.getvalue()).decode()
        return f'<img alt="attention" src="data:image/png;base64,{picture}"/>{notebook.table(rows)}'

    def overlay(self, strength: float = 0.75) -> Image.Image:
        """The picture with the heads' mean attention in red; the cell attended to most has all of it.

        Args:
            strength: how much of the picture that cell covers, 0 to 1.

        Raises:
            ModelError: a strength outside 0 to 1.
        """
        if not 0 <= strength <= 1:
            raise ModelError(f"overlay: asked for strength {strength}; expected 0 to 1")
        mean = self.weights.values.mean(axis=0)
        share = mean / mean.max() if mean.max() > 0 else mean
        tint = Image.fromarray((255 * strength * share).round().astype(np.uint8))
        x0, y0, x1, y1 = self.area
        rows, columns = share.shape
        # Each pixel of the picture takes the tint of the cell that holds it; none beside the cells.
        across, down = (x1 - x0) / columns, (y1 - y0) / rows
        place = (1 / across, 0.0, -x0 / across, 0.0, 1 / down, -y0 / down)
        mask = tint.transform(self.picture.size, Image.Transform.AFFINE, place, Image.Resampling.NEAREST)
        return Image.composite(Image.new("RGB", self.picture.size, _HEAT), self.picture, mask)


@dataclass(frozen=True, eq=False)
class PromptAttention:
    """Attention of every head's last prompt row to the image tokens of one prompt.

    Attributes:
        heads: all of the model.
        weights: (head, image token), NaN of heads that were not seen.
        unseen: head -> why.
        grid: where the tokens lie in the picture.
        picture: the picture.
    """

    heads: tuple[Head, ...]
    weights: Floats
    unseen: dict[Head, str]
    grid: ImageGrid
    picture: Image.Image

    def over_picture(self, heads: Heads) -> PictureAttention:
        """These heads' attention over the picture.

        Raises:
            ModelError: no heads, one that the model does not have or whose attention was not seen, or it is
                not known where the image tokens lie.
        """
        import xarray as xr

        wanted = heads_of(heads)
        if not wanted:
            raise ModelError("attention: asked for no heads; name at least one, such as 'L3H5'")
        places = {head: i for i, head in enumerate(self.heads)}
        for head in wanted:
            if head not in places:
                span = f"{self.heads[0]} to {self.heads[-1]}"
                raise ModelError(f"attention: asked for head {head}; the model has {len(places)}, {span}")
            if head in self.unseen:
                raise ModelError(f"attention: asked for head {head}; {self.unseen[head]}")
        cells, area = on_cells(self.grid, self.weights[[places[h] for h in wanted]], self.picture.size)
        coords = {
            "head": [str(h) for h in wanted],
            "row": _middles(area[1], area[3], cells.shape[1]),
            "column": _middles(area[0], area[2], cells.shape[2]),
        }
        table = xr.DataArray(cells, coords, ("head", "row", "column"), "attention")
        return PictureAttention(table, self.picture, area)


def _middles(first: float, last: float, count: int) -> NDArray[np.float64]:
    return first + (np.arange(count) + 0.5) * (last - first) / count


def on_cells(
    grid: ImageGrid, weights: Floats, size: tuple[int, int]
) -> tuple[Floats, tuple[float, float, float, float]]:
    """Weights of image tokens as an even grid of cells, and the area that it covers.

    Tokens that form one grid are its cells. Where the model looks at several views of the picture, the cells
    are as small as its smallest tokens, and each token's weight is spread evenly over the cells that it
    shows; what it shows beside the picture is left out.

    Args:
        weights: (head, image token).
        size: width and height of the picture.

    Returns:
        (head, row, column) weights; x0, y0, x1, y1.

    Raises:
        ModelError: it is not known where the image tokens lie.
    """
    if grid.boxes is None:
        raise ModelError(f"attention over the picture: {grid.reason or 'no map of image tokens is known'}")
    boxes = grid.boxes.double().cpu().numpy()
    somewhere = np.isfinite(boxes).all(axis=1)
    boxes, weights = boxes[somewhere], weights[:, somewhere]
    if grid.shape is not None and grid.shape[0] * grid.shape[1] == len(boxes):
        (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
        return weights.reshape(len(weights), *grid.shape), (x0, y0, x1, y1)
    wide, high = (boxes[:, 2:] - boxes[:, :2]).min(axis=0)
    columns, rows = max(1, round(size[0] / wide)), max(1, round(size[1] / high))
    across = _overlaps(boxes[:, 0], boxes[:, 2], size[0], columns)
    down = _overlaps(boxes[:, 1], boxes[:, 3], size[1], rows)
    spread = np.einsum("ht,tr,tc->hrc", weights, down, across)
    return spread.astype(np.float32), (0.0, 0.0, float(size[0]), float(size[1]))


def _overlaps(
    first: NDArray[np.float64], last: NDArray[np.float64], length: int, count: int
) -> NDArray[np.float64]:
    """(token, cell) which share of a token's side lies in each of ``count`` even parts of ``length``."""
    ends = np.linspace(0, length, count + 1)
    shared = np.minimum(last[:, None], ends[1:]) - np.maximum(first[:, None], ends[:-1])
    return np.clip(shared, 0, None) / (last - first)[:, None]


@dataclass(eq=False)
class Watch:
    """Keeps what heads attend to at the end of a prompt; held while one prompt is read.

    Attributes:
        encoded: one prompt.
    """

    encoded: Encoded
    _rows: dict[Site, Tensor] = field(default_factory=dict)  # (head, image token), on the CPU
    _unseen: dict[Site, str] = field(default_factory=dict)

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """Watch this model until the block is left; what it says does not change."""
        sites: dict[int, Site] = {}
        for site in vlm.geometry.sites:
            reason = self._why_not(site)
            if reason:
                self._unseen[site] = reason
            else:
                sites[id(site.attention)] = site
        image = self.encoded.image[0].cpu()

        def look(
            module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, kwargs: dict[str, Any]
        ) -> None:
            site = sites.get(id(module))
            if site is None or site in self._rows or query.shape[2] < self.encoded.length:
                return
            try:
                row = attention_row(module, query, key, mask, kwargs, self.encoded.length - 1)
            except ModelError as exc:
                self._unseen[site] = str(exc)
                return
            self._rows[site] = row[0, :, : self.encoded.length].cpu()[:, image]

        with watch_attention(list(sites.values()), look):
            yield

    def _why_not(self, site: Site) -> str:
        if site.tower != "decoder" or site.site != "self" or self.encoded.apart:
            return "its attention is not over the positions of a prompt that holds the picture"
        if registry_of(site) is None:
            return (
                f"{type(site.attention).__name__} computes attention by itself, not by a kernel of "
                "transformers' registry, so that its weights are not seen"
            )
        return ""

    def found(self, vlm: VLM, picture: Image.Image) -> PromptAttention:
        """What was seen, once the prompt has been read."""
        geometry, tokens = vlm.geometry, int(self.encoded.image[0].sum())
        weights = np.full((len(geometry.heads), tokens), np.nan, dtype=np.float32)
        unseen: dict[Head, str] = {}
        for site in geometry.sites:
            if site in self._rows:
                weights[geometry.slice_of(site)] = self._rows[site].to(torch.float32).numpy()
                continue
            reason = self._unseen.get(site, "its layer did not read the prompt's last position with the rest")
            unseen |= dict.fromkeys(site.heads, reason)
        return PromptAttention(geometry.heads, weights, unseen, self.encoded.grids[0], picture.copy())
