"""SPHERE: single skills, pairs of skills, and reasoning about hidden or moved things, on COCO test
photographs.

Format: https://github.com/zwenyu/SPHERE-VLM (eval_datasets/coco_test2017_annotations,
eval_datasets/coco_dataset.py), read there: arrays of {question_id, question, option, answer, metadata:
{skill, viewpoint, format, source_dataset, source_img_id}}. In the files of reasoning, questions ``n.1``,
``n.2`` lead to question ``n``: its steps, and cases of their own (kind ``object_occlusion-intermediate``),
since the authors score them apart. The picture is the id with zeros before it, twelve digits. Files
``*_w_intermediate`` repeat others and are passed over.


The rule: an answer that cannot be read is wrong; tasks count alike within a group.

After tasks/space_vqa.py, tasks/utils.py and main_process_results.py of github.com/zwenyu/SPHERE-VLM.
Numbers are read as there: punctuation taken out, then the first one, words up to twenty and "no" for zero
included. Options are read by headscope's own reader: the authors match lemmas and reject unknown nouns with
NLTK's tagger, which is not a dependency here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

from headscope.benchmarks.importing.answer_options import distinct
from headscope.benchmarks.importing.files import array
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Answers, Right, Rule, Table, mean_of, overall, score_row
from headscope.data.fields import ForeignRecord, RecordError, take, text_of, texts_of
from headscope.data.numerals import NUMBER_WORDS
from headscope.data.schema import Case, Step
from headscope.models.answers import parse_answer

# What a leading question is mostly about; where it has several skills, the first of these. A guess, and
# counted so.
_FUNCTION = {
    "count": "counting",
    "pos": "spatial_perception",
    "dist": "relational_reasoning",
    "size": "attribute_perception",
    "vis": "attribute_perception",
}


_REASONING = ("object_occlusion", "object_manipulation")
_LEADING = re.compile(r"(.+)\.(\d+)")


def rows(place: ImportPlace) -> Iterator[SourceRow]:
    """Every question of the files that the authors count; a final one with those that lead to it.

    Only in the files of reasoning do ``n.1``, ``n.2`` lead to ``n``; elsewhere ``4``, ``4.a`` and ``4.1`` are
    questions of their own.
    """
    for path in place.files:
        if path.stem.endswith("_w_intermediate"):
            continue
        found = list(array(path))
        leading: dict[str, list[ForeignRecord]] = {}
        for one in found:
            if base := _final_of(path.stem, one.value.get("question_id")):
                leading.setdefault(base, []).append(one.value)
        for one in found:
            own = leading.get(str(one.value.get("question_id")), [])
            yield one if one.fault else one._replace(value={"question": one.value, "leading": own})


def _final_of(task: str, name: object) -> str:
    """The id of the final question that an id leads to; empty for a question of its own."""
    found = _LEADING.fullmatch(name) if isinstance(name, str) and task in _REASONING else None
    return found[1] if found else ""


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """A question; of a final one the leading questions as steps."""
    record, leading = take(row.value, "question", dict), take(row.value, "leading", list)
    name, task = text_of(record, "question_id"), Path(row.file).stem
    question, answer, choices = _asked(record, "")
    metadata = take(record, "metadata", dict)
    steps = tuple(_step(i, raw) for i, raw in enumerate(leading, 1))
    number = text_of(metadata, "source_img_id", "metadata.")
    guessed = ("functions of steps: from their skills",) if steps else ()
    return CaseDraft(
        id=f"sphere-{task}-{name}",
        question=question,
        answer=answer,
        choices=choices,
        kind=f"{task}-intermediate" if _final_of(task, name) else task,
        wording=text_of(metadata, "viewpoint", "metadata."),
        picture=f"{number.zfill(12)}.jpg",
        steps=steps,
        original={"question": record, "leading": leading},
        guessed=guessed,
        left_out=("boxes: the rows have none",),
    )


def _asked(record: ForeignRecord, at: str) -> tuple[str, str, tuple[str, ...]]:
    """The question as the authors ask it, its answer and choices."""
    form = text_of(take(record, "metadata", dict, at), "format", f"{at}metadata.")
    question, answer = text_of(record, "question", at), text_of(record, "answer", at)
    if form == "num":
        return f"{question} Give the answer in number format.", answer, ()
    options = texts_of(record, "option")
    same = [o for o in options if o.casefold() == answer.casefold()]
    if answer not in options and len(same) != 1:
        raise RecordError(f"{at}answer", "answer outside its choices", repr(answer)[:60], "one of option")
    answer = answer if answer in options else same[0]
    return f"{question} {' or '.join(options).capitalize()}?", answer, distinct(options)


def _step(number: int, record: ForeignRecord) -> Step:
    at = f"leading[{number - 1}]."
    question, answer, choices = _asked(record, at)
    skills = take(take(record, "metadata", dict, at), "skill", list, f"{at}metadata.")
    function = next((f for skill, f in _FUNCTION.items() if skill in skills), "knowledge_recall")
    return Step(id=f"s{number}", question=question, answer=answer, choices=choices, function=function)


_NUMBER = {word: str(n) for n, word in enumerate(NUMBER_WORDS)} | {"no": "0"}
_MARKS = str.maketrans("", "", string.punctuation)
_PAIRED = "counting_only-paired-"
GROUPS = {
    "single skill": (
        ("position_only",),
        (f"{_PAIRED}position_and_counting", f"{_PAIRED}distance_and_counting"),
        ("distance_only",),
        ("size_only",),
    ),
    "two skills": (("position_and_counting",), ("distance_and_counting",), ("distance_and_size",)),
    "reasoning": (("object_occlusion",), ("object_manipulation",)),
}


def clean(text: str) -> str:
    """Lower case without ASCII punctuation, which is taken out and not replaced: ``3.5`` becomes ``35``."""
    return text.translate(_MARKS).strip().lower()


def read(case: Case, text: str) -> str | None:
    """The answer that a text gives, or None where it is invalid.

    Example:
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="How many?", answer="3")
        >>> read(case, "There are three."), read(case, "no cups"), read(case, "a few")
        ('3', '0', None)
    """
    if case.choices:
        return parse_answer(re.split(r"[.!?]", text.strip(), maxsplit=1)[0], case.choices, lettered=True)
    said = re.sub(r"\b[a-z]+\b", lambda m: _NUMBER.get(m[0], m[0]), clean(text))
    numbers = re.findall(r"\b\d+\b", said)
    return numbers[0] if numbers else None


def judge(case: Case, text: str) -> bool:
    """Whether the text gives the true answer; an invalid one is wrong."""
    return read(case, text) == (case.answer if case.choices else clean(case.answer))


def table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy of each task, the mean of each group, and the authors' average where every task is there.

    The average is, as in their script, over twelve numbers: nine tasks (the two counting ones as one) and
    three group means. Of reasoning it counts the final questions; leading ones have rows of their own.
    """
    rows: Table = []
    numbers: Table = []
    for group, tasks in GROUPS.items():
        means = []
        for names in tasks:
            parts = [
                score_row("accuracy", f"task: {n}", [right[c.id] for c in cases if c.kind == n])
                for n in names
            ]
            parts = [p for p in parts if p.n]
            rows += parts
            means.append(mean_of("mean", names[0], parts if len(parts) == len(names) else []))
        present = [m for m in means if m.value is not None]
        if present:
            rows.append(mean_of("mean of tasks", f"group: {group}", present))
        numbers += [*means, mean_of("mean", group, means)]
    for task in _REASONING:
        part = [right[c.id] for c in cases if c.kind == f"{task}-intermediate"]
        rows += [score_row("accuracy", f"task: {task}-intermediate", part)] if part else []
    average = mean_of("average", "all", numbers)
    whole = overall(cases, right)
    return [average, whole, *rows] if average.value is not None else [whole, *rows]


def beside(cases: Sequence[Case], answers: Answers) -> Table:
    """The share of answers that can be read."""
    valid = [(t := answers.get(c.id)) is not None and read(c, t) is not None for c in cases]
    return [score_row("validity", "all", valid)]


SOURCES = (
    Source(
        name="sphere",
        title="SPHERE",
        licence="see the repository; COCO test photographs: the Flickr licence of each",
        size="2,285 questions",
        fields="question_id, question, option, answer, metadata (skill, viewpoint, format, source_img_id)",
        steps="intermediate questions n.1, n.2",
        scored="accuracy; an invalid answer is wrong; mean of tasks, then of groups",
        get="get eval_datasets of github.com/zwenyu/SPHERE-VLM and the COCO test2017 photographs",
        splits=("single_skill", "combine_2_skill", "reasoning"),
        files=("coco_test2017_annotations/{split}/*.json", "{split}/*.json", "*.json"),
        layout="array",
        many=True,
        pictures=("test2017", "images"),
        rows=rows,
        build=build,
        rule=Rule(
            "SPHERE",
            judge,
            table,
            "github.com/zwenyu/SPHERE-VLM, tasks/space_vqa.py and main_process_results.py",
            beside,
        ),
    ),
)
