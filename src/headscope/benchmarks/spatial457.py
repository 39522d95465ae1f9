"""Spatial457: questions about rendered vehicles in seven levels, up to pose and collision.

Format: hub RyanWW/Spatial457 (card, Spatial457.py and its list of files): questions/LEVEL.json with
"questions": [{image_filename, question, answer, program, question_index}], answers True and False among them,
one file spelt L3_2D_spatial.json; RyanWW/Spatial457-v2: the same fields with ``image`` as Parquet,
LEVEL/validation-*.parquet; VLMEvalKit's TSV: index, image (base64), question, answer, category
(vlmeval/dataset/spatial457.py). Written from these; no file was at hand. The program is kept, but has no
scene to be run on here, so no steps are made of it.


The rule: yes, true and a count over nothing are the same; so are kinds of one family of
vehicles.

After vlmeval/dataset/spatial457.py and utils/spatial457.py of github.com/open-compass/VLMEvalKit: an answer
in other words, or with a full stop, is wrong. Two things are added: ``true`` stands for ``yes`` and ``false``
for ``no``, since the authors' own files hold True and False; blanks around an answer do not count.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Rule, accuracy_by
from headscope.data.fields import text_of
from headscope.data.numerals import NUMBER_WORDS
from headscope.data.schema import Case

LEVELS = ("L1_single", "L2_objects", "L3_2d_spatial", "L4_occ", "L4_pose", "L5_6d_spatial", "L5_collision")
_PAIRS = (("Yes", "No"), ("yes", "no"), ("True", "False"), ("true", "false"))


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question; its level from the record, the file or the split."""
    record = row.value
    answer = text_of(record, "answer")
    said = record.get("category")
    where = "/".join([*row.file.replace("\\", "/").split("/")[-2:], place.split]).lower()
    told = next((name for name in LEVELS if name.lower() in where), "")
    level = said if isinstance(said, str) and said else told
    number = record.get("question_index", record.get("index", row.line))
    picture = picture_of(record, "image") if record.get("image") else text_of(record, "image_filename")
    left = ["boxes: none without the scenes"]
    left.append(
        "steps: the program has no scene here" if record.get("program") else "steps: none in the source"
    )
    return CaseDraft(
        id="-".join(x for x in ("spatial457", level, str(number)) if x),
        question=text_of(record, "question"),
        answer=answer,
        choices=next((pair for pair in _PAIRS if answer in pair), ()),
        kind=level,
        picture=picture,
        original=kept(record, "image"),
        left_out=tuple(left),
    )


_FAMILIES = {
    "car": ("suv", "wagon", "minivan", "sedan", "truck", "addi"),
    "bus": ("articulated", "regular", "double", "school"),
    "motorbike": ("chopper", "dirtbike", "scooter", "cruiser"),
    "aeroplane": ("jet", "fighter", "biplane", "airliner"),
    "bicycle": ("road", "utility", "mountain", "tandem"),
}
_FAMILY = {kind: family for family, kinds in _FAMILIES.items() for kind in (family, *kinds)}
_NUMBER = {word: str(n) for n, word in enumerate(NUMBER_WORDS[:11])}
_PAIR = {"true": "yes", "false": "no", "none": "no"}
_FORMS = (r"Answer': '(.*?)'", r'Answer": "(.*?)"', r"Answer': (\d)")


def read(text: str) -> str:
    """The answer within ``{'Reasoning': ..., 'Answer': ...}``; the whole text where that form is not kept.

    Example:
        >>> read("{'Reasoning': 'it is red', 'Answer': 'Red'}")
        'Red'
    """
    found = next((m for form in _FORMS if (m := re.search(form, text))), None)
    return found.group(1) if found else text


def same(answer: str, said: str) -> bool:
    """Whether what was said equals the true answer.

    Example:
        >>> same("True", "3"), same("No", "0"), same("sedan", "wagon"), same("2", "two")
        (True, True, True, True)
    """
    truth, text = answer.strip().lower(), said.strip().lower()
    truth, text = _PAIR.get(truth, truth), _PAIR.get(text, text)
    if text == truth or _NUMBER.get(text) == truth:
        return True
    if (truth == "no" and text == "0") or (truth == "yes" and text in set("123456789")):
        return True
    first, other = truth.split(" ")[0], text.split(" ")[0]
    return first in _FAMILY and _FAMILY.get(first) == _FAMILY.get(other)


def judge(case: Case, text: str) -> bool:
    """Whether the answer within the text equals the true one."""
    return same(case.answer, read(text))


SOURCES = (
    Source(
        name="spatial457",
        title="Spatial457",
        licence="Apache-2.0",
        size="999 scenes with 23,999 questions",
        fields="image_filename (or image), question, answer, program, question_index, category",
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
        rule=Rule(
            "Spatial457", judge, accuracy_by("level"), "VLMEvalKit, vlmeval/dataset/utils/spatial457.py"
        ),
    ),
)
