"""Rules by which several questions have to be right together: What'sUp and 3DSRBench."""

from __future__ import annotations

from collections.abc import Sequence

from headscope.data.importers.whatsup import row_of
from headscope.data.schema import Case
from headscope.evaluation.rules.base import Right, Rule, Table, by_group, every, field, row
from headscope.evaluation.rules.simple import judge

_PAIRS = (("left", "right"), ("on", "under"), ("in-front", "behind"))
_BASE = 8  # characters of a 3DSRBench question's own id
# lmms-eval, tasks/3dsrbench/utils.py
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
    """FlipCircular, Circular, Flip and vanilla accuracy.

    A question is right if all of its forms are: under Circular all orders of its options, under Flip the
    question and its mirror image, under FlipCircular all of these.
    """
    rows = [
        every("FlipCircular", cases, right, lambda c: _qid(c)[:_BASE]),
        every("Circular", cases, right, lambda c: _circle(_qid(c))),
        every("Flip", cases, right, lambda c: _qid(c).replace("-flip", "")),
        row("vanilla", "all", [right[c.id] for c in cases]),
    ]
    for name in _MAIN:
        mine = [c for c in cases if c.kind.startswith(name)]
        if mine:
            found = every("FlipCircular", mine, right, lambda c: _qid(c)[:_BASE])
            rows.append(found | {"group": f"category: {name}"})
    return rows + by_group("vanilla", cases, right, lambda c: c.kind, "type")


def _qid(case: Case) -> str:
    return field(case, "qid")


def _circle(qid: str) -> str:
    return qid[: _BASE + len("-flip")] if "-flip" in qid else qid[:_BASE]


_WHATSUP = "github.com/amitakamath/whatsup_vlms, dataset_zoo/aro_datasets.py"
_3DSR = "paper of 3DSRBench (arXiv 2412.07825); lmms-eval, tasks/3dsrbench/utils.py"
RULES = {
    "whatsup": Rule("What'sUp", judge, whatsup_table, _WHATSUP),
    "3dsrbench": Rule("3DSRBench", judge, circular_table, _3DSR),
}
