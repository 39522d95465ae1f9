"""Cases to and from Hugging Face ``datasets`` without loss: every field, and the pictures' very bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from headscope.data.cases import Cases, load_cases, save_cases
from headscope.data.checks import path_of
from headscope.data.fields import ForeignRecord, RecordError, take
from headscope.data.picture_files import picture_target, put_picture
from headscope.data.pictures import key_of, show
from headscope.data.schema import Case
from headscope.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, Features

_PLAIN = ("id", "width", "height", "question", "answer", "kind", "wording", "split", "source")
_CHUNK = 32  # rows; one Arrow chunk holds at most 2 GiB of pictures
_LISTS = ("choices", "named", "held_out")


def features() -> Features:
    """The columns of the dataset, each with its type; the same whatever the cases hold."""
    from datasets import Features, Image, List, Value

    text, texts, number = Value("string"), List(Value("string")), Value("int64")
    pair = {"key": text, "value": text}
    thing = {"id": text, "name": text, "box": List(Value("float64")), "attributes": List(pair)}
    thing |= {"picture": number}
    further = {"image": text, "width": number, "height": number, "content": Value("binary")}
    step = dict.fromkeys(("id", "question", "answer", "function", "wording", "origin"), text)
    step |= dict.fromkeys(("choices", "objects", "depends_on"), texts)
    columns = {"id": text, "image": Image(), "image_path": text, "width": number, "height": number}
    columns |= dict.fromkeys(("question", "answer", "kind", "wording", "split", "source"), text)
    columns |= dict.fromkeys(_LISTS, texts)
    columns |= {"objects": List(thing), "steps": List(step), "original": text}
    columns["more"] = List(further)
    return Features(columns)


def to_dataset(cases: Cases) -> Dataset:
    """The cases as a dataset, one row per case, with their pictures inside.

    ``image`` holds the bytes of the file as they are, ``image_path`` its relative path (exports shorten
    the path within ``image``), ``more`` the same of further pictures, ``original`` JSON text or null. All
    bytes are held in memory.

    Raises:
        DataError: a picture that cannot be read.
    """
    import pyarrow as pa
    from datasets import Dataset
    from datasets.table import InMemoryTable

    columns = features()
    parts = [
        pa.Table.from_pylist(
            [_to_row(cases, c) for c in cases[at : at + _CHUNK]], schema=columns.arrow_schema
        )
        for at in range(0, max(len(cases), 1), _CHUNK)
    ]
    return Dataset(InMemoryTable(pa.concat_tables(parts)))


def _to_row(cases: Cases, case: Case) -> ForeignRecord:
    content, *further = (_content(cases, case, number) for number in range(len(case.pictures)))
    row: ForeignRecord = case.model_dump(exclude={"objects", "original"})
    row["image"] = {"bytes": content, "path": case.image}
    row["image_path"] = case.image
    row["objects"] = [
        thing.model_dump() | {"attributes": [{"key": k, "value": v} for k, v in thing.attributes.items()]}
        for thing in case.objects
    ]
    row["more"] = [p.model_dump() | {"content": c} for p, c in zip(case.more, further, strict=True)]
    if case.original is not None:
        row["original"] = json.dumps(case.original, ensure_ascii=False, allow_nan=False)
    return row


def _content(cases: Cases, case: Case, number: int) -> bytes:
    path = cases.image_path(case, number)
    try:
        return path.read_bytes()
    except OSError as exc:
        raise DataError(f"{path}: the picture of case {case.id!r} cannot be read ({exc.strerror})") from exc


def from_dataset(dataset: Dataset, folder: str | Path) -> Cases:
    """Write a dataset made by ``to_dataset`` as a folder of cases, and load it.

    Raises:
        DataError: columns are missing, a row is no case, or a picture is missing, unsafe or damaged.
        StoreError: the disk is full or the folder cannot be written.
    """
    from datasets import Image

    folder = Path(folder)
    found = getattr(dataset, "column_names", None)
    if not isinstance(found, list):  # a DatasetDict maps split names to datasets
        names = f" with splits {list(found)}" if isinstance(found, dict) else ""
        raise DataError(
            f"{folder}: asked for one dataset, found {type(dataset).__name__}{names}; pass one of them"
        )
    missing = [name for name in features() if name not in (*found, "more")]  # which older ones lack
    if missing:
        raise DataError(
            f"{folder}: the dataset lacks the columns {missing}; expected those that to_dataset writes"
        )
    cases: list[Case] = []
    written: dict[str, bytes] = {}
    for number, row in enumerate(dataset.cast_column("image", Image(decode=False))):
        case = _from_row(row, number)
        stored = row["image"] if isinstance(row["image"], dict) else {}
        contents = [stored.get("bytes"), *(p["content"] for p in row.get("more") or ())]
        for shown, content in zip(case.pictures, contents, strict=True):
            _write_picture(folder, case, shown.image, content, written)
        cases.append(case)
    save_cases(cases, folder)
    return load_cases(folder, taxonomy=None)


def _from_row(row: ForeignRecord, number: int) -> Case:
    try:
        value = {key: row[key] for key in (*_PLAIN, *_LISTS, "steps")} | {"image": row["image_path"]}
        value["objects"] = [
            thing | {"attributes": {pair["key"]: pair["value"] for pair in thing["attributes"]}}
            for thing in take(row, "objects", list)
        ]
        further = row.get("more") or ()
        value["more"] = [{k: p[k] for k in ("image", "width", "height")} for p in further]  # type: ignore[union-attr, index, call-overload]
        value["original"] = None if row["original"] is None else json.loads(take(row, "original", str))
        return Case.model_validate(value)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        reason = f"{path_of(error['loc'])}: {error['msg']}, found {show(error['input'])}"
    except (RecordError, TypeError, KeyError, ValueError) as exc:
        reason = f"found {exc!r}"
    raise DataError(f"row {number} of the dataset is no case: {reason}; expected what to_dataset writes")


def _write_picture(folder: Path, case: Case, image: str, content: object, written: dict[str, bytes]) -> None:
    if not isinstance(content, bytes) or not content:
        raise DataError(
            f"case {case.id!r}: the dataset holds no bytes for its picture; embed the pictures first"
        )
    key, digest = key_of(image), hashlib.sha256(content).digest()
    if written.setdefault(key, digest) != digest:
        raise DataError(f"case {case.id!r}: the dataset holds two different pictures for {image!r}")
    put_picture(content, picture_target(folder, image))
