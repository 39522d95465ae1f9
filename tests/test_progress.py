"""Tracked work, and Ctrl-C while a library is at it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from types import ModuleType, SimpleNamespace

import pytest

from headscope import progress
from headscope.progress import heeding_ctrl_c, telling, track, unit_done


def test_a_ctrl_c_that_a_library_swallows_ends_the_work_at_its_next_step() -> None:
    done = []

    def work() -> None:
        for step in track([1, 2, 3], "steps"):
            done.append(step)
            with suppress(BaseException):  # what a bare except does
                signal.raise_signal(signal.SIGINT)

    with heeding_ctrl_c(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    assert list(track([1, 2], "steps")) == [1, 2], "the next command is not interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ordinary_ctrl_c_is_raised_at_once_and_handlers_of_others_are_left_alone() -> None:
    with heeding_ctrl_c(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heeding_ctrl_c():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def minutes(count: int, between: Callable[[], None] = lambda: None) -> Callable[[Event], bool]:
    """A clock for the thread that tells: so many minutes pass at once, then none."""
    left = iter(range(count))

    def wait(stop: Event) -> bool:
        if next(left, None) is None:
            return stop.wait(30)
        between()
        return False

    return wait


def test_in_a_pipe_work_says_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    reached, go_on = Event(), Event()

    def between() -> None:
        reached.wait(30)

    with telling("ablate", minutes(2, between)):
        unit_done()
        for step in track(range(5), "heads", unit="heads"):
            if step == 3:
                reached.set()
                while capsys_lines(capsys) < 2:
                    go_on.wait(0.01)
    assert said == ["ablate: 0 min so far; heads: 3 of 5 heads; 1 units of work done"] * 2


said: list[str] = []


def capsys_lines(capsys: pytest.CaptureFixture[str]) -> int:
    said.extend(capsys.readouterr().err.splitlines())
    return len(said)


def test_a_loop_of_its_own_tells_too_and_loops_within_are_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    real = progress.telling
    monkeypatch.setattr(progress, "telling", lambda name: begun.append(name) or real(name))
    assert [list(track(range(2), "inner")) for _ in track(range(2), "outer")] == [[0, 1]] * 2
    assert begun == ["outer", "inner", "inner"]
    assert capsys.readouterr().err == ""
    assert not progress._WORK.loops
    assert not progress._WORK.told


def test_where_a_bar_is_drawn_nothing_else_is_said_and_bars_are_not_nested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_can_draw", lambda: True)
    seen = []
    for _ in track(range(2), "outer"):
        for _ in track(range(2), "inner"):
            seen.append([loop.bar for loop in progress._WORK.loops])
            assert progress._WORK.line("x", 60.0) == ""
    assert seen == [[True, False]] * 4


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A notebook's kernel; what it was given to display."""
    pages: list[str] = []
    shell, area = ModuleType("IPython"), ModuleType("IPython.display")
    shell.__dict__["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    area.__dict__["HTML"] = lambda page: page

    def display(page: str, display_id: bool) -> SimpleNamespace:
        assert display_id
        pages.append(page)
        return SimpleNamespace(update=pages.append)

    area.__dict__["display"] = display
    for name, module in (("IPython", shell), ("IPython.display", area)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(progress, "_REDRAW", 0.0)
    return pages


def test_a_notebook_shows_a_bar_that_needs_no_widgets(
    displayed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(track([1, 2], "<b>dogs</b>", unit="dog")) == [1, 2]
    first, second, third, last = displayed
    assert first == '<progress value="0" max="2"></progress> &lt;b&gt;dogs&lt;/b&gt;: 0 of 2 dog'
    assert 'value="1" max="2"' in second
    assert "dog/s" in second
    assert "min left" in second
    assert 'value="2" max="2"' in third
    assert last == ""
    assert capsys.readouterr() == ("", "")


def test_a_notebooks_bar_is_gone_after_an_error_and_loops_within_have_none(displayed: list[str]) -> None:
    def work() -> None:
        for _ in track(iter([1, 2]), "outer"):
            list(track([1], "inner"))
            raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        work()
    assert displayed == ["<progress></progress> outer: 0 it", ""]
