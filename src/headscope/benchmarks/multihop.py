"""MultihopSpatial: questions of one to three hops, with the box of the thing that is the answer.

Format: https://github.com/youngwanLEE/multihopspatial (eval/benchmark_qwen.py, train/prepare_data.py), hub
etri-vilab/MultihopSpatial: an array of {id, image_path, question (with its options "(a) ... (b) ...", at
times in <choice> marks, and an instruction to box the answer behind them),
question_tag, answer ("(a) ..."), bbox [x, y, width, height] in pixels, image_resolution "WIDTHxHEIGHT",
hop, view}. The tags of question_tag mark words, not questions: no steps are made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from headscope.benchmarks.importing.answer_options import LETTERS, one_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.data.box_forms import BoxSurvey
from headscope.data.fields import RecordError, box_of, four_numbers, text_of
from headscope.data.pictures import show
from headscope.data.schema import Object

_OPTION = re.compile(r"\(([a-h])\)\s*(.*?)\s*(?=\([a-h]\)|$)", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(r"<choices?>(.*?)</choices?>(.*)$", re.DOTALL | re.IGNORECASE)
# What may follow the options where no marks close them: an instruction of its own.
_TRAILING = re.compile(
    r"[,.;]?\s+(?:And\s+|Please\s+|Also\s+)?(?:give|provide|output|return|answer|select|choose|respond|write|draw"
    r"|locate|include|state|say|report|predict|mark)\b.*$",
    re.DOTALL | re.IGNORECASE,
)
_SIZE = re.compile(r"^(\d{1,6})\s*x\s*(\d{1,6})$", re.IGNORECASE)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question; the thing that answers it with its box."""
    record = row.value
    question, answer = text_of(record, "question"), text_of(record, "answer")
    said = _OPTION.match(answer)
    if not said:
        raise RecordError("answer", "no such option", show(answer), '"(a) ..." as the question lists it')
    stem, options, told = parts(question)
    index = LETTERS.lower().index(said[1].lower())
    if index >= len(options):
        raise RecordError("answer", "no such option", show(answer), "an option that the question lists")
    if _plain(options[index]) != _plain(said[2]):
        raise RecordError("answer", "not the option of its letter", show(answer), show(options[index]))
    size = _size(text_of(record, "image_resolution"))
    box, cut = box_of(record.get("bbox"), "bbox", place.box_form, size)
    thing = Object(id="answer", name=options[index], box=box)
    hop, view = text_of(record, "hop"), text_of(record, "view")
    left = ["steps: tags mark words, not questions"]
    if told:
        left.append("instruction behind the options: asks for a box, which is not asked here")
    return CaseDraft(
        id=f"multihop-{text_of(record, 'id')}",
        **one_of(stem, options, index, *left),
        kind=f"{hop}/{view}",
        picture=text_of(record, "image_path").lstrip("/"),
        size=size,
        objects=(thing,),
        original=record,
        derived=(
            "objects: the answer's box from bbox",
            *(("objects: box cut at the picture's edge",) if cut else ()),
        ),
    )


def parts(question: str) -> tuple[str, tuple[str, ...], str]:
    """(the question itself, its options, what is told behind them).

    Raises:
        RecordError: options are not (a), (b) ... in order, or fewer than two.

    Example:
        >>> parts("What is left? <choice>(a) jar, (b) pan</choice> And give its box.")
        ('What is left?', ('jar', 'pan'), 'And give its box.')
    """
    block = _BLOCK.search(question)
    start = re.search(r"\(a\)", question, re.IGNORECASE)
    if block:
        stem, listed, told = question[: block.start()], block[1], block[2]
    elif start:
        stem, listed, told = question[: start.start()], question[start.start() :], ""
    else:
        raise RecordError("question", "no options", show(question), '"(a) ... (b) ..."')
    found = _OPTION.findall(listed)
    letters = "".join(letter.lower() for letter, _ in found)
    if len(found) < 2 or letters != LETTERS.lower()[: len(found)]:
        raise RecordError("question", "options out of order", show(letters), "(a), (b) ... each once")
    options = [text for _, text in found]
    if not block:  # the last runs on to the end
        last = re.sub(r"\s*\n.*$", "", options[-1], flags=re.DOTALL)
        last = _TRAILING.sub("", re.sub(r"(?<=\w)[.?!]\s+[A-Z].*$", "", last, flags=re.DOTALL))
        told, options[-1] = options[-1][len(last) :].strip(" ,.;"), last
    return stem.strip(), tuple(o.strip(" ,.;\n") for o in options), told.strip()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" ,.;")


def survey(rows: Iterator[SourceRow], place: ImportPlace) -> None:
    """Look at all boxes, whether they are what they are taken for."""
    look = BoxSurvey(place.box_form)
    for row in rows:
        with suppress(RecordError):
            size = _size(text_of(row.value, "image_resolution"))
            look.add(four_numbers(row.value.get("bbox"), "bbox"), size)
    place.refuse_doubtful_boxes(look, place.root)


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.match(text)
    if not found or not int(found[1]) or not int(found[2]):
        raise RecordError("image_resolution", "wrong value", show(text), "WIDTHxHEIGHT in pixels")
    return int(found[1]), int(found[2])


SOURCES = (
    Source(
        name="multihopspatial",
        title="MultihopSpatial",
        licence="Apache-2.0",
        size="4,500 questions (test), 6,791 (train)",
        fields="id, image_path, question, question_tag, answer, bbox, image_resolution, hop, view",
        boxes="of the answer",
        box_form="xywh",
        steps="none (hops are counted, not asked)",
        scored="accuracy of the option, by hop and view (Acc@50IoU needs boxes from the model)",
        get="get the data folder of hub etri-vilab/MultihopSpatial (pictures are files of their own)",
        splits=("train", "test"),
        files=("data/multihop_{split}_*.json", "multihop_{split}_*.json"),
        layout="array",
        pictures=("data/images", "images"),
        build=build,
        survey=survey,
    ),
)
