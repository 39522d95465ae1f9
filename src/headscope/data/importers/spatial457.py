"""Spatial457: questions about rendered vehicles in seven levels, up to pose and collision.

Format: hub RyanWW/Spatial457 and github.com/XingruiWang/Spatial457 (README.md): questions/LEVEL.json with
"questions": [{image_filename, question, answer, program, question_index}]; VLMEvalKit's TSV: index, image
(base64), question, answer, category (vlmeval/dataset/spatial457.py). Written from these descriptions; no
file was at hand. The program is kept, but has no scene to be run on here, so no steps are made of it.
"""

from __future__ import annotations

from headscope.data.importers.base import Draft, Place, Row, Source, text_of
from headscope.data.importers.embedded import kept, picture_of

LEVELS = ("L1_single", "L2_objects", "L3_2d_spatial", "L4_occ", "L4_pose", "L5_6d_spatial", "L5_collision")
_PAIRS = (("Yes", "No"), ("yes", "no"), ("True", "False"), ("true", "false"))


def build(row: Row, place: Place) -> Draft:
    """One question; its level from the record, the file or the split."""
    record = row.value
    answer = text_of(record, "answer")
    level = record.get("category") if isinstance(record.get("category"), str) else ""
    stem = row.file.replace("\\", "/").rsplit("/", 1)[-1]
    level = level or next((name for name in LEVELS if name in stem or name == place.split), "")
    number = record.get("question_index", record.get("index", row.line))
    picture = picture_of(record, "image") if record.get("image") else text_of(record, "image_filename")
    left = ["boxes: none without the scenes"]
    left.append(
        "steps: the program has no scene here" if record.get("program") else "steps: none in the source"
    )
    return Draft(
        id="-".join(x for x in ("spatial457", level, str(number)) if x),
        question=text_of(record, "question"),
        answer=answer,
        choices=next((pair for pair in _PAIRS if answer in pair), ()),
        kind=level,
        picture=picture,
        original=kept(record, "image"),
        left_out=tuple(left),
    )


SOURCES = (
    Source(
        name="spatial457",
        title="Spatial457",
        licence="see the hub card",
        size="999 scenes with 23,999 questions",
        fields="image_filename (or image), question, answer, program, question_index, category",
        boxes="none",
        steps="none (programs are kept)",
        scored="accuracy by level; yes = 1 ... 9, no = 0 = none, kinds of one family are the same",
        get="hub id RyanWW/Spatial457 (its questions and images folders), or VLMEvalKit's Spatial457.tsv",
        splits=LEVELS,
        files=("questions/{split}.json", "{split}.json", "*.tsv", "questions/*.json"),
        layout="member:questions",
        many=True,
        build=build,
    ),
)
