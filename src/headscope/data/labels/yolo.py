"""YOLO: a text file a picture, a line a thing: class, then centre and size, or a polygon, in shares.

Format: https://docs.ultralytics.com/datasets/detect and .../segment. Names of classes stand in
``data.yaml`` (``names``), or a line each in ``classes.txt`` or ``obj.names``. A sixth number of a box is
a model's confidence: such files are no labels, and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from headscope.data.box_forms import to_pixels
from headscope.data.fields import RecordError
from headscope.data.labels.pictures import (
    SUFFIXES,
    Box,
    LabelledBox,
    LabelledPicture,
    RefusedLabels,
    around,
    checked,
    number,
)
from headscope.data.pictures import PictureError, locate, read_size, show
from headscope.errors import DataError

_NAMES = ("classes.txt", "obj.names", "labels.txt", "names.txt")


def read(folder: Path, images: Path) -> Iterator[LabelledPicture | RefusedLabels]:
    """Every text file of labels, in order of their names.

    Raises:
        DataError: there is no file with the names of classes, or it is not UTF-8.
    """
    names = _names(folder)
    for file in sorted(folder.rglob("*.txt")):
        if file.name in _NAMES:
            continue
        try:
            yield _picture(file, folder, images, names)
        except (RecordError, PictureError, OSError, UnicodeDecodeError) as exc:
            yield RefusedLabels(str(file), str(exc))


def _names(folder: Path) -> list[str]:
    for path in (folder, folder.parent):
        for name in _NAMES:
            if (path / name).is_file():
                return _lines_of(path / name)
        for file in sorted((*path.glob("*.yaml"), *path.glob("*.yml"))):
            if found := _names_in(file):
                return found
    expected = f"data.yaml with names, or one of {', '.join(_NAMES)}"
    raise DataError(f"{folder}: asked for YOLO's labels, found no names of classes; expected {expected}")


def _lines_of(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as exc:
        raise DataError(
            f"{file}: asked for names of classes, found bytes that are not UTF-8; save the file as UTF-8"
        ) from exc


def _names_in(file: Path) -> list[str]:
    import yaml

    try:
        value = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return []
    found = value.get("names") if isinstance(value, dict) else None
    if isinstance(found, dict):
        keys = [k for k in found if isinstance(k, int) and k >= 0]
        return [str(found.get(i, "")) for i in range(max(keys) + 1)] if keys else []
    return [str(n) for n in found] if isinstance(found, list) else []


def _picture(file: Path, folder: Path, images: Path, names: Sequence[str]) -> LabelledPicture:
    stem = file.relative_to(folder).with_suffix("")
    places = (stem, Path(*stem.parts[1:]) if stem.parts[:1] == ("labels",) else stem, Path(stem.name))
    name = next(
        (str(p.with_suffix(s)) for p in places for s in SUFFIXES if (images / p.with_suffix(s)).is_file()), ""
    )
    if not name:
        raise RecordError("picture", "missing picture", f"none called {stem.name}", f"one in {images}")
    size = read_size(locate(images, name))
    out = LabelledPicture(name, size)
    for line, text in enumerate(file.read_text("utf-8").splitlines(), 1):
        if text.strip():
            at = f"line {line}"
            kind, box = _thing([number(v, at) for v in text.split()], size, names, at)
            out.boxes.append(LabelledBox(kind, checked(box, size, at)))
    return out


def _thing(values: list[float], size: tuple[int, int], names: Sequence[str], at: str) -> tuple[str, Box]:
    number_of = int(values[0]) if values[0] == int(values[0]) else -1
    kind = names[number_of].strip() if 0 <= number_of < len(names) else ""
    if not kind:
        raise RecordError(at, "no such class", show(values[0]), f"a class of {len(names)}")
    rest = values[1:]
    if len(rest) == 5:
        raise RecordError(at, "a model's output", "six numbers, the last a confidence", "labels")
    if max(map(abs, rest), default=2.0) > 1.5:
        raise RecordError(at, "not in shares", show(max(rest, key=abs, default=0.0)), "numbers from 0 to 1")
    if len(rest) == 4:
        return kind, to_pixels(rest, "cxcywh01", size)
    if len(rest) < 6 or len(rest) % 2:
        raise RecordError(at, "wrong value", f"{len(values)} numbers", "a class and a box or a polygon")
    points = [(x * size[0], y * size[1]) for x, y in zip(rest[::2], rest[1::2], strict=True)]
    return kind, around(points, at)
