"""Rules that count right answers: plain accuracy, VSR, NLVR, CV-Bench, BLINK."""

from __future__ import annotations

from collections.abc import Sequence

from headscope.benchmarks.rules.base import Right, Rule, Table, by_group, every, field, mean_of, row
from headscope.benchmarks.rules.reading import chosen
from headscope.data.schema import Case


def judge(case: Case, text: str) -> bool:
    """Whether the text amounts to the case's answer among its choices."""
    return chosen(case.answer, text, case.choices)


def _all(cases: Sequence[Case], right: Right) -> dict:
    return row("accuracy", "all", [right[c.id] for c in cases])


def plain_table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy, over all and by kind of question."""
    return [_all(cases, right), *by_group("accuracy", cases, right, lambda c: c.kind, "kind")]


def vsr_table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy over all, by meta-category and by relation."""
    return [
        _all(cases, right),
        *by_group("accuracy", cases, right, lambda c: meta_category(c.kind), "meta-category"),
        *by_group("accuracy", cases, right, lambda c: c.kind, "relation"),
    ]


def nlvr_table(cases: Sequence[Case], right: Right) -> Table:
    """Precision (accuracy over pictures) and consistency (sentences all of whose pictures are right)."""
    return [
        row("precision", "all", [right[c.id] for c in cases]),
        every("consistency", cases, right, lambda c: field(c, "identifier").split("-")[0]),
    ]


def cvbench_table(cases: Sequence[Case], right: Right) -> Table:
    """Half of the mean of ADE20K and COCO (2D), half of Omni3D (3D); the parts and the tasks below."""
    parts = [
        row("accuracy", name, [right[c.id] for c in cases if field(c, "source") == name])
        for name in ("ADE20K", "COCO", "Omni3D")
    ]
    flat = mean_of("accuracy", "2D", parts[:2])
    deep = mean_of("accuracy", "3D", parts[2:])
    return [
        mean_of("CV-Bench accuracy", "all", [flat, deep]),
        flat,
        deep,
        *parts,
        *by_group("accuracy", cases, right, lambda c: c.kind, "task"),
    ]


def blink_table(cases: Sequence[Case], right: Right) -> Table:
    """The mean of the sub-tasks' accuracies: every sub-task counts alike, however many questions it has."""
    tasks = by_group("accuracy", cases, right, lambda c: c.kind, "sub-task")
    return [mean_of("mean of sub-tasks", "all", tasks), *tasks]


# rel_meta_category_dict.txt of VSR; it lists "among" twice, and the last place wins there, as here.
_META = {
    "Adjacency": "adjacent to, alongside, at the side of, at the right side of, at the left side of, "
    "attached to, at the back of, ahead of, against, at the edge of",
    "Directional": "off, past, toward, down, deep down, up, away from, along, around, from, into, to, "
    "across, across from, through, down from",
    "Orientation": "facing, facing away from, parallel to, perpendicular to",
    "Projective": "on top of, beneath, beside, behind, left of, right of, under, in front of, below, above, "
    "over, in the middle of",
    "Proximity": "by, close to, near, far from, far away from",
    "Topological": "connected to, detached from, has as a part, part of, contains, within, at, on, in, with, "
    "surrounding, among, consists of, out of, between, inside, outside, touching",
    "Unallocated": "beyond, next to, opposite to, after, among, enclosed by",
}
_CATEGORY = {name: kind for kind, names in _META.items() for name in names.split(", ")}


def meta_category(relation: str) -> str:
    """VSR's meta-category of a relation; empty where it has none.

    Example:
        >>> meta_category("facing away from")
        'Orientation'
    """
    return _CATEGORY.get(" ".join(relation.split()), "")


_VSR = "github.com/cambridgeltl/visual-spatial-reasoning, rel_meta_category_dict.txt"
_NLVR = "github.com/lil-lab/nlvr, nlvr/metrics_images.py"
_CVBENCH = "card of hub nyu-visionx/CV-Bench, Accuracy"
_BLINK = "github.com/zeyofu/BLINK_Benchmark, eval/evaluate.py"
RULES = {
    "": Rule("accuracy", judge, plain_table),
    "vsr": Rule("VSR", judge, vsr_table, _VSR),
    "nlvr": Rule("NLVR", judge, nlvr_table, _NLVR),
    "cvbench": Rule("CV-Bench", judge, cvbench_table, _CVBENCH),
    "blink": Rule("BLINK", judge, blink_table, _BLINK),
}
