"""Visual Spatial Reasoning: true or false statements about two things in a COCO photograph.

Format: https://github.com/cambridgeltl/visual-spatial-reasoning (data/README.md, data/splits), read from
the files themselves; hub copies cambridgeltl/vsr_random and vsr_zeroshot hold the same rows. Traps:
``subj`` and ``obj`` stand only in the zero-shot files (and hold typing errors, so the caption is the
truth); the votes are texts that hold lists.
"""

from __future__ import annotations

from collections.abc import Sequence

from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Right, Rule, Table, by_group, judge, overall
from headscope.data.fields import RecordError, take, text_of
from headscope.data.pictures import show
from headscope.data.schema import Case

TRUE_FALSE = ("true", "false")


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One statement: "Is it true that the dog is on the surfboard?"."""
    record = row.value
    label = take(record, "label", int)
    if label not in (0, 1):
        raise RecordError("label", "wrong value", show(label), "0 or 1")
    claim = text_of(record, "caption").rstrip(".").strip()
    if not claim:
        raise RecordError("caption", "empty", show(record["caption"]), "a statement")
    claim = claim[0].lower() + claim[1:]
    return CaseDraft(
        id=f"vsr-{row.line:04d}",
        question=f"Is it true that {claim}?",
        answer=TRUE_FALSE[1 - label],
        choices=TRUE_FALSE,
        kind=text_of(record, "relation"),
        wording="statement/0",
        picture=text_of(record, "image"),
        original=record,
        left_out=(
            "boxes: the rows have none",
            "steps: none in the source (`headscope data decompose` makes them)",
        ),
    )


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


def table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy over all, by meta-category and by relation."""
    return [
        overall(cases, right),
        *by_group("accuracy", cases, right, lambda c: meta_category(c.kind), "meta-category"),
        *by_group("accuracy", cases, right, lambda c: c.kind, "relation"),
    ]


SOURCES = (
    Source(
        name="vsr",
        title="Visual Spatial Reasoning (random and zero-shot splits)",
        licence="rows CC-BY-4.0 (code Apache-2.0); photographs COCO 2017, Flickr licence of each",
        size="10,972 statements (random), 5,051 (zeroshot)",
        fields="image, caption, label, relation, annotator and votes; subj and obj (zeroshot only)",
        steps="none; decompose by rules",
        scored="accuracy, by relation and meta-category",
        get=(
            "get data/splits of github.com/cambridgeltl/visual-spatial-reasoning and the photographs "
            "(COCO 2017)"
        ),
        splits=(
            "random/train",
            "random/dev",
            "random/test",
            "zeroshot/train",
            "zeroshot/dev",
            "zeroshot/test",
        ),
        files=(
            "data/splits/{split}.jsonl",
            "splits/{split}.jsonl",
            "{split}.jsonl",
            "{1}.jsonl",
            "*.jsonl",
            "data/splits/*/*.jsonl",
        ),
        pictures=("images", "data/images"),
        hub="cambridgeltl/vsr_{0}",
        hub_split="{1}",
        build=build,
        rule=Rule(
            "VSR",
            judge,
            table,
            "github.com/cambridgeltl/visual-spatial-reasoning, rel_meta_category_dict.txt",
        ),
    ),
)
