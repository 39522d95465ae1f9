"""Decomposition against a real chat-completions server: `transformers serve` with the embedded model.

That model has learnt one-word answers, so no reply can pass: what is tested is the protocol on the wire, the
refusal of every reply, the report, and that a repeated run asks nothing.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headscope.data.cases import load_cases
from headscope.making.decompose.llm import CACHE, REFUSED, REPORT
from headscope.models.embedded import weights_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a server on a free port."""
    for name in ("openai", "fastapi", "uvicorn"):
        pytest.importorskip(name, reason=f"{name} is not installed (extra dev)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = ["serve", str(weights_folder()), "--host", "127.0.0.1", "--port", port, "--device", "cpu"]
    command = [sys.executable, "-m", "transformers.cli.transformers", *words, "--dtype", "float32"]
    log = (tmp_path / "serve.log").open("wb")
    process = subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, tmp_path / "serve.log")
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases without steps."""
    place = tmp_path / "cases"
    (place / "images").mkdir(parents=True)
    lines = []
    for i, colour in enumerate(("red", "blue")):
        Image.new("RGB", (64, 48), colour).save(place / f"images/{i}.png")
        case = {"id": f"c{i}", "image": f"images/{i}.png", "width": 64, "height": 48, "answer": "true"}
        lines.append(case | {"question": f"Is it true that it is {colour}?", "choices": ["true", "false"]})
    (place / "cases.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return place


def decompose(folder: Path, url: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    words = ["data", "decompose", str(folder), "--with", "llm", "--server", url, "--at-once", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "headscope", *words, "--model", str(weights_folder())],
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads((folder / REPORT).read_text())


def test_rubbish_from_a_real_server_ends_in_a_report_and_is_kept_to_be_read(
    folder: Path, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    url, process = server
    before = (folder / "cases.jsonl").read_text()
    done, report = decompose(folder, url)
    assert done.returncode == 1
    assert "2 cases failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(report["failed"]) == {"c0", "c1"}
    assert all("no reply of 3 passed the checks" in reason for reason in report["failed"].values())
    assert report["replies"] == {"asked": 6, "cached": 0, "invalid": 6}
    assert report["requests"] == {"sent": 6, "failed": 0}
    assert report["tokens"]["in"] > 6 * 100
    assert not list((folder / CACHE).glob("*.json"))  # nothing that can be used
    stored = [json.loads(f.read_text()) for f in (folder / REFUSED).glob("*.json")]
    assert len(stored) == 6
    assert any(reply["text"].strip() for reply in stored)
    assert not any(case.steps for case in load_cases(folder))
    assert [json.loads(x)["id"] for x in before.splitlines()] == [c.id for c in load_cases(folder)]

    process.kill()  # the second run asks again, and says that nobody is there
    process.wait()
    again, second = decompose(folder, url)
    assert again.returncode == 1
    assert second["requests"]["sent"] > 0
    assert all("no connection" in reason for reason in second["failed"].values())
