"""All choices of an item in one row behind its prompt: a tree of their beginnings that share one cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from headscope.errors import ModelError
from headscope.models.answering.continuation import continue_from
from headscope.models.answering.generation import Prefill, generate, pad_id
from headscope.models.answering.rows import END, rows_totals
from headscope.models.base import BaseVLM
from headscope.models.contiguous import gives_contiguous
from headscope.models.types import Encoded, Prompt
from headscope.models.ways import MODEL_ERRORS, TREE, Way, decided, note_way, refused

Tokens = tuple[int, ...]


class Tree:
    """The beginnings of one item's choices, each once, in an order in which parents come first.

    Example:
        >>> tree = Tree([(5, 6, 7), (5, 8), (9,)])
        >>> tree.tokens, tree.parents, tree.depths
        ([5, 6], [-1, 0], [1, 2])
    """

    def __init__(self, choices: Sequence[Tokens]) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._nodes: dict[Tokens, int] = {}
        for choice in choices:
            for stop in range(1, len(choice)):
                beginning = choice[:stop]
                if beginning not in self._nodes:
                    self._nodes[beginning] = len(self.tokens)
                    self.tokens.append(choice[stop - 1])
                    self.parents.append(self._nodes.get(beginning[:-1], -1))
                    self.depths.append(stop)

    def __len__(self) -> int:
        return len(self.tokens)

    def node(self, beginning: Tokens) -> int:
        """Where a beginning stands."""
        return self._nodes[beginning]


def fits(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, trees: Sequence[Tree]) -> bool:
    """Whether the choices may be read as trees: plain caches, and a model that was seen to take such masks.

    The model is asked once, with a fixed prompt of its own: a tree must give what rows give.
    """
    instead = "a row for each choice"
    unlike = _unlike(prefill)
    if unlike:
        note_way(vlm, TREE, unlike, instead=instead, usual=True)
        return False
    way = decided(vlm, TREE, lambda: _tried(vlm), instead=instead)
    return not way.refusal and max(map(len, trees), default=0) < encoded.length


def _unlike(prefill: Prefill) -> str:
    """Why nothing can be read as a tree behind such a prompt; empty if it may be tried."""
    layers = getattr(prefill.cache, "layers", None)
    if layers is None or any(type(layer) is not DynamicLayer for layer in layers):
        return "the cache is more than keys and values of all positions"
    return "" if prefill.position is not None else "the model is given no position ids"


def read_trees(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, trees: Sequence[Tree]) -> Tensor:
    """Logits (item, node, vocabulary) after each beginning, in one forward behind the cached prompt.

    A beginning sees the prompt, those it begins with, and itself; it stands where it would stand alone.
    """
    assert prefill.logits is not None
    assert prefill.position is not None
    device = prefill.logits.device
    width = max(map(len, trees))
    given = torch.full((len(trees), width), pad_id(vlm), dtype=torch.long)
    depth = torch.ones(len(trees), width, dtype=torch.long)
    seen = torch.eye(width, dtype=torch.bool).repeat(len(trees), 1, 1)
    for i, tree in enumerate(trees):
        given[i, : len(tree)] = torch.tensor(tree.tokens, dtype=torch.long)
        depth[i, : len(tree)] = torch.tensor(tree.depths, dtype=torch.long)
        for node, parent in enumerate(tree.parents):
            if parent >= 0:
                seen[i, node] |= seen[i, parent]
    with torch.no_grad():
        logits = continue_from(vlm, encoded, prefill, given.to(device), depth=depth, sees=seen)
    return logits.to(prefill.logits.dtype)


def tree_totals(
    vlm: BaseVLM, encoded: Encoded, prefill: Prefill, choices: Sequence[Sequence[Tokens]], most: int
) -> Tensor | None:
    """Per choice, items in order, the summed log-probability of all tokens after its first.

    Args:
        choices: per item the tokens of its choices.
        most: at most this many logits in one forward.

    Returns:
        (choice,), or None where the model cannot be read so.
    """
    if not fits(vlm, encoded, prefill, [Tree(c) for c in choices]):
        return None
    return torch.cat(_totals(vlm, encoded, prefill, choices, most))


def _totals(
    vlm: BaseVLM, encoded: Encoded, prefill: Prefill, choices: Sequence[Sequence[Tokens]], most: int
) -> list[Tensor]:
    """Per item (choice,) sums; halved again while there are too many logits."""
    assert prefill.logits is not None
    trees = [Tree(c) for c in choices]
    width = max(map(len, trees))
    if not width:
        return [prefill.logits.new_zeros(len(c)) for c in choices]
    if len(trees) * width * prefill.logits.shape[-1] > most and max(map(len, choices)) > 1:
        first = _totals(vlm, encoded, prefill, [c[: (len(c) + 1) // 2] for c in choices], most)
        second = _totals(vlm, encoded, prefill, [c[(len(c) + 1) // 2 :] for c in choices], most)
        return [torch.cat(pair) for pair in zip(first, second, strict=True)]
    logits = read_trees(vlm, encoded, prefill, trees)
    return _summed(logits, trees, choices, vlm.end_ids)


def _summed(
    logits: Tensor, trees: Sequence[Tree], choices: Sequence[Sequence[Tokens]], ends: tuple[int, ...]
) -> list[Tensor]:
    """Per item (choice,) the sum over a choice's tokens after its first."""
    where = [
        (i, tree.node(c[:k]), c[k], row)
        for row, (i, tree, c) in enumerate(
            (i, tree, c) for i, (tree, own) in enumerate(zip(trees, choices, strict=True)) for c in own
        )
        for k in range(1, len(c))
    ]
    items, nodes, targets, rows = torch.tensor(where, device=logits.device).unbind(dim=1)
    token = logits[items, nodes, targets.clamp(min=0)]
    if ends:
        end = logits[:, :, list(ends)].logsumexp(dim=-1)[items, nodes]
        token = torch.where(targets == END, end, token)
    values = token - logits.logsumexp(dim=-1)[items, nodes]
    sums = logits.new_zeros(sum(map(len, choices))).index_add_(0, rows, values)
    return list(sums.split([len(c) for c in choices]))


