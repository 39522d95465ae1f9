"""What is no answer in a model's text: the options said again, and turns that the model went on with."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.models.answer_marks import BARE_LETTERS

_NAMES = "ABCDEFGH"
# A further turn of the dialogue, which models of few-shot prompts make up behind their answer. Space within a
# line alone: with line breaks in it, a text of n line breaks would take n x n steps.
_NEXT_TURN = re.compile(r"\n[^\S\n]*(?:question|q|user|human|instruction)(?:\s*\d+)?\s*:", re.IGNORECASE)
_MARKED = re.compile(r"\(([A-Z])\)|(?:^|\n)[^\S\n]*([A-Z])[.)]\s")


def before_next_turn(text: str) -> str:
    """What stands before a further question that the model put to itself; empty where there is none.

    Example:
        >>> before_next_turn("no\\nQuestion: Is it dark?\\nAnswer: yes")
        'no'
        >>> before_next_turn("Question: Is it dark?\\nAnswer: yes")
        ''
    """
    first, *others = _NEXT_TURN.split(text, maxsplit=1)
    return first.strip() if others else ""


def only_repeats_options(text: str, choices: Sequence[str], lettered: bool) -> bool:
    """Whether a text lists the options and chooses none of them.

    So does a text of several letters alone, one of all options in their order and nothing else, and one that
    goes on with two letters or more that no option has.

    Example:
        >>> only_repeats_options("(A) yes (B) no", ("yes", "no"), True)
        True
        >>> only_repeats_options("B\\nB", ("yes", "no"), True)
        False
    """
    said = " ".join(text.split())
    named = zip(_NAMES, choices, strict=False)
    all_of_them = r"\W*(?:(?:and|or)\b\W*)?".join(rf"(?:{n}\b\W*)?{re.escape(c.strip())}" for n, c in named)
    if 2 <= len(choices) <= len(_NAMES) and re.fullmatch(rf"\W*{all_of_them}\W*", said, re.IGNORECASE):
        return True
    if not lettered:
        return False
    if BARE_LETTERS.fullmatch(text):
        return len(set(re.findall("[A-H]", text))) > 1
    marked = {letter for found in _MARKED.findall(text) for letter in found if letter}
    return len(marked - set(_NAMES[: len(choices)])) > 1
