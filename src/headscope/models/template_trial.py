"""A chat template tried in a process of its own, with little time and memory, before it is used.

Templates are programs: loops within loops, or a text multiplied by itself, can hang a computer. What comes
through here in time is rendered as usual. Run as a file, this is the other process; it imports jinja2 alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import lru_cache

SECONDS = 5  # of computing
MEMORY = 2**30  # bytes
LONGEST = 1_000_000  # characters of a rendered dialogue of a few words
_OVER = 3  # exit code: rendered, and too long


def refuse_runaway(template: str) -> None:
    """Refuse a chat template that does not render a short dialogue within bounds.

    Raises:
        ModelError: it takes too long, too much memory, or writes too much.
    """
    from headscope.errors import ModelError

    if fault := _fault(template, SECONDS):
        raise ModelError(
            f"the chat template of this model {fault} for a dialogue of a few words, which no honest one "
            "does; refused (look into chat_template.jinja)"
        )


@lru_cache(maxsize=256)
def _fault(template: str, seconds: int) -> str:
    """What is wrong with it, in words; empty if nothing is."""
    asked = json.dumps({"template": template, "seconds": seconds})
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__], input=asked.encode(), capture_output=True, timeout=60 * seconds
        )
    except subprocess.TimeoutExpired:
        return f"takes more than {seconds} seconds"
    if done.returncode == _OVER:
        return f"writes more than {LONGEST:,} characters"
    if done.returncode < 0:
        return f"takes more than {seconds} seconds of computing, or {MEMORY // 2**20:,} MiB of memory,"
    return f"takes more than {MEMORY // 2**20:,} MiB of memory" if b"MemoryError" in done.stderr else ""


def _limit(seconds: int) -> None:
    """Bounds on this process, where the system knows them."""
    try:
        import resource
    except ImportError:  # Windows: the clock alone
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _render(template: str) -> None:
    """Render dialogues as models are asked; what the template itself refuses is not this trial's concern."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise ValueError(message)

    kind = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    kind.globals.update(raise_exception=refuse, strftime_now=lambda _form: "1 January")
    made = kind.from_string(re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", template))
    parts = [{"type": "image"}, {"type": "text", "text": "Where is the dog?"}]
    said = [{"type": "text", "text": "left"}]
    for content, answer in ((parts, said), ("<image>Where is the dog?", "left")):
        turns = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        for messages in (turns[:1], turns, [*turns, *turns, turns[0]]):
            for more in ({}, {"enable_thinking": False}):
                options = {"add_generation_prompt": len(messages) % 2 == 1, "bos_token": "", "eos_token": ""}
                try:
                    written = 0
                    for piece in made.generate(messages=messages, **options, **more):
                        written += len(piece)
                        if written > LONGEST:
                            sys.exit(_OVER)
                except (MemoryError, SystemExit):
                    raise
                except Exception:
                    continue


if __name__ == "__main__":
    _asked = json.loads(sys.stdin.buffer.read())
    _limit(_asked["seconds"])
    try:
        _render(_asked["template"])
    except MemoryError:
        sys.stderr.write("MemoryError")
        sys.exit(1)
    except Exception:  # no template at all: its own error says more
        sys.exit(0)
