"""Requests to any server that speaks OpenAI's chat completions: bounded in time and size, tried again."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

from headscope.errors import DataError, HeadscopeError
from headscope.making.decompose.responses import Completion, PassingFailure, pause_of, said_in, words_of
from headscope.records import JsonObject


class ServerError(HeadscopeError):
    """A request that came to nothing after every retry."""


class ServerRefused(ServerError):
    """A request that no retry can mend: a wrong address, key, model or request, or an empty account."""


class TextPart(TypedDict):
    """Words of a message that has a picture."""

    type: Literal["text"]
    text: str


class PicturePart(TypedDict):
    """The picture of a message; its ``url`` is a data address."""

    type: Literal["image_url"]
    image_url: dict[str, str]


class Message(TypedDict):
    """A turn of a dialogue, as OpenAI's chat completions have it."""

    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart | PicturePart]


class RequestForm(NamedTuple):
    """How a server is asked; less where it has been found to take less.

    Attributes:
        form: how JSON is asked for: ``schema`` (enforced), ``object`` (any JSON), ``plain`` (by the prompt).
        limit: the name of the token limit.
        temperature: whether it is set to 0.
        opening: who says the first message: ``system``, ``user``, or ``merged``: it begins the user's own.
    """

    form: str = "schema"
    limit: str = "max_tokens"
    temperature: bool = True
    opening: str = "system"

    def less(self, words: str) -> RequestForm | None:
        """The next lesser way to ask after a refusal in these words; None where nothing is left to leave out.

        Example:
            >>> RequestForm().less("json_schema is not supported").form
            'object'
        """
        said = words.casefold()
        if "max_completion_tokens" in said and self.limit == "max_tokens":
            return self._replace(limit="max_completion_tokens")
        if "temperature" in said and self.temperature:
            return self._replace(temperature=False)
        if self.opening != "merged" and re.search(r"\bsystem\b|\broles?\b.*alternat", said):
            return self._replace(opening="user" if self.opening == "system" else "merged")
        if self.form != "plain" and "response_format is not supported" in said:
            return self._replace(form="plain")
        if self.form != "plain":
            return self._replace(form={"schema": "object", "object": "plain"}[self.form])
        if self.temperature:
            return self._replace(temperature=False)
        if self.limit == "max_tokens":
            return self._replace(limit="max_completion_tokens")
        then = {"system": "user", "user": "merged"}.get(self.opening)
        return self._replace(opening=then) if then else None


@dataclass(frozen=True)
class RequestLimits:
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


class ChatServer:
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
        limits: RequestLimits = RequestLimits(),  # frozen
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
        self.asks = RequestForm()
        self.requests = self.failures = 0
        self._openai = openai
        self._client = openai.OpenAI(base_url=url, api_key=key, timeout=limits.seconds, max_retries=0)
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._lock = threading.Lock()
        self._next = 0.0

    def ask(self, messages: list[Message], schema: JsonObject, max_tokens: int) -> Completion:
        """The answer to a dialogue, tried again where a failure may pass.

        Raises:
            ServerRefused: no retry can help. ServerError: every try failed.
        """
        reason = ""
        for attempt in range(self.limits.tries):
            self._wait_for_turn()
            try:
                return self._once(messages, schema, max_tokens)
            except PassingFailure as exc:
                reason = str(exc)  # with the server's own words
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

    @property
    def structured(self) -> bool:
        """Whether the server takes the schema."""
        return self.asks.form == "schema"

    def _once(self, messages: list[Message], schema: JsonObject, max_tokens: int) -> Completion:
        """One answer; a server that refuses the form of the request is asked for less, step by step.

        What it takes is remembered once it has answered: a way that was refused for another reason is not.
        """
        asks: RequestForm | None = self.asks
        first = ""
        while asks is not None:
            try:
                said = self._sent(asks, messages, schema, max_tokens)
            except _OtherFormAsked as exc:
                first = first or str(exc)
                asks = asks.less(str(exc))
                with self._lock:
                    self.requests += asks is not None
                continue
            self.asks = asks
            return said
        raise ServerRefused(first)

    def _sent(self, asks: RequestForm, messages: list[Message], schema: JsonObject, most: int) -> Completion:
        api = self._openai
        if asks.opening == "user":
            messages = [{**messages[0], "role": "user"}, *messages[1:]]
        elif asks.opening == "merged":
            messages = _without_system(messages)
        more: JsonObject = {asks.limit: most}
        if asks.temperature:
            more["temperature"] = 0
        if asks.form == "schema":
            named: JsonObject = {"name": "steps", "strict": True, "schema": schema}
            more["response_format"] = {"type": "json_schema", "json_schema": named}
        elif asks.form == "object":
            more["response_format"] = {"type": "json_object"}
        create: Any = self._client.chat.completions.with_streaming_response.create
        try:
            with create(model=self.model, messages=messages, **more) as response:
                content = self._bounded(response.iter_bytes())
        except api.APITimeoutError as exc:
            raise PassingFailure(f"no answer within {self.limits.seconds:g} s") from exc
        except api.APIConnectionError as exc:
            raise PassingFailure(f"no connection ({exc.__cause__ or exc})") from exc
        except api.APIStatusError as exc:
            raise self._status(exc, asks) from exc
        except PassingFailure:
            raise
        except Exception as exc:  # the client's transport raises its own family when a body breaks off
            if type(exc).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
                raise
            raise PassingFailure(f"the response broke off ({type(exc).__name__})") from exc
        return said_in(content)

    def _bounded(self, chunks: Any) -> bytes:
        end = time.monotonic() + self.limits.seconds
        parts: list[bytes] = []
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self.limits.bytes:
                raise PassingFailure(f"a response of over {self.limits.bytes} bytes")
            if time.monotonic() > end:
                raise PassingFailure(f"no whole answer within {self.limits.seconds:g} s")
            parts.append(chunk)
        return b"".join(parts)

    def _status(self, exc: Any, asks: RequestForm) -> Exception:
        """What a status other than 200 means: worth another try, worth asking for less, or neither."""
        code, words = exc.status_code, words_of(exc)
        said = f"status {code}: {words}"
        if code == 429 and re.search(r"quota|billing|credit|balance", words, re.IGNORECASE):
            return ServerRefused(f"{self.url}: {said}")
        if code >= 500 and asks.form != "plain" and re.search(r"grammar|schema|json", words, re.IGNORECASE):
            return _OtherFormAsked(f"{self.url}: {said}")
        if code in (408, 409, 425, 429) or code >= 500:
            return PassingFailure(said, pause_of(exc.response.headers))
        hint = "check --server (does it end in /v1?), --model and the key"
        if re.search(r"image|vision|multimodal|multi-modal", words, re.IGNORECASE) and code in (
            400,
            415,
            422,
        ):
            hint = "a model without pictures can be asked by --no-pictures, and guesses from words alone"
        elif code in (400, 422) and not re.search(r"context|too (?:long|large)", words, re.IGNORECASE):
            return _OtherFormAsked(f"{self.url}: asked model {self.model!r}, found {said}")
        return ServerRefused(f"{self.url}: asked model {self.model!r}, found {said}; {hint}")


class _OtherFormAsked(Exception):
    """A refusal of the form of a request; another form may pass."""


def _without_system(messages: list[Message]) -> list[Message]:
    """The first message's text put before the second's."""
    opening, first, *rest = messages
    content = first["content"]
    if isinstance(content, str):
        return [{**first, "content": f"{opening['content']}\n\n{content}"}, *rest]
    words: TextPart = {"type": "text", "text": str(opening["content"])}
    return [{**first, "content": [words, *content]}, *rest]
