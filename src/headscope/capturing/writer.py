"""Shards written by a thread while the model goes on: one at a time, one waiting at most."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from headscope.capturing import store


class ShardWriter:
    """Writes shards behind the model's back, in the order given, with the same bytes as at once.

    A shard handed over while another is being written waits for it, so that at most two are in memory beside
    the one in the making. What goes wrong in the thread is raised by the next call, or on leaving; nothing
    is written after it.

    Example:
        ``with ShardWriter() as writer: writer.write(folder, "00000", rows, z, heads, attrs)``
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "shards")
        self._pending: Future[None] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> ShardWriter:
        self._stack.enter_context(store.quiet_zarr())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(wait=True)  # also after an interrupt: the shard under way becomes complete
            self._stack.close()

    def write(self, *shard: Any) -> None:
        """Hand a shard over: the arguments of :func:`headscope.capturing.store.write_shard`.

        Raises:
            StoreError: the one before could not be written.
        """
        self._finish()
        self._pending = self._pool.submit(store.write_shard, *shard)

    def check(self) -> None:
        """Raise what has gone wrong so far, without waiting."""
        if self._pending is not None and self._pending.done():
            self._finish()

    def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
