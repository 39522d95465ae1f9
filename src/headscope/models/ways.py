"""Quick ways of running a model: which one is taken, and why not where it is not; said once and recorded.

A way is tried on the first prompt that could use it, so that what is found may hang on which prompt that is,
and on how much memory is free. A record beside the work (:func:`kept_ways`) holds it before the first number
that rests on it, and a run that is killed and started again reads it there: it takes the same path.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from headscope.errors import DamagedError, HeadscopeError, StoreError
from headscope.models.memory import is_out_of_memory
from headscope.storage import read_json, write_sealed

log = logging.getLogger(__name__)
# What models raise at inputs that they were not made for.
MODEL_ERRORS = (
    HeadscopeError, RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError,
)  # fmt: skip
TREE = "choices of several tokens in one row"
FAN = "edits of one prompt in one forward"
REPLAY = "scan by replay"
SHARED = "prompts of a scan in one forward"
PICTURES = "pictures encoded once"
SCHEMA = "headscope/ways/1"
FILE = "ways.json"


class NamedModel(Protocol):
    """What has a name: a model."""

    name: str


Choice = dict[str, Any]
"""Plain values that say how a way is taken; empty where it is not, or where there is nothing to say."""


@dataclass
class Way:
    """What is known of one way on one model.

    Attributes:
        refusal: why it is not taken; empty where it is.
        choice: how it is taken, as it was found by a trial; None: it was not tried, only noted.
        noted: why it was not taken for some prompt, whatever the trial said.
        short: whether memory ran out at the trial, which says nothing about the model.
        usual: whether the reason lies in how the model is made, so that nobody need look into it.
    """

    refusal: str = ""
    choice: Choice | None = None
    noted: str = ""
    short: bool = False
    usual: bool = False


def refused(exc: BaseException) -> Way:
    """A way whose trial raised one of :data:`MODEL_ERRORS`."""
    log.debug("refused", exc_info=exc)
    return Way(failure(exc), {}, short=is_out_of_memory(exc))


@dataclass
class _Record:
    """Ways of one model, in a file if there is one."""

    path: Path | None = None
    ways: dict[str, Way] = field(default_factory=dict)

    def write(self) -> None:
        if self.path is not None:
            table = {name: vars(way) for name, way in sorted(self.ways.items())}
            write_sealed(self.path, {"schema": SCHEMA, "ways": table})


_MEMORY: WeakKeyDictionary[Any, _Record] = WeakKeyDictionary()  # of work that keeps nothing on disk
_OPEN: WeakKeyDictionary[Any, _Record] = WeakKeyDictionary()


@contextmanager
def kept_ways(vlm: NamedModel, folder: str | Path) -> Iterator[None]:
    """While inside, ways of the model are those recorded in ``folder/ways.json``; new ones are added to it.

    What the process found for other work is left aside. Of nested blocks the outermost holds: all stages of a
    study share the study's record.

    Example:
        >>> with kept_ways(vlm, "runs/mine"):  # doctest: +SKIP
        ...     reader.read_edits(edits)
    """
    if vlm in _OPEN:
        yield
        return
    path = Path(folder) / FILE
    _OPEN[vlm] = _Record(path, _read(path))
    try:
        yield
    finally:
        del _OPEN[vlm]


def _read(path: Path) -> dict[str, Way]:
    """What a record holds; nothing of one of the first form, which held reasons and no choices."""
    try:
        held = read_json(path) if path.exists() else {}
    except DamagedError as exc:
        log.warning("%s", exc)
        held = {}
    if not isinstance(held, dict) or "schema" not in held:
        return {}
    try:
        if held["schema"] == SCHEMA:
            return {name: Way(**way) for name, way in held["ways"].items()}
    except (KeyError, TypeError, AttributeError) as exc:
        raise StoreError(f"{path}: cannot be read ({exc}); it was changed by hand, or cut off") from exc
    raise StoreError(f"{path}: schema {held['schema']!r}, expected {SCHEMA!r}; use the release that wrote it")


def _record(vlm: NamedModel) -> _Record:
    return _OPEN[vlm] if vlm in _OPEN else _MEMORY.setdefault(vlm, _Record())


def decided(vlm: NamedModel, way: str, find: Callable[[], Way], *, instead: str = "") -> Way:
    """How a way is taken on a model: as it is recorded, else as a trial finds it now, which is recorded.

    Where memory ran out at the trial, it is tried again when next asked for, unless there is a record: a
    run that goes on must not compute otherwise than the one that was killed.

    Args:
        way: one of the names above, with the scope behind it where it depends on that.
        find: the trial.
        instead: what is done where it is not taken.
    """
    record = _record(vlm)
    known = record.ways.get(way)
    if known is not None and known.choice is not None:
        return known
    found = find()
    found = replace(found, choice=found.choice or {}, noted=known.noted if known else "")
    if found.refusal:
        _say(vlm, way, found.refusal, instead, found.usual, known)
    if record.path is not None or not found.short:
        record.ways[way] = found
        record.write()
    return found


def is_decided(vlm: NamedModel, way: str) -> bool:
    """Whether a trial has said how the way is taken."""
    known = _record(vlm).ways.get(way)
    return known is not None and known.choice is not None


def note_short(vlm: NamedModel, work: str, exc: BaseException) -> None:
    """Record that memory ran out on one piece of work, which is then done in another way.

    Only where there is a record, and for that work alone: the same run started again does it in the same way,
    though memory may suffice by then; nothing else is done otherwise.
    """
    record = _record(vlm)
    if record.path is not None and is_out_of_memory(exc):
        record.ways[work] = Way(failure(exc), {}, short=True)
        record.write()


def fell_short(vlm: NamedModel, work: str) -> bool:
    """Whether memory ran out on this piece of work before."""
    return work in _record(vlm).ways


def taken(vlm: NamedModel, way: str) -> bool:
    """Whether a way may still be taken: no trial has refused it."""
    known = _record(vlm).ways.get(way)
    return known is None or not known.refusal


def note_way(vlm: NamedModel, way: str, refusal: str = "", *, instead: str = "", usual: bool = False) -> None:
    """Keep whether a model takes a quick way, and say once where it does not; nothing is decided by it.


    Args:
        way: one of the names above, with the scope behind it where it depends on that.
        refusal: why it is not taken; empty where it is.
        instead: what is done in its place.
        usual: whether the reason lies in how the model is made, so that nobody need look into it.
    """
    record = _record(vlm)
    known = record.ways.get(way)
    if refusal:
        _say(vlm, way, refusal, instead, usual, known)
    if known is None or (refusal and known.noted != refusal):
        record.ways[way] = Way(noted=refusal) if known is None else replace(known, noted=refusal)
        record.write()


def _say(vlm: NamedModel, way: str, refusal: str, instead: str, usual: bool, known: Way | None) -> None:
    if known is None or refusal not in (known.refusal, known.noted):
        level = logging.INFO if usual else logging.WARNING
        log.log(level, "%s: %s instead of %s: %s", vlm.name, instead, way, refusal)


def ways_of(vlm: NamedModel) -> dict[str, str]:
    """Way -> why it is not taken (empty where it is); only ways that were tried or noted."""
    return {name: way.noted or way.refusal for name, way in sorted(_record(vlm).ways.items())}


def failure(exc: BaseException) -> str:
    """One line on why a way was given up.

    Example:
        >>> failure(IndexError("mask of one row"))
        'the model raised IndexError: mask of one row'
    """
    line = (str(exc).strip().splitlines() or [""])[0]
    known = isinstance(exc, HeadscopeError) and line
    return line if known else f"the model raised {type(exc).__name__}: {line}"
