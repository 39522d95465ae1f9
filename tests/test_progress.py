"""Tracked work, and Ctrl-C while a library is at it."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from headscope.progress import heeding_ctrl_c, track


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
