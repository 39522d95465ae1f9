"""Rules by which several questions have to be right together: What'sUp and 3DSRBench."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.benchmarks.importers.whatsup import row_of
from headscope.benchmarks.rules.base import Right, Rule, Table, by_group, every, field, row
from headscope.benchmarks.rules.simple import judge
from headscope.data.schema import Case

_PAIRS = (("left", "right"), ("on", "under"), ("in-front", "behind"))
_MAIN = ("height", "location", "orientation", "multi_object")


def whatsup_table(cases: Sequence[Case], right: Right) -> Table:
    """Individual accuracy; for subsets A and B also pairs and sets of four.

    Pairs are left and right, on and under, in front and behind. As the authors count: a pair or set with a
    photograph missing is not right, and shares are of a half and a quarter of the photographs.
    """
    rows = [row("individual", "all", [right[c.id] for c in cases])]
    sets: dict[tuple[str, str, str], dict[str, bool]] = {}
    controlled = 0
    for case in cases:
        found = row_of(case.original or {})
        if found:
            thing, ground, relation = found
            subset = case.id.rsplit("-", 1)[0]
            sets.setdefault((subset, thing, ground), {})[relation] = right[case.id]
            controlled += 1
    if controlled:
        pairs = sum(s.get(a, False) and s.get(b, False) for s in sets.values() for a, b in _PAIRS)
        whole = sum(sum(s.values()) == 4 for s in sets.values())
        rows.append(row("pair", "all", [pairs], controlled / 2))
        rows.append(row("set", "all", [whole], controlled / 4))
    return rows + by_group("individual", cases, right, lambda c: c.kind, "preposition")


def circular_table(cases: Sequence[Case], right: Right) -> Table:
    """Circular accuracy, over all, by category and by type; Flip, FlipCircular and vanilla accuracy.

    A question is right if all of its forms are: under Circular all orders of its options (its mirror image is
    a question of its own; the authors' script, whose overall this is), under Flip the question and its mirror
    image in the same order, under FlipCircular all of these.
    """
    rows = [
        every("Circular", cases, right, _circle),
        every("Flip", cases, right, lambda c: _qid(c).replace("-flip", "")),
        every("FlipCircular", cases, right, lambda c: _circle(c).replace("-flip", "")),
        row("vanilla", "all", [right[c.id] for c in cases]),
    ]
    kinds = sorted({c.kind for c in cases})
    groups = [(f"category: {m}", [c for c in cases if c.kind.startswith(m)]) for m in _MAIN]
    groups += [(f"type: {kind}", [c for c in cases if c.kind == kind]) for kind in kinds]
    return rows + [every("Circular", mine, right, _circle) | {"group": name} for name, mine in groups if mine]


def _qid(case: Case) -> str:
    return field(case, "qid")


def _circle(case: Case) -> str:
    """The id without the number of a turned order: ``VIN6MS3J-flip-1`` is ``VIN6MS3J-flip``."""
    return re.sub(r"-.$", "", _qid(case))


_WHATSUP = "github.com/amitakamath/whatsup_vlms, dataset_zoo/aro_datasets.py"
_3DSR = (
    "authors' compute_3dsrbench_results.py (github.com/johnson111788/SpatialReasoner, src/eval); Flip and "
    "FlipCircular: lmms-eval, tasks/3dsrbench/utils.py"
)
RULES = {
    "whatsup": Rule("What'sUp", judge, whatsup_table, _WHATSUP),
    "3dsrbench": Rule("3DSRBench", judge, circular_table, _3DSR),
}
