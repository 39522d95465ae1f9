"""The Python that the page shows gives the answer that the page shows."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from playing import embedded_playground, state_of

from headscope.play.snippet import snippet


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"edit": {"heads": ("L3H5", "L4H0")}},
        {"edit": {"heads": ("L2H1",), "action": "scale", "factor": 2.5, "scope": "last"}},
        {"boxes": ((10, 20, 90, 120.5),), "style": "box"},
        {"question": 'What is "there"? \\ it\u202e', "choices": ()},
    ],
)
def test_the_snippet_runs_and_says_what_the_page_says(changes: dict[str, Any]) -> None:
    playground, state = embedded_playground(), state_of(1, **changes)
    text, said = snippet(playground, state), io.StringIO()
    found: dict[str, Any] = {}
    with contextlib.redirect_stdout(said):
        exec(text, found)
    shown = playground.answers(state).changed
    assert found["answer"].text.strip() == shown.text
    assert found["answer"].logprobs == {c.choice: c.logprob for c in shown.choices}
    assert said.getvalue().startswith(found["answer"].text)


def test_an_uploaded_picture_is_read_from_the_file_that_the_page_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground = embedded_playground()
    picture = playground.shelf.image(state_of(2).picture)
    picture.save(tmp_path / "picture.png")
    key, _ = playground.shelf.upload((tmp_path / "picture.png").read_bytes())
    state = state_of(2, picture={"source": "upload", "id": key})
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(snippet(playground, state), found)
    assert found["answer"].logprobs == {
        c.choice: c.logprob for c in playground.answers(state).changed.choices
    }
