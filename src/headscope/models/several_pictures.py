"""Prompts with several pictures: which token is which picture's, and whether a model takes them at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from headscope.errors import ModelError
from headscope.models.types import Encoded, ImageGrid, Prompt

_TRIED = "What is in the pictures?"
_SIZE = (64, 48)  # of the pictures that are tried


def joined_grid(alone: Sequence[tuple[int, ImageGrid]], tokens: int) -> ImageGrid:
    """The image grid of a prompt with several pictures, from those of each picture alone.

    Pictures stand in their order, so that tokens are told apart by how many each has; where together they
    have another number of tokens than one by one, this is not known and said.

    Args:
        alone: for each picture the number of its tokens and its grid, as the processor gives it alone.
        tokens: image tokens of the prompt that holds them all.

    Example:
        >>> unmapped = ImageGrid(None, None, "no map is known")
        >>> joined_grid([(2, unmapped), (1, unmapped)], 3).pictures.tolist()
        [0, 0, 1]
    """
    if len(alone) == 1:
        return alone[0][1]
    counts = [count for count, _ in alone]
    if sum(counts) != tokens:
        one_by_one = " + ".join(map(str, counts))
        reason = (
            f"{len(alone)} pictures have {tokens} tokens together and {one_by_one} one by one: which token "
            "is which picture's is not known"
        )
        return ImageGrid(None, None, reason)
    pictures = torch.repeat_interleave(torch.arange(len(alone)), torch.tensor(counts))
    boxes = [grid.boxes for count, grid in alone if grid.boxes is not None and len(grid.boxes) == count]
    if len(boxes) < len(alone):
        reason = next((grid.reason for _, grid in alone if grid.reason), "the map of a picture is not known")
        return ImageGrid(None, None, reason, pictures)
    return ImageGrid(torch.cat(boxes), None, "", pictures)


def pictures_refusal(encode: Callable[[Sequence[Prompt]], Encoded], count: int) -> str:
    """Why a model cannot be asked about so many pictures at once; empty where it can.

    Tried on plain pictures: they have to have as many tokens at least, and another picture in the place of
    the first, or the last, has to change what the model is given.

    Args:
        encode: prompts -> batch, by the model's own template and processor.
    """
    pictures = [Image.new("RGB", _SIZE, (127, 127, 127))] * count
    try:
        plain = encode([Prompt(pictures, _TRIED)])
        if int(plain.image.sum()) < count:
            return f"its prompt holds {int(plain.image.sum())} picture tokens for {count} pictures"
        for i in {0, count - 1}:
            other = [*pictures[:i], Image.new("RGB", _SIZE, (200, 30, 30)), *pictures[i + 1 :]]
            if not _differ(plain.inputs, encode([Prompt(other, _TRIED)]).inputs):
                return f"its processor leaves picture {i + 1} of {count} out"
    except ModelError as exc:
        return str(exc)
    return ""


def _differ(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(value, other[name]) for name, value in one.items() if name in other)
