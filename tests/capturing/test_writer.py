"""Shards written beside the model's work: in order, whole, and their failures heard of."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from headscope.capturing import store
from headscope.capturing.writer import ShardWriter
from headscope.errors import StoreError


def test_shards_are_written_in_order_while_others_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    may, seen = threading.Event(), []

    def slow(name: str) -> None:
        may.wait(10)
        seen.append((name, threading.current_thread() is threading.main_thread()))

    monkeypatch.setattr(store, "write_shard", slow)
    with ShardWriter() as writer:
        writer.write("a")
        writer.check()
        assert not seen, "the first shard should still be on its way"
        may.set()
        writer.write("b")
        assert ("a", False) in seen
    assert seen == [("a", False), ("b", False)]


@pytest.mark.parametrize("when", ["write", "check", "leave"])
def test_a_failure_is_raised_once_and_ends_the_writing(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def failing(name: str) -> None:
        if name == "bad":
            raise StoreError("bad: the disk is full")
        written.append(name)

    monkeypatch.setattr(store, "write_shard", failing)

    def work() -> None:
        with ShardWriter() as writer:
            writer.write("bad")
            if when == "write":
                writer.write("next")
            while when == "check":
                writer.check()

    with pytest.raises(StoreError, match="the disk is full"):
        work()
    assert not written


def test_leaving_by_an_interrupt_waits_for_the_shard_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()

    def slow(*_: Any) -> None:
        started.set()
        threading.Event().wait(0.2)
        (tmp_path / "whole").touch()

    monkeypatch.setattr(store, "write_shard", slow)

    def work() -> None:
        with ShardWriter() as writer:
            writer.write("a")
            started.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (tmp_path / "whole").exists()
