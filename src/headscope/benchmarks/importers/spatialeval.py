"""SpatialEval: maps, mazes, grids and photographs, with options in the text of the question.

Format: https://github.com/jiayuww/SpatialEval (README.md, evals/evaluation.py) and hub
MilaWang/SpatialEval, configs tqa, vqa, vtqa: id (``spatialmap.vqa.2000.0``: task, mode, number, question),
text, image, oracle_answer, oracle_option, oracle_full_answer. Rows of tqa have no picture and are refused.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importers.base import Draft, Place, Row, Source, text_of
from headscope.benchmarks.importers.embedded import kept, picture_of
from headscope.benchmarks.importers.options import distinct

_OPTION = re.compile(r"(?:^|\n)\s*([A-H])\.\s*(.+?)\s*(?=\n\s*[A-H]\.|\n\n|$)", re.DOTALL)


def build(row: Row, place: Place) -> Draft:
    """One question as it stands."""
    record = row.value
    name, text = text_of(record, "id"), text_of(record, "text")
    answer = text_of(record, "oracle_answer")
    options = [o.rstrip(".").strip() for _, o in _OPTION.findall(text)]
    choices = distinct(options) if answer in options else ()
    left = ("boxes: the rows have none", "steps: none in the source")
    return Draft(
        id=name,
        question=text,
        answer=answer,
        choices=choices,
        kind=name.split(".")[0],
        picture=picture_of(record, "image"),
        original=kept(record, "image"),
        derived=("choices: read from the text",) if choices else (),
        left_out=left if choices else (*left, "choices: the text lists no options with this answer"),
    )


SOURCES = (
    Source(
        name="spatialeval",
        title="SpatialEval (vqa and vtqa)",
        licence="see the hub card",
        size="4,635 questions in each of vqa and vtqa",
        fields="id, text, image, oracle_answer, oracle_option, oracle_full_answer",
        boxes="none",
        steps="none",
        scored=(
            "containment: the true answer within the answer read from the text (spatialreal: a judge model)"
        ),
        get="hub id MilaWang/SpatialEval",
        splits=("vqa", "vtqa"),
        files=("{split}/*.parquet", "{split}*.jsonl", "*.parquet", "*.jsonl"),
        many=True,
        hub="MilaWang/SpatialEval",
        hub_config="{split}",
        hub_split="test",
        build=build,
    ),
)
