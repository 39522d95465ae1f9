"""Pictures with pages of dialogue: the layout that makes a training step cheap, and its attention.

A row holds the picture's tokens and a number of pages of equal length. A page sees the picture and itself, so
attention is computed page by page instead of over the whole row, in float32 also where the rest is bfloat16
(the CPU's kernel is slower in bfloat16 than in float32, its matrix products are four times faster).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AttentionInterface

from embedded_training.architecture import Size
from embedded_training.episodes import Block
from embedded_training.packing import IGNORE, Packer, pixels_of
from headscope.making.scenes.scene import Scene

PAGED = "paged"
Row = tuple[Scene, list[list[Block]]]  # a picture and, per page, its blocks


def paged_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of (item, head, position, width) queries, as transformers calls it.

    ``attention_mask``: (item x page, 1, position in page, picture + position in page) float32 to add; without
    one, as in the tower, every position sees every other.
    """
    groups = query.shape[1] // key.shape[1]
    with torch.autocast(query.device.type, enabled=False):
        query, key, value = query.float(), key.float(), value.float()
        if groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        if attention_mask is None:
            out = functional.scaled_dot_product_attention(query, key, value, scale=scaling)
            return out.transpose(1, 2), None
        page = attention_mask.shape[2]
        picture = attention_mask.shape[3] - page
        number = (query.shape[2] - picture) // page
        first = functional.scaled_dot_product_attention(
            query[:, :, :picture], key[:, :, :picture], value[:, :, :picture], is_causal=True, scale=scaling
        )

        def pages(x: torch.Tensor, with_picture: bool) -> torch.Tensor:
            item, head, _, width = x.shape
            cut = x[:, :, picture:].reshape(item, head, number, page, width)
            if with_picture:
                seen = x[:, :, None, :picture].expand(item, head, number, picture, width)
                cut = torch.cat([seen, cut], 3)
            return cut.transpose(1, 2).flatten(0, 1)

        rest = functional.scaled_dot_product_attention(
            pages(query, False), pages(key, True), pages(value, True), attn_mask=attention_mask, scale=scaling
        )
        item, head, _, width = query.shape
        rest = rest.reshape(item, number, head, page, width).transpose(1, 2).reshape(item, head, -1, width)
        return torch.cat([first, rest], 2).transpose(1, 2), None


AttentionInterface.register(PAGED, paged_attention)


@dataclass
class Pages:
    """One training batch.

    pixels: (item, channel, y, x) float32; ids, positions, targets, first: (item, position) int64 as in
    :class:`embedded_training.packing.Packed`; block: (item, page, position in page) int64, 0 where empty.
    """

    pixels: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    first: torch.Tensor
    block: torch.Tensor
    tags: list[str] = field(kw_only=True)

    def mask(self) -> torch.Tensor:
        """(item x page, 1, query, key) float32 to add: a block sees the picture and, causally, itself."""
        item, number, page = self.block.shape
        picture = self.ids.shape[1] - number * page
        order = torch.arange(page, device=self.block.device)
        own = (order[None, :] <= order[:, None]) & (self.block[..., :, None] == self.block[..., None, :])
        seen = torch.ones((item, number, page, picture), dtype=torch.bool, device=self.block.device)
        allowed = torch.cat([seen, own], -1).flatten(0, 1)
        blocked = torch.full((), torch.finfo(torch.float32).min, device=self.block.device)
        return torch.where(allowed, torch.zeros((), device=self.block.device), blocked)[:, None]

    def to(self, device: str) -> Pages:
        """The same batch elsewhere."""
        names = ("pixels", "ids", "positions", "targets", "first", "block")
        return Pages(*(getattr(self, n).to(device) for n in names), tags=self.tags)


class Paginator:
    """Lays rows out as tensors for a model of a size."""

    def __init__(self, tokenizer: Any, size: Size, pages: int, page: int) -> None:
        self.size, self.pages, self.page = size, pages, page
        self.packer = Packer(tokenizer, page)

    def length(self, block: Block) -> int:
        """Tokens of a block."""
        return len(self.packer.block(block)[0])

    def lay(self, rows: list[Row]) -> Pages:
        """Tensors of some rows; every page has to fit."""
        packer, picture = self.packer, 1 + self.size.image_tokens
        shape = (len(rows), picture + self.pages * self.page)
        ids = np.full(shape, packer.pad)
        positions = np.zeros(shape, np.int64)
        targets, first = np.full(shape, IGNORE), np.full(shape, -1)
        block = np.zeros((len(rows), self.pages, self.page), np.int64)
        ids[:, :picture] = [packer.user] + [packer.image] * self.size.image_tokens
        positions[:, :picture] = np.arange(picture)
        for i, (_, pages) in enumerate(rows):
            for number, blocks in enumerate(pages):
                at = picture + number * self.page
                for which, turns in enumerate(blocks, 1):
                    tokens, wanted, tags = packer.block(turns)
                    end = at + len(tokens)
                    if end > picture + (number + 1) * self.page:
                        raise ValueError(f"page {number} of row {i} does not fit")
                    ids[i, at:end], targets[i, at:end], first[i, at:end] = tokens, wanted, tags
                    positions[i, at:end] = picture + np.arange(len(tokens))
                    inside = at - picture - number * self.page
                    block[i, number, inside : inside + len(tokens)] = which
                    at = end
        tensors = [torch.from_numpy(a) for a in (ids, positions, targets, first, block)]
        pixels = pixels_of([scene for scene, _ in rows], self.size.side)
        return Pages(pixels, *tensors, tags=list(packer.tags))
