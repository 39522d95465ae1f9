"""The review server: loopback only, nothing written without its token, nothing outside the folder."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reviewed import folder_of_cases, folder_of_two_pictures

from headscope.data.cases import load_cases
from headscope.errors import DataError
from headscope.making.review.review_server import ReviewServer
from headscope.making.review.review_session import ReviewSession


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ReviewServer]:
    served = ReviewServer(ReviewSession(folder_of_cases(tmp_path / "cases"), "ann"))
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


def ask(
    page: ReviewServer, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes, Any]:
    link = http.client.HTTPConnection(*page.server_address[:2], timeout=10)  # type: ignore[arg-type]
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    link.request(method, path, content, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = link.getresponse()
    found = answer.status, answer.read(), answer.headers
    link.close()
    return found


VERDICT = {"number": 0, "case": "a", "step": "s1", "ruling": "accept"}


def test_it_listens_on_the_loopback_address_alone(page: ReviewServer) -> None:
    assert page.server_address[0] == "127.0.0.1"
    assert page.url.startswith("http://127.0.0.1:")


def test_the_page_allows_no_foreign_content(page: ReviewServer) -> None:
    status, content, headers = ask(page, "GET", "/")
    assert status == 200
    assert page.session.token.encode() in content
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_verdict_is_written_and_read_back(page: ReviewServer) -> None:
    token = page.session.token
    assert ask(page, "POST", "/judge", VERDICT, X_Headscope=token)[0] == 200
    case = json.loads(ask(page, "GET", "/case/0")[1])
    assert case["verdicts"]["s1"]["ruling"] == "accept"
    assert json.loads(ask(page, "GET", "/cases")[1])["cases"][0]["judged"] == 1
    assert ask(page, "POST", "/judge", VERDICT | {"ruling": None}, X_Headscope=token)[0] == 200
    assert json.loads(ask(page, "GET", "/case/0")[1])["verdicts"] == {}


@pytest.mark.parametrize("headers", [{}, {"X_Headscope": "guess"}, {"X_Headscope": "é"}])
def test_without_the_token_nothing_is_written(page: ReviewServer, headers: dict[str, str]) -> None:
    assert ask(page, "POST", "/judge", VERDICT, **headers)[0] == 403
    assert not (page.session.folder / "reviews").exists()


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_a_foreign_name_or_origin_is_refused(page: ReviewServer, headers: dict[str, str]) -> None:
    assert ask(page, "GET", "/cases", **headers)[0] == 403
    assert ask(page, "POST", "/judge", VERDICT, X_Headscope=page.session.token, **headers)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/picture/7",
        "/picture/-1",
        "/picture/../../etc/passwd",
        "/picture/%2e%2e%2fx",
        "/etc/passwd",
        "/case/x",
        "/x",
    ],
)
def test_paths_that_are_nothing_are_refused(page: ReviewServer, path: str) -> None:
    assert ask(page, "GET", path)[0] in (400, 404)


def test_a_picture_comes_as_it_is(page: ReviewServer) -> None:
    status, content, headers = ask(page, "GET", "/picture/0")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert content == (page.session.folder / "images" / "a.png").read_bytes()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"[" * 20_000, {"number": 99}, {"number": True}, VERDICT | {"case": "b"},
     VERDICT | {"step": ["s1"]}, VERDICT | {"ruling": "fix", "change": {"answer": 7}},
     VERDICT | {"ruling": "fix", "change": "x"}],
    ids=range(10),
)  # fmt: skip
def test_a_request_that_makes_no_sense_gets_a_reason_and_changes_nothing(
    page: ReviewServer, body: Any
) -> None:
    status, content, _ = ask(page, "POST", "/judge", body, X_Headscope=page.session.token)
    assert status == 400
    assert json.loads(content)["error"]
    assert not list(page.session.folder.glob("reviews/ann/*"))


def test_an_enormous_request_is_not_read(page: ReviewServer) -> None:
    assert ask(page, "POST", "/judge", b" " * 100_000, X_Headscope=page.session.token)[0] == 413


def test_writing_back_gives_the_cases_as_judged(page: ReviewServer) -> None:
    token = page.session.token
    change = {"ruling": "fix", "change": {"answer": "left"}}
    assert ask(page, "POST", "/judge", VERDICT | {"step": "s2"} | change, X_Headscope=token)[0] == 200
    done = json.loads(ask(page, "POST", "/write", {}, X_Headscope=token)[1])
    assert done["fixed"] == 1
    assert json.loads(ask(page, "GET", "/case/0")[1])["steps"][1]["answer"] == "left"


def test_of_several_pictures_each_comes_with_its_size_and_boxes(tmp_path: Path) -> None:
    session = ReviewSession(folder_of_two_pictures(tmp_path / "cases"), "ann")
    shown = session.case(0)
    assert shown["pictures"] == [{"width": 40, "height": 30}, {"width": 60, "height": 20}]
    assert [(o["id"], o["picture"]) for o in shown["objects"]] == [
        ("dog", 0),
        ("horse", 0),
        ("cup", 1),
        ("spoon", 0),
    ]
    for number, name in enumerate(("a", "b")):
        assert session.picture(0, number) == (tmp_path / "cases" / "images" / f"{name}.png").read_bytes()
    with pytest.raises(DataError, match="no picture number 2; there are 2"):
        session.picture(0, 2)


BOX = {"number": 0, "case": "a", "thing": "dog", "box": [20, 5, 38, 20], "picture": 0}


def test_a_box_is_moved_undone_and_written(page: ReviewServer) -> None:
    token = page.session.token
    mark = page.session.case(0)["objects"][0]["mark"]
    status, content, _ = ask(page, "POST", "/box", BOX | {"about": mark}, X_Headscope=token)
    assert status == 200, content
    assert page.session.case(0)["boxes"]["dog"]["box"] == [20, 5, 38, 20]
    done = json.loads(ask(page, "POST", "/undo", {}, X_Headscope=token)[1])
    assert (done["undone"], done["picture"]) == ("the box of dog of a", 0)
    assert page.session.case(0)["boxes"] == {}
    ask(page, "POST", "/box", BOX, X_Headscope=token)
    assert json.loads(ask(page, "POST", "/write", {}, X_Headscope=token)[1])["boxes"] == 1
    assert load_cases(page.session.folder)[0].objects[0].box == (20, 5, 38, 20)
    status, content, _ = ask(page, "POST", "/undo", {}, X_Headscope=token)
    assert status == 400
    assert "nothing to undo since" in json.loads(content)["error"]


@pytest.mark.parametrize(
    "body",
    [{}, BOX | {"number": 9}, BOX | {"case": "b"}, BOX | {"thing": "cat"}, BOX | {"box": "x"},
     BOX | {"box": [1, 2, 3]}, BOX | {"box": [1, 2, True, 4]}, BOX | {"box": [0, 0, 99, 9]},
     BOX | {"box": [5, 5, 5, 9]}, BOX | {"box": [9, 9, 5, 5]}, BOX | {"picture": 1}, BOX | {"picture": "0"},
     BOX | {"thing": None}, BOX | {"about": "other"}, {"number": 0, "case": "a", "thing": "dog"},
     BOX | {"box": [22, 5, 38, 20]}, BOX | {"box": [1e999, 0, 2, 2]}, BOX | {"box": [10**400, 0, 2, 2]}],
    ids=range(18),
)  # fmt: skip
def test_a_box_that_makes_no_sense_gets_a_reason_and_changes_nothing(page: ReviewServer, body: Any) -> None:
    status, content, _ = ask(page, "POST", "/box", body, X_Headscope=page.session.token)
    assert status == 400
    assert json.loads(content)["error"]
    assert not list(page.session.folder.glob("reviews/ann/*"))


def test_undo_goes_back_act_by_act_and_refuses_where_another_page_judged_since(page: ReviewServer) -> None:
    session = page.session
    session.judge(VERDICT)
    session.judge(VERDICT | {"ruling": "reject"})
    session.box(BOX)
    session.judge(VERDICT | {"ruling": None})
    assert session.undo()["undone"] == "the verdict on s1 of a"
    assert session.case(0)["verdicts"]["s1"]["ruling"] == "reject"
    session.undo()
    assert session.case(0)["boxes"] == {}
    assert session.undo()["step"] == 0
    assert session.case(0)["verdicts"]["s1"]["ruling"] == "accept"
    ReviewSession(session.folder, "ann").judge(VERDICT | {"step": "s2"})
    with pytest.raises(DataError, match="case 'a' was judged elsewhere since; nothing is undone"):
        session.undo()
    assert set(session.case(0)["verdicts"]) == {"s1", "s2"}


def test_a_port_in_use_is_said_plainly(page: ReviewServer) -> None:
    with pytest.raises(DataError, match="name another with --port"):
        ReviewServer(page.session, page.server_address[1])


def test_two_reviewers_at_once_see_and_keep_each_others_fixes(page: ReviewServer) -> None:
    other = ReviewServer(ReviewSession(page.session.folder, "bob"))
    thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        shown = json.loads(ask(other, "GET", "/case/0")[1])["steps"]
        fix = VERDICT | {"step": "s2", "ruling": "fix", "change": {"answer": "left"}}
        assert ask(page, "POST", "/judge", fix, X_Headscope=page.session.token)[0] == 200
        assert ask(page, "POST", "/write", {}, X_Headscope=page.session.token)[0] == 200
        late = VERDICT | {"step": "s2", "about": shown[1]["mark"]}
        status, content, _ = ask(other, "POST", "/judge", late, X_Headscope=other.session.token)
        assert status == 400
        assert "somebody changed step 's2' since it was shown" in json.loads(content)["error"]
        good = VERDICT | {"step": "s3", "about": shown[2]["mark"]}
        assert ask(other, "POST", "/judge", good, X_Headscope=other.session.token)[0] == 200
        done = json.loads(ask(other, "POST", "/write", {}, X_Headscope=other.session.token)[1])
        assert (done["accepted"], done["stale"]) == (1, [])
        steps = json.loads(ask(other, "GET", "/case/0")[1])["steps"]
        assert (steps[1]["answer"], steps[2]["origin"]) == ("left", "reviewed")
    finally:
        other.shutdown()
        other.server_close()
        thread.join()


def test_text_in_another_direction_turns_nothing_around_it(page: ReviewServer) -> None:
    assert b"body * { unicode-bidi: isolate; }" in ask(page, "GET", "/review.css")[1]
