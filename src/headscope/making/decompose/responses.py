"""What a server answered: the text of a completion, its own words where it failed, how long to wait."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from headscope.records import JsonObject


class PassingFailure(Exception):
    """A failure that may pass; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Completion:
    """What a server said: the text, why it ended, and the tokens it counted (0 where it does not say).

    ``refusal`` holds the words with which a model or a filter declined to answer.
    """

    text: str
    finish: str
    tokens_in: int
    tokens_out: int
    refusal: str = ""


def words_of(exc: Any) -> str:
    """The server's own words in one line: its message where there is one, else its body without marks."""
    body = exc.body
    for key in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(key):
            body = body[key]
    if not isinstance(body, str):
        body = json.dumps(body) if body else exc.response.text
    return _plain(body)


def _plain(text: str) -> str:
    return " ".join(
        re.sub(r"<(?:style|script).*?</(?:style|script)>|<[^>]*>", " ", text, flags=re.S).split()
    )[:300]


def pause_of(headers: Any) -> float | None:
    """Seconds that the server asks to wait: milliseconds, seconds or a date."""
    try:
        if headers.get("retry-after-ms"):
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        if not (value := headers.get("retry-after")):
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def said_in(content: bytes) -> Completion:
    """The answer in a response, whole or as a stream of events.

    Raises:
        PassingFailure: it is none; with what stands there.
    """
    try:
        raw: Any = _event_stream(content) if content.lstrip().startswith(b"data:") else json.loads(content)
        if isinstance(raw, dict) and raw.get("error") and not raw.get("choices"):
            error = raw["error"]
            words = error.get("message") if isinstance(error, dict) else error
            raise PassingFailure(f"an error within a response: {_plain(str(words))}")
        choice = raw["choices"][0]
        message = choice["message"]
        # A server may hand out the whole reply as reasoning where the model never ended its thought.
        text = message.get("content") or message.get("reasoning_content") or message.get("reasoning") or ""
        if isinstance(text, list):
            text = "".join(part.get("text") or "" for part in text)
        usage = raw.get("usage") or {}
        counts = [usage.get(k) or 0 for k in ("prompt_tokens", "completion_tokens")]
        if not isinstance(text, str) or not all(isinstance(n, int) for n in counts):
            raise TypeError("text and token counts")
        finish, refusal = str(choice.get("finish_reason")), str(message.get("refusal") or "")
        if finish == "content_filter" and not refusal:
            refusal = "a content filter, without a word"
        return Completion(text, finish, counts[0], counts[1], refusal)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as exc:
        shown = _plain(content[:2000].decode("utf-8", errors="replace"))
        raise PassingFailure(
            f"a response that is no chat completion ({type(exc).__name__}): {shown}"
        ) from exc


def _event_stream(content: bytes) -> JsonObject:
    """The pieces of a stream put together as one completion."""
    text, finish, usage = "", "stop", None
    for line in content.decode("utf-8").splitlines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data in ("", "[DONE]"):
            continue
        piece = json.loads(data)
        usage = piece.get("usage") or usage
        for choice in piece.get("choices", ())[:1]:
            text += (choice.get("delta") or choice.get("message") or {}).get("content") or ""
            finish = choice.get("finish_reason") or finish
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}], "usage": usage}
