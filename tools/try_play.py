"""One answer from ``headscope play``: the page is started, asked by its JSON API, and stopped.

    python tools/try_play.py                    the `headscope` that the shell finds

Part of `tools/try_wheel.py`. Prints what was answered; exit code 1 if something failed.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

COMMAND = ("headscope", "play", "--no-browser", "--port", "0")
WAIT_S = 300  # for the model to be loaded, and for an answer
_OPENER = build_opener(ProxyHandler({}))  # a proxy of the shell's has no part in the loopback address


class PlayError(Exception):
    """What the page did not do."""


def try_play(
    command: Sequence[str], place: Path, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Start the page, fetch it and one answer, stop it.

    Args:
        command: what starts it; its first line of output begins with the page's address.
        place: where it is started.
        environment: its variables; None: those of this process.

    Returns:
        Exit code (0: all of it was done), and the answer, or what failed and the server's output.
    """
    log = place / "play.log"
    with log.open("w", encoding="utf-8") as errors:
        run = subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            said = _asked(_address(run))
            run.send_signal(signal.SIGINT)
            code = run.wait(60)
        except (
            PlayError,
            URLError,
            OSError,
            ValueError,
            KeyError,
            IndexError,
            subprocess.TimeoutExpired,
        ) as exc:
            return 1, f"{log.read_text('utf-8')}\n{type(exc).__name__}: {exc}"
        finally:
            run.kill()
            run.wait()
    if code not in (0, 130):
        return 1, f"{log.read_text('utf-8')}\nended with {code} on Ctrl-C"
    return 0, said


def _address(run: subprocess.Popen[str]) -> str:
    """Where the page is, from the first line that the server says."""
    assert run.stdout is not None
    lines: Queue[str] = Queue()
    Thread(target=lambda: lines.put(run.stdout.readline() if run.stdout else ""), daemon=True).start()
    try:
        line = lines.get(timeout=WAIT_S)
    except Empty as exc:
        raise PlayError(f"no address within {WAIT_S} s") from exc
    found = re.match(r"http://127\.0\.0\.1:\d+/", line)
    if found is None:
        raise PlayError(f"expected the page's address, found {line!r}")
    return found[0]


def _asked(url: str) -> str:
    """The page's token, its first example, and the answer to the example's question."""
    page = _fetched(Request(url)).decode("utf-8")
    token = re.search(r'name="token" content="([^"]+)"', page)
    if token is None:
        raise PlayError("the page holds no token")
    about = json.loads(_fetched(Request(f"{url}api/about")))
    example = about["pictures"]["example"][0]
    state = {
        "picture": {"source": "example", "id": example["id"]},
        "question": example["question"],
        "choices": example["choices"],
    }
    headers = {"Content-Type": "application/json", "X-Headscope": token[1]}
    answer = json.loads(_fetched(Request(f"{url}api/answers", json.dumps(state).encode(), headers)))
    text = answer["plain"]["text"]
    if not isinstance(text, str) or not text.strip():
        raise PlayError(f"an empty answer to {example['question']!r}")
    return f"{about['model']}: {example['question']} {text}"


def _fetched(request: Request) -> bytes:
    with _OPENER.open(request, timeout=WAIT_S) as response:
        content: bytes = response.read()
    return content


if __name__ == "__main__":
    code, answered = try_play(COMMAND, Path.cwd())
    print(answered)
    sys.exit(code)
