"""The page of a thorough check, in Markdown: what a user sends us."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from headscope.acceptance.results import Acceptance

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$])")
_INTRO = (
    "What headscope relies on, tried on this checkpoint: headscope models check {} --thorough. *held* is "
    "what was shown; *refused* and *not applicable* are what headscope does not do with this model, and why; "
    "*failed* is a fault."
)


def page_name(model: str, revision: str) -> str:
    """Name of the page's file: the model and the beginning of its revision."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", model).strip("-.") or "model"
    return f"headscope-check-{plain[:80]}-{re.sub(r'[^A-Za-z0-9-]', '', revision)[:12] or 'not-loaded'}.md"


def page_of(found: Acceptance) -> str:
    """All results as Markdown; whatever comes from a model is escaped."""
    lines = [
        f"# {escaped(found.model)}: {found.status}",
        "",
        _INTRO.format(escaped(found.model)),
        "",
        *_table(
            ("what", "which"),
            [
                ("family", found.family or "not known"),
                ("revision", found.revision or "not known"),
                *found.environment.items(),
            ],
        ),
        "",
        "## Steps",
        "",
        *_table(
            ("step", "status", "what was tried", "what came out, or why not", "s", "peak GB"),
            [
                (r.name, r.status, r.shown, "; ".join(dict.fromkeys(filter(None, (r.figure, r.reason)))),
                 f"{r.seconds:.1f}", f"{r.peak_gb:.1f}")
                for r in found.results
            ],
        ),
    ]  # fmt: skip
    if found.proof:
        lines += ["", "## Proof", ""]
        rows = [
            (name, step["status"], step["shown"], step["reason"], _figure(step))
            for name, step in found.proof.items()
        ]
        lines += _table(("step", "status", "what was shown", "why not", "figure"), rows)
    if found.reason:
        lines += ["", "## Why it is not proved", "", escaped(found.reason)]
    return "\n".join(lines) + "\n"


def _figure(step: Mapping[str, object]) -> str:
    figure = step.get("figure")
    return f"{figure:.3g}" if isinstance(figure, int | float) else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *(_row([escaped(str(c)) for c in row]) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line; characters that do not show are written out."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else f"\\u{ord(c):04x}" for c in text)
    return _MARKUP.sub(r"\\\1", shown)


def default_page(found: Acceptance) -> Path:
    """Where the page goes if nobody says: the folder one is in."""
    return Path(page_name(found.model, found.revision))
