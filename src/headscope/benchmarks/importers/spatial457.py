"""Spatial457: questions about rendered vehicles in seven levels, up to pose and collision.

Format: hub RyanWW/Spatial457 (card, Spatial457.py and its list of files): questions/LEVEL.json with
"questions": [{image_filename, question, answer, program, question_index}], answers True and False among them,
one file spelt L3_2D_spatial.json; RyanWW/Spatial457-v2: the same fields with ``image`` as Parquet,
LEVEL/validation-*.parquet; VLMEvalKit's TSV: index, image (base64), question, answer, category
(vlmeval/dataset/spatial457.py). Written from these; no file was at hand. The program is kept, but has no
scene to be run on here, so no steps are made of it.
"""

from __future__ import annotations

from headscope.benchmarks.importers.base import Draft, Place, Row, Source, text_of
from headscope.benchmarks.importers.embedded import kept, picture_of

LEVELS = ("L1_single", "L2_objects", "L3_2d_spatial", "L4_occ", "L4_pose", "L5_6d_spatial", "L5_collision")
_PAIRS = (("Yes", "No"), ("yes", "no"), ("True", "False"), ("true", "false"))


def build(row: Row, place: Place) -> Draft:
    """One question; its level from the record, the file or the split."""
    record = row.value
    answer = text_of(record, "answer")
    level = record.get("category") if isinstance(record.get("category"), str) else ""
    where = "/".join([*row.file.replace("\\", "/").split("/")[-2:], place.split]).lower()
    level = level or next((name for name in LEVELS if name.lower() in where), "")
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
        licence="Apache-2.0",
        size="999 scenes with 23,999 questions",
        fields="image_filename (or image), question, answer, program, question_index, category",
        boxes="none",
        steps="none (programs are kept)",
        scored="accuracy by level; yes = 1 ... 9, no = 0 = none, kinds of one family are the same",
        get="hub id RyanWW/Spatial457-v2; or the questions and images folders of RyanWW/Spatial457",
        splits=tuple(name.replace("2d", "2D") for name in LEVELS),  # as the hub spells them
        hub="RyanWW/Spatial457-v2",
        hub_config="{split}",
        hub_split="validation",
        files=("questions/{split}.json", "{split}.json", "{split}/*.parquet", "*.tsv", "questions/*.json"),
        layout="member:questions",
        many=True,
        build=build,
    ),
)
