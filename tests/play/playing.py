"""A playground on the embedded model, served on this machine for tests."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from headscope.play.opening import open_playground
from headscope.play.play_requests import PictureChoice, PlayState
from headscope.play.play_server import HOST, play_app
from headscope.play.playground import Playground


@cache
def embedded_playground() -> Playground:
    """One for all tests: nothing of a request stays in it."""
    return open_playground()


def state_of(number: int = 0, **changes: Any) -> PlayState:
    """The state of an example as the page opens it."""
    case = list(embedded_playground().shelf.examples.values())[number]
    picture = PictureChoice(source="example", id=case.id)
    given = {"picture": picture, "question": case.question, "choices": case.choices, **changes}
    return PlayState.model_validate(given)


@contextmanager
def served(playground: Playground) -> Iterator[str]:
    """The page's address while it is served."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    server = uvicorn.Server(uvicorn.Config(play_app(playground), log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


def ask(
    url: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """Status, content and headers of one request; a body that is no bytes goes as JSON."""
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    given = {k.replace("_", "-"): v for k, v in headers.items()}
    if content is not None:
        given.setdefault("Content-Type", "application/json")
    link.request(method, path, content, given)
    answer = link.getresponse()
    found = answer.status, answer.read(), answer.headers
    link.close()
    return found


def token_of(url: str) -> str:
    """The token that the page holds."""
    found = re.search(rb'name="token" content="([^"]+)"', ask(url, "GET", "/")[1])
    assert found
    return found[1].decode()
