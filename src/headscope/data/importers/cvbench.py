"""CV-Bench: spatial relation and counting on ADE20K and COCO, depth and distance on Omni3D.

Format: the card of hub nyu-visionx/CV-Bench: idx, type (2D, 3D), task, image, question, choices, answer
("(A)"), prompt, filename, source (ADE20K, COCO, Omni3D), source_dataset, source_filename, target_class,
target_size, bbox. ``bbox`` is kept as it is: the card does not say in which form it stands, so no boxes are
made of it.
"""

from __future__ import annotations

from headscope.data.importers.base import Draft, Place, Row, Source, text_of, texts_of
from headscope.data.importers.embedded import kept, picture_of
from headscope.data.importers.options import SAME_OPTIONS, asked, distinct, letter_index


def build(row: Row, place: Place) -> Draft:
    """One question."""
    record = row.value
    options = texts_of(record, "choices")
    choices = distinct(options)
    picture = (
        picture_of(record, "image")
        if record.get("image")
        else text_of(record, "filename").removeprefix("img/")
    )
    return Draft(
        id=f"cvbench-{text_of(record, 'idx')}",
        question=asked(text_of(record, "question"), options),
        answer=options[letter_index(text_of(record, "answer"), len(options))],
        choices=choices,
        kind="/".join(text_of(record, k) for k in ("type", "task")),
        picture=picture,
        original=kept(record, "image"),
        left_out=("boxes: the form of bbox is not published", "steps: none in the source")
        + (() if choices else (SAME_OPTIONS,)),
    )


SOURCES = (
    Source(
        name="cvbench",
        title="CV-Bench",
        licence="Apache-2.0; photographs: ADE20K, COCO, Omni3D",
        size="2,638 questions",
        fields="idx, type, task, image or filename, question, choices, answer, prompt, source, bbox",
        boxes="none",
        steps="none",
        scored="half of (mean of ADE20K and COCO accuracy) plus half of Omni3D accuracy",
        get="hub id nyu-visionx/CV-Bench",
        splits=("2D", "3D"),
        files=("test_{split}.jsonl", "*{split}*.parquet", "*.parquet", "*.jsonl"),
        many=True,
        pictures=("img",),
        hub="nyu-visionx/CV-Bench",
        hub_config="{split}",
        hub_split="test",
        build=build,
    ),
)
