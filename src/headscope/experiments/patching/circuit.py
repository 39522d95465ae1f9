"""The circuit of a function: its carrying heads, and which of them reads what which other wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headscope.data.splits import picture_groups
from headscope.errors import DataError, StudyError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.controls import draw
from headscope.experiments.patching.edges import ANSWER, HeadEdge, edges_among, read_edges
from headscope.experiments.patching.pair_reader import PairReader
from headscope.experiments.patching.readings import PatchedMargins
from headscope.experiments.patching.result import PatchedFunction, PatchResult, carriers
from headscope.experiments.patching.statistics import Recovered, recovered
from headscope.experiments.significance import q_over_functions
from headscope.making.pairs.schema import Pair, Pairs, load_pairs
from headscope.models.geometry import Head, parse_head
from headscope.models.ways import kept_ways
from headscope.progress import track
from headscope.records import Artefact, Interval, JsonValue, Number, Record
from headscope.statistics.resampling import draws_p
from headscope.storage import Row, fingerprint

FILE = "circuit.json"
ALL = "all"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CircuitSettings:
    """What the circuit experiment reads.

    Attributes:
        function: one function of ``patch.json``, or ``all``.
        pairs: pairs on ``test``, a function.
        heads: at most so many heads: those that carry most, alone or while others are muted, then those of
            the sets.
        carried: share of the difference that a head carries at least to count.
        null_edges: at least so many edges of random head sets of the same layers, as far as sets differ.
        floor: share of the difference below which no edge is named.
        alpha: q over the edges of a function.
    """

    function: str = ""
    pairs: int = 20
    heads: int = 12
    carried: float = 0.05
    null_edges: int = 200
    floor: float = 0.02
    alpha: float = 0.05


class Edge(Record):
    """What one head writes for another, or for the answer.

    Attributes:
        sender, receiver: labels; ``answer``: what the sender writes into the answer with all heads kept.
        share, ci: share of the margin's difference between the two runs that the edge carries; mean of both
            ways, ratio of means over pairs, 95 % bootstrap interval by picture.
        p, q: among the edges of random head sets of the same layers, and after correction over edges.
        named: whether q is below its bound and the interval above the floor.
    """

    sender: str
    receiver: str
    share: Number
    ci: Interval
    p: Number
    q: Number
    named: bool


class Circuit(Record):
    """The edges among a function's carrying heads.

    Attributes:
        heads: labels, the earliest layer first.
        pairs, pictures: pairs of ``test`` answered right both ways, and their pictures.
        null_edges, null_max: edges of random head sets, and the greatest share of one of them.
        edges: all of them, the strongest first.
        untested: why there are none; empty where there are.
    """

    heads: tuple[str, ...]
    pairs: int
    pictures: int
    null_edges: int
    null_max: Number
    edges: tuple[Edge, ...]
    untested: str = ""


class CircuitResult(Artefact):
    """Which head reads what which other wrote.

    Attributes:
        settings: all of them.
        fingerprint: of the pairs' cases.
        functions: function -> its circuit.
    """

    TABLE = False
    schema_: Literal["headscope/circuit/1"] = Field(default="headscope/circuit/1", alias="schema")
    settings: dict[str, JsonValue]
    fingerprint: str
    functions: dict[str, Circuit]


def circuit(
    context: ExperimentContext, patched: PatchResult, settings: CircuitSettings = CircuitSettings()
) -> CircuitResult:
    """Path patching among the heads that the patching experiment found, on pairs of ``test``.

    Writes ``circuit.json``; resumes.

    Raises:
        StudyError: a function that was not patched, or other pairs than those that were.
    """
    folder = str(patched.settings["pairs"])
    pairs = load_pairs(folder)
    if pairs.cases.fingerprint != patched.fingerprint:
        raise StudyError(f"circuit: {folder} holds other pairs than those that were patched; patch again")
    wanted = list(patched.functions) if settings.function == ALL else [settings.function]
    unknown = [f for f in wanted if f not in patched.functions]
    if unknown:
        raise StudyError(
            f"circuit: asked for {unknown[0]!r}; patched were {', '.join(patched.functions)}; or say {ALL}"
        )
    work = _Circuits(context, pairs, settings)
    with kept_ways(context.vlm, context.folder):
        found = {name: work.of(name, patched) for name in wanted}
    result = CircuitResult(
        settings=context.recorded(settings), fingerprint=pairs.cases.fingerprint, functions=found
    )
    result.save(context.folder / FILE)
    return result


class _Circuits:
    def __init__(self, context: ExperimentContext, pairs: Pairs, settings: CircuitSettings) -> None:
        self.context, self.pairs, self.settings = context, pairs, settings
        self.ledger = context.ledger("circuit", settings, pairs_used=pairs.cases.fingerprint)
        self.reader = PairReader(context.vlm, pairs, self.ledger, context.seed)
        self.groups: Mapping[str, str] = picture_groups(pairs.cases)

    def of(self, name: str, result: PatchResult) -> Circuit:
        """The circuit of one function."""
        geometry, patched = self.context.vlm.geometry, result.functions[name]
        heads = sorted(self._heads(result.heads, patched), key=geometry.index)
        if not heads:
            return _none((), patched.untested or "no head carries the fact")
        own = edges_among(heads)
        count = -(-self.settings.null_edges // len(own))
        controls = draw(geometry, heads, count, self.context.seed + 1)
        others = [edge for some in dict.fromkeys(controls.draws) for edge in edges_among(some)]
        readings, asked = self._read(name, [*own, *others])
        if len(readings) < 2:
            return _none(
                tuple(map(str, heads)), f"{len(readings)} pairs of test are answered right both ways"
            )
        found = recovered(readings, [self.groups[p.first] for p in asked], self.context.seed)
        null = found.value[len(own) :]
        return Circuit(
            heads=tuple(map(str, heads)),
            pairs=len(readings),
            pictures=found.pictures,
            null_edges=len(null),
            null_max=float(null.max()) if len(null) else None,
            edges=self._edges(own, found, null),
        )

    def _heads(self, labels: Sequence[str], patched: PatchedFunction) -> list[Head]:
        """The heads that carry most, then those of the sets."""
        sets = [s.heads for s in (patched.sufficient, patched.necessary) if s is not None]
        strong = carriers(labels, patched, self.settings.carried)
        every = dict.fromkeys([*strong, *(h for heads in sets for h in heads)])
        return [parse_head(label) for label in every][: self.settings.heads]

    def _edges(self, own: Sequence[HeadEdge], carried: Recovered, null: Floats) -> tuple[Edge, ...]:
        p = {str(i): draws_p(float(carried.value[i]), null) for i in range(len(own))}
        q = q_over_functions(p)
        found = []
        for i, (sender, receiver) in enumerate(own):
            ci = carried.ci(i)
            named = (q[str(i)] or 0.0) < self.settings.alpha and ci[0] > self.settings.floor
            found.append(
                Edge(
                    sender=str(sender), receiver=ANSWER if receiver is None else str(receiver),
                    share=float(carried.value[i]), ci=ci, p=p[str(i)], q=q[str(i)], named=named,
                )
            )  # fmt: skip
        return tuple(sorted(found, key=lambda e: -(e.share or 0.0)))

    def _read(self, name: str, edges: Sequence[HeadEdge]) -> tuple[list[PatchedMargins], list[Pair]]:
        """Readings of pairs that are answered right both ways, and those pairs."""
        order = self.reader.chosen(name, "test", self.settings.pairs)
        found, kept = [], []
        for pair in track(order, f"{name}: edges", unit="pair"):
            row = self.ledger.get_or(
                f"{pair.id} {fingerprint([_label(e) for e in edges])}", self._unit(pair, edges)
            )
            if row:
                found.append(PatchedMargins.from_json(row))
                kept.append(pair)
        return found, kept

    def _unit(self, pair: Pair, edges: Sequence[HeadEdge]) -> object:
        def compute() -> Row:
            try:
                asked = self.reader.open(pair)
            except DataError:
                return {}
            reading = read_edges(self.context.vlm, asked, edges)
            return reading.to_json() if (reading.clean > 0).all() else {}

        return compute


def _label(edge: HeadEdge) -> list[str]:
    return [str(edge[0]), ANSWER if edge[1] is None else str(edge[1])]


def _none(heads: tuple[str, ...], why: str) -> Circuit:
    return Circuit(heads=heads, pairs=0, pictures=0, null_edges=0, null_max=None, edges=(), untested=why)
