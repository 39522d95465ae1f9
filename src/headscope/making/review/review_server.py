"""The review page: a small HTTP server on the loopback address, for one reviewer and one folder of cases."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from headscope.errors import DataError, HeadscopeError
from headscope.making.review.review_session import ReviewSession
from headscope.records import JsonObject

HOST = "127.0.0.1"
_PARTS = {
    "/": ("review.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/boxes.js": ("boxes.js", "text/javascript; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
}
_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
_MOST = 64_000  # bytes of a request


class _Handler(BaseHTTPRequestHandler):
    """Routes; anything that does not come from this page at this address is refused."""

    server: ReviewServer
    timeout = 30

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self._is_local():
            self._send(403, b"only http://127.0.0.1 is served", "text/plain")
        elif path in _PARTS:
            name, kind = _PARTS[path]
            content = self.server.parts[name]
            if path == "/":
                content = content.replace(b"{{token}}", self.server.session.token.encode())
            self._send(200, content, kind)
        elif path == "/cases":
            self._json(self.server.session.overview)
        elif path.startswith("/case/"):
            self._json(lambda: self.server.session.case(_numbers(path, "/case/")[0]))
        elif path.startswith("/picture/"):
            self._picture(path)
        else:
            self._send(404, b"nothing here", "text/plain")

    def do_POST(self) -> None:
        if not self._is_local() or not hmac.compare_digest(
            self.headers.get("X-Headscope", "").encode(), self.server.session.token.encode()
        ):
            self._send(403, b"this page is not allowed to write", "text/plain")
            return
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= _MOST:
            self._send(413, b"too long", "text/plain")
            return
        try:
            asked = json.loads(self.rfile.read(length) or b"{}")
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            self._send(400, b'{"error": "expected a JSON object"}', "application/json")
        elif self.path == "/judge":
            self._json(lambda: self.server.session.judge(asked))
        elif self.path == "/box":
            self._json(lambda: self.server.session.box(asked))
        elif self.path == "/undo":
            self._json(self.server.session.undo)
        elif self.path == "/write":
            self._json(self.server.session.write_back)
        else:
            self._send(404, b"nothing here", "text/plain")

    def _is_local(self) -> bool:
        """Whether the browser was sent to this very address (a foreign name that points here is not)."""
        port = self.server.server_address[1]
        here = {f"{name}:{port}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        return self.headers.get("Host") in here and (origin is None or origin.removeprefix("http://") in here)

    def _picture(self, path: str) -> None:
        try:
            content = self.server.session.picture(*_numbers(path, "/picture/"))
        except (HeadscopeError, OSError) as exc:
            self._send(404, str(exc).encode(errors="replace"), "text/plain; charset=utf-8")
            return
        kind = next(
            (k for magic, k in _KINDS.items() if content.startswith(magic)), "application/octet-stream"
        )
        self._send(200, content, kind)

    def _json(self, make: Callable[[], JsonObject]) -> None:
        try:
            status, value = 200, make()
        except (HeadscopeError, OSError) as exc:
            status, value = 400, {"error": str(exc)}
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is for people."""


def _numbers(path: str, prefix: str) -> tuple[int, int]:
    """Numbers of the case and of its picture in ``/picture/CASE/PICTURE``; -1 for what is no number."""
    case, _, picture = path.removeprefix(prefix).partition("/")
    return _number(case), _number(picture or "0")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1


class ReviewServer(ThreadingHTTPServer):
    """The server; ``url`` is where the browser goes. Close it with ``server_close``.

    Raises:
        DataError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, session: ReviewSession, port: int = 0) -> None:
        self.session = session
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as exc:
            raise DataError(f"port {port}: cannot be used ({exc}); name another with --port") from exc

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    @cached_property
    def parts(self) -> dict[str, bytes]:
        """The page's own files."""
        folder = files("headscope.making.review").joinpath("page")
        return {name: folder.joinpath(name).read_bytes() for name, _ in _PARTS.values()}
