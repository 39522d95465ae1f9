"""The marks by which models, harnesses and tokenizers set an answer apart, and letters that name options."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A number with a point is one word: "3.5" mentions neither three nor five.
WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")
# Where a text itself says what its answer is: a statement up to the end of its sentence, a box, bold type.
STATED = re.compile(
    r"(?:\b(?:answer|ans|option|choice|conclusion|response|verdict)\b|答案)[*_\"']*\s*"
    r"(?:(?:is|was|would be|must be|should be|has to be|will be)\b|是|:|：|=)[:*_\"'\s]*"
    r"(?P<said>(?:[^\n.;!?]|\.(?=\d))+)",
    re.IGNORECASE,
)
# Marks around an answer, as reasoning models are trained to set them; the last may be cut off.
TAGGED = re.compile(
    r"<(?P<tag>answer|ans|final_answer|conclusion|response|output|result)>(?P<said>.*?)(?:</(?P=tag)>|$)"
    r"|<\|begin_of_box\|>(?P<more>.*?)(?:<\|end_of_box\|>|$)",
    re.DOTALL | re.IGNORECASE,
)
# What tokenizers, chat templates and web pages put around what is said.
TAGS = re.compile(
    r"</?(?:answer|ans|final_answer|conclusion|response|output|result|s|bos|eos|pad|unk|b|i|em|strong|p|br"
    r"|span|div|code|pre|image|end_of_turn|start_of_turn|end_of_utterance)\s*/?>"
    r"|<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[/?INST\]|<0x[0-9A-F]{2}>",
    re.IGNORECASE,
)
# Who speaks, where the prompt is repeated before the answer; what stands behind the last of these counts.
ROLE = re.compile(
    r"(?:^|[\s>\]])(?:ASSISTANT|Assistant|### ?(?:Response|Assistant)|GPT|Bot)\s*:|\[/INST\]"
    r"|<\|im_start\|>\s*assistant\b|<start_of_turn>\s*model\b|<\|start_header_id\|>\s*assistant\s*"
    r"<\|end_header_id\|>|<\|assistant\|>"
)
BOXED = re.compile(r"\\f?boxed\s*\{(?P<said>(?:[^{}]|\{[^{}]*\})*)\}")
LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf|textit|mbox|rm|bf)\b")
BOLD = re.compile(r"\*\*(?P<said>[^*\n]+)\*\*|__(?P<more>[^_\n]+)__")
CONCLUDED = re.compile(
    r"(?:^|[.!?\n])[^\S\n]*(?:so|therefore|thus|hence|in conclusion|overall)\b[,:]?\s+"
    r"(?P<said>(?:[^\n.;!?]|\.(?=\d))+)",
    re.IGNORECASE,
)
# The last line alone, where it is a letter; what a model says after an echo of the options.
LAST = re.compile(r"\n[^\w\n]{0,8}(?P<said>[A-H])\W{0,8}$")
BARE_LETTERS = re.compile(r"\W*[A-H](?:\s*[\n,/|]\s*[A-H])+\W*")
# A letter that names an option: (B), B), B. at the start of a line, alone, after "answer is".
OPTION_LETTER = re.compile(
    r"[(\[{【]\s*(?P<bracketed>[A-Ha-h])\s*[)\]}】]"
    r"|(?<![\w'’.])(?P<closed>[A-Ha-h])\)"
    r"|^\W*(?P<first>[A-Ha-h])\s*(?=[.:](?!\w)|$)"
    r"|(?:^|\n)[ \t]*(?P<line>[A-H])\s*(?=[.:,;](?!\w)|[-–—]\s|\n|$)"
    r"|\b(?:answer|option|choice|letter)\b\W{0,4}(?:(?:is|was|would be|must be|should be)\b)?\W{0,4}"
    r"(?P<named>[A-Ha-h])(?=\s*(?:$|[.,:;)\]\n]|(?:because|since|as|and|or|is)\b))"
    r"|(?<![\w'’.&-])(?P<alone>[A-H])(?![\w'’&-]|\.\w)"
)
LETTER_WORD = "optionletter"
# After a lone capital A or I, these words say that the letter was meant and no article or pronoun.
AFTER_LETTER = frozenset({"is", "because", "since", "seems", "looks", "would", "or", "and"})
# Words that show, before or after a lone capital, that an option is meant.
_NAMING = frozenset(
    {"is", "be", "option", "answer", "choice", "letter", "choose", "chose", "pick", "select", "so", "thus"}
    | {"therefore", "hence", "both", "either", "neither", "and", "or", "nor", "not", "with", "say"}
)


def with_letters(text: str, choices: Sequence[str]) -> str:
    """The text with every letter that names an option as a word of its own.

    Example:
        >>> with_letters("So it is (B).", ["left", "right"]).split()
        ['So', 'it', 'is', 'optionletterb', '.']
    """
    own = {word for choice in choices for word in re.findall(r"(?<![\w'’])[A-H](?![\w'’])", choice[1:])}
    own |= {choice[0] for choice in choices if re.match(r"[B-H]\b|A (?:is|or|and)\b", choice)}

    def word(found: re.Match[str]) -> str:
        letter = next(g for g in found.groups() if g)
        if found["alone"] and (own or not _names_an_option(text, *found.span("alone"))):
            return found[0]
        return f" {LETTER_WORD}{letter.lower()} "

    return OPTION_LETTER.sub(word, text)


def _names_an_option(text: str, start: int, end: int) -> bool:
    """Whether a lone capital in a text is an option's letter: by its place or by the words beside it."""
    before = WORD.findall(text[max(0, start - 40) : start])
    after = WORD.match(text[end:].lstrip(" "))
    if text[start] == "A" and after and after[0].casefold() not in AFTER_LETTER:
        return False  # an article
    if not text[:start].strip(" \n([{") or not text[end:].strip(" \n.)]}"):
        return True
    known = (before[-1:] or [""])[0].casefold() in _NAMING
    return known or (after is not None and after[0].casefold() in AFTER_LETTER)
