"""Cornell NLVR: statements by people about three drawn boxes, with the exact scene.

Format: https://github.com/lil-lab/nlvr (nlvr/README.md), read from the files themselves. ``dev.json`` holds
one object a line. The box of thing o in panel i is [150 i + x_loc, y_loc, size, size] in the 400 x 100
picture; only the ``-0.png`` permutation follows the order of ``structured_rep``. The test file comes
without pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Right, Rule, Table, every, field, judge, overall
from headscope.benchmarks.vsr import TRUE_FALSE
from headscope.data.fields import RecordError, box_from_xywh, take, text_of
from headscope.data.pictures import show
from headscope.data.schema import Case, Object

SIZE = (400, 100)
_STEP = 150  # from one panel's left edge to the next
_COLOURS = {"yellow": "yellow", "black": "black", "#0099ff": "blue"}
_PANELS = ("left", "middle", "right")


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One statement with the picture that follows its scene."""
    record = row.value
    label = text_of(record, "label").lower()
    if label not in TRUE_FALSE:
        raise RecordError("label", "wrong value", show(record["label"]), "true or false")
    name = text_of(record, "identifier")
    split = place.split or Path(row.file).stem
    sentence = text_of(record, "sentence").rstrip(".").strip() or "?"
    objects, cut = _objects(record)
    return CaseDraft(
        id=f"nlvr-{name}",
        question=f'Is this true of the picture: "{sentence}"?',
        answer=label,
        choices=TRUE_FALSE,
        kind="statement",
        wording="statement/1",
        picture=f"{text_of(record, 'directory')}/{split}-{name}-0.png",
        size=SIZE,
        objects=objects,
        original=record,
        derived=("objects: boxes and attributes from structured_rep", *cut),
        left_out=(
            "steps: what a free statement asks does not follow from its record",
            "pictures: permutations 1 to 5, whose boxes are in another order",
        ),
    )


def _objects(record: dict) -> tuple[tuple[Object, ...], tuple[str, ...]]:
    panels = take(record, "structured_rep", list)
    if len(panels) > len(_PANELS):
        raise RecordError("structured_rep", "too many panels", str(len(panels)), "three")
    found, cut = [], False
    for i, panel in enumerate(panels):
        if not isinstance(panel, list):
            raise RecordError(f"structured_rep[{i}]", "wrong value", show(panel), "a list")
        for j, thing in enumerate(panel):
            at = f"structured_rep[{i}][{j}]."
            size = take(thing, "size", float, at)
            x, y = take(thing, "x_loc", float, at), take(thing, "y_loc", float, at)
            box, short = box_from_xywh([_STEP * i + x, y, size, size], f"{at}size", SIZE)
            raw = text_of(thing, "color", at)
            colour, shape = _COLOURS.get(raw.lower(), raw), text_of(thing, "type", at)
            attributes = {"colour": colour, "shape": shape, "size": f"{size:g}", "panel": _PANELS[i]}
            found.append(Object(id=f"o{i}-{j}", name=f"{colour} {shape}", box=box, attributes=attributes))
            cut |= short
    return tuple(found), ("objects: box cut at the picture's edge",) if cut else ()


def table(cases: Sequence[Case], right: Right) -> Table:
    """Precision (accuracy over pictures) and consistency (sentences all of whose pictures are right)."""
    return [
        overall(cases, right, "precision"),
        every("consistency", cases, right, lambda c: field(c, "identifier").split("-")[0]),
    ]


SOURCES = (
    Source(
        name="nlvr",
        title="Cornell Natural Language for Visual Reasoning",
        licence="CC-BY-4.0",
        size="989 statements with pictures (dev), 990 without (test)",
        fields="sentence, label, identifier, directory, evals, structured_rep",
        boxes="exact, from structured_rep (permutation 0)",
        scored="precision (accuracy) and consistency (a sentence counts where all of its rows are right)",
        get="get the folder nlvr of github.com/lil-lab/nlvr",
        splits=("dev", "test"),
        files=("{split}/{split}.json", "{split}.json"),
        pictures=("{split}/images", "images"),
        build=build,
        rule=Rule("NLVR", judge, table, "github.com/lil-lab/nlvr, nlvr/metrics_images.py"),
    ),
)
