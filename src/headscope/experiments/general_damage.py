"""What muting does to what has nothing to do with a function: neutral prompts, others' questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from headscope.asking.ask import read_batch
from headscope.asking.batches import Pictures, encode_batch, plan_batches
from headscope.asking.items import Item
from headscope.edits.edits import Edit, mute
from headscope.models.geometry import Head
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM
from headscope.storage import Ledger, fingerprint
from headscope.workers import several, share_out

NEUTRAL = ("Say hello.", "What is two plus two?", "Name a fruit.", "Which day comes after Monday?")
Floats = NDArray[np.float64]


class DivergenceReader:
    """KL(clean || muted) of the distribution of an answer's first token, over fixed prompts.

    Args:
        vlm: the model.
        pictures: shown with each of :data:`NEUTRAL`.
        others: function -> questions that stand for it.
        picture_of: item -> picture.
        ledger: keeps what was read.
        batch_size: prompts in one forward.
    """

    def __init__(
        self,
        vlm: VLM,
        pictures: Sequence[Image.Image],
        others: Mapping[str, Sequence[Item]],
        picture_of: Pictures,
        ledger: Ledger,
        batch_size: int = 64,
    ) -> None:
        self.vlm, self.ledger = vlm, ledger
        self.neutral = [Prompt(picture, text) for picture in pictures for text in NEUTRAL]
        self._batches = [
            vlm.encode(self.neutral[i : i + batch_size]) for i in range(0, len(self.neutral), batch_size)
        ]
        self._of: list[str | None] = [None] * len(self.neutral)
        asked = [item for some in others.values() for item in some]
        for batch in plan_batches(asked, batch_size):
            self._batches.append(encode_batch(vlm, batch, picture_of))
            self._of += [item.function for item in batch]
        self._name = fingerprint([len(self.neutral), *(item.id for item in asked)])
        self._clean: list[torch.Tensor] | None = None

    def read(self, heads: Sequence[Head]) -> Floats:
        """(prompt,) nats, neutral prompts first; the heads are muted at all tokens."""
        found: list[float] = self.ledger.get_or(self._key(heads), lambda: self._divergence(heads))
        return np.array(found, dtype=np.float64)

    def read_each(self, sets: Sequence[Sequence[Head]]) -> None:
        """Read head sets by several processes, where there are, so that :meth:`read` finds them done."""
        if not several():
            return
        missing = [heads for heads in sets if self._key(heads) not in self.ledger]
        if missing:
            self._read_clean()
        share_out(missing, self.read, lambda heads: self._key(heads) in self.ledger, alone_first=False)

    def _key(self, heads: Sequence[Head]) -> str:
        return f"{self._name} divergence {fingerprint(sorted(map(str, heads)))}"

    def means(self, heads: Sequence[Head], function: str) -> tuple[float, float]:
        """Mean over neutral prompts, and over questions of functions other than ``function``; NaN: none."""
        found = self.read(heads)
        elsewhere = found[[i for i, f in enumerate(self._of) if f not in (None, function)]]
        return _mean(found[: len(self.neutral)]), _mean(elsewhere)

    def _divergence(self, heads: Sequence[Head]) -> list[float]:
        edit = Edit(tuple(heads), mute())
        found: list[float] = []
        for clean, batch in zip(self._read_clean(), self._batches, strict=True):
            found += divergence(clean, self._first_token(batch, edit)).tolist()
        return found

    def _read_clean(self) -> list[torch.Tensor]:
        if self._clean is None:
            self._clean = [self._first_token(batch, None) for batch in self._batches]
        return self._clean

    def _first_token(self, encoded: Encoded, edit: Edit | None) -> torch.Tensor:
        """(prompt, vocabulary) log-probabilities in float64, on the host."""
        parses = [_as_said] * encoded.items
        logits = read_batch(self.vlm, encoded, parses, None, edit, (), 1).logits
        assert logits is not None
        return torch.log_softmax(logits.double().cpu(), dim=-1)


def divergence(clean: torch.Tensor, edited: torch.Tensor) -> torch.Tensor:
    """(prompt,) KL(clean || edited) in nats, from log-probabilities (prompt, vocabulary).

    Example:
        >>> one = torch.log(torch.tensor([[0.5, 0.5]], dtype=torch.float64))
        >>> round(divergence(one, torch.log(torch.tensor([[0.25, 0.75]], dtype=torch.float64))).item(), 4)
        0.1438
    """
    # A token that is impossible in the clean run adds nothing, whatever it is in the other.
    terms = torch.where(torch.isinf(clean), 0.0, clean.exp() * (clean - edited))
    return terms.sum(dim=-1).clamp(min=0.0)


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def _as_said(text: str) -> str | None:
    return text
