"""Decomposition by a model on a server: checked, cached, resumable, never misled by what a server says."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_server import cuts_off, drips, fails, says, serving, stalls
from PIL import Image

pytest.importorskip("openai", reason="the openai client is not installed (extra llm)")

from headscope.data.cases import Cases, load_cases
from headscope.errors import DataError, StoreError
from headscope.making.decompose.chat_server import ChatServer, RequestLimits
from headscope.making.decompose.llm import CACHE, DecomposedByModel, Decomposer, DecomposeSettings
from headscope.making.decompose.prompt_files import load_prompts, write_prompts

LIMITS = RequestLimits(seconds=2.0, tries=3, pause=0.0)


def steps(answer: str = "true", **changes: Any) -> list[dict[str, Any]]:
    def step(
        question: str, answer: str | None, function: str, rests: list[int], **more: Any
    ) -> dict[str, Any]:
        base = {"question": question, "answer": answer, "choices": [], "function": function, "objects": []}
        return base | {"depends_on": rests} | more

    return [
        step("What is there?", "a dog, a horse", "object_recognition", [], objects=["dog", "horse"]),
        step("Where is the dog?", "right", "spatial_perception", [1], choices=["left", "right"]),
        step("Which way does the dog look?", None, "orientation_perception", [1]),
        step("So is the dog facing the horse?", answer, "decision_making", [2, 3]) | changes,
    ]


def reply(**changes: Any) -> str:
    return json.dumps({"steps": steps(**changes)})


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    lines = []
    for i in range(4):
        (tmp_path / "c" / "images").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (10 * i, 0, 0)).save(tmp_path / "c" / "images" / f"{i}.png")
        boxes = {"dog": [22, 5, 38, 20], "horse": [2, 4, 18, 25]}
        things = [{"id": n, "name": n, "box": b} for n, b in boxes.items()]
        lines.append(
            {
                "id": f"c{i}", "image": f"images/{i}.png", "width": 40, "height": 30, "answer": "true",
                "question": f"Is the dog facing the horse ({i})?", "objects": things,
                "choices": ["true", "false"],
            }
        )  # fmt: skip
    (tmp_path / "c" / "cases.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return load_cases(tmp_path / "c")


def run(server: Any, cases: Cases, limits: RequestLimits = LIMITS, **settings: Any) -> DecomposedByModel:
    asked = ChatServer(server.url, "m", limits=limits, sleep=lambda seconds: None)
    return Decomposer(asked, cases, cases.folder, DecomposeSettings(**({"at_once": 1} | settings))).run()


def test_replies_become_steps_marked_as_guesses(cases: Cases) -> None:
    with serving(says(reply())) as server:
        made = run(server, cases, price_in=1.0, price_out=10.0)
    for case in made.cases:
        assert [s.origin for s in case.steps] == ["guessed", "guessed", "unanswered", "derived"]
        assert case.steps[1].depends_on == ("s1",)
        assert case.steps[-1].choices == ("true", "false")
    assert made.failed == {}
    assert made.report["tokens"] == {"in": 400, "out": 40}
    assert made.report["cost"] == pytest.approx(400 / 1e6 + 400 / 1e6)
    asked = server.asked[0]
    assert asked["response_format"]["json_schema"]["strict"] is True
    picture = asked["messages"][1]["content"][1]["image_url"]["url"]
    content = base64.b64decode(picture.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (40, 30)
    assert "Is the dog facing the horse (0)?" in asked["messages"][1]["content"][0]["text"]


def test_a_second_run_asks_nothing(cases: Cases) -> None:
    with serving(says(reply())) as server:
        first = run(server, cases)
        again = run(server, cases)
        assert len(server.asked) == 4
    assert again.cases == first.cases
    assert again.report["replies"] == {"asked": 0, "cached": 4, "invalid": 0}
    assert again.report["cost"] == 0


def test_another_prompt_or_picture_is_asked_anew(cases: Cases, tmp_path: Path) -> None:
    with serving(says(reply())) as server:
        run(server, cases)
        Image.new("RGB", (40, 30), "white").save(cases.folder / "images" / "0.png")
        run(server, cases)
        assert len(server.asked) == 5
        mine = write_prompts(tmp_path / "mine")
        (mine / "user.md").write_text("Look: $question")
        client = ChatServer(server.url, "m", limits=LIMITS)
        Decomposer(client, cases, cases.folder, DecomposeSettings(at_once=1), load_prompts(mine)).run()
        assert len(server.asked) == 9
        assert server.asked[-1]["messages"][1]["content"][0]["text"].startswith("Look: Is the dog")


@pytest.mark.parametrize(
    "trouble",
    [
        fails(429, Retry_After="1"), fails(500), fails(503), cuts_off, stalls(3), drips,
        fails(200, b"<html>"), fails(200, b'{"choices": []}'), fails(200, b"[1]"),
        fails(200, b"x" * 10_000_000),
    ],
    ids=["429", "500", "503", "cut", "stall", "drip", "html", "empty", "list", "10MB"],
)  # fmt: skip
def test_a_failure_that_passes_is_tried_again(cases: Cases, trouble: Any) -> None:
    with serving(trouble, says(reply())) as server:
        made = run(server, cases[:1], RequestLimits(seconds=0.7, tries=3, pause=0.0))
        assert len(server.asked) == 2
    assert made.failed == {}
    assert made.report["requests"] == {"sent": 2, "failed": 1}


def test_a_server_that_never_works_stops_the_run_and_a_rerun_goes_on(cases: Cases) -> None:
    with serving(says(reply()), fails(500)) as server:
        made = run(server, cases, give_up=2)
        assert len(server.asked) == 1 + 2 * 3
        assert [bool(c.steps) for c in made.cases] == [True, False, False, False]
        assert set(made.failed) == {"c1", "c2"}
        assert made.report["left"] == 1
        assert "2 cases in a row" in made.report["stopped"]
        server.script = [says(reply())]
        again = run(server, cases)
        assert all(c.steps for c in again.cases)
        assert len(server.asked) == 7 + 3


def test_a_wrong_key_fails_cases_with_the_servers_words_and_no_retries(cases: Cases) -> None:
    with serving(fails(401, b'{"error": {"message": "Incorrect API key provided"}}')) as server:
        made = run(server, cases, give_up=2)
        assert len(server.asked) == 2
    assert "status 401: Incorrect API key provided; check --server" in made.failed["c0"]
    assert "2 cases in a row" in made.report["stopped"]


def test_nobody_listening_is_said_plainly(cases: Cases) -> None:
    class Nowhere:
        url = "http://127.0.0.1:9/v1"

    made = run(Nowhere, cases, give_up=1)
    assert "no connection" in made.failed["c0"]


def test_a_server_without_structured_output_is_asked_without(cases: Cases) -> None:
    refusal = fails(400, b'{"error": {"message": "response_format is not supported"}}')
    with serving(refusal, says(reply())) as server:
        made = run(server, cases)
        assert [("response_format" in a) for a in server.asked] == [True, False, False, False, False]
    assert made.failed == {}
    assert made.report["structured"] is False


def test_a_reply_with_faults_is_sent_back_with_them(cases: Cases) -> None:
    with serving(says(reply(answer="maybe")), says(reply())) as server:
        made = run(server, cases[:1])
        talk = server.asked[1]["messages"]
    assert made.failed == {}
    assert [m["role"] for m in talk] == ["system", "user", "assistant", "user"]
    assert "the last step's answer must be 'true', found 'maybe'" in talk[3]["content"]


BAD = {
    "broken JSON": '{"steps": [',
    "prose": "Here are the steps: first look at the dog.",
    "wrong shape": '{"plan": []}',
    "too few": json.dumps({"steps": steps()[2:]}),
    "unknown function": reply(function="magic"),
    "unknown object": reply(objects=["cat"]),
    "later step": reply(depends_on=[4]),
    "verdict elsewhere": json.dumps({"steps": [steps()[3], *steps()[1:]]}),
    "answer outside choices": json.dumps(
        {"steps": [steps()[0], steps()[1] | {"answer": "up"}, *steps()[2:]]}
    ),
    "control characters": reply(question="So?\u001b[31m"),
    "half a character": reply(question="So \ud800?"),
    "long": json.dumps({"steps": [steps()[0] | {"question": "x" * 5000}, *steps()[1:]]}),
    "deep": "[" * 50_000,
    "number": "7",
    "ten times too long": "x" * 600_000,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_reply_that_breaks_the_rules_never_becomes_a_case(cases: Cases, text: str) -> None:
    with serving(says(text)) as server:
        made = run(server, cases[:1])
        assert len(server.asked) == 3
    assert made.cases[0].steps == ()
    assert "no reply of 3 passed the checks" in made.failed["c0"]


def test_a_reply_cut_off_by_length_is_told_so(cases: Cases) -> None:
    with serving(says('{"steps": [', finish="length"), says(reply())) as server:
        assert run(server, cases[:1]).failed == {}
        assert "cut off after 2000 tokens" in server.asked[1]["messages"][3]["content"]


def test_no_more_requests_are_under_way_than_allowed(cases: Cases) -> None:
    with serving(says(reply(), delay=0.1)) as server:
        made = run(server, cases, at_once=2)
        assert server.most == 2
    assert [c.id for c in made.cases] == ["c0", "c1", "c2", "c3"]


def test_the_rate_limit_spreads_requests(cases: Cases) -> None:
    with serving(says(reply())) as server:
        client = ChatServer(server.url, "m", limits=RequestLimits(per_minute=600))
        start = time.monotonic()
        Decomposer(client, cases, cases.folder, DecomposeSettings()).run()
        assert time.monotonic() - start >= 0.3  # four requests, a tenth of a second apart


def test_a_run_that_is_interrupted_keeps_what_was_answered(cases: Cases) -> None:
    with serving(says(reply())) as server:
        client = ChatServer(server.url, "m", limits=LIMITS)
        plain, count = client.ask, iter(range(100))

        def ask(*given: Any) -> Any:
            if next(count) == 2:
                raise KeyboardInterrupt
            return plain(*given)

        client.ask = ask  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            Decomposer(client, cases, cases.folder, DecomposeSettings(at_once=1)).run()
        assert len(list((cases.folder / CACHE).glob("*.json"))) == 2
        made = run(server, cases)
        assert all(c.steps for c in made.cases)
        questions = [a["messages"][1]["content"][0]["text"] for a in server.asked]
        assert len(set(questions)) == len(questions) == 4


def test_a_run_that_is_killed_never_asks_again_for_a_stored_reply(cases: Cases) -> None:
    with serving(says(reply(), delay=0.3)) as server:
        words = ["data", "decompose", str(cases.folder), "--with", "llm", "--server", server.url]
        command = [sys.executable, "-m", "headscope", *words, "--model", "m", "--at-once", "1"]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while len(stored := list((cases.folder / CACHE).glob("*.json"))) < 2:
            assert time.monotonic() < end
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
        running.wait()
        known = {json.loads(f.read_text())["case"] for f in stored}
        before = len(server.asked)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        again = [a["messages"][1]["content"][0]["text"] for a in server.asked[before:]]
        assert not [q for q in again for name in known if f"({name[1:]})" in q]
        assert len(again) <= 2
    assert all(c.steps for c in load_cases(cases.folder))


def test_a_damaged_stored_reply_is_named(cases: Cases) -> None:
    with serving(says(reply())) as server:
        run(server, cases[:1])
        (stored,) = (cases.folder / CACHE).glob("*.json")
        stored.write_text("{")
        with pytest.raises(StoreError, match=stored.name):
            run(server, cases[:1])


def test_a_prompt_with_an_unknown_name_is_refused(tmp_path: Path) -> None:
    folder = write_prompts(tmp_path / "p")
    (folder / "user.md").write_text("$question $colour")
    with pytest.raises(DataError, match=r"found \$colour; what is filled in there: \$answer"):
        load_prompts(folder)
    with pytest.raises(DataError, match=r"--write-prompts"):
        load_prompts(tmp_path / "none")
