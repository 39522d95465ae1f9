"""MindCube: where things are around one who saw a place from a few sides; two to four pictures a question.

Format: github.com/mll-lab-nu/MindCube (src/prompt_generation) and lmms-eval (tasks/mindcube), read there:
JSON lines of {id ("among_...", "around_...", "rotation_..."), question (which lists its options, "A.
Above B. Under"), images (names, in order), gt_answer (a letter)}.

The rule, after the authors' extract_answer as lmms-eval holds it: patterns in order of priority, of each
the last match.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importing.answer_options import as_it_stands, inline_options, letter_index
from headscope.benchmarks.importing.picture_fields import kept, pictures_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Rule, accuracy_by, field
from headscope.data.fields import RecordError, text_of
from headscope.data.pictures import show
from headscope.data.schema import Case

_SECTION = (
    r"[Mm]y answer is ([A-E])",
    r"[Tt]he answer is ([A-E])",
    r"(?:Answer: )?([A-E])\.",
    r"\b([A-E])\b",
)
_ANYWHERE = (
    r"(?:^|\n)(?:Answer: )?([A-E])(?:\.|$|\s)",
    r"[\*\"]([A-E])[\*\"]",
    r"\bAnswer:?\s*([A-E])\b",
    r"[Mm]y answer is ([A-E])",
    r"answer is ([A-E])",
)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about its pictures."""
    record = row.value
    name, question = text_of(record, "id"), text_of(record, "question")
    options = inline_options(question)
    if not options:
        raise RecordError("question", "no options", show(question), '"A. ... B. ..." in it')
    index = letter_index(text_of(record, "gt_answer"), len(options), "gt_answer")
    first, *more = pictures_of(record, "images")
    left = ("boxes: the rows have none", "steps: none in the source")
    setting = name.partition("_")[0]
    return CaseDraft(
        id=f"mindcube-{name}",
        **as_it_stands(question, options, index, *left),
        kind="around" if setting == "aroundnew" else setting,
        picture=first,
        more=tuple(more),
        original=kept(record, "images"),
        derived=("choices: read from the question",),
    )


def read(text: str) -> str | None:
    """The letter that the authors' script reads, or None.

    Example:
        >>> read("<Answer>B. Under</Answer>"), read("I think C"), read("under it")
        ('B', 'C', None)
    """
    if found := re.findall(r"([A-E])\.", text):
        return str(found[-1])
    section = re.search(r"<Answer>(.*?)(?:<|$)", text, re.DOTALL)
    for patterns, within in ((_SECTION, section[1] if section else ""), (_ANYWHERE, text)):
        for pattern in patterns:
            if found := re.findall(pattern, within):
                return str(found[-1])
    for line in reversed(text.split("\n")):
        if alone := re.search(r"\b([A-E])\b", line):
            return alone[1]
    return None


def judge(case: Case, text: str) -> bool:
    """Whether the letter that the authors read is the answer's."""
    return read(text.strip()) == field(case, "gt_answer").strip()


SOURCES = (
    Source(
        name="mindcube",
        title="MindCube",
        licence="MIT",
        size="21,154 questions; 1,050 of them in tinybench",
        fields="id, question, images, gt_answer",
        scored="accuracy of the letter, by setting (among, around, rotation)",
        get="get the data of hub Inevitablevalor/MindCube, and name MindCube_tinybench.jsonl by --from",
        splits=("tinybench", "train"),
        files=("data/raw/MindCube_{split}.jsonl", "MindCube_{split}.jsonl", "*{split}*.jsonl"),
        pictures=("data", "", "images"),
        build=build,
        rule=Rule(
            "MindCube",
            judge,
            accuracy_by("setting"),
            "github.com/mll-lab-nu/MindCube, as in lmms-eval, tasks/mindcube/utils.py",
        ),
    ),
)
