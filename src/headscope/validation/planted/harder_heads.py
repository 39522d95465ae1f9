"""Weights of the second version's heads: the first version's, narrowed, gated, moved on, or held back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headscope.validation.planted.harder_plan import GROUP, HarderPart
from headscope.validation.planted.heads import (
    MATCH,
    SINK,
    SLOW,
    SPILL,
    WIDTH,
    HeadWeights,
    bystander,
    planted_head,
)
from headscope.validation.planted.plan import Part
from headscope.validation.planted.questions import COUNT, FUNCTIONS, RELATION
from headscope.validation.planted.stream import CONSTANT, Stream, work_widths

GATE = 60.0  # attention score that holds a head on the sink: more than anything that it seeks
READY = 1.1  # what ``ready`` is where there is text: surely more than holds a head back
_SINK_ROW, _GATE_ROW, _THIRD_ROW = SLOW[-1], SLOW[-2], SLOW[-3]  # no head seeks in as many rows


def harder_stream() -> Stream:
    """The first version's blocks, and those that the second version's heads say to each other."""
    found = {**Stream().blocks, "ready": 1, "again": len(FUNCTIONS)}
    for function, width in work_widths().items():
        found |= {f"carried {function}": width, f"done {function}": 1}
    return Stream(found)


def harder_head(part: HarderPart, level: str, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """The head that a plan of the second version asks for."""
    if part.role == "generalist":
        return _generalist(part, stream, rng)
    if part.role == "fetcher":
        return _fetcher(part, stream, rng)
    if part.role not in ("planted", "decoy", "suppressor", "mover", "backup"):
        return bystander(part, stream, rng, level == "leaky")
    head = planted_head(part, stream, rng)
    _narrow(head, part)
    works = [(f, stream.at(f"work {f}")) for f in part.functions]
    for function, work in works:
        if part.role == "mover":
            head.o[stream.at(f"carried {function}")] = head.o[work]
            head.o[work] = 0.0
        elif part.role == "backup":
            _hold(head, _GATE_ROW, stream.at(f"done {function}"), 1.0)
        elif level == "backup" and function != COUNT:
            # What is copied is one-hot up to brightness, so that its sum says that something was found.
            head.o[stream.at(f"done {function}")] = head.o[work].sum(axis=0)
    if level == "early_generalist":
        head.q[_GATE_ROW, stream.at("const")] = _root(GATE) / CONSTANT
        _hold(head, _GATE_ROW, stream.at("ready"), -1.0)
    return head


def third_of(width: int, third: int) -> range:
    """Which of ``width`` things fall to this third; all for -1.

    Example:
        >>> third_of(6, 1), third_of(9, 2), third_of(6, -1)
        (range(2, 4), range(6, 9), range(0, 6))
    """
    size = width // GROUP
    return range(width) if third < 0 else range(third * size, (third + 1) * size)


def _narrow(head: HeadWeights, part: HarderPart) -> None:
    """Let the head act only when it is asked about its own third of the things."""
    stream = head.stream
    blocks = {b: stream.at(b) for b in stream.blocks if b == "first" or b.startswith("asked ")}
    others = {
        block: [d for i, d in enumerate(dims) if i not in third_of(len(dims), part.third)]
        for block, dims in blocks.items()
    }
    if part.functions == (RELATION,):  # it seeks both things; whose third it is, the first one named decides
        _hold(head, _THIRD_ROW, others["first"], 1.0)
        return
    for dims in others.values():
        head.q[:, dims] = 0.0


def _hold(head: HeadWeights, row: int, flag: list[int], sign: float) -> None:
    """Keep the head on the sink where a flag is up (1), or let it go there (-1)."""
    head.q[row, flag] = sign * _root(GATE)
    head.k[row, head.stream.at("sink")] = _root(GATE)


def _generalist(part: Part, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """A reader of the question's words that also says, at every token, that there is text: ``ready``."""
    head = bystander(Part(part.layer, part.head, "reader"), stream, rng, False)
    turn = _turn(rng)
    head.v -= np.outer(turn[:, -1], turn[:, -1] @ head.v)
    head.v[:, stream.at("text")] += turn[:, -1:]
    head.o[stream.at("ready")] = READY * turn[:, -1]
    return head


def _fetcher(part: HarderPart, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """At the question's last word, what was carried to the word that names the thing."""
    head = HeadWeights(stream)
    (function,) = part.functions
    carried, work = stream.at(f"carried {function}"), stream.at(f"work {function}")
    asked = stream.at(f"asked {function}")
    asks = stream.at("again")[FUNCTIONS.index(function)]
    head.match([asks], [asked[i] for i in third_of(len(asked), part.third)], MATCH)
    head.q[_SINK_ROW, stream.at("const")] = _root(SINK) / CONSTANT
    head.k[_SINK_ROW, stream.at("sink")] = _root(SINK)
    turn = _turn(rng)
    head.v[:, carried] = turn[:, : len(carried)]
    rest = turn[:, len(carried) :]
    seen = stream.content("function", "asked", "word")
    head.v[:, seen] = rest @ rng.normal(size=(rest.shape[1], len(seen))) / np.sqrt(rest.shape[1])
    head.o[work] = part.strength * turn[:, : len(carried)].T
    idle = stream.at("idle")
    head.o[idle] = SPILL * rng.normal(size=(len(idle), rest.shape[1])) / np.sqrt(len(idle)) @ rest.T
    return head


def _turn(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0])


def _root(score: float) -> float:
    """What query and key carry for this attention score."""
    return float(np.sqrt(score * np.sqrt(WIDTH)))
