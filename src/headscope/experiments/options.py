"""What can be tried to turn a function up: heads scaled, or steered from wrong answers to right ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headscope.capturing.store import open_activations, open_answers
from headscope.edits.edits import Edit, add, scale
from headscope.edits.means import Direction, steering_direction
from headscope.engine.readings import Reader
from headscope.errors import StoreError
from headscope.experiments.effects import drops
from headscope.experiments.emphasis_result import TriedOption
from headscope.models.geometry import Head

RULE = (
    "Only functions with headroom on select are tried. Per function, on select: of all head sets that leave "
    "enough random sets of the same layers, edits and strengths, the one with the greatest gain in accuracy; "
    "ties go to the greater gain in margin, then to the smaller strength, then to fewer heads. It is taken "
    "even where nothing gains. The headline is the function with the greatest gain on select."
)


@dataclass(frozen=True)
class Option:
    """One way to turn a function up, and what it gains on ``select``.

    ``edit`` is ``scale`` (strength: the factor) or ``steer`` (strength 1: as much as the head itself puts
    out). ``source`` says where the heads come from: a ranking, or ``ablation`` (the heads frozen there).
    """

    edit: str
    strength: float
    scope: str
    source: str
    heads: tuple[Head, ...]
    gain_points: float = 0.0
    margin_gain: float = 0.0

    def made(self, direction: Direction | None) -> Edit:
        """The edit itself."""
        if self.edit == "scale":
            return Edit(self.heads, scale(self.strength), self.scope)
        assert direction is not None
        assert direction.vectors is not None
        return Edit(self.heads, add(direction.vectors, self.strength), self.scope)

    def on(self, heads: tuple[Head, ...]) -> Option:
        """The same edit on other heads."""
        return replace(self, heads=heads)

    def record(self) -> TriedOption:
        """As the artefact holds it, heads by label."""
        labels = tuple(str(h) for h in self.heads)
        kept = {k: v for k, v in vars(self).items() if k != "heads"}
        return TriedOption(**kept, k=len(labels), heads=labels)


def directions(folder: Path, functions: Sequence[str], readout: str) -> dict[str, Direction]:
    """Steering directions per function from the captured ``gold`` answers on ``fit``.

    Where there is no capture, or it lacks the readout, every direction is empty and says why.
    """
    try:
        rows = [r for r in open_answers(folder) if r["split"] == "fit" and r["context"] == "gold"]
        found = {}
        for name in functions:
            mine = {r["item"]: bool(r["correct"]) for r in rows if r["function"] == name}
            data = open_activations(folder, readout, items=set(mine))
            correct = [mine[str(i)] for i in data["item"].values]
            found[name] = steering_direction(data[readout].values, correct)
        return found
    except StoreError as exc:
        return {name: Direction(None, 0, 0, f"no captured activations: {exc}") for name in functions}


def options(
    sets: Mapping[str, Sequence[tuple[Head, ...]]],
    scales: Sequence[float],
    strengths: Sequence[float],
    scopes: tuple[str, str],
) -> list[Option]:
    """Every head set under every factor and every steering strength; equal head sets once.

    Args:
        sets: where heads come from -> head sets.
        scopes: positions for scaling, and for steering.
    """
    seen: dict[frozenset[Head], tuple[str, tuple[Head, ...]]] = {}
    for source, some in sets.items():
        for heads in some:
            seen.setdefault(frozenset(heads), (source, heads))
    found = [Option("scale", s, scopes[0], *kept) for kept in seen.values() for s in scales]
    return found + [Option("steer", s, scopes[1], *kept) for kept in seen.values() for s in strengths]


def read_options(
    reader: Reader, function: str, wanted: Sequence[Option], direction: Direction
) -> list[Option]:
    """What every option gains on the reader's items, in the order given."""
    done: dict[int, Option] = {}
    for kind in ("scale", "steer"):
        some = [i for i, o in enumerate(wanted) if o.edit == kind]
        readings = reader.read_edits([wanted[i].made(direction) for i in some], f"{kind}: {function}")
        found = drops(reader.clean, readings)
        for i, lost, margin in zip(some, found.points, found.margin, strict=True):
            o = wanted[i]
            done[i] = Option(o.edit, o.strength, o.scope, o.source, o.heads, 0.0 - lost, 0.0 - margin)
    return [done[i] for i in range(len(wanted))]


def best(tried: Sequence[Option]) -> Option:
    """The option that :data:`RULE` picks."""
    return max(
        tried, key=lambda o: (round(o.gain_points, 6), round(o.margin_gain, 6), -o.strength, -len(o.heads))
    )
