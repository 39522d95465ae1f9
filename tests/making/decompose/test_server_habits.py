"""Habits of servers: what they refuse and how they answer; a usable answer or one failed case comes of it."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_server import Answer, completion, fails, says, serving
from PIL import Image

pytest.importorskip("openai", reason="the openai client is not installed (extra llm)")
pytest.importorskip("json_repair", reason="json-repair is not installed (extra llm)")

from headscope.data.cases import Cases, load_cases
from headscope.functions import DEFAULT
from headscope.making.decompose.chat_server import ChatServer, RequestForm, RequestLimits
from headscope.making.decompose.llm import DecomposedByModel, Decomposer, DecomposeSettings
from headscope.making.decompose.reply import read_reply
from headscope.making.decompose.responses import pause_of
from shared_cases import CASES

LIMITS = RequestLimits(seconds=2.0, tries=3, pause=0.0)
STEPS: list[dict[str, Any]] = [
    dict(zip(("question", "answer", "choices", "function", "objects", "depends_on"), step, strict=True))
    for step in (
        ("Is there a dog?", "yes", ["yes", "no"], "object_recognition", [], []),
        ("Where is it?", None, ["left", "right"], "spatial_perception", [], [1]),
        ("So is it true?", "true", ["true", "false"], "decision_making", [], [1, 2]),
    )
]
GOOD = json.dumps({"steps": STEPS})


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    (tmp_path / "images").mkdir()
    lines = []
    for i in range(2):
        Image.new("RGB", (40, 30), (90 * i, 0, 0)).save(tmp_path / f"images/{i}.png")
        line = {"id": f"c{i}", "image": f"images/{i}.png", "width": 40, "height": 30, "answer": "true"}
        lines.append(json.dumps(line | {"question": f"Is it a dog ({i})?", "choices": ["true", "false"]}))
    (tmp_path / "cases.jsonl").write_text("\n".join(lines))
    return load_cases(tmp_path)


Form = RequestForm


def with_steps(**changes: Any) -> str:
    """The good reply, each step with what is given made of itself."""
    return json.dumps({"steps": [s | {k: make(s) for k, make in changes.items()} for s in STEPS]})


def run(url: str, cases: Cases, limits: RequestLimits = LIMITS, **settings: Any) -> DecomposedByModel:
    asked = ChatServer(url, "m", limits=limits, sleep=lambda seconds: None)
    return Decomposer(asked, cases, cases.folder, DecomposeSettings(**({"at_once": 1} | settings))).run()


# What a reply around the good steps may look like.
SHAPES = {
    "fence": f"```json\n{GOOD}\n```",
    "capital fence": f"```JSON\n{GOOD}\n```",
    "plain fence": f"```\n{GOOD}\n```",
    "fence behind words": f"Here it is:\n\n```json\n{GOOD}\n```\n",
    "fence before words": f"```json\n{GOOD}\n```\nLet me know if you need more.",
    "two fences": f"```python\nprint(1)\n```\n```json\n{GOOD}\n```",
    "words": f"Sure! {GOOD} I hope it helps.",
    "braces in words": f"The form is {{...}}: {GOOD}",
    "thought": f"<think>\nSteps of {{a}} and [b].\n</think>\n\n{GOOD}",
    "thought with JSON": f'<think>{{"steps": []}}</think>```json\n{GOOD}\n```',
    "end of a thought": f"first the dog ...</think>{GOOD}",
    "byte order mark": f"\ufeff{GOOD}",
    "bare array": json.dumps(STEPS),
    "fenced array": f"```\n{json.dumps(STEPS)}\n```",
    "trailing commas": GOOD.replace("]}", "],}").replace("}]", "},]"),
    "single quotes": str({"steps": STEPS}),
    "no quotes around keys": re.sub(r'"(\w+)":', r"\1:", GOOD),
    "comments": GOOD.replace("[{", "[ // the steps\n{", 1),
    "capitals": with_steps(function=lambda s: s["function"].upper()),
    "spaces in functions": GOOD.replace("object_recognition", "Object recognition"),
    "own keys": with_steps(id=lambda s: 7, origin=lambda s: "reviewed"),
    "numbers as text": with_steps(depends_on=lambda s: [str(d) for d in s["depends_on"]]),
    "steps by name": with_steps(depends_on=lambda s: [f"s{d}" for d in s["depends_on"]]),
    "verdict in capitals": GOOD.replace('"answer": "true"', '"answer": "True."'),
    "verdict as JSON": GOOD.replace('"answer": "true"', '"answer": true'),
    "nothing for lists": GOOD.replace('"objects": []', '"objects": null'),
    "left out lists": GOOD.replace('"objects": [], ', ""),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reply_in_every_shape_gives_the_same_steps(shape: str, cases: Cases) -> None:
    wanted, _ = read_reply(GOOD, cases[0], DEFAULT, "decision_making")
    made, faults = read_reply(SHAPES[shape], cases[0], DEFAULT, "decision_making")
    assert faults == []
    assert made == wanted is not None
    assert [s.origin for s in made.steps] == ["guessed", "unanswered", "derived"]


def test_a_reply_that_is_cut_off_is_not_repaired_into_another(cases: Cases) -> None:
    for end in range(20, len(GOOD), 7):
        made, faults = read_reply(GOOD[:end], cases[0], DEFAULT, "decision_making", whole=False)
        assert made is None
        assert faults


def refuses(key: str, words: str, status: int = 400) -> Answer:
    """Refuses every request that has this key, in these words; else a good answer."""

    def answer(handler: Any, asked: dict[str, Any]) -> None:
        there = asked["messages"][0]["role"] == "system" if key == "system" else key in asked
        if key in ("json_schema", "json_object"):
            there = asked.get("response_format", {}).get("type") == key
        body = json.dumps({"error": {"message": words}}).encode()
        handler.send(status, body) if there else handler.send(200, completion(GOOD))

    return answer


@pytest.mark.parametrize(
    ("answer", "asks"),
    [
        (refuses("json_schema", "'response_format.type' must be 'json_object' or 'text'"), Form("object")),
        (refuses("json_schema", "json_schema is not supported by this model"), Form("object")),
        (refuses("response_format", "response_format is not supported"), Form("plain")),
        (refuses("response_format", 'invalid format: expected "json" or a JSON schema'), Form("plain")),
        (refuses("response_format", "extra fields not permitted", 422), Form("plain")),
        (refuses("response_format", "failed to parse grammar", 500), Form("plain")),
        (refuses("response_format", "bad request"), Form("plain")),
        (refuses("max_tokens", "use 'max_completion_tokens' instead."), Form(limit="max_completion_tokens")),
        (refuses("temperature", "Only the default (1) temperature is supported."), Form(temperature=False)),
        (refuses("system", "System role not supported"), Form(opening="user")),
        (refuses("temperature", "bad request"), Form("plain", temperature=False)),
    ],
)  # fmt: skip
def test_a_server_that_takes_less_is_asked_for_less_and_remembered(
    answer: Answer, asks: Form, cases: Cases
) -> None:
    with serving(answer) as server:
        client = ChatServer(server.url, "m", limits=LIMITS, sleep=lambda seconds: None)
        made = Decomposer(client, cases, cases.folder, DecomposeSettings(at_once=1)).run()
        assert client.asks == asks
        learnt = len(server.asked)
    assert made.failed == {}
    assert learnt <= 2 + 6
    assert made.report["requests"]["sent"] == learnt
    assert made.report["asked_for"] == asks._asdict()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fails(500, b'{"error": {"message": "the GPU fell off the bus"}}'), "the GPU fell off the bus"),
        (fails(400, b'{"error": "prompt is too long"}'), "prompt is too long"),
        (fails(400, b'{"error": {"message": "This model does not support image input"}}'), "--no-pictures"),
        (fails(403, b"<html><title>Attention Required!</title>" + b"x" * 5000), "Attention Required!"),
        (fails(404, b'{"error": {"message": "model \'m\' not found, try pulling it"}}'), "try pulling it"),
        (fails(429, b'{"error": {"message": "You exceeded your quota"}}'), "You exceeded your quota"),
        (fails(200, b"<!DOCTYPE html><body>Sign in to your proxy</body>"), "Sign in to your proxy"),
        (fails(200, b'{"error": {"message": "Provider returned error"}}'), "Provider returned error"),
        (fails(200, b'{"choices": []}'), "no chat completion"),
        (fails(400, b'{"detail": [{"msg": "value is not a valid dict"}]}'), "value is not a valid dict"),
    ],
)  # fmt: skip
def test_a_failure_fails_its_case_in_the_servers_words_and_the_run_goes_on(
    answer: Answer, words: str, cases: Cases
) -> None:
    def first_fails(handler: Any, asked: dict[str, Any]) -> None:
        about = asked["messages"][-1]["content"]
        text = about if isinstance(about, str) else " ".join(p.get("text", "") for p in about)
        (answer if "(0)" in text else says(GOOD))(handler, asked)

    with serving(first_fails) as server:
        made = run(server.url, cases)
        assert words in made.failed["c0"]
        assert [bool(c.steps) for c in made.cases] == [False, True]
        before = len(server.asked)
        server.script = [says(GOOD)]  # repaired: only what failed is asked again
        again = run(server.url, cases)
        assert len(server.asked) == before + 1
    assert again.failed == {}
    assert all(c.steps for c in again.cases)


def test_a_refusal_of_a_filter_fails_one_case_in_its_words_and_is_asked_once(cases: Cases) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "content_filter"}]}).encode()
    with serving(fails(200, body), says(GOOD)) as server:
        made = run(server.url, cases)
        assert len(server.asked) == 2
    assert made.failed == {"c0": "the model declined: I cannot help with that."}


def test_unusable_replies_are_kept_to_be_read_and_asked_for_again(cases: Cases) -> None:
    with serving(says("I do not know.")) as server:
        made = run(server.url, cases[:1], attempts=2)
        assert set(made.failed) == {"c0"}
        kept = sorted((cases.folder / "decompose/refused").glob("*.json"))
        assert [json.loads(f.read_text())["text"] for f in kept] == ["I do not know."] * 2
        server.script = [says(GOOD)]
        assert run(server.url, cases[:1]).failed == {}
        assert len(server.asked) == 3
        run(server.url, cases[:1])
        assert len(server.asked) == 3


def test_a_usable_second_reply_is_stored_for_its_case(cases: Cases) -> None:
    with serving(says("hm"), says(GOOD)) as server:
        run(server.url, cases[:1])
        again = run(server.url, cases[:1])
        assert len(server.asked) == 2
    assert again.report["replies"] == {"asked": 0, "cached": 1, "invalid": 0}


def test_streams_and_reasoning_are_read_as_answers(cases: Cases) -> None:
    pieces = [{"choices": [{"index": 0, "delta": {"content": c}}]} for c in (GOOD[:50], GOOD[50:])]
    stream = "".join(f"data: {json.dumps(p)}\n\n" for p in pieces) + "data: [DONE]\n\n"
    thought = {
        "choices": [
            {"message": {"content": None, "reasoning_content": f"so\n{GOOD}"}, "finish_reason": "stop"}
        ]
    }
    parts = {"choices": [{"message": {"content": [{"type": "text", "text": GOOD}]}, "finish_reason": "stop"}]}
    for body in (stream.encode(), json.dumps(thought).encode(), json.dumps(parts).encode()):
        with serving(fails(200, body)) as server:
            made = run(server.url, cases)
        assert made.failed == {}
        for stored in (cases.folder / "decompose/replies").glob("*.json"):
            stored.unlink()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2), ({"retry-after-ms": "1500"}, 1.5), ({"retry-after": "soon"}, None),
        ({}, None), ({"retry-after": "-3"}, 0),
    ],
)  # fmt: skip
def test_the_pause_a_server_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert pause_of(headers) == seconds


def test_a_pause_until_a_date_is_read() -> None:
    assert pause_of({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)


# The stand-in server of shared/cases, on a port of its own.
STAND_IN = CASES / "llm_server.py"
FAIL = {
    "length": "cut off after", "429quota": "exceeded your current quota", "html200": "Sign in to your proxy",
    "html403": "Attention Required",
    "noimage": "does not support image input",
    "nomodel": "try pulling it first",
    "key": "Incorrect API key provided", "filter": "I cannot help with that", "slow": "no answer within",
    "close": "no connection", "error200": "Provider returned error", "n0": "no chat completion",
}  # fmt: skip
_CODE = STAND_IN.read_text() if STAND_IN.is_file() else ""
MODES = sorted(set(re.findall(r"mode=='(\w+)'", _CODE)))


class StandIn:
    """The stand-in, whose habits may be kept for the first case alone, and which may be repaired.

    Attributes:
        asked: the cases that were asked about, in order.
        only_first: whether cases but the first are answered plainly.
        repaired: whether all are.
    """

    def __init__(self, handler: type[Any]) -> None:
        self.asked: list[str] = []
        self.only_first = self.repaired = False
        note = self

        class Noting(handler):  # type: ignore[misc]
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                about = "c0" if b"Is it a dog (0)?" in body else "c1"
                note.asked.append(about)
                if note.repaired or (note.only_first and about != "c0"):
                    self.path = "/ok/" + self.path.split("/", 2)[2]
                self.rfile, before = io.BytesIO(body), self.rfile
                try:
                    super().do_POST()
                finally:
                    self.rfile = before

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Noting)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    code, _, last = _CODE.rstrip().rpartition("\n")
    assert last.startswith("ThreadingHTTPServer((")
    space: dict[str, Any] = {}
    exec(compile(code, str(STAND_IN), "exec"), space)
    made = StandIn(space["H"])
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def limits_of(mode: str) -> RequestLimits:
    return RequestLimits(seconds=0.5 if mode == "slow" else 5.0, tries=3, pause=0.0)


@pytest.mark.skipif(not STAND_IN.is_file(), reason="shared/cases is not here")
@pytest.mark.parametrize("mode", MODES or ["none"])
def test_every_habit_of_the_stand_in_ends_in_steps_or_in_its_own_words(
    mode: str, cases: Cases, stand_in: StandIn
) -> None:
    made = run(f"{stand_in.url}/{mode}/v1", cases, limits_of(mode))
    if mode in FAIL:
        assert set(made.failed) == {"c0", "c1"}
        assert FAIL[mode] in made.failed["c0"], made.failed["c0"]
    else:
        assert made.failed == {}
        assert all(len(c.steps) == 3 for c in made.cases)


@pytest.mark.skipif(not STAND_IN.is_file(), reason="shared/cases is not here")
@pytest.mark.parametrize("mode", MODES or ["none"])
def test_after_a_repair_of_the_server_only_what_failed_is_asked_again(
    mode: str, cases: Cases, stand_in: StandIn
) -> None:
    url, stand_in.only_first = f"{stand_in.url}/{mode}/v1", True
    made = run(url, cases, limits_of(mode))
    assert set(made.failed) == ({"c0"} if mode in FAIL else set())
    assert len(made.cases[1].steps) == 3  # the run went on behind what failed
    stand_in.repaired = True
    stand_in.asked.clear()
    again = run(url, cases, limits_of(mode))
    assert stand_in.asked == (["c0"] if mode in FAIL else [])
    assert again.failed == {}
    assert all(len(c.steps) == 3 for c in again.cases)
    stand_in.asked.clear()
    assert run(url, cases, limits_of(mode)).failed == {}
    assert stand_in.asked == []
