"""SpatialViz-Bench: mental rotation, folding, cutting and motion on drawn pictures.

Format: lmms-eval, tasks/spatialviz/utils.py, read there (hub PLM-Team/Spatial-Visualization-Benchmark):
{Category, Task, Level, Image_id, Question, Choices, Answer (a letter)}; the picture is
``Category/Task/Level/Image_id.png``.

The rule, after the same file: letters within <answer> up to the first full stop, if a thought stands
before it; else what follows the first mark of an answer that occurs; exactly one letter has to be left.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importing.answer_options import as_it_stands, letter_index, listed
from headscope.benchmarks.importing.picture_fields import kept
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Rule, accuracy_by, field
from headscope.data.fields import text_of, texts_of
from headscope.data.schema import Case

_MARKS = (
    "<answer>",
    "Answer:",
    "Final answer",
    "final answer",
    "Final Answer",
    "the answer is",
    "The answer is",
    "correct answer",
    "Correct answer",
    "Correct Answer",
    "答案",
    "correct path",
)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about one picture."""
    record = row.value
    options = texts_of(record, "Choices")
    where = [text_of(record, key) for key in ("Category", "Task", "Level", "Image_id")]
    left = ("boxes: the rows have none", "steps: none in the source")
    index = letter_index(text_of(record, "Answer"), len(options), "Answer")
    return CaseDraft(
        id=f"spatialviz-{'-'.join(where)}",
        **as_it_stands(listed(text_of(record, "Question"), options), options, index, *left),
        kind="/".join(where[:2]),
        wording=where[2],
        picture=f"{'/'.join(where)}.png",
        original=kept(record),
    )


def read(text: str) -> str | None:
    """The one letter that lmms-eval reads, or None.

    Example:
        >>> read("<think>x</think><answer>B. left</answer>"), read("The answer is C."), read("B is it")
        ('B', 'C', None)
    """
    thought = re.search(r"<think>(.*?)</think>", text, re.DOTALL)
    tagged = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    letters: list[str] = []
    if thought and tagged:
        letters = re.findall(r"[A-D]", tagged[1].strip().split(".")[0])
    elif len(text) == 1:
        letters = re.findall(r"[A-D]", text)
    elif mark := next((m for m in _MARKS if m in text), ""):
        letters = re.findall(r"[A-D]", text.split(mark)[-1].strip().split(".")[0])
    return letters[0] if len(set(letters)) == 1 else None


def judge(case: Case, text: str) -> bool:
    """Whether the letter that is read is the answer's."""
    return read(text) == field(case, "Answer")


SOURCES = (
    Source(
        name="spatialviz",
        title="SpatialViz-Bench",
        licence="see the hub card",
        size="1,180 questions",
        fields="Category, Task, Level, Image_id, Question, Choices, Answer",
        scored="accuracy of the letter, by category and task",
        get="get the data and the pictures of hub PLM-Team/Spatial-Visualization-Benchmark",
        files=("*.parquet", "*.jsonl", "*.json"),
        layout="any",
        many=True,
        pictures=("", "images"),
        build=build,
        rule=Rule(
            "SpatialViz-Bench",
            judge,
            accuracy_by("category and task"),
            "lmms-eval, tasks/spatialviz/utils.py",
        ),
    ),
)
