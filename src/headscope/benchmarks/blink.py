"""BLINK: fourteen tasks of seeing, with one to four pictures each.

Format: the card of hub BLINK-Benchmark/BLINK: idx (``val_Counting_1``), question, sub_task, image_1 to
image_4, choices, answer ("(A)"; "hidden" in test), prompt, explanation; a configuration for every sub-task.
"""

from __future__ import annotations

from collections.abc import Sequence

from headscope.benchmarks.importing.answer_options import letter_index, one_of
from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Right, Rule, Table, by_group, judge, mean_of
from headscope.data.fields import RecordError, text_of, texts_of
from headscope.data.pictures import show
from headscope.data.schema import Case

TASKS = (
    *("Art_Style", "Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test", "Jigsaw"),
    *("Multi-view_Reasoning", "Object_Localization", "Relative_Depth", "Relative_Reflectance"),
    *("Semantic_Correspondence", "Spatial_Relation", "Visual_Correspondence", "Visual_Similarity"),
)
_IMAGES = tuple(f"image_{i}" for i in range(1, 5))


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about its pictures."""
    record = row.value
    shown = [key for key in _IMAGES if record.get(key)]
    answer = text_of(record, "answer")
    if answer.lower() == "hidden":
        raise RecordError("answer", "no answer", show(answer), "a letter (the test split keeps its answers)")
    options = texts_of(record, "choices")
    left = ("boxes: the rows have none", "steps: none in the source")
    return CaseDraft(
        id=text_of(record, "idx"),
        **one_of(text_of(record, "question"), options, letter_index(answer, len(options)), *left),
        kind=text_of(record, "sub_task"),
        picture=picture_of(record, shown[0] if shown else "image_1"),
        more=tuple(picture_of(record, key) for key in shown[1:]),
        original=kept(record, *_IMAGES),
    )


def table(cases: Sequence[Case], right: Right) -> Table:
    """The mean of the sub-tasks' accuracies: every sub-task counts alike, however many questions it has."""
    tasks = by_group("accuracy", cases, right, lambda c: c.kind, "sub-task")
    return [mean_of("mean of sub-tasks", "all", tasks), *tasks]


SOURCES = (
    Source(
        name="blink",
        title="BLINK",
        licence="Apache-2.0",
        size="1,901 questions with answers (val); about half have several pictures",
        fields="idx, sub_task, image_1 to image_4, question, choices, answer, prompt, explanation",
        scored="mean of the accuracies of the sub-tasks",
        get="hub id BLINK-Benchmark/BLINK, --split Spatial_Relation/val and so on",
        splits=tuple(f"{task}/val" for task in TASKS),
        files=("{0}/{1}*.parquet", "*.parquet", "*/val*.parquet"),
        many=True,
        hub="BLINK-Benchmark/BLINK",
        hub_config="{0}",
        hub_split="{1}",
        build=build,
        rule=Rule("BLINK", judge, table, "github.com/zeyofu/BLINK_Benchmark, eval/evaluate.py"),
    ),
)
