"""The review page: a small HTTP server on the loopback address, for one reviewer and one folder of cases."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headscope.data.cases import Cases, load_cases
from headscope.data.schema import Case
from headscope.data.validation import jsonl_path
from headscope.errors import DataError, HeadscopeError
from headscope.functions import DEFAULT, Taxonomy
from headscope.making.review.applied_reviews import apply_reviews
from headscope.making.review.verdicts import Reviews, mark_of, steps_of
from headscope.records import JsonObject, JsonValue

HOST = "127.0.0.1"
_PARTS = {
    "/": ("review.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
}
_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
_MOST = 64_000  # bytes of a request


class ReviewSession:
    """Everything the page can ask for; one lock, since reviewers click faster than disks turn.

    Args:
        folder: the cases.
        reviewer: whose verdicts are given.
    """

    def __init__(self, folder: str | Path, reviewer: str, taxonomy: Taxonomy = DEFAULT) -> None:
        self.folder, self.reviewer, self.taxonomy = Path(folder), reviewer, taxonomy
        self.token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._load(load_cases(folder, taxonomy))

    def _load(self, cases: Cases) -> None:
        self.cases = cases
        self._read = self._state()
        self.reviews = Reviews(cases, self.reviewer, self.taxonomy)

    def _state(self) -> tuple[int, int]:
        """What tells whether somebody wrote the cases since."""
        found = jsonl_path(self.folder).stat()
        return found.st_mtime_ns, found.st_size

    @contextmanager
    def _now(self) -> Iterator[None]:
        """One request at a time, on the cases as they are on disk now."""
        with self._lock:
            if self._state() != self._read:
                self._load(load_cases(self.folder, self.taxonomy))
            yield

    def overview(self) -> JsonObject:
        """All cases with how far each is judged."""
        with self._now():
            rows: list[JsonValue] = [
                {"id": c.id, "kind": c.kind, "judged": judged, "steps": steps}
                for c, judged, steps in self.reviews.progress()
            ]
        titles = self.taxonomy.titles
        return {
            "cases": rows,
            "functions": [{"name": f, "title": titles[f]} for f in self.taxonomy.functions],
            "spatial": list[JsonValue](sorted(self.taxonomy.spatial)),
            "reviewer": self.reviewer,
            "folder": self.folder.name,
        }

    def case(self, number: int) -> JsonObject:
        """One case as the page shows it."""
        with self._now():
            case = self._case(number)
            verdicts = {k: vars(v) for k, v in self.reviews.of(case).items()}
        steps = [s.model_dump() | {"mark": mark_of(s)} for s in steps_of(case)]
        head = case.model_dump(include={"id", "kind", "source", "width", "height", "objects", "named"})
        if case.more:  # the page shows the first picture, with its own boxes
            head["objects"] = [thing for thing in head["objects"] if not thing["picture"]]
            head["kind"] = f"{case.kind} · picture 1 of {len(case.pictures)}".strip(" ·")
        return head | {"number": number, "steps": steps, "verdicts": verdicts}

    def judge(self, asked: JsonObject) -> JsonObject:
        """Store a verdict, or take one back (``ruling`` null); refused on words that were changed since."""
        with self._now():
            case = self._case(asked.get("number"))
            if case.id != asked.get("case"):
                raise DataError("the cases have changed since this page was opened; reload it")
            step, ruling = str(asked.get("step")), asked.get("ruling")
            if ruling is None:
                self.reviews.take_back(case, step)
                return {"verdict": None}
            change = asked.get("change")
            about = asked.get("about")
            verdict = self.reviews.give(
                case,
                step,
                str(ruling),
                change if isinstance(change, dict) else None,
                None if about is None else str(about),
            )
        return {"verdict": vars(verdict)}

    def write_back(self) -> JsonObject:
        """Apply all verdicts to the cases on disk."""
        with self._now():
            done = apply_reviews(self.cases, self.reviewer)
            self._load(done.cases)
        return {k: v for k, v in vars(done).items() if k not in ("cases", "stale")} | {
            "stale": list[JsonValue](done.stale)
        }

    def picture(self, number: int) -> bytes:
        """The bytes of a case's picture, from inside the folder."""
        with self._now():
            path = self.cases.image_path(self._case(number))
        return path.read_bytes()

    def _case(self, number: object) -> Case:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(self.cases):
            raise DataError(f"no case number {number!r}; there are {len(self.cases)}")
        return self.cases.cases[number]


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
            self._json(lambda: self.server.session.case(_number(path)))
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
            content = self.server.session.picture(_number(path))
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


def _number(path: str) -> int:
    text = path.rsplit("/", 1)[-1]
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
