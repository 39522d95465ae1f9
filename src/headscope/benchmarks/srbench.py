"""3DSRBench: questions about places in three dimensions, each asked mirrored and with options turned round.

Format: hub ccvl/3DSRBench, files 3dsrbench_v1_vlmevalkit.tsv and ..._circular.tsv: index, qid, question, A,
B, C, D, answer (a letter), category, image (base64), image_source, image_url. A ``qid`` is eight
characters, then ``-flip`` for the mirrored photograph, then ``-1`` for options turned round (lmms-eval,
tasks/3dsrbench/utils.py, says the same).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.benchmarks.importing.answer_options import LETTERS, letter_index, one_of
from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Right, Rule, Table, every, field, judge, overall
from headscope.data.fields import RecordError, text_of
from headscope.data.pictures import show
from headscope.data.schema import Case


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question of a circle."""
    record = row.value
    qid = text_of(record, "qid")
    options = []
    for letter in LETTERS[:4]:
        value = record.get(letter)
        if isinstance(value, str) and value.strip() and value.strip().lower() != "nan":
            options.append(value.strip())
    if len(options) < 2:
        raise RecordError("A", "single choice", str(len(options)), "two options or more")
    picture: str | bytes
    if record.get("image"):
        picture = picture_of(record, "image")
    elif "-flip" in qid:
        raise RecordError(
            "image", "no picture", "a mirrored question", "its picture, which only the TSV files hold"
        )
    else:
        picture = text_of(record, "image_url").rsplit("/", 1)[-1]
    index = letter_index(text_of(record, "answer"), len(options))
    left = ("boxes: the rows have none", "steps: none in the source")
    return CaseDraft(
        id=f"3dsr-{qid}",
        **one_of(text_of(record, "question"), options, index, *left),
        kind=text_of(record, "category") if record.get("category") else show(None),
        picture=picture,
        original=kept(record, "image"),
    )


_MAIN = ("height", "location", "orientation", "multi_object")


def table(cases: Sequence[Case], right: Right) -> Table:
    """Circular accuracy, over all, by category and by type; Flip, FlipCircular and vanilla accuracy.

    A question is right if all of its forms are: under Circular all orders of its options (its mirror image is
    a question of its own; the authors' script, whose overall this is), under Flip the question and its mirror
    image in the same order, under FlipCircular all of these.
    """
    rows = [
        every("Circular", cases, right, _circle),
        every("Flip", cases, right, lambda c: _qid(c).replace("-flip", "")),
        every("FlipCircular", cases, right, lambda c: _circle(c).replace("-flip", "")),
        overall(cases, right, "vanilla"),
    ]
    kinds = sorted({c.kind for c in cases})
    groups = [(f"category: {m}", [c for c in cases if c.kind.startswith(m)]) for m in _MAIN]
    groups += [(f"type: {kind}", [c for c in cases if c.kind == kind]) for kind in kinds]
    return rows + [every("Circular", mine, right, _circle, name) for name, mine in groups if mine]


def _qid(case: Case) -> str:
    return field(case, "qid")


def _circle(case: Case) -> str:
    """The id without the number of a turned order: ``VIN6MS3J-flip-1`` is ``VIN6MS3J-flip``."""
    return re.sub(r"-.$", "", _qid(case))


_3DSR = (
    "authors' compute_3dsrbench_results.py (github.com/johnson111788/SpatialReasoner, src/eval); Flip and "
    "FlipCircular: lmms-eval, tasks/3dsrbench/utils.py"
)


SOURCES = (
    Source(
        name="3dsrbench",
        title="3DSRBench",
        licence="CC-BY-4.0; COCO photographs: the Flickr licence of each",
        size="2,772 questions; 5,157 with mirrored ones, 11,686 with options turned round",
        fields="qid, question, A to D, answer, category, image, image_source, image_url",
        scored="Circular, Flip and FlipCircular accuracy",
        get="get 3dsrbench_v1_vlmevalkit_circular.tsv from hub ccvl/3DSRBench, and name it by --from",
        files=("*circular*.tsv", "*.tsv", "*.parquet"),
        layout="table",
        build=build,
        rule=Rule("3DSRBench", judge, table, _3DSR),
    ),
)
