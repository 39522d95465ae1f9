"""What libraries say while a model is loaded and run: to a logger of headscope's, not to the terminal."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO

# What bears on a result is raised by headscope. To read the rest: a handler on this logger, at level DEBUG.
log = logging.getLogger("headscope.libraries")
_LIBRARIES = (
    "transformers",
    "huggingface_hub",
    "accelerate",
    "bitsandbytes",
    "peft",
    "compressed_tensors",
    "torchao",
    "optimum",
)


class _Nesting:
    """How many blocks are open, and what the last one to close undoes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = 0
        self.undo = ExitStack()


_nesting = _Nesting()


@contextmanager
def quiet() -> Iterator[None]:
    """Within, no log message, Python warning or progress bar of a library reaches the terminal.

    May be nested, and entered by several threads: the first block sets it up, the last one undoes it.
    """
    with _nesting.lock:
        if _nesting.open == 0:
            _divert(_nesting.undo)
        _nesting.open += 1
    try:
        yield
    finally:
        with _nesting.lock:
            _nesting.open -= 1
            if _nesting.open == 0:
                _nesting.undo.close()


class _ToOurs(logging.Handler):
    """Passes a record on to headscope's logger, as a message for debugging."""

    def emit(self, record: logging.LogRecord) -> None:
        log.debug("%s: %s", record.name, record.getMessage())


def _divert(undo: ExitStack) -> None:
    """Send what libraries log and warn to headscope's logger; ``undo`` learns how to put all back."""
    from tqdm import tqdm
    from transformers.utils import logging as messages  # sets its own logger up, before that is changed

    undo.callback(setattr, tqdm, "__init__", tqdm.__init__)
    tqdm.__init__ = _hidden(tqdm.__init__)  # progress bars of other libraries than transformers
    if messages.is_progress_bar_enabled():
        messages.disable_progress_bar()
        undo.callback(messages.enable_progress_bar)
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        undo.callback(_set, logger, logger.handlers, logger.propagate)
        _set(logger, [_ToOurs()], False)
    undo.enter_context(warnings.catch_warnings())
    warnings.showwarning = _show


def _hidden(init: Callable[..., None]) -> Callable[..., None]:
    def hidden(self: object, *args: object, **options: object) -> None:
        init(self, *args, **{**options, "disable": True})

    return hidden


def _set(logger: logging.Logger, handlers: list[logging.Handler], propagate: bool) -> None:
    logger.handlers, logger.propagate = handlers, propagate


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    log.debug("%s:%s: %s: %s", filename, lineno, category.__name__, message)
