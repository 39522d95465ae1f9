"""Readouts: z pooled over named positions, taken by forward pre-hooks while the model generates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.errors import ModelError, StudyError
from headscope.models.answering.generation import before_end
from headscope.models.geometry import Geometry
from headscope.models.thinking import answer_start

READOUTS = ("prompt_last", "answer_mean", "answer_content")


def check_readouts(names: str | Iterable[str]) -> tuple[str, ...]:
    """The names, each once; one may stand by itself.

    Raises:
        StudyError: an unknown readout.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in READOUTS:
            raise StudyError(f"asked for readout {name!r}; there are: {', '.join(READOUTS)}")
    return tuple(dict.fromkeys(names))


class Reader:
    """Keeps z of the last prompt position and of each generated one; :meth:`pooled` turns them into readouts.

    Position p predicts token p + 1. The hooks sit on each site's output projection and see its input, after
    any edit that was active before them. Per layer and forward they keep (item, width): never a whole
    prompt, and nothing leaves the device before all is pooled.

    Readouts:
        ``prompt_last``: the last prompt position, which predicts the first answer token.
        ``answer_mean``: mean over all positions that predict answer tokens, the end token among them: the
            last prompt position and that of each generated token up to the one before the end token. Items
            that finished early take in nothing of what the batch still computes for them.
        ``answer_content``: mean over the positions that predict the words of the parsed answer.

    Example:
        ``reader = Reader(vlm.geometry, ["prompt_last"])``; ``with reader.attached():
        vlm.model.generate(...)``
    """

    def __init__(self, geometry: Geometry, names: Sequence[str]) -> None:
        self.geometry = geometry
        self.names = check_readouts(names)
        other = [s for s in geometry.sites if s.tower != "decoder"]
        if other and self.names:
            raise ModelError(
                f"readouts are defined on the decoder's own attention; found also {other[0].tower} "
                f"{other[0].site} sites in the geometry; load the model with the decoder's geometry alone"
            )
        self._steps: list[list[Tensor]] = [[] for _ in geometry.sites]

    @contextmanager
    def attached(self) -> Iterator[Reader]:
        """While inside, every forward of the model is one step: first the prompt, then token by token."""
        self._steps = [[] for _ in self.geometry.sites]
        with ExitStack() as stack:
            if self.names:
                for steps, site in zip(self._steps, self.geometry.sites, strict=True):
                    handle = site.projection.register_forward_pre_hook(self._hook(steps))
                    stack.callback(handle.remove)
            yield self

    def _hook(self, steps: list[Tensor]) -> Callable[[Any, tuple[Any, ...]], None]:
        later = self.names != ("prompt_last",)

        def hook(_module: Any, args: tuple[Any, ...]) -> None:
            z: Tensor = args[0]
            if not steps:
                steps.append(z[:, -1].detach().clone())  # a view would keep the whole prompt alive
            elif z.shape[1] != 1:
                raise ModelError(
                    f"one step of generation read {z.shape[1]} positions; readouts need one token at a time, "
                    "from a cache; this model does not generate so"
                )
            elif later:
                steps.append(z[:, -1].detach())

        return hook

    def pooled(
        self, tokens: Tensor, ends: tuple[int, ...], content: Tensor | None
    ) -> dict[str, NDArray[Any]]:
        """The readouts, each (item, head, width), heads in flat order, NaN beyond a head's own width.

        Args:
            tokens: (item, step) generated tokens, the end token and padding after it included.
            ends: tokens that end an answer.
            content: (item, step) bool, generated tokens that make up the parsed answer; rows without any fall
                back to ``answer_mean``. Needed for ``answer_content``.

        Returns:
            Readout -> array; float32, float64 where the model is.
        """
        if not self.names:
            return {}
        weights = self._weights(tokens, ends, content)
        copies: dict[Any, Tensor] = {}  # of the weights, one for each device that holds layers
        width = self.geometry.max_width
        parts = []
        for steps, site in zip(self._steps, self.geometry.sites, strict=True):
            if len(steps) < weights.shape[1]:
                raise ModelError(
                    f"{site.path or 'a decoder layer'}: its output projection ran {len(steps)} times in "
                    f"{weights.shape[1]} steps; this model does not call every layer on every token"
                )
            z = torch.stack(steps[: weights.shape[1]])
            z = z if z.dtype == torch.float64 else z.float()
            kind = (z.device, z.dtype)
            if kind not in copies:
                copies[kind] = weights.to(z)
            mean = torch.einsum("rsi,siw->riw", copies[kind], z).unflatten(-1, (site.n_heads, site.head_dim))
            parts.append(torch.nn.functional.pad(mean, (0, width - site.head_dim), value=float("nan")))
        self._steps = [[] for _ in self.geometry.sites]
        # One transfer for all layers and readouts of a device.
        groups = [torch.cat(list(g), dim=2).cpu() for _, g in groupby(parts, key=lambda part: part.device)]
        whole = torch.cat(groups, dim=2).numpy()
        return {name: np.ascontiguousarray(whole[i]) for i, name in enumerate(self.names)}

    def _weights(self, tokens: Tensor, ends: tuple[int, ...], content: Tensor | None) -> Tensor:
        """(readout, step, item): what each step counts for in each readout, adding up to one."""
        if self.names == ("prompt_last",):
            return torch.ones(1, 1, tokens.shape[0], device=tokens.device)
        # Step k predicts generated token k, so it counts while no token before k has ended the answer.
        mean = torch.ones_like(tokens, dtype=torch.bool)
        mean[:, 1:] = before_end(tokens, ends)[:, :-1]
        masks = {"prompt_last": torch.zeros_like(mean), "answer_mean": mean}
        masks["prompt_last"][:, 0] = True
        if "answer_content" in self.names:
            if content is None:
                raise ValueError("answer_content needs to be told which tokens make up the answer")
            content = content.to(mean.device)
            masks["answer_content"] = torch.where(content.any(dim=1, keepdim=True), content, mean)
        stacked = torch.stack([masks[n] for n in self.names]).double()
        return (stacked / stacked.sum(dim=2, keepdim=True)).transpose(1, 2)


def content_tokens(
    tokens: Sequence[int],
    parsed: str | None,
    decode: Callable[[Sequence[int]], str],
    parse: Callable[[str], str | None],
) -> list[int]:
    """Indices of the generated tokens that hold the words of the parsed answer; empty where there are none.

    The words are the shortest, then leftmost, run of words that the parser by itself takes for the same
    answer: "left" in "It is on the left."; those of a thought before it do not count.

    Args:
        tokens: generated tokens before the end token.
        decode: token ids -> text, nothing stripped off.
        parse: from a text to the answer that it amounts to.
    """
    if parsed is None or not tokens:
        return []
    ends = [len(decode(tokens[: i + 1])) for i in range(len(tokens))]
    text = decode(tokens)
    behind = answer_start(text)
    words = [word for word in _words(text) if word[0] >= behind]
    for size in range(1, len(words) + 1):
        for first in range(len(words) - size + 1):
            start, stop = words[first][0], words[first + size - 1][1]
            if parse(text[start:stop]) == parsed:
                begins = [0, *ends[:-1]]
                return [
                    i for i, (b, e) in enumerate(zip(begins, ends, strict=True)) if b < stop and e > start
                ]
    return []


def _words(text: str) -> list[tuple[int, int]]:
    """(start, stop) characters of the words: runs of letters and digits."""
    return [m.span() for m in re.finditer(r"[^\W_]+", text)]
