"""The tokenizer of the planted world: each of its words, with the blank before it, is one token."""

from __future__ import annotations

from typing import Any

from headscope.validation.planted.questions import answer_words, last_words, plain_words

SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<image>")
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|user|>' }}"
    "{% if m['content'] is string %}{{ ' ' + m['content'] }}"
    "{% else %}{% for part in m['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ ' ' + part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% else %}{% if m['content'] is string %}{{ ' ' + m['content'] }}"
    "{% else %}{% for part in m['content'] %}{{ ' ' + part['text'] }}{% endfor %}{% endif %}"
    "{{ '<|end|>' }}{% endif %}{% endfor %}"
)
_BLANK = "\u0120"  # how byte-level tokenizers write the blank


def token_of(word: str) -> str:
    """The token of a word of this world.

    Example:
        >>> token_of("dog")[1:]
        'dog'
    """
    return _BLANK + word


def vocabulary() -> list[str]:
    """Every token in the order of its number: special ones, bytes, beginnings of words, words."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return list(dict.fromkeys((*SPECIAL, *letters, *(left + right for left, right in _merges()))))


def make_tokenizer() -> Any:
    """Byte-level BPE whose merges spell each word from its blank on; any other text comes out as bytes."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    numbers = {token: i for i, token in enumerate(vocabulary())}
    core = Tokenizer(models.BPE(vocab=numbers, merges=_merges()))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\S+|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens={"image_token": "<image>", "user_token": "<|user|>"},
        padding_side="left",
    )


def _merges() -> list[tuple[str, str]]:
    """A word grows letter by letter from its blank; nothing else ever merges."""
    words = [token_of(w) for w in dict.fromkeys((*plain_words(), *last_words(), *answer_words()))]
    found = {(w[:n], w[n]): None for w in words for n in range(1, len(w))}
    return sorted(found, key=lambda pair: (len(pair[0]), pair))
