"""A folder of cases from a COCO-style instances file and its pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headscope.data.cases import IMAGES, Cases, save_cases
from headscope.data.picture_files import picture_target, put_picture
from headscope.data.pictures import PictureError, locate, read_size
from headscope.data.schema import Case
from headscope.errors import DataError
from headscope.making.photographs.box_geometry import DEFAULT_MARGINS, Margins
from headscope.making.photographs.box_questions import KINDS, ask_photo
from headscope.making.photographs.instances import read_instances


@dataclass
class PhotographCases:
    """What was made: the cases, photos read and used, cases by kind, and what was refused and why."""

    cases: Cases
    read: int
    photos: int
    kinds: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def make_cases(
    instances: str | Path,
    images: str | Path,
    out: str | Path,
    kinds: Sequence[str] = (),
    margins: Margins = DEFAULT_MARGINS,
) -> PhotographCases:
    """Write cases about every photo of an instances file whose boxes decide a question.

    Args:
        instances: COCO-style JSON.
        images: folder of the pictures it names.
        out: folder that gets ``cases.jsonl`` and copies of the pictures used.
        kinds: which of ``KINDS``; none: all.

    Raises:
        DataError: an unknown kind, an unusable file, or no question at all.
        StoreError: the disk is full or the folder cannot be written.
    """
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise DataError(f"asked for questions of kind {unknown}; there are: {', '.join(KINDS)}")
    images, out = Path(images), Path(out)
    found = read_instances(instances, IMAGES)
    cases: list[Case] = []
    refused = list(found.refused)
    for photo in found.photos:
        name = photo.image.removeprefix(f"{IMAGES}/")
        try:
            source = locate(images, name)
            size = read_size(source)
            if size != photo.size:
                raise PictureError("not the size that is labelled", f"{size}", f"{photo.size}")
        except PictureError as exc:
            refused.append(f"{images / name}: {exc}")
            continue
        asked = ask_photo(photo, margins, kinds or KINDS)
        if asked:
            put_picture(source, picture_target(out, photo.image))
        cases += asked
    if not cases:
        raise DataError(
            f"{instances}: no photo with a question that its boxes decide ({len(found.photos)} photos read, "
            f"{len(refused)} refused{': ' + refused[0] if refused else ''})"
        )
    save_cases(cases, out)
    counts = Counter(c.kind for c in cases)
    used = len({c.image for c in cases})
    by_kind = {k: counts[k] for k in KINDS if counts[k]}
    return PhotographCases(Cases(out, cases), len(found.photos), used, by_kind, refused)