@contextmanager
def _without_hooks(model: torch.nn.Module) -> Iterator[None]:
    """While inside no hook runs but the libraries' own, by which models take and place their outputs."""
    taken: list[tuple[dict[int, Any], dict[int, Any]]] = []
    for module in model.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            if not all(map(_of_library, hooks.values())):
                taken.append((hooks, dict(hooks)))
    for hooks, before in taken:
        for key, hook in before.items():
            if not _of_library(hook):
                del hooks[key]
    try:
        yield
    finally:
        for hooks, before in taken:
            hooks.clear()
            hooks.update(before)


def _of_library(hook: Any) -> bool:
    if gives_contiguous(hook):
        return True
    where = getattr(getattr(hook, "func", hook), "__module__", None) or ""
    return where.split(".")[0] in ("transformers", "accelerate", "torch", "bitsandbytes")


def _tried(vlm: BaseVLM) -> Way:
    """A fixed prompt with branching choices, read as rows and as a tree: both must be the same within
    rounding."""
    try:
        rows, tree = _both_ways(vlm)
    except MODEL_ERRORS as exc:
        return refused(exc)
    room = max(1e-4, 8 * torch.finfo(vlm.dtype).eps)
    worst = float(((tree - rows).abs() / (1 + rows.abs())).max())
    return Way("" if worst <= room else f"a tree's scores differ from those of rows by {worst:.1e}")


def _both_ways(vlm: BaseVLM) -> tuple[Tensor, Tensor]:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    asked = [Prompt(picture, "Where is it?"), Prompt(picture, "Where in the picture is the dog?")]
    ids = vlm.encode_answers(["top left", "bottom right of the middle"])
    first = tuple(t for tokens in ids for t in tokens)
    choices = [first, (*first[:2], *first[:1], first[0]), (*first[:1], first[-1], first[0])]
    with torch.no_grad(), _without_hooks(vlm.model):
        try:
            encoded = vlm.encode(asked)
        except ModelError:  # a model that takes no batches
            encoded = vlm.encode(asked[1:])
        with vlm.reading(encoded):
            _, prefill = generate(vlm, encoded, 1)
            per_item = [choices] * encoded.items
            trees = [Tree(c) for c in per_item]
            rows = rows_totals(vlm, encoded, prefill, per_item)
            return rows, torch.cat(_summed(read_trees(vlm, encoded, prefill, trees), trees, per_item, ()))
