"""Where2Place and RefSpatial-Bench: points that have to lie within a mask.

Format: lmms-eval, tasks/where2place and tasks/refspatial (utils.py), read there: {question_id, question,
image, mask} and {id, prompt, suffix, image, mask} with pictures inside; a mask is 255 where a point is
right (of several channels the first counts). The mask is kept in ``original`` as run lengths.

The rule, after the same files: every "(x, y)" of an answer is a point in shares of the picture, rounded
down to a pixel; the score of an answer is the share of its points within the mask, without points 0.
``right`` means that all are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Answers, Rule, Table, accuracy_by, score_row
from headscope.data.fields import ForeignRecord, RecordError, text_of
from headscope.data.masks import box_of_mask, decoded, encoded
from headscope.data.pictures import FORMATS, MAX_PIXELS, locate, quiet_bombs, show
from headscope.data.schema import Case, Object

_POINTS = re.compile(r"\(([-+]?\d+\.?\d*(?:,\s*[-+]?\d+\.?\d*)*?)\)")
ASKED = (
    "Your answer should be formatted as a list of tuples, i.e. [(x1, y1), (x2, y2), ...], where each tuple "
    "contains the x and y coordinates of a point satisfying the conditions above. The coordinates should be "
    "between 0 and 1, indicating the normalized pixel locations of the points in the image."
)


def _mask(record: ForeignRecord, place: ImportPlace) -> np.ndarray:
    """The mask of a record as true and false."""
    found = picture_of(record, "mask")
    try:
        if isinstance(found, bytes):
            source: BytesIO | Path = BytesIO(found)
        elif place.images is not None:
            source = locate(place.images, found)
        else:
            raise RecordError("mask", "missing picture", show(found), "the mask, by --images")
        with quiet_bombs(), Image.open(source, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise RecordError(
                    "mask", "enormous picture", f"{opened.size}", f"at most {MAX_PIXELS} pixels"
                )
            values = np.asarray(opened.convert("RGB") if opened.mode == "P" else opened)
    except RecordError:
        raise
    except Exception as exc:  # decoders raise anything
        raise RecordError("mask", "unreadable picture", show(str(exc)), "a picture of a mask") from exc
    values = values[:, :, 0] if values.ndim == 3 else values
    return np.round(values.astype(float) / (1.0 if values.dtype == bool else 255.0)).astype(int) > 0


def _build(
    name: str, number: str, asked: Callable[[SourceRow], str]
) -> Callable[[SourceRow, ImportPlace], CaseDraft]:
    def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
        record = row.value
        mask = _mask(record, place)
        box = box_of_mask(mask)
        if box is None:
            raise RecordError(
                "mask", "empty mask", f"{mask.shape[1]} x {mask.shape[0]}", "a place for points"
            )
        ys, xs = np.nonzero(mask)
        at = np.argmin((xs - xs.mean()) ** 2 + (ys - ys.mean()) ** 2)
        x, y = (xs[at] + 0.5) / mask.shape[1], (ys[at] + 0.5) / mask.shape[0]
        original = kept(record, "image", "mask") | {"mask": encoded(mask)}
        return CaseDraft(
            id=f"{name}-{text_of(record, number)}",
            question=asked(row),
            answer=f"[({x:.3f}, {y:.3f})]",
            kind=str(record.get("split") or record.get("type") or "points"),
            picture=picture_of(record, "image"),
            size=(mask.shape[1], mask.shape[0]),
            objects=(Object(id="place", name="place of the answer", box=box),),
            original=original,
            derived=(
                "answer: the point of the mask nearest to its middle",
                "objects: the box around the mask",
            ),
            left_out=("steps: none in the source",),
        )

    return build


def share_inside(case: Case, text: str) -> float:
    """The share of an answer's points that lie within the mask; 0 without points.

    Example:
        >>> mask = {"size": [2, 2], "counts": [2, 2]}
        >>> case = Case(id="a", image="a.png", width=2, height=2, question="?", answer="x",
        ...             original={"mask": mask})
        >>> share_inside(case, "[(0.9, 0.1), (0.1, 0.1)]"), share_inside(case, "right")
        (0.5, 0.0)
    """
    mask = decoded((case.original or {}).get("mask"), "mask")
    hits = []
    for found in _POINTS.findall(text):
        numbers = [float(part) for part in found.split(",")]
        if len(numbers) == 2 and max(map(abs, numbers)) < 1e9:
            x, y = int(numbers[0] * mask.shape[1]), int(numbers[1] * mask.shape[0])
            hits.append(0 <= x < mask.shape[1] and 0 <= y < mask.shape[0] and bool(mask[y, x]))
    return sum(hits) / len(hits) if hits else 0.0


def judge(case: Case, text: str) -> bool:
    """Whether an answer has points, all within the mask."""
    return share_inside(case, text) == 1.0


def scored(cases: Sequence[Case], answers: Answers) -> Table:
    """The mean share of points within the masks, over all and by kind."""
    shares = {c.id: share_inside(c, answers.get(c.id) or "") for c in cases}
    kinds = sorted({c.kind for c in cases})
    rows = [score_row("points inside", "all", shares.values())]
    return rows + [
        score_row("points inside", f"kind: {k}", [shares[c.id] for c in cases if c.kind == k]) for k in kinds
    ]


def _where2place(row: SourceRow) -> str:
    return f"{text_of(row.value, 'question')} {ASKED}"


def _refspatial(row: SourceRow) -> str:
    suffix = row.value.get("suffix")
    return f"{text_of(row.value, 'prompt')} {suffix if isinstance(suffix, str) else ''}".strip()


SOURCES = (
    Source(
        name="where2place",
        title="Where2Place",
        licence="see the hub card",
        size="100 questions",
        fields="question_id, question, image, mask",
        boxes="around the mask of the answer",
        scored="share of points within the mask",
        get="hub id FlagEval/Where2Place",
        files=("*.parquet", "*.jsonl"),
        many=True,
        hub="FlagEval/Where2Place",
        hub_split="test",
        build=_build("where2place", "question_id", _where2place),
        rule=Rule(
            "Where2Place",
            judge,
            accuracy_by("kind", "all points inside"),
            "lmms-eval, tasks/where2place/utils.py",
            scored=scored,
        ),
    ),
    Source(
        name="refspatial",
        title="RefSpatial-Bench",
        licence="see the hub card",
        size="277 questions (location, placement, unseen)",
        fields="id, prompt, suffix, image, mask",
        boxes="around the mask of the answer",
        scored="share of points within the mask",
        get="get the Parquet files of the benchmark, and name the folder by --from",
        splits=("location", "placement", "unseen"),
        files=("*{split}*.parquet", "*.parquet", "*.jsonl"),
        many=True,
        build=_build("refspatial", "id", _refspatial),
        rule=Rule(
            "RefSpatial-Bench",
            judge,
            accuracy_by("kind", "all points inside"),
            "lmms-eval, tasks/refspatial/utils.py",
            scored=scored,
        ),
    ),
)
