"""What'sUp: which caption fits the photograph, in controlled pairs and sets.

Format: https://github.com/amitakamath/whatsup_vlms (README.md and dataset_zoo/aro_datasets.py). Subsets A
and B: an array of {"image_path", "caption_options"}; COCO-QA and VG-QA: an array of [image id, right
caption, wrong caption]. The first caption is always the right one, so captions are shown in an order that
only the row decides. Pairs and sets are read from the names of the photographs (``mug_left_of_table.jpeg``
...), as the authors' code does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headscope.benchmarks.importing.answer_options import mixed, one_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Right, Rule, Table, by_group, judge, overall, score_row
from headscope.data.fields import Cell, ForeignRecord, RecordError, take, text_of, texts_of
from headscope.data.pictures import show
from headscope.data.schema import Case

_FILES = {
    "a": "controlled_images_dataset.json",
    "b": "controlled_clevr_dataset.json",
    "coco_one": "coco_qa_one_obj.json",
    "coco_two": "coco_qa_two_obj.json",
    "vg_one": "vg_qa_one_obj.json",
    "vg_two": "vg_qa_two_obj.json",
}
_FOLDERS = {"coco": "val2017", "vg": "vg_images"}
# Of two things, as the authors: the first of these that the caption holds, else the last.
_TWO = {
    "coco_two": (("left of", "left"), ("right of", "right"), ("above", "above"), ("", "below")),
    "vg_two": (
        *(("left of", "left"), ("right of", "right"), ("front of", "front"), ("behind", "behind")),
        ("", "top"),
    ),
}


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One photograph with its captions."""
    record = row.value
    picture, options = _listed(record, place) if isinstance(record.get("row"), list) else _controlled(record)
    number = _index(row)
    shown = mixed(options, f"{picture}/{number}")
    left = ("boxes: the rows have none", "steps: none in the source")
    return CaseDraft(
        id=f"whatsup-{subset(place)}-{number}",
        **one_of("Which caption fits the picture?", shown, shown.index(options[0]), *left),
        kind=preposition(record, options[0], subset(place)),
        wording="caption/0",
        picture=picture,
        original=record,
        derived=("options: shown in an order that does not give the answer away",),
    )


def _index(row: SourceRow) -> str:
    digits = "".join(c for c in row.at if c.isdigit())
    return digits or str(row.line)


def subset(place: ImportPlace) -> str:
    """Which of the six subsets a place holds."""
    name = place.files[0].name if place.files else ""
    return next((k for k, v in _FILES.items() if v == name), place.split or "a")


def _controlled(record: ForeignRecord) -> tuple[str, tuple[str, ...]]:
    options = texts_of(record, "caption_options")
    if len(options) < 2:
        raise RecordError("caption_options", "single choice", show(record["caption_options"]), "two or more")
    path = text_of(record, "image_path")
    return "/".join(path.rsplit("/", 2)[-2:]), options


def _listed(record: ForeignRecord, place: ImportPlace) -> tuple[str, tuple[str, ...]]:
    values = take(record, "row", list)
    captions = tuple(v.strip() for v in values[1:3] if isinstance(v, str) and v.strip())
    if len(captions) < 2:
        raise RecordError("row", "wrong value", show(values), "an image id and two captions")
    if isinstance(values[0], bool) or not isinstance(values[0], int | str):
        raise RecordError("row[0]", "wrong value", show(values[0]), "an image id")
    family = subset(place).split("_")[0]
    name = str(values[0]).zfill(12) if family == "coco" else str(values[0])
    return f"{_FOLDERS.get(family, 'images')}/{name}.jpg", captions


def preposition(record: Mapping[str, Cell], caption: str, of: str) -> str:
    """The relation by which the authors count a row: from the photograph's name, or the right caption.

    Example:
        >>> preposition({}, "A photo of a bench on the top", "coco_one")
        'top'
        >>> preposition({"image_path": "data/controlled_clevr/mug_in-front_of_bowl.jpeg"}, "", "b")
        'in-front'
    """
    if of in _TWO:
        return next(name for words, name in _TWO[of] if words in caption)
    found = row_of(record)
    return found[2] if found else (caption.rstrip(".").split() or [""])[-1]


def row_of(record: Mapping[str, Cell]) -> tuple[str, str, str] | None:
    """(thing, ground, relation) that a controlled photograph's name says; None for the other subsets.

    As in the authors' code: the first word, the last without its suffix, and the second.
    """
    path = record.get("image_path")
    if not isinstance(path, str):
        return None
    parts = path.rsplit("/", 1)[-1].split("_")
    return (parts[0], parts[-1].rsplit(".", 1)[0], parts[1]) if len(parts) > 2 else None


_PAIRS = (("left", "right"), ("on", "under"), ("in-front", "behind"))


def table(cases: Sequence[Case], right: Right) -> Table:
    """Individual accuracy; for subsets A and B also pairs and sets of four.

    Pairs are left and right, on and under, in front and behind. As the authors count: a pair or set with a
    photograph missing is not right, and shares are of a half and a quarter of the photographs.
    """
    rows = [overall(cases, right, "individual")]
    sets: dict[tuple[str, str, str], dict[str, bool]] = {}
    controlled = 0
    for case in cases:
        found = row_of(case.original or {})
        if found:
            thing, ground, relation = found
            subset = case.id.rsplit("-", 1)[0]
            sets.setdefault((subset, thing, ground), {})[relation] = right[case.id]
            controlled += 1
    if controlled:
        pairs = sum(s.get(a, False) and s.get(b, False) for s in sets.values() for a, b in _PAIRS)
        whole = sum(sum(s.values()) == 4 for s in sets.values())
        rows.append(score_row("pair", "all", [pairs], controlled / 2))
        rows.append(score_row("set", "all", [whole], controlled / 4))
    return rows + by_group("individual", cases, right, lambda c: c.kind, "preposition")


SOURCES = (
    Source(
        name="whatsup",
        title="What'sUp (A, B, COCO-QA, VG-QA)",
        licence="LICENSE of the repository; COCO and Visual Genome photographs: their own",
        size="820 photographs (A and B); COCO-QA 2,247 + 440; VG-QA 1,160 + 291",
        fields="image_path, caption_options (A, B); [image id, right, wrong] (COCO-QA, VG-QA)",
        scored="A, B: individual, pair and set accuracy; others: accuracy; by preposition",
        get=(
            "get the data folder that github.com/amitakamath/whatsup_vlms links to (Google Drive) and "
            "unpack it"
        ),
        splits=tuple(_FILES),
        named=_FILES,
        files=("*.json",),
        layout="array",
        pictures=(".",),
        build=build,
        rule=Rule(
            "What'sUp", judge, table, "github.com/amitakamath/whatsup_vlms, dataset_zoo/aro_datasets.py"
        ),
    ),
)
