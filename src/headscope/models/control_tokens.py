"""Tokens that steer a model, and the refusal of texts that would be read as such."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from headscope.errors import ModelError, quoted
from headscope.models.types import Prompt


class ControlTokens:
    """Tokens that steer a model (turns, pictures, ends), and the refusal of texts that would be read as such.

    These are the tokens that the tokenizer marks as special, and added ones that the chat template writes
    (``<think>``). Whoever writes one into a question does not ask about it: the model would take a turn to be
    over, or a picture to be there.

    Args:
        tokenizer: the model's.
        writes: whether the chat template itself writes a token.
    """

    def __init__(self, tokenizer: Any, writes: Callable[[str], bool]) -> None:
        self._tokenizer = tokenizer
        added = {int(i): token for i, token in tokenizer.added_tokens_decoder.items()}
        self.special = {i for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        written = {i for i, token in added.items() if _marker(token.content) and writes(token.content)}
        self.all = self.special | written
        self._unknown: tuple[int | None, str | None] = (tokenizer.unk_token_id, tokenizer.unk_token)
        self._found = lru_cache(maxsize=4096)(self._find)

    def refuse(self, prompt: Prompt) -> None:
        """Refuse a prompt with a text that the tokenizer would not read as text.

        Raises:
            ModelError: a control token, or half a character pair, in a question or an answer.
        """
        for text in (prompt.question, *(question for question, _ in prompt.history)):
            self._refuse(text, self.all)
        for _, answer in prompt.history:  # a model's own words may hold what its template writes
            self._refuse(answer, self.special)

    def _refuse(self, text: str, refused: set[int]) -> None:
        for number in self._found(text):
            if number in refused:
                raise ModelError(
                    f"asked {quoted(text)}; found {self.name(number)!r} in it, which this model's tokenizer "
                    "reads as a control token, not as text; take it out, or put a blank inside it"
                )

    def name(self, number: int) -> str:
        """A token as it is written."""
        return str(self._tokenizer.convert_ids_to_tokens(number))

    def _find(self, text: str) -> tuple[int, ...]:
        """Control tokens that the tokenizer finds in a text, in order."""
        try:
            ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        except (TypeError, ValueError) as exc:
            raise ModelError(
                f"asked {quoted(text)}; found half a surrogate pair in it, which is no character; take it out"
            ) from exc
        number, name = self._unknown
        # The token for characters that the tokenizer does not know is no control token, unless written out.
        ignored = number if not name or name not in text else None
        return tuple(i for i in ids if i in self.all and i != ignored)


def _marker(content: str) -> bool:
    """Whether an added token is a mark, not a word or blanks that the vocabulary got later."""
    return bool(content.strip()) and not content.strip().isalnum()
