"""Texts as a model's own token embeddings: what it is given of their words before any layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from headscope.models.vlm import VLM


def mean_embeddings(vlm: VLM, texts: Sequence[str]) -> NDArray[np.float32]:
    """(text, width) mean over a text's tokens of the rows of the model's table of embeddings.

    Order of words does not count, and nothing of picture or history is in it. A text without a token is 0.

    Example:
        >>> import headscope as hs
        >>> mean_embeddings(hs.load_model("embedded"), ["Where is the dog?", "Where is the dog?"]).shape[0]
        2
    """
    table: torch.nn.Module = vlm.model.get_input_embeddings()  # type: ignore[operator]
    assert isinstance(table.weight, torch.Tensor)
    width = table.weight.shape[-1]
    made: dict[str, NDArray[np.float32]] = {}
    with torch.no_grad():
        for text in dict.fromkeys(texts):
            ids = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
            rows = table(torch.tensor(ids, dtype=torch.long, device=table.weight.device)).float()
            made[text] = rows.mean(0).cpu().numpy() if ids else np.zeros(width, dtype=np.float32)
    return np.stack([made[text] for text in texts])
