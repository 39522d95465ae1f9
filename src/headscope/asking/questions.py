"""Questions of one's own, many at once, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from headscope.asking.ask import read_batch
from headscope.data.pictures import AnyPictures
from headscope.errors import DataError
from headscope.models.answers import parser_of
from headscope.models.library_messages import quiet
from headscope.models.types import Prompt, choices_of
from headscope.models.vlm import VLM, need_vlm

if TYPE_CHECKING:
    import pandas as pd

Question = tuple[AnyPictures, str] | tuple[AnyPictures, str, Sequence[str]]
"""A picture or a list of several, a question, and the answers to be weighed, if there are any."""


def ask(
    vlm: VLM, questions: Iterable[Question], *, batch_size: int = 16, max_new_tokens: int = 16
) -> pd.DataFrame:
    """Ask questions of your own in batches, in the order given; edits that are active apply.

    Args:
        questions: (picture, question) or (picture, question, choices) each; pictures as
            :func:`headscope.read` takes them.
        batch_size: questions in one forward; models that are refused batches are asked one by one.
        max_new_tokens: length limit of an answer, its end token included.

    Returns:
        One row a question: ``question``, ``text`` as generated, ``answer`` (the choice it amounts to, None
        if none), ``readable`` (whether there is one), ``best`` (the likeliest choice), ``margin`` (its
        log-probability per token less that of the next), ``total`` (probability of all choices together).

    Raises:
        DataError: no questions, or ``batch_size`` below 1.
        ModelError: a question that the model cannot take.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 2)
        >>> found = hs.ask(vlm, [(cases.image(c), c.question, c.choices) for c in cases])
        >>> list(found.columns)
        ['question', 'text', 'answer', 'readable', 'best', 'margin', 'total']
        >>> len(found)
        2
    """
    import pandas as pd

    need_vlm(vlm, "ask")
    if batch_size < 1:
        raise DataError(f"ask: asked for batches of {batch_size}; expected at least 1")
    refused = vlm.proof is not None and bool(vlm.proof.refusal("batch"))
    rows: list[dict[str, Any]] = []
    with quiet():
        for batch in _batches(questions, 1 if refused else batch_size):
            rows += _asked(vlm, batch, max_new_tokens)
    if not rows:
        raise DataError("ask: asked no questions; give at least one (picture, question, choices)")
    return pd.DataFrame(rows)


def _batches(questions: Iterable[Question], size: int) -> Iterator[list[Question]]:
    waiting = iter(questions)
    while batch := list(islice(waiting, size)):
        yield batch


def _asked(vlm: VLM, batch: Sequence[Question], max_new_tokens: int) -> list[dict[str, Any]]:
    """Rows of one batch."""
    for one in batch:
        if isinstance(one, str) or not isinstance(one, Sequence) or not 2 <= len(one) <= 3:
            raise DataError(f"ask: found {type(one).__name__}, expected (picture, question, choices) each")
    choices = [choices_of(one[2]) if len(one) == 3 else () for one in batch]
    encoded = vlm.encode([Prompt(one[0], one[1]) for one in batch])
    parses = [parser_of(one[1], own) for one, own in zip(batch, choices, strict=True)]
    found = read_batch(vlm, encoded, parses, choices, None, (), max_new_tokens)
    rows = []
    for i, one in enumerate(batch):
        scores, answer = found.scores[i], found.parsed[i]
        ranked = sorted(scores.logprobs.items(), key=lambda pair: -pair[1])
        rows.append(
            {
                "question": one[1],
                "text": found.texts[i],
                "answer": answer,
                "readable": answer is not None,
                "best": ranked[0][0] if ranked else None,
                "margin": ranked[0][1] - ranked[1][1] if len(ranked) > 1 else None,
                "total": scores.total,
            }
        )
    return rows
