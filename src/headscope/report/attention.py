"""Every head's attention over the pictures of a few cases, packed for the page's script."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from headscope.data.schema import Case
from headscope.errors import HeadscopeError
from headscope.experiments.attention_maps import CONTEXT, AttentionMaps, maps_of
from headscope.functions import MAIN
from headscope.probing.atlas import Atlas
from headscope.report.case_explorer import said_of
from headscope.report.charts.base import words
from headscope.report.charts.heads import places
from headscope.report.contents import StudyContents
from headscope.report.pictures import Picture, case_picture
from headscope.storage import Row

MOST_BYTES = 600_000  # of packed maps in one page
UNSEEN = 65_535  # in place of a share that is not known
_WHOLE = 65_534  # a share of one


@dataclass(frozen=True)
class ShownAttention:
    """What the page's script draws.

    Attributes:
        heads: labels; ``places``: row and column of each in a map of heads; ``layers``: names of the rows.
        functions: ``name``, ``claimed``, ``heads`` (numbers) of every function whose heads were muted.
        cases: each ``id``, ``kind``, ``why``, ``picture``, ``width``, ``height``, ``boxes``, ``questions``.
        shown, of: questions with maps on the page, and in the study.
        left_out: case -> why it has no map.
        unseen: head -> why its attention is not seen.
    """

    heads: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    layers: tuple[str, ...]
    functions: tuple[Row, ...]
    cases: tuple[Row, ...]
    shown: int
    of: int
    left_out: Mapping[str, str]
    unseen: Mapping[str, str]

    def data(self) -> Row:
        """As the script reads it."""
        kept = ("heads", "places", "layers", "functions", "cases")
        return {name: getattr(self, name) for name in kept}


def shown_attention(study: StudyContents, most_bytes: int = MOST_BYTES) -> ShownAttention | None:
    """The maps of the study, main questions first, as many as ``most_bytes`` hold.

    Returns:
        None where the stage was not run, nothing was seen, or the pictures cannot be read.
    """
    found, cases = study.of(AttentionMaps), study.cases
    if found is None or cases is None or not found.rows:
        return None
    maps = {name: rows for name, rows in maps_of(found).items() if name in cases.by_id}
    packed = _within({name: _main_first(rows) for name, rows in maps.items()}, most_bytes)
    answers = {(r["case"], r["step"]): r for r in study.answers or () if r["context"] == CONTEXT}
    shown: list[Row] = []
    for name, rows in maps.items():
        questions = [(row, packed[row["item"]]) for row in rows if row["item"] in packed]
        try:
            picture = case_picture(cases, cases.by_id[name], exact=False)
        except HeadscopeError:
            continue
        if questions:
            why = "most wrong answers" if name in found.most_failed else "drawn at random"
            about = {"id": name, "kind": cases.by_id[name].kind, "why": why, "picture": picture.uri}
            size = {"width": picture.width, "height": picture.height, "boxes": picture.boxes}
            case = cases.by_id[name]
            asked = [_question(row, cells, picture, answers, case) for row, cells in questions]
            shown.append({**about, **size, "questions": asked})
    layers, spots = _places(found, study.atlas)
    return ShownAttention(
        found.heads,
        spots,
        layers,
        _functions(study, found.heads),
        tuple(shown),
        sum(len(case["questions"]) for case in shown),
        len(found.rows),
        found.left_out,
        found.unseen,
    )


def _main_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["step"] != MAIN)


def _within(maps: Mapping[str, Sequence[Row]], most: int) -> dict[str, str]:
    """Item -> its packed maps, the first question of each case, then the second, as long as they fit."""
    found: dict[str, str] = {}
    for round_ in zip_longest(*maps.values()):
        for row in round_:
            if row is None:
                continue
            text = packed(row)
            most -= len(text)
            if most < 0:
                return found
            found[row["item"]] = text
    return found


def packed(row: Row) -> str:
    """A question's maps and figures in base64 of zlib; whole numbers of two bytes have the lower byte first.

    (head, row, column) bytes; then two bytes a head each for the share on the picture, on the cell attended
    to most and on each box, of which 65534 is all and 65535 unknown; then two bytes a head for what it
    writes, of which 65534 is the greatest of the question.
    """
    shares = [row["on_picture"], row["peak"], *(box["on_box"] for box in row["boxes"])]
    written = np.array(row["contribution"], dtype=float)
    top = np.nanmax(written) if np.isfinite(written).any() else 1.0
    parts = [row["cells"], *(_shares(part) for part in shares), _shares((written / (top or 1.0)).tolist())]
    return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()


def _shares(values: Sequence[float | None]) -> bytes:
    array = np.array(values, dtype=float)
    scaled = np.where(np.isfinite(array), np.round(_WHOLE * np.clip(array, 0, 1)), UNSEEN)
    return scaled.astype("<u2").tobytes()


def _question(
    row: Row, cells: str, picture: Picture, answers: Mapping[tuple[str, str], Row], case: Case
) -> Row:
    scale = picture.width / row["size"][0]
    given = answers.get((row["case"], row["step"]))
    said, right, margin = said_of(given) if given else ("", None, "")
    return {
        "function": "main question" if row["step"] == MAIN else words(row["function"]),
        "question": given["question"] if given else row["step"],
        "truth": given["truth"] if given else "",
        **{"said": said, "right": right, "margin": margin},
        **{"rows": row["rows"], "columns": row["columns"]},
        "area": [round(v * scale, 2) for v in row["area"]],
        "boxes": _boxes(row, case),
        "written": max((v for v in row["contribution"] if v is not None), default=0.0),
        "cells": cells,
    }


def _boxes(row: Row, case: Case) -> list[tuple[str, float, bool]]:
    """Name and share of the picture's area of each box, and whether the question is about it."""
    steps = {step.id: step.objects for step in (*case.steps, case.main_step())}
    asked = steps.get(row["step"], ())
    return [(box["name"], box["area"], box["object"] in asked) for box in row["boxes"]]


def _functions(study: StudyContents, heads: Sequence[str]) -> tuple[Row, ...]:
    number = {label: i for i, label in enumerate(heads)}
    tests = study.ablation.functions if study.ablation else {}
    return tuple(
        {
            "name": words(name),
            "claimed": test.claimed,
            "heads": [number[label] for label in test.heads if label in number],
        }
        for name, test in sorted(tests.items(), key=lambda pair: not pair[1].claimed)
    )


def _places(found: AttentionMaps, atlas: Atlas | None) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of the rows of a map of heads, and where each head lies; one row where no atlas says."""
    if atlas is not None and [head.label for head in atlas.heads] == list(found.heads):
        return places(atlas)
    return ("",), tuple((0, i) for i in range(len(found.heads)))
