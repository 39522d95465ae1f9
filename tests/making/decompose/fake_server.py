"""A small chat-completions server on the loopback address, that answers, or fails, as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """One request: noted, then answered by the script's next line (its last line again and again)."""

    server: FakeServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            place = len(self.server.asked)
            self.server.asked.append(asked)
            self.server.active += 1
            self.server.most = max(self.server.most, self.server.active)
        try:
            self.server.script[min(place, len(self.server.script) - 1)](self, asked)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.server.lock:
                self.server.active -= 1

    def send(self, status: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
        """A whole response."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class FakeServer(ThreadingHTTPServer):
    """Remembers what it was asked, and how many requests were under way at once."""

    daemon_threads = True

    def __init__(self, script: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.asked: list[dict[str, Any]] = []
        self.active = self.most = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def serving(*script: Answer) -> Iterator[FakeServer]:
    """A server that follows the script."""
    server = FakeServer(list(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: str, finish: str = "stop") -> bytes:
    """A chat completion that says ``text``."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def says(text: str, finish: str = "stop", delay: float = 0.0) -> Answer:
    """Answers with this text."""

    def answer(handler: Handler, asked: dict[str, Any]) -> None:
        time.sleep(delay)
        handler.send(200, completion(text, finish))

    return answer


def fails(status: int, body: bytes = b'{"error": {"message": "no"}}', **headers: str) -> Answer:
    """Answers with this status."""
    return lambda handler, asked: handler.send(status, body, **headers)


def stalls(seconds: float) -> Answer:
    """Says nothing for a while."""
    return lambda handler, asked: time.sleep(seconds)


def cuts_off(handler: Handler, asked: dict[str, Any]) -> None:
    """Announces more than it sends, and hangs up."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def drips(handler: Handler, asked: dict[str, Any]) -> None:
    """Sends a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)
