"""Odd questions, drawn by seed, and an account of an encoded prompt that uses no offsets: what each token
stands for in bytes."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Sequence
from typing import Any

MARKERS = (
    "<image>", "<|image|>", "<|image_pad|>", "<|vision_start|>", "<image_soft_token>", "<start_of_image>",
    "<IMG_CONTEXT>", "[IMG]", "[IMG_BREAK]", "<fake_token_around_image>", "<row_1_col_1>", "<global-img>",
    "<video>", "<|video_pad|>", "<|placeholder|>", "<|im_start|>", "<|im_end|>", "<|im_start|>assistant\n",
    "[INST]", "[/INST]", "<<SYS>>", "<end_of_turn>", "<start_of_turn>model\n", "<turn|>", "<|turn>model\n",
    "<|channel>", "</s>", "<s>", "<bos>", "<eos>", "<pad>", "<unk>", "<|endoftext|>", "<end_of_utterance>",
    "<|eot_id|>", "<|end_of_role|>", "<|start_of_role|>assistant", "<think>", "</think>", "<tool_call>",
    "USER:", "ASSISTANT:", " ASSISTANT:", "Assistant:", "user\n", "assistant\n", "model\n", "zqxmark",
    "{{ messages }}", "{% raise %}", "{# note #}", "{{ 1 / 0 }}", "%s %(name)s", "{0} {name}", "\\n", "&lt;",
)  # fmt: skip
CODE = (
    "for (int i = 0; i < n; ++i) { a[i] += b[i]; }", "def f(x):\n\treturn x ** 2",
    "SELECT * FROM t WHERE a='b';", "<table><tr><td>1</td></tr></table>", "$x^2 + \\frac{1}{2}$",
    "https://example.org/?q=a&b=c#d", "C:\\dir\\file.txt", "```python\nprint('x')\n```",
)  # fmt: skip
NUMBERS = ("3.14159", "1,000,000", "1e-10", "٣٤٥", "²³", "½", "0x1F", "12:30", "-7", "１２３", "Ⅳ")
ACCENTS = (
    "Où est l'élève ?",
    "¿Dónde está el niño?",
    "Größe",
    "naïve café",
    "Ångström",
    "Việt Nam",
    "ﬁle",
    "ǆ",
)
OTHER_SCRIPTS = (
    "狗在马的左边吗？", "犬は馬の左にいますか", "개가 말의 왼쪽에 있나요?", "Собака слева от лошади?",
    "Πού είναι ο σκύλος;", "कुत्ता कहाँ है?", "สุนัขอยู่ที่ไหน", "ཁྱི་ག་པར་ཡོད།", "𝕎𝕙𝕖𝕣𝕖", "𐍈𐌰", "𓀀",
)  # fmt: skip
RIGHT_TO_LEFT = (
    "أين الكلب؟",
    "איפה הכלב?",
    "\u202eWhere\u202c",
    "\u2067dog\u2069",
    "a\u200fb\u200e",
    "\u061c?",
)
EMOJI = ("🐶", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇺🇦", "1️⃣", "❤️", "🧑‍🚀?", "e\u0301\u0302\u0303\u0304", "Z͑͗a̷l̸g̶o̷")
CONTROLS = (
    "\x00",
    "a\x00b",
    "\x01\x02",
    "\x07",
    "\x1b[31mred\x1b[0m",
    "\x7f",
    "\u0085",
    "\ufeff",
    "\ufffd",
    "\uffff",
)
BLANKS = (
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\xa0",
    "\u2003",
    "\u3000",
    "\u200b",
    "\u2028",
    "\u202f",
    "        ",
)
PLAIN = (
    "Is the dog facing the horse?", "Where?", "user", "assistant", "How many sheep?", "left", "?", "a",
    "Where is the dog? Where is the dog?", "answer en", "What  is   this", "WHERE", "system",
)  # fmt: skip
HALF = ("\ud800", "dog \udfff?")
KINDS: tuple[Sequence[str], ...] = (
    MARKERS, CODE, NUMBERS, ACCENTS, OTHER_SCRIPTS, RIGHT_TO_LEFT, EMOJI, CONTROLS, BLANKS, PLAIN,
)  # fmt: skip


def odd_prompts(count: int, seed: str) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Questions with their histories: every fragment above alone first, then combinations."""
    draw = random.Random(seed)
    alone = ["", *(text for kind in KINDS for text in kind), *HALF]
    questions = alone + [_combined(draw) for _ in range(count - len(alone))]
    assert len(questions) == count
    return [(question, _history(draw, question)) for question in questions]


def _combined(draw: random.Random) -> str:
    length = draw.choice((1, 1, 2, 2, 3, 6))
    # Marks are drawn less often: most questions with one are refused.
    kinds = [draw.choice(KINDS if draw.random() < 0.4 else KINDS[1:]) for _ in range(length)]
    text = draw.choice(("", "", " ")).join(draw.choice(kind) for kind in kinds)
    if draw.random() < 0.3:
        text = unicodedata.normalize(draw.choice(("NFC", "NFD", "NFKC", "NFKD")), text)
    if draw.random() < 0.02:
        text = (text * 8000)[:8000]
    if draw.random() < 0.3:
        text = draw.choice(BLANKS) + text
    if draw.random() < 0.3:
        text += draw.choice(BLANKS)
    return text


def _history(draw: random.Random, question: str) -> tuple[tuple[str, str], ...]:
    chance = draw.random()
    if chance < 0.5:
        return ()
    if chance < 0.85:
        return (("Where is the dog?", "left"), (question, "yes"))
    if chance < 0.97:
        return ((question, question), ("Who?", draw.choice((*ACCENTS, *EMOJI, *CODE))))
    return (("Who?", draw.choice(MARKERS)),)


class Vocabulary:
    """What each token of a tokenizer stands for, from its vocabulary alone."""

    def __init__(self, tokenizer: Any) -> None:
        core = json.loads(tokenizer.backend_tokenizer.to_str())
        self.normal = (core["normalizer"] or {}).get("type")
        self._of = _of_level if "ByteLevel" in json.dumps(core["decoder"]) else _of_pieces
        self.added = {int(i): token.content for i, token in tokenizer.added_tokens_decoder.items()}
        self._names = tokenizer.convert_ids_to_tokens

    def bytes_of(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of each token."""
        names = zip(ids, self._names(list(ids)), strict=True)
        return [self.added[i].encode() if i in self.added else self._of(name) for i, name in names]


def _of_pieces(name: str) -> bytes:
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes([int(name[3:5], 16)])
    return name.replace("▁", " ").encode()


def _byte_characters() -> dict[str, int]:
    """GPT-2's characters for bytes: printable ones stand for themselves, the rest for those from 256 on."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(256 + n): b for n, b in enumerate(rest)}


_BYTES = _byte_characters()


def _of_level(name: str) -> bytes:
    return bytes(_BYTES[c] for c in name)
