"""RoboSpatial-Home: what fits where, and points where there is room, on pictures of homes.

Format: github.com/chanhee-luke/RoboSpatial-Eval (evaluation.py, download_benchmark.py), read there:
annotations.json, an array of {category (context, compatibility, configuration), question, answer, img,
depth_image, mask}; the answer is yes, no, or a polygon in shares of the picture ("[(0.1, 0.2), ...]")
that a point has to lie in.

The rule, after the same file: yes and no by how the answer begins; of points the first, within the
polygon.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress

from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow, number_of
from headscope.benchmarks.rule import Rule, accuracy_by
from headscope.data.fields import ForeignRecord, RecordError, text_of
from headscope.data.masks import inside, points_of
from headscope.data.pictures import show
from headscope.data.schema import Case, Object
from headscope.records import JsonObject

_NUMBER = r"\s*(\d+\.?\d*)\s*"
_POINT = (re.compile(rf"\({_NUMBER},{_NUMBER}\)"), re.compile(rf"\[{_NUMBER},{_NUMBER}\]"))


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question; of one that asks for a point the place where it has to lie as a box."""
    record = row.value
    answer, kind = text_of(record, "answer"), text_of(record, "category")
    word = answer.casefold()
    choices = ("yes", "no") if word in ("yes", "no") else ()
    objects: tuple[Object, ...] = ()
    if not choices:
        polygon = _polygon(answer)
        xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
        box = (min(xs), min(ys), max(xs), max(ys))
        objects = (Object(id="place", name="place of the answer", box=box),)
    return CaseDraft(
        id=f"robospatial-{kind}-{number_of(row, place)}",
        question=text_of(record, "question"),
        answer=word if choices else answer,
        choices=choices,
        kind=kind,
        picture=picture_of(record, "img"),
        objects=objects,
        box_form="xyxy01" if objects else "",
        original=kept(record, "img", "depth_image", "mask") | _left_out(record),
        derived=("objects: the box around the answer's polygon",) if objects else (),
        left_out=("depth and mask: names are kept, pictures are not read", "steps: none in the source"),
    )


def _left_out(record: ForeignRecord) -> JsonObject:
    """What stands in the record for pictures inside it that are not taken."""
    inside_it = [k for k in ("depth_image", "mask") if isinstance(record.get(k), dict)]
    return {k: {"picture": "left out"} for k in inside_it}


def _polygon(answer: str) -> list[tuple[float, float]]:
    found: object = None
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        found = ast.literal_eval(answer)
    points = points_of(found, "answer")
    if len(points) < 3 or min(map(min, points)) < 0 or max(map(max, points)) > 1:
        raise RecordError("answer", "no place", show(answer), "yes, no, or three points or more from 0 to 1")
    return points


def judge(case: Case, text: str) -> bool:
    """Whether the answer begins with the right word, or its first point lies in the polygon.

    Example:
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="?",
        ...             answer="[(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)]")
        >>> judge(case, "[(0.5, 0.2)]"), judge(case, "[0.5, 0.2]"), judge(case, "(0.05, 0.9)")
        (True, True, False)
    """
    if case.answer in ("yes", "no"):
        return text.strip().lower().startswith(case.answer)
    found = next((m for form in _POINT if (m := form.search(text))), None)
    return found is not None and inside(float(found[1]), float(found[2]), _polygon(case.answer))


SOURCES = (
    Source(
        name="robospatial",
        title="RoboSpatial-Home",
        licence="see the hub card",
        size="350 questions",
        fields="category, question, answer, img, depth_image, mask",
        boxes="around the polygon of the answer, where a point is asked for",
        scored="accuracy by category; a point is right within the polygon",
        get="hub id chanhee-luke/RoboSpatial-Home, or what RoboSpatial-Eval's download_benchmark.py writes",
        splits=("context", "compatibility", "configuration"),
        files=("annotations.json", "*{split}*.parquet", "*.parquet", "*.json"),
        layout="array",
        many=True,
        pictures=("", "images"),
        hub="chanhee-luke/RoboSpatial-Home",
        build=build,
        rule=Rule(
            "RoboSpatial-Home",
            judge,
            accuracy_by("category"),
            "github.com/chanhee-luke/RoboSpatial-Eval, evaluation.py",
        ),
    ),
)
