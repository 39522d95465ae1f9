"""Weights of the second version's heads: the first version's, gated, moved on, or held back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
from headscope.validation.planted.questions import COUNT, FUNCTIONS
from headscope.validation.planted.stream import CONSTANT, Stream, work_widths

GATE = 60.0  # attention score that holds a head on the sink: twice what it seeks
READY = 1.1  # what ``ready`` is where there is text: surely more than holds a head back
_SINK_ROW, _GATE_ROW = SLOW[-1], SLOW[-2]  # no head seeks in as many rows


def harder_stream() -> Stream:
    """The first version's blocks, and those that the second version's heads say to each other."""
    found = {**Stream().blocks, "ready": 1, "again": len(FUNCTIONS)}
    for function, width in work_widths().items():
        found |= {f"carried {function}": width, f"done {function}": 1}
    return Stream(found)


def harder_head(part: Part, level: str, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """The head that a plan of the second version asks for."""
    if part.role == "generalist":
        return _generalist(part, stream, rng)
    if part.role == "fetcher":
        return _fetcher(part, stream, rng)
    if part.role not in ("planted", "mover", "backup"):
        return bystander(part, stream, rng, False)
    head = planted_head(part, stream, rng)
    (function,) = part.functions
    work = stream.at(f"work {function}")
    if part.role == "mover":
        head.o[stream.at(f"carried {function}")] = head.o[work]
        head.o[work] = 0.0
    elif part.role == "backup":
        _hold(head, stream.at(f"done {function}"), 1.0)
    elif level == "backup" and function != COUNT:
        # What is copied is one-hot up to brightness, so that its sum says that something was found.
        head.o[stream.at(f"done {function}")] = head.o[work].sum(axis=0)
    elif level == "early_generalist":
        head.q[_GATE_ROW, stream.at("const")] = _root(GATE) / CONSTANT
        _hold(head, stream.at("ready"), -1.0)
    return head


def _hold(head: HeadWeights, flag: list[int], sign: float) -> None:
    """Keep the head on the sink where the flag is up (1), or let it go there (-1)."""
    head.q[_GATE_ROW, flag] = sign * _root(GATE)
    head.k[_GATE_ROW, head.stream.at("sink")] = _root(GATE)


def _generalist(part: Part, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """A reader of the question's words that also says, at every token, that there is text: ``ready``."""
    head = bystander(Part(part.layer, part.head, "reader"), stream, rng, False)
    turn = _turn(rng)
    head.v -= np.outer(turn[:, -1], turn[:, -1] @ head.v)
    head.v[:, stream.at("text")] += turn[:, -1:]
    head.o[stream.at("ready")] = READY * turn[:, -1]
    return head


def _fetcher(part: Part, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """At the question's last word, what was carried to the word that names the thing."""
    head = HeadWeights(stream)
    (function,) = part.functions
    carried, work = stream.at(f"carried {function}"), stream.at(f"work {function}")
    asks = stream.at("again")[FUNCTIONS.index(function)]
    head.match([asks], stream.at(f"asked {function}"), MATCH)
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
