"""VSI-Bench: sizes, distances, routes and order of things over videos of rooms.

Format: lmms-eval, tasks/vsibench (utils.py, multi_image_input/utils.py), read there: {id, dataset,
scene_name, question_type, question, ground_truth, options ("A. ..."; none where a number is asked for)};
the video is ``dataset/scene_name.mp4``, of which harnesses show 32 frames, evenly spread. No video is
decoded here: ``--images`` names a folder that holds the frames of each as pictures
(``dataset/scene_name/*.jpg``, in order of their names), and as many are taken in the same way.

The rule, after the same files: the first word of an answer without its full stop is the letter, or a
number whose score is the mean relative accuracy over thresholds from 0.5 to 0.95; types of question count
alike, the three of relative direction as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from headscope.benchmarks.importing.answer_options import (
    QuestionFields,
    as_it_stands,
    letter_index,
    listed,
)
from headscope.benchmarks.importing.columns import options_of
from headscope.benchmarks.importing.picture_fields import kept
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Answers, Rule, Table, accuracy_by, field, mean_of, score_row
from headscope.data.fields import RecordError, text_of
from headscope.data.pictures import PictureError, check_path, show
from headscope.data.schema import Case

FRAMES = 32
_NUMBERS = ("object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation")
_DIRECTIONS = tuple(f"object_rel_direction_{level}" for level in ("easy", "medium", "hard"))
_LEAST, _MOST, _STEP = 0.5, 0.95, 0.05
_THRESHOLDS = np.linspace(_LEAST, _MOST, int((_MOST - _LEAST) / _STEP + 2))


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about the frames of a video."""
    record = row.value
    kind, question, gold = (text_of(record, k) for k in ("question_type", "question", "ground_truth"))
    scene = f"{text_of(record, 'dataset')}/{text_of(record, 'scene_name')}"
    first, *more = _frames(place, scene)
    left = ["boxes: the rows have none", "steps: none in the source"]
    if not more:
        left.append("frames: none beside the rows; the picture is named as the video")
    if kind in _NUMBERS:
        said: QuestionFields = {"question": question, "answer": gold, "choices": (), "left_out": tuple(left)}
    else:
        options, _ = options_of(record.get("options"), "options")
        index = letter_index(gold, len(options), "ground_truth")
        said = as_it_stands(listed(question, options), options, index, *left)
    return CaseDraft(
        id=f"vsibench-{text_of(record, 'id')}",
        **said,
        kind=kind,
        picture=first,
        more=tuple(more),
        original=kept(record),
    )


def _frames(place: ImportPlace, scene: str) -> tuple[str, ...]:
    """Names of the frames of a video, evenly spread; its own name where there is no folder of frames."""
    try:
        check_path(scene)
    except PictureError as exc:
        raise RecordError("scene_name", exc.what, exc.found, exc.expected) from exc
    if place.images is None:
        return (f"{scene}.mp4",)
    found = sorted(
        p for p in (place.images / scene).glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    if not found:
        expected = f"its frames as pictures in {scene}/"
        raise RecordError("scene_name", "no frames", show(str(place.images / scene)), expected)
    chosen = np.linspace(0, len(found) - 1, min(FRAMES, len(found)), dtype=int)
    return tuple(f"{scene}/{found[i].name}" for i in chosen)


def score(case: Case, text: str) -> float:
    """The score of an answer: 1 or 0 of a letter, the mean relative accuracy of a number.

    Example:
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="?", answer="4",
        ...             kind="object_counting", original={"ground_truth": "4"})
        >>> score(case, "4"), score(case, "3."), score(case, "many")
        (1.0, 0.6, 0.0)
    """
    said, gold = text.split(" ")[0].rstrip(".").strip(), field(case, "ground_truth") or case.answer
    if case.kind not in _NUMBERS:
        return float(said.lower() == gold.lower())
    try:
        number, true = float(said), float(gold)
    except ValueError:
        return 0.0
    if not true or not math.isfinite(number):
        return 0.0
    return float((abs(number - true) / true <= 1 - _THRESHOLDS).mean())


def judge(case: Case, text: str) -> bool:
    """Whether an answer gets the whole score."""
    return score(case, text) == 1.0


def scored(cases: Sequence[Case], answers: Answers) -> Table:
    """The mean score of each type of question, and the mean of the types, those of direction as one."""
    parts: dict[str, list[float]] = {}
    for case in cases:
        said = answers.get(case.id)
        parts.setdefault(case.kind, []).append(0.0 if said is None else score(case, said))
    rows = {kind: score_row("score", f"type: {kind}", parts[kind]) for kind in sorted(parts)}
    means = [row for kind, row in rows.items() if kind not in _DIRECTIONS]
    directions = [rows[kind] for kind in _DIRECTIONS if kind in rows]
    if directions:
        means.append(mean_of("score", "type: object_rel_direction", directions))
    return [mean_of("mean of types", "all", means), *rows.values()]


SOURCES = (
    Source(
        name="vsibench",
        title="VSI-Bench",
        licence="Apache-2.0; videos of ScanNet, ScanNet++, ARKitScenes: their own",
        size="5,130 questions on 288 videos",
        fields="id, dataset, scene_name, question_type, question, ground_truth, options",
        scored="accuracy of letters, mean relative accuracy of numbers, mean of types",
        get="hub id nyu-visionx/VSI-Bench; frames of the videos in --images, dataset/scene_name/*.jpg",
        files=("*.parquet", "*.jsonl", "*.json"),
        layout="any",
        pictures=("frames",),
        hub="nyu-visionx/VSI-Bench",
        hub_split="test",
        build=build,
        rule=Rule(
            "VSI-Bench",
            judge,
            accuracy_by("type", "whole score"),
            "lmms-eval, tasks/vsibench/utils.py",
            scored=scored,
        ),
    ),
)
