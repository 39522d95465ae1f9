"""Which tokens of an encoded prompt are the question's."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from headscope.errors import ModelError, quoted
from headscope.models.prompts import Template

# How many tokens a processor may write after the template's text.
_AFTER = 2
# How many tokens without characters of their own may stand on either side of a question (blanks).
_BLANKS = 8


def question_mask(
    tokenizer: Any, template: Template, text: str, question: str, row: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """(position,) bool: the tokens that hold characters of the last question.

    The processor writes the picture out before the question, so that characters of its text lie elsewhere
    than in the template's. But both end alike: what the tokenizer makes of the template's text is found again
    at the end of the row, and tells how far characters have moved. What is marked must read as the question.

    Args:
        text: what the template wrote, the question in it.
        row: ids, offsets (position, 2) and attention of one encoded prompt.

    Raises:
        ModelError: the template or the processor changed the question, or the tokenizer cannot write it.
    """
    ids, offsets, attended = row
    start, end = template.question_span(text, question)
    moved = _moved(tokenizer, text + template.added, ids[attended].tolist(), offsets[attended].tolist())
    if moved is None:
        raise ModelError(
            f"asked {quoted(question)}; found the end of the prompt written by the processor otherwise than "
            "by the chat template, so that the question's tokens are not known; ask in other words"
        )
    first, last = _run(text[start:end], start + moved, offsets, attended, ids, template.control.all)
    read = str(tokenizer.decode(ids[first:last]))
    if text[start:end] not in read:
        first, last = _widened(tokenizer, text[start:end], ids, offsets, first, last)
        read = str(tokenizer.decode(ids[first:last]))
    if first >= last or _bare(text[start:end]) not in _bare(read):
        raise ModelError(
            f"asked {quoted(question)}; found {quoted(read)} where the model's tokenizer should write it; "
            "ask in characters that the model knows"
        )
    mask = torch.zeros_like(attended)
    mask[first:last] = True
    return mask


def _moved(tokenizer: Any, text: str, ids: Sequence[int], offsets: Sequence[Sequence[int]]) -> int | None:
    """How many characters further on the end of a text lies in the text that the processor encoded.

    Args:
        text: what the template wrote; ``ids`` and ``offsets`` are those of the processor's.
    """
    own = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    best, moved = 0, None
    for after in range(_AFTER + 1):
        pairs = zip(reversed(ids[: len(ids) - after]), reversed(own["input_ids"]), strict=False)
        equal = next(
            (i for i, (a, b) in enumerate(pairs) if a != b), min(len(ids) - after, len(own["input_ids"]))
        )
        for back in range(1, equal + 1):
            (here, till), (there, _) = own["offset_mapping"][-back], offsets[len(ids) - after - back]
            if here < till and equal > best:
                best, moved = equal, there - here
                break
    return moved


def _run(
    asked: str, start: int, offsets: Tensor, attended: Tensor, ids: Tensor, control: set[int]
) -> tuple[int, int]:
    """First token of a question and the one after its last, by the characters that they stand for.

    A control token at either end that takes only blanks of the question along does not count.

    Args:
        asked: the question.
        start: its first character.
    """
    begins, ends = offsets.unbind(dim=1)
    touching = (begins < start + len(asked)) & (ends > start) & (begins < ends) & attended
    run = torch.nonzero(touching).flatten().tolist()

    def swallows(position: int) -> bool:
        here, till = (int(v) - start for v in offsets[position])
        return int(ids[position]) in control and not asked[max(here, 0) : till].strip()

    while run and swallows(run[0]):
        run.pop(0)
    while run and swallows(run[-1]):
        run.pop()
    return (run[0], run[-1] + 1) if run else (0, 0)


def _widened(
    tokenizer: Any, asked: str, ids: Tensor, offsets: Tensor, first: int, last: int
) -> tuple[int, int]:
    """A run with the tokens beside it that make it read to the letter, if there are any.

    Some tokenizers give blanks no characters of their own.
    """
    blank = (offsets[:, 0] == offsets[:, 1]).tolist()
    before = next((n for n in range(_BLANKS) if first - n < 1 or not blank[first - n - 1]), _BLANKS)
    after = next((n for n in range(_BLANKS) if last + n >= len(blank) or not blank[last + n]), _BLANKS)
    sizes = sorted(((a, b) for a in range(before + 1) for b in range(after + 1)), key=sum)
    for a, b in sizes[1:]:
        if asked in str(tokenizer.decode(ids[first - a : last + b])):
            return first - a, last + b
    return first, last


def _bare(text: str) -> str:
    """A text without what tokenizers may change: blanks, case, composed forms."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
