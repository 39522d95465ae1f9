"""``headscope play`` from the command line: it serves, stops on Ctrl-C, and refuses in one line."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playing import ask
from typer.testing import CliRunner

from headscope.cli.app import app

COMMAND = [sys.executable, "-m", "headscope", "play", "--no-browser"]


def test_it_serves_the_page_and_ends_quietly_on_ctrl_c() -> None:
    run = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert run.stdout
        line = run.stdout.readline()
        url = line.split()[0]
        assert url.startswith("http://127.0.0.1:")
        assert ask(url, "GET", "/")[0] == 200
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
        assert "Traceback" not in said
        assert run.returncode in (0, 130)
    finally:
        run.kill()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = subprocess.run([*COMMAND, "--port", str(port)], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert f"port {port}: cannot be used" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("option", [["--study", "nowhere"], ["--model", "nowhere"], ["--device", "toaster"]])
def test_what_cannot_be_opened_is_refused_in_one_message(option: list[str]) -> None:
    said = subprocess.run([*COMMAND, *option], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert option[1] in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stdout == ""


def test_without_the_extra_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    found = CliRunner().invoke(app, ["play", "--no-browser"])
    assert "pip install 'headscope[app]'" in str(found.exception)
