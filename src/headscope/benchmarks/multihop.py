"""MultihopSpatial: questions of one to three hops, with the box of the thing that is the answer.

Format: https://github.com/youngwanLEE/multihopspatial (eval/benchmark_qwen.py, train/prepare_data.py), hub
etri-vilab/MultihopSpatial: an array of {id, image_path, question (with its options "(a) ... (b) ..."),
question_tag, answer ("(a) ..."), bbox [x, y, width, height] in pixels, image_resolution "WIDTHxHEIGHT",
hop, view}. The tags of question_tag mark words, not questions: no steps are made of them.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importing.options import distinct
from headscope.benchmarks.importing.records import Draft, Place, Row, Source, Unfit, box_from_xywh, text_of
from headscope.data.pictures import show
from headscope.data.schema import Object

_OPTION = re.compile(r"\(([a-h])\)\s*(.*?)\s*(?=\([a-h]\)|$)", re.DOTALL | re.IGNORECASE)
_SIZE = re.compile(r"^(\d{1,6})\s*x\s*(\d{1,6})$", re.IGNORECASE)


def build(row: Row, place: Place) -> Draft:
    """One question; the thing that answers it with its box."""
    record = row.value
    question, answer = text_of(record, "question"), text_of(record, "answer")
    said = _OPTION.match(answer)
    if not said:
        raise Unfit("answer", "no such option", show(answer), '"(a) ..." as the question lists it')
    options = {letter.lower(): text.strip(" ,.;") for letter, text in _OPTION.findall(question)}
    texts = [f"({letter}) {text}" for letter, text in options.items()]
    wanted = next((t for t in texts if t[1] == said[1].lower()), None)
    size = _size(text_of(record, "image_resolution"))
    box, cut = box_from_xywh(record.get("bbox"), "bbox", size)
    thing = Object(id="answer", name=said[2].strip(" ,.;") or "the answer", box=box)
    hop, view = text_of(record, "hop"), text_of(record, "view")
    return Draft(
        id=f"multihop-{text_of(record, 'id')}",
        question=question,
        answer=wanted or answer,
        choices=distinct(texts) if wanted else (),
        kind=f"{hop}/{view}",
        picture=text_of(record, "image_path").lstrip("/"),
        size=size,
        objects=(thing,),
        original=record,
        derived=(
            "objects: the answer's box from bbox",
            *(("objects: box cut at the picture's edge",) if cut else ()),
        ),
        left_out=("steps: tags mark words, not questions",)
        + (() if wanted else ("choices: the question does not list the answer",)),
    )


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.match(text)
    if not found or not int(found[1]) or not int(found[2]):
        raise Unfit("image_resolution", "wrong value", show(text), "WIDTHxHEIGHT in pixels")
    return int(found[1]), int(found[2])


SOURCES = (
    Source(
        name="multihopspatial",
        title="MultihopSpatial",
        licence="Apache-2.0",
        size="4,500 questions (test), 6,791 (train)",
        fields="id, image_path, question, question_tag, answer, bbox, image_resolution, hop, view",
        boxes="of the answer",
        steps="none (hops are counted, not asked)",
        scored="accuracy of the letter, by hop and view (Acc@50IoU needs boxes from the model)",
        get="get the data folder of hub etri-vilab/MultihopSpatial (pictures are files of their own)",
        splits=("train", "test"),
        files=("data/multihop_{split}_*.json", "multihop_{split}_*.json"),
        layout="array",
        pictures=("data/images", "images"),
        build=build,
    ),
)
