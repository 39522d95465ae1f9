"""EmbSpatial-Bench: spatial relations from an agent's view of indoor scenes.

Format: hub Phineas476/EmbSpatial-Bench, embspatial_bench.json, an array of {question_id, question,
relation, answer_options, answer (index from 0), data_source, image (base64 JPEG), ...}, as lmms-eval
(tasks/embspatial/utils.py) and evalscope read it. Other fields (objects) are kept as they are; their form
could not be verified, so no boxes are made of them.
"""

from __future__ import annotations

from headscope.benchmarks.importing.answer_options import one_of
from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.data.fields import RecordError, take, text_of, texts_of
from headscope.data.pictures import show


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question."""
    record = row.value
    options = texts_of(record, "answer_options")
    index = take(record, "answer", int)
    if not 0 <= index < len(options):
        raise RecordError("answer", "no such option", show(index), f"a number from 0 to {len(options) - 1}")
    left = ("boxes: the form of objects is not verified", "steps: none in the source")
    picture = picture_of(record, "image" if record.get("image") else "image_path")
    return CaseDraft(
        id=f"embspatial-{text_of(record, 'question_id')}",
        **one_of(text_of(record, "question"), options, index, *left),
        kind=text_of(record, "relation"),
        picture=picture,
        original=kept(record, "image"),
    )


SOURCES = (
    Source(
        name="embspatial",
        title="EmbSpatial-Bench",
        licence="CC-BY-4.0; scenes of MP3D, AI2-THOR, ScanNet: their own",
        size="3,640 questions",
        fields="question_id, question, relation, answer_options, answer, data_source, image, objects",
        scored="accuracy, by relation",
        get="get embspatial_bench.json from hub Phineas476/EmbSpatial-Bench, and name it by --from",
        files=("embspatial_bench.json", "*.json", "*.parquet"),
        layout="array",
        build=build,
    ),
)
