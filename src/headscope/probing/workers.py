"""Heads side by side: threads over heads, each with plain single-threaded linear algebra."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from headscope.errors import StudyError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Map(Protocol):
    """Applies a function to each of some things and gives the results in their order."""

    def __call__(self, function: Callable[[_In], _Out], things: Iterable[_In], /) -> Iterable[_Out]: ...


@contextmanager
def head_workers(workers: int | None = None) -> Iterator[Map]:
    """A ``map`` over heads in threads, for work that leaves Python (sorts, products) most of the time.

    A head's products are too small to share among cores, its sorts cannot be; and with one thread a product,
    results do not depend on the number of workers. Within the block linear algebra of the whole process has
    one thread. A single worker is the calling thread.

    Args:
        workers: threads; None: as many as linear algebra may have (``OMP_NUM_THREADS``, an enclosing limit)
            and this process has cores, so that nothing takes more of the machine than it was given.

    Raises:
        StudyError: fewer than one worker.

    Example:
        >>> with head_workers(2) as each:
        ...     list(each(abs, [-1, 2]))
        [1, 2]
    """
    if workers is not None and workers < 1:
        raise StudyError(f"asked to probe with {workers} workers; give at least 1, or None for one a core")
    libraries = _libraries()
    count = _allowed(libraries) if workers is None else workers
    with libraries.limit(limits=1, user_api="blas"):
        if count == 1:
            yield map
            return
        with ThreadPoolExecutor(count) as pool:
            yield pool.map


@cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads of their own that are loaded; finding them takes tens of milliseconds."""
    import numpy  # noqa: F401  (brings the linear algebra that is to be found)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _allowed(libraries: ThreadpoolController) -> int:
    """Threads that linear algebra has now, at most one a core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *(part["num_threads"] for part in libraries.info() if part["user_api"] == "blas")])
