"""Requests to any server that speaks OpenAI's chat completions: bounded in time and size, tried again."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headscope.errors import DataError, HeadscopeError


class ServerError(HeadscopeError):
    """A request that came to nothing after every retry."""


class ServerRefused(DataError):
    """A request that no retry can mend: a wrong address, key, model or request."""


class _Passing(Exception):
    """A failure that may pass; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Completion:
    """What a server said: the text, why it ended, and the tokens it counted (0 where it does not say)."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True)
class Limits:
    """Bounds of the talk with a server.

    Attributes:
        seconds: of one request, from asking to the last byte; also of any silence.
        bytes: of one response.
        tries: of one request, the first included.
        pause: seconds before the second try; doubled each time, up to ``longest``, with a random share.
        per_minute: requests a minute over all threads; 0: no limit.
    """

    seconds: float = 120.0
    bytes: int = 1_000_000
    tries: int = 5
    pause: float = 1.0
    longest: float = 60.0
    per_minute: float = 0.0


class Server:
    """A chat-completions server and a model on it.

    Args:
        url: base address, with ``/v1`` where the server has it.
        model: its name there.
        key: API key; many local servers take any.
        sleep: waits; tests give their own.

    Raises:
        DataError: the openai client is not installed.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str = "none",
        limits: Limits = Limits(),  # frozen
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        try:
            import openai
        except ImportError as exc:
            raise DataError(
                "decomposing with a model needs the openai client, which is not installed; "
                "`pip install 'headscope[llm]'`"
            ) from exc
        self.url, self.model, self.limits = url, model, limits
        self.structured = True
        self.requests = self.failures = 0
        self._openai = openai
        self._client = openai.OpenAI(base_url=url, api_key=key, timeout=limits.seconds, max_retries=0)
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._lock = threading.Lock()
        self._next = 0.0

    def ask(self, messages: list[dict[str, Any]], schema: dict[str, Any], max_tokens: int) -> Completion:
        """The answer to a dialogue, tried again where a failure may pass.

        Raises:
            ServerRefused: no retry can help. ServerError: every try failed.
        """
        reason = ""
        for attempt in range(self.limits.tries):
            self._wait_for_turn()
            try:
                return self._once(messages, schema, max_tokens)
            except _Passing as exc:
                reason = str(exc)
                with self._lock:
                    self.failures += 1
                if self._stopped.is_set():
                    break
                if attempt + 1 < self.limits.tries:
                    backoff = min(self.limits.longest, self.limits.pause * 2**attempt)
                    wait = backoff * (0.5 + random.random() / 2)
                    self._sleep(min(self.limits.longest, max(wait, exc.wait or 0.0)))
        raise ServerError(f"{self.url}: {reason}, {self.limits.tries} times")

    def stop(self) -> None:
        """Try nothing again from now on; requests under way end as they end."""
        self._stopped.set()

    def _wait_for_turn(self) -> None:
        with self._lock:
            self.requests += 1
            now = time.monotonic()
            turn = max(now, self._next)
            if self.limits.per_minute:
                self._next = turn + 60.0 / self.limits.per_minute
        if turn > now:
            self._sleep(turn - now)

    def _once(self, messages: list[dict[str, Any]], schema: dict[str, Any], max_tokens: int) -> Completion:
        api = self._openai
        given: dict[str, Any] = {"model": self.model, "messages": messages, "max_tokens": max_tokens}
        given["temperature"] = 0
        structured = self.structured
        if structured:
            named = {"name": "steps", "strict": True, "schema": schema}
            given["response_format"] = {"type": "json_schema", "json_schema": named}
        try:
            with self._client.chat.completions.with_streaming_response.create(**given) as response:
                content = self._bounded(response.iter_bytes())
        except api.APITimeoutError as exc:
            raise _Passing(f"no answer within {self.limits.seconds:g} s") from exc
        except api.APIConnectionError as exc:
            raise _Passing(f"no connection ({exc.__cause__ or exc})") from exc
        except api.APIStatusError as exc:
            return self._status(exc, structured, messages, schema, max_tokens)
        except _Passing:
            raise
        except Exception as exc:  # the client's transport raises its own family when a body breaks off
            if type(exc).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
                raise
            raise _Passing(f"the response broke off ({type(exc).__name__})") from exc
        return _said(content)

    def _bounded(self, chunks: Any) -> bytes:
        end = time.monotonic() + self.limits.seconds
        parts: list[bytes] = []
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self.limits.bytes:
                raise _Passing(f"a response of over {self.limits.bytes} bytes")
            if time.monotonic() > end:
                raise _Passing(f"no whole answer within {self.limits.seconds:g} s")
            parts.append(chunk)
        return b"".join(parts)

    def _status(
        self,
        exc: Any,
        structured: bool,
        messages: list[dict[str, Any]],
        schema: dict[str, Any],
        max_tokens: int,
    ) -> Completion:
        code, text = exc.status_code, " ".join(str(exc).split())[:200]
        if code in (408, 409, 425, 429) or code >= 500:
            raise _Passing(f"status {code}", _retry_after(exc.response.headers.get("retry-after")))
        if structured and code in (400, 422) and "response_format" in text + str(exc.body):
            self.structured = False  # an older server: the schema stands in the prompt, and is checked here
            return self._once(messages, schema, max_tokens)
        raise ServerRefused(
            f"{self.url}: asked model {self.model!r}, found status {code}: {text}; check --server (does it "
            "end in /v1?), --model and the key"
        )


def _retry_after(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None


def _said(content: bytes) -> Completion:
    try:
        raw = json.loads(content)
        choice = raw["choices"][0]
        text = choice["message"].get("content") or ""
        usage = raw.get("usage") or {}
        counts = [usage.get(k) or 0 for k in ("prompt_tokens", "completion_tokens")]
        if not isinstance(text, str) or not all(isinstance(n, int) for n in counts):
            raise TypeError("text and token counts")
        return Completion(text, str(choice.get("finish_reason")), counts[0], counts[1])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as exc:
        raise _Passing(f"a response that is no chat completion ({type(exc).__name__})") from exc
