"""The playground's server: this machine alone, with its token, within bounds, no traceback ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playing import ask, embedded_playground, served, state_of, token_of

from headscope.play.playground import Playground


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(embedded_playground()) as found:
        yield found


def post(url: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    status, content, _ = ask(url, "POST", f"/api/{path}", body, X_Headscope=token_of(url), **headers)
    return status, json.loads(content)


STATE = state_of().model_dump(mode="json")


def test_the_page_allows_no_foreign_content(url: str) -> None:
    status, content, headers = ask(url, "GET", "/")
    assert status == 200
    assert b"{{token}}" not in content
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    for part in ("play.css", "play.js", "calls.js", "composer.js", "export.js"):
        assert ask(url, "GET", f"/page/{part}")[0] == 200
    assert ask(url, "GET", "/page/../play_server.py")[0] == 404
    assert ask(url, "GET", "/docs")[0] == 404


@pytest.mark.parametrize("path", ["answers", "steps", "heads", "picture", "pointed", "case", "snippet"])
def test_every_request_of_the_page_is_answered(url: str, path: str) -> None:
    status, content, headers = ask(url, "POST", f"/api/{path}", STATE, X_Headscope=token_of(url))
    assert status == 200
    if path in ("picture", "pointed"):
        assert Image.open(BytesIO(content)).size == (192, 192)
    else:
        assert json.loads(content)
    assert headers["Cache-Control"] == "no-store"


def test_without_its_token_nothing_is_computed(url: str) -> None:
    assert ask(url, "POST", "/api/answers", STATE)[0] == 403
    assert ask(url, "POST", "/api/answers", STATE, X_Headscope="wrong")[0] == 403
    assert ask(url, "POST", "/api/upload", b"x", X_Headscope="wr\xf6ng".encode().decode("latin-1"))[0] == 403


def test_a_foreign_name_or_page_is_refused(url: str) -> None:
    port = urlsplit(url).port
    token = token_of(url)
    assert ask(url, "GET", "/", Host=f"evil.example:{port}")[0] == 403
    assert ask(url, "GET", "/", Host="127.0.0.1")[0] == 403
    assert ask(url, "POST", "/api/answers", STATE, X_Headscope=token, Origin="http://evil.example")[0] == 403
    assert ask(url, "POST", "/api/answers", STATE, X_Headscope=token, Origin=url.rstrip("/"))[0] == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"style": "neon"}, "unknown style 'neon'"),
        ({"boxes": [[1, 2, 3]]}, "boxes.0"),
        ({"boxes": [[1, 2, float("inf"), 4]]}, "boxes.0"),
        ({"boxes": [[9, 9, 1, 1]], "style": "box"}, "box"),
        ({"edit": {"heads": ["L3H5"], "scope": "nowhere"}}, "unknown scope"),
        ({"edit": {"heads": ["L3H5", "L3H5"]}}, "twice"),
        ({"edit": {"heads": ["xyz"]}}, "xyz"),
        ({"edit": {"heads": ["L3H5"], "action": "burn"}}, "action"),
        ({"edit": {"heads": ["L3H5"], "factor": 1e9, "action": "scale"}}, "factor"),
        ({"question": "x" * 5000}, "question"),
        ({"nonsense": 1}, "nonsense"),
        ({"picture": {"source": "file", "id": "/etc/passwd"}}, "source"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(url: str, change: dict[str, Any], said: str) -> None:
    status, found = post(url, "answers", {**STATE, **change})
    assert status in (400, 422)
    assert said in found["error"]
    assert "Traceback" not in found["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'"x"', b"[" * 20_000])
def test_what_is_no_request_is_refused(url: str, body: bytes) -> None:
    status, content, _ = ask(url, "POST", "/api/answers", body, X_Headscope=token_of(url))
    assert 400 <= status < 500
    assert "error" in json.loads(content)


def test_a_request_that_is_too_long_is_refused_unread(url: str) -> None:
    status, content, _ = ask(url, "POST", "/api/answers", b"x" * 400_000, X_Headscope=token_of(url))
    assert status == 413
    assert "longer than" in json.loads(content)["error"]


def test_a_picture_is_uploaded_and_asked_about(url: str) -> None:
    data = BytesIO()
    embedded_playground().shelf.image(state_of(1).picture).save(data, "PNG")
    status, found = post(url, "upload", data.getvalue())
    assert status == 200
    assert (found["width"], found["height"]) == (192, 192)
    upload = {**state_of(1).model_dump(mode="json"), "picture": {"source": "upload", "id": found["id"]}}
    given = post(url, "answers", upload)[1]
    assert given["plain"] == embedded_playground().answers(state_of(1)).plain.model_dump(mode="json")


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n" + bytes(50)]
)
def test_what_is_no_picture_is_refused(url: str, content: bytes) -> None:
    status, found = post(url, "upload", content)
    assert status == 400
    assert "choose a PNG or JPEG" in found["error"]


def test_a_fault_of_the_model_is_told_without_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    playground = Playground(embedded_playground().vlm, embedded_playground().shelf)
    monkeypatch.setattr(playground, "_ask", lambda *_: 1 / 0)
    with served(playground) as url:
        status, found = post(url, "answers", STATE)
        assert status == 500
        assert found == {"error": "this failed; the terminal of headscope play shows why"}
        assert ask(url, "GET", "/api/about")[0] == 200
