"""Turns episodes into tensors: pictures, packed blocks, answer positions, and dense patch labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from embedded_training.architecture import EMBEDDED_1, IMAGE_TOKENS, SIDE
from embedded_training.episodes import Block
from headscope.making.scenes.kinds import COLOURS, KINDS, LETTERS, SIZES
from headscope.making.scenes.scene import SIDE as SCENE_SIDE
from headscope.making.scenes.scene import Scene

DENSE = {"kind": len(KINDS) + 1, "colour": len(COLOURS), "size": 2, "facing": 2, "letter": len(LETTERS)}
IGNORE = -100


@dataclass
class Packed:
    """One training batch.

    ids, positions, block: (item, position) int64; pixels: (item, channel, y, x) float32 in [-1, 1];
    targets: (item, position) int64, the next token where it belongs to an answer, else -100;
    first: (item, position) int64, which of ``tags`` an answer has, where its first token is due; else -1.
    """

    pixels: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    block: torch.Tensor
    targets: torch.Tensor
    first: torch.Tensor
    tags: list[str] = field(kw_only=True)

    def mask(self) -> torch.Tensor:
        """(item, 1, query, key) float32 to add: causal, each block seeing the picture and itself only."""
        order = torch.arange(self.ids.shape[1])
        causal = order[None, :] <= order[:, None]
        same = self.block[:, :, None] == self.block[:, None, :]
        allowed = causal & (same | (self.block[:, None, :] == 0))
        blocked = torch.full((), torch.finfo(torch.float32).min)
        return torch.where(allowed, torch.zeros(()), blocked)[:, None]


def pixels_of(scenes: list[Scene], side: int = SIDE) -> torch.Tensor:
    """(item, channel, y, x) float32, as the model's image processor makes them."""
    pictures = [
        np.asarray(Image.fromarray(s.render()).resize((side, side), Image.Resampling.BICUBIC)) for s in scenes
    ]
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return stacked / 127.5 - 1.0


class Packer:
    """Tokenises blocks once per text and packs them behind the picture's tokens."""

    def __init__(self, tokenizer: Any, text_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.text_tokens = text_tokens
        self.known: dict[str, list[int]] = {}
        self.tags: dict[str, int] = {}
        self.user, self.assistant, self.image, self.end, self.pad = (
            tokenizer.convert_tokens_to_ids(t)
            for t in ("<|user|>", "<|assistant|>", "<image>", "<|end|>", "<|pad|>")
        )

    def _ids(self, text: str) -> list[int]:
        if text not in self.known:
            self.known[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.known[text]

    def block(self, turns: Block) -> tuple[list[int], list[int], list[int]]:
        """Ids of a dialogue after the picture, targets (answers' tokens, else -100), first-token tags."""
        ids: list[int] = []
        targets: list[int] = []
        first: list[int] = []
        for number, (question, answer, tag) in enumerate(turns):
            asked = ([self.user] if number else []) + self._ids(question) + [self.assistant]
            said = [*self._ids(f" {answer}"), self.end]
            ids += asked + said
            targets += [IGNORE] * (len(asked) - 1) + said + [IGNORE]
            number_of_tag = self.tags.setdefault(tag, len(self.tags))
            first += [-1] * (len(asked) - 1) + [number_of_tag] + [-1] * len(said)
        return ids, targets, first

    def pack(self, episodes: list[tuple[Scene, list[Block]]]) -> Packed:
        """Blocks in order until the room is used up; what does not fit is left out."""
        length = 1 + IMAGE_TOKENS + self.text_tokens
        prefix = [self.user] + [self.image] * IMAGE_TOKENS
        ids = np.full((len(episodes), length), self.pad)
        positions = np.zeros((len(episodes), length), np.int64)
        block = np.full((len(episodes), length), -1)
        targets = np.full((len(episodes), length), IGNORE)
        first = np.full((len(episodes), length), -1)
        for i, (_, blocks) in enumerate(episodes):
            at = len(prefix)
            ids[i, :at], positions[i, :at], block[i, :at] = prefix, np.arange(at), 0
            for number, turns in enumerate(blocks, 1):
                tokens, wanted, tags = self.block(turns)
                end = at + len(tokens)
                if end > length:
                    continue
                ids[i, at:end], targets[i, at:end], block[i, at:end] = tokens, wanted, number
                first[i, at:end] = tags
                positions[i, at:end] = len(prefix) + np.arange(len(tokens))
                at = end
        tensors = [torch.from_numpy(a) for a in (ids, positions, block, targets, first)]
        return Packed(pixels_of([scene for scene, _ in episodes]), *tensors, tags=list(self.tags))


def dense_labels(scenes: list[Scene], cells: int = EMBEDDED_1.cells) -> dict[str, torch.Tensor]:
    """Per patch (item, patch): what the thing that covers it most is; -100 where that is unclear."""
    side = SCENE_SIDE / cells
    labels = {name: np.full((len(scenes), cells, cells), IGNORE) for name in DENSE}
    kinds, colours, sizes = list(KINDS), list(COLOURS), list(SIZES)
    edges = np.arange(cells) * side
    for i, scene in enumerate(scenes):
        best = np.zeros((cells, cells))
        for thing in scene.things:
            x0, y0, x1, y1 = thing.box
            wide = np.clip(np.minimum(x1, edges + side) - np.maximum(x0, edges), 0, None)
            high = np.clip(np.minimum(y1, edges + side) - np.maximum(y0, edges), 0, None)
            share = high[:, None] * wide[None] / min(side * side, (x1 - x0) * (y1 - y0))
            wins = share > best
            best = np.maximum(best, share)
            values = {
                "kind": kinds.index(thing.kind) + 1,
                "colour": colours.index(thing.colour),
                "size": sizes.index(thing.size),
                "facing": ("left", "right").index(thing.facing) if thing.facing else IGNORE,
                "letter": LETTERS.index(thing.letter) if thing.letter else IGNORE,
            }
            for name, value in values.items():
                labels[name][i][wins] = value
        for name in DENSE:
            labels[name][i][(best > 0) & (best < 0.2)] = IGNORE
        labels["kind"][i][best == 0] = 0
    return {name: torch.from_numpy(a.reshape(len(scenes), -1)) for name, a in labels.items()}
