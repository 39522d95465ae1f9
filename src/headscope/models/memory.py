"""Running out of memory: told apart from every other failure, and said in a message of its own."""

from __future__ import annotations

from typing import NoReturn

import torch

from headscope.errors import OutOfMemoryError

# What allocators say that raise a plain RuntimeError: torch's on the CPU, MPS, CUDA and its libraries.
_SAID = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether an error, or one that it came from, is a device or the machine running out of memory."""
    seen: set[int] = set()
    cause: BaseException | None = exc
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, torch.OutOfMemoryError | MemoryError | OutOfMemoryError):
            return True
        if isinstance(cause, RuntimeError) and any(said in str(cause).lower() for said in _SAID):
            return True
        cause = cause.__cause__
    return False


def refuse_out_of_memory(exc: BaseException, asked: str) -> NoReturn:
    """Raise what an allocator's error means for ``asked``.

    Raises:
        OutOfMemoryError: always; it says what to do.
    """
    if isinstance(exc, OutOfMemoryError):
        raise exc
    first = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
    raise OutOfMemoryError(
        f"{asked}: out of memory ({first[:200]}). This says nothing about the model. Load it in a smaller "
        "number format (--dtype bfloat16), over several devices (--device-map auto, with --max-memory), or "
        "quantised (--quantization 8bit or 4bit); or free memory that others hold on this device"
    ) from exc
