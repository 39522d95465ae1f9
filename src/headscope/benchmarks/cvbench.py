"""CV-Bench: spatial relation and counting on ADE20K and COCO, depth and distance on Omni3D.

Format: the card and files of hub nyu-visionx/CV-Bench (test_2d.parquet and test_3d.parquet, pictures
within; test_2d.jsonl and test_3d.jsonl, whose pictures its build_img.py writes to img/): idx, type (2D, 3D),
task, image, question, choices, answer ("(A)"), prompt, filename, source (ADE20K, COCO, Omni3D),
source_dataset, source_filename, target_class, target_size, bbox. ``bbox`` is kept as it is: the card does not
say in which form it stands, so no boxes are made of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from headscope.benchmarks.importing.answer_options import letter_index, one_of
from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Right, Rule, Table, by_group, field, judge, mean_of, score_row
from headscope.data.fields import text_of, texts_of
from headscope.data.schema import Case


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question."""
    record = row.value
    options = texts_of(record, "choices")
    index = letter_index(text_of(record, "answer"), len(options))
    left = ("boxes: the form of bbox is not published", "steps: none in the source")
    picture = (
        picture_of(record, "image")
        if record.get("image")
        else text_of(record, "filename").removeprefix("img/")
    )
    return CaseDraft(
        id=f"cvbench-{text_of(record, 'idx')}",
        **one_of(text_of(record, "question"), options, index, *left),
        kind="/".join(text_of(record, k) for k in ("type", "task")),
        picture=picture,
        original=kept(record, "image"),
    )


def table(cases: Sequence[Case], right: Right) -> Table:
    """Half of the mean of ADE20K and COCO (2D), half of Omni3D (3D); the parts and the tasks below."""
    parts = [
        score_row("accuracy", name, [right[c.id] for c in cases if field(c, "source") == name])
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


SOURCES = (
    Source(
        name="cvbench",
        title="CV-Bench",
        licence="Apache-2.0; photographs: ADE20K, COCO, Omni3D",
        size="2,638 questions",
        fields="idx, type, task, image or filename, question, choices, answer, prompt, source, bbox",
        scored="half of (mean of ADE20K and COCO accuracy) plus half of Omni3D accuracy",
        get="hub id nyu-visionx/CV-Bench",
        splits=("2D", "3D"),
        files=("*{split}*.parquet", "test_{split}.jsonl", "*.parquet", "*.jsonl"),
        many=True,
        pictures=("img",),
        hub="nyu-visionx/CV-Bench",
        hub_config="{split}",
        hub_split="test",
        build=build,
        rule=Rule("CV-Bench", judge, table, "card of hub nyu-visionx/CV-Bench, Accuracy"),
    ),
)
