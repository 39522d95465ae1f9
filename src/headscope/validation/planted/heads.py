"""Weights of one attention head: what it looks for, what it copies, and where it writes it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headscope.validation.planted.glyphs import CELLS, COLUMNS, KINDS
from headscope.validation.planted.plan import Part
from headscope.validation.planted.questions import (
    COLOUR,
    COUNT,
    FACING,
    KNOWLEDGE,
    OBJECT,
    PLACE,
    RELATION,
)
from headscope.validation.planted.stream import CONSTANT, Stream

Floats = NDArray[np.float64]
WIDTH = 24
# Rotary pairs (i, i + 12) turn by theta^(-i / 12) a position: with the theta of the build all but the first
# two stand still, so that content is matched wherever it stands.
SLOW = (*range(2, 12), *range(14, 24))
MATCH, SINK, COLUMN = 30.0, 10.0, 9.0  # attention scores: of what is sought, of the sink, per column
SPILL, LEAK = 0.6, 0.04
COUNTED = 4.0  # things that make one unit in the workspace of counting
ECHO = 0.1  # how much bystanders take up of what other bystanders wrote
GAIN = {"reader": 2.2, "viewer": 1.1, "mixer": 1.3}  # makes bystanders write as much as planted heads do


@dataclass
class HeadWeights:
    """Rows of q, k, v (width, stream) and columns of o (stream, width) of one head."""

    stream: Stream
    q: Floats = field(init=False)
    k: Floats = field(init=False)
    v: Floats = field(init=False)
    o: Floats = field(init=False)
    _rows: int = 0

    def __post_init__(self) -> None:
        wide = self.stream.width
        self.q, self.k, self.v = (np.zeros((WIDTH, wide)) for _ in range(3))
        self.o = np.zeros((wide, WIDTH))

    def match(self, asked: list[int], found: list[int], score: float) -> None:
        """Score ``score`` where a token has any of ``found`` and the asking one any of ``asked``."""
        size = np.sqrt(score * np.sqrt(WIDTH))
        row = SLOW[self._rows]
        self.q[row, asked] = size
        self.k[row, found] = size
        self._rows += 1


def planted_head(part: Part, stream: Stream, rng: np.random.Generator) -> HeadWeights:
    """A head that copies its attribute of the thing asked about; a decoy's copy goes where nothing reads."""
    head = HeadWeights(stream)
    _seek(head, part)
    head.q[SLOW[-1], stream.at("const")] = np.sqrt(SINK * np.sqrt(WIDTH)) / CONSTANT
    head.k[SLOW[-1], stream.at("sink")] = np.sqrt(SINK * np.sqrt(WIDTH))
    reads = [(f, rows) for f in part.functions for rows in _attribute(f, stream)]
    turn = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    places: list[int] = []
    for function in part.functions:
        places += stream.at(f"work {function}")
    for column, (_, sources) in enumerate(reads):
        for dim, weight in sources.items():
            head.v[:, dim] += turn[:, column] * weight
    rest = turn[:, len(reads) :]
    seen = stream.content("function", "asked", "word", "facing", "colour", "cell")
    head.v[:, seen] += rest @ rng.normal(size=(rest.shape[1], len(seen))) / np.sqrt(rest.shape[1])
    head.v[:, stream.at("const")] += 0.3 * turn[:, -1:] / CONSTANT
    idle = stream.at("idle")
    if part.role == "decoy":
        head.o[idle] += _random(rng, len(idle)) @ turn.T
        return head
    head.o[places] = part.strength * turn[:, : len(reads)].T
    head.o[idle] += SPILL * _random(rng, len(idle))[:, len(reads) :] @ rest.T
    return head


def bystander(part: Part, stream: Stream, rng: np.random.Generator, leaks: bool) -> HeadWeights:
    """A head that puts out as much as a planted one, of no use: a random rotation of what it sees."""
    head = HeadWeights(stream)
    asks, shows = stream.content("function", "asked", "first", "second"), stream.content("image", "kind")
    if part.role == "mixer":
        seen = asks + stream.content("word", "kind", "facing", "colour", "cell", "text")
        for rows in (head.q, head.k):
            rows[:, seen] = rng.normal(size=(WIDTH, len(seen))) * 0.9
    else:
        head.match(stream.at("const"), stream.at("text" if part.role == "reader" else "image"), 6.0)
        head.q[SLOW[0]] /= CONSTANT
    seen = {
        "reader": asks + stream.content("word"),
        "viewer": shows + stream.content("facing", "colour", "cell", "present"),
        "mixer": asks + stream.content("word", "kind", "facing", "colour", "cell"),
    }[part.role]
    head.v[:, seen] = rng.normal(size=(WIDTH, len(seen))) / np.sqrt(WIDTH)
    head.v[:, stream.at("const")] = 0.3 * rng.normal(size=(WIDTH, 1)) / np.sqrt(WIDTH) / CONSTANT
    idle = stream.at("idle")
    head.v[:, idle] = ECHO * rng.normal(size=(WIDTH, len(idle))) / np.sqrt(WIDTH)
    head.o[idle] = GAIN[part.role] * _random(rng, len(idle))
    if leaks:
        spills = stream.content("work", "answer")
        head.o[spills] = LEAK * GAIN[part.role] * _random(rng, len(spills))
    return head


def _random(rng: np.random.Generator, rows: int) -> Floats:
    """(rows, width) that keeps the norm on average."""
    return np.asarray(rng.normal(size=(rows, WIDTH)) / np.sqrt(rows))


def _seek(head: HeadWeights, part: Part) -> None:
    """What the head looks for when its function is asked for."""
    stream = head.stream
    for function in part.functions:
        if function == COUNT:
            head.match([stream.of_function(COUNT)], stream.at("image"), MATCH)
        elif function == OBJECT:
            for asked, found in zip(stream.at(f"asked {OBJECT}"), stream.at("cell"), strict=True):
                head.match([asked], [found], MATCH)
        elif function == RELATION:
            for i in range(len(KINDS)):
                head.match([stream.at("first")[i], stream.at("second")[i]], [stream.at("kind")[i]], MATCH)
            head.match([stream.of_function(RELATION)], stream.at("cell"), COLUMN)
            head.k[SLOW[head._rows - 1], stream.at("cell")] *= [c % COLUMNS for c in range(CELLS)]
    kinds = [f for f in part.functions if f in (PLACE, FACING, COLOUR)]
    if kinds:
        asking = (PLACE, FACING, COLOUR, KNOWLEDGE) if part.always else kinds
        for i in range(len(KINDS)):
            head.match([stream.at(f"asked {f}")[i] for f in asking], [stream.at("kind")[i]], MATCH)


def _attribute(function: str, stream: Stream) -> list[dict[int, float]]:
    """For each dimension of the function's workspace: what it is read from, dimension -> weight."""
    if function == PLACE:
        cells = stream.at("cell")
        return [{cells[i]: 1.0 for i in range(CELLS) if i % COLUMNS == c} for c in range(COLUMNS)]
    if function == COUNT:
        return [{stream.at("present")[0]: CELLS / COUNTED}]
    block = {FACING: "facing", COLOUR: "colour", RELATION: "kind", OBJECT: "kind"}[function]
    return [{d: 1.0} for d in stream.at(block)]
