"""Pictures inside records: bytes of a table, base64 text, or a name; and the record as JSON without them."""

from __future__ import annotations

import ast
import base64
import binascii
import datetime as dt
import math
import re
import uuid
from contextlib import suppress
from decimal import Decimal
from io import BytesIO

from PIL import Image

from headscope.benchmarks.importing.columns import value_of
from headscope.benchmarks.importing.sources import ImportPlace
from headscope.data.fields import Cell, ForeignRecord, RecordError
from headscope.data.pictures import FORMATS, locate, quiet_bombs, read_size, show, upright_size
from headscope.records import JsonObject, JsonValue

Size = tuple[int, int]
# Stands in the record where the picture's bytes were.
INSIDE: JsonObject = {"picture": "the file beside the case"}
_DATA_URL = re.compile(r"^data:[\w.+/-]*(?:;[\w=.-]+)*,", re.IGNORECASE)
_LONG = 64  # shorter texts are names: no picture is so small
_SECOND = re.compile(
    r"^(?:image|img|picture|photo|frame)s?(?:[_ -]?\d+|[_ -][b-h])$|^(?:second|other)_(?:image|picture)$",
    re.IGNORECASE,
)


def picture_of(record: ForeignRecord, key: str) -> str | bytes:
    """The picture of a record: the bytes of its file, or its name.

    The column may be nested or put together (``columns.value_of``), and hold a list of one, the bytes,
    ``{"bytes", "path"}``, a data URL, base64, or a name of any length.

    Raises:
        RecordError: there is none or more than one, or the text is a web address.
    """
    found = _listed(value_of(record, key))
    if len(found) > 1:
        raise RecordError(key, "several pictures", str(len(found)), "one")
    return _picture(found[0] if found else None, key)


def pictures_of(record: ForeignRecord, key: str) -> tuple[str | bytes, ...]:
    """All pictures of a record, at least one: those of a list, or of columns beside (``image_2``), in order.

    Raises:
        RecordError: one of them is none, or a list and further columns both hold some.
    """
    first = _listed(value_of(record, key))
    beside = further_columns(record, key)
    if len(first) > 1 and beside:
        raise RecordError(key, "several pictures", f"a list in {key}, and {beside[0]}", "one of the two")
    shown = [_picture(v, key if len(first) == 1 else f"{key}[{i}]") for i, v in enumerate(first or [None])]
    return (*shown, *(picture_of(record, name) for name in beside))


def further_columns(record: ForeignRecord, key: str) -> list[str]:
    """The columns of a record that hold pictures beside ``key`` (``image_2``), in order of their numbers.

    Raises:
        RecordError: there is a picture under a name that does not say what it is (a mask, a depth map).
    """
    found = []
    for name, value in record.items():
        if str(name) == key or value in (None, "", [], {}):
            continue
        if _SECOND.match(str(name)):
            found.append(str(name))
        elif isinstance(value, dict) and value.get("bytes"):
            expected = "further pictures under names such as image_2"
            raise RecordError(str(name), "several pictures", f"{key} and {name}", expected)
    return sorted(found, key=lambda n: (int((re.findall(r"\d+", n) or ["0"])[-1]), n))


def _picture(value: Cell, key: str) -> str | bytes:
    """One picture: the bytes of its file, or its name."""
    if isinstance(value, dict):
        content, name = value.get("bytes"), value.get("path") or value.get("url")
        value = content if content else name
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if isinstance(value, bytes) and value:
        return value
    if not isinstance(value, str) or not value.strip():
        raise RecordError(key, "no picture", show(value), "a picture or its name")
    text = value.strip().strip('"')
    marked = _DATA_URL.match(text)
    if re.match(r"https?://", text[:8], re.IGNORECASE):
        raise RecordError(
            key, "web address", show(text), "a picture that is here: fetch it, and name its file"
        )
    if not marked and not _is_base64_of_a_picture(text):
        return text.removeprefix("file://")
    try:
        return base64.b64decode(text[marked.end() :] if marked else text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RecordError(key, "unreadable picture", f"{len(value)} characters", "base64, or a name") from exc


def _listed(value: Cell) -> list[Cell]:
    """The pictures of a value: of a list all; a text that is such a list counts as one."""
    if isinstance(value, str) and value.lstrip().startswith("[") and len(value) < 10_000:
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            read = ast.literal_eval(value.strip())
            value = read if isinstance(read, list) else value
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_base64_of_a_picture(text: str) -> bool:
    """Whether a text is base64 and not a name: it has no suffix, and a known picture begins so."""
    if len(text) < _LONG or re.search(r"[^A-Za-z0-9+/=\s]", text[:4096]):
        return False
    return len(text) > 1024 or text.startswith(_BEGINNINGS)


# Of JPEG, PNG, GIF, WebP, BMP and PPM in base64.
_BEGINNINGS = ("/9j/", "iVBOR", "R0lGOD", "UklGR", "Qk", "UDY", "UDU", "UDM")


def size_of_picture(record: ForeignRecord, key: str, place: ImportPlace) -> Size | None:
    """The size of a record's picture, by its header; None where it cannot be seen.

    Raises:
        RecordError: the record has none.
    """
    picture = pictures_of(record, key)[0]
    try:
        if isinstance(picture, bytes):
            with quiet_bombs(), Image.open(BytesIO(picture), formats=FORMATS) as opened:
                return upright_size(opened)
        return read_size(locate(place.images, picture)) if place.images else None
    except Exception:  # decoders raise anything; the import itself says what is wrong
        return None


def kept(record: ForeignRecord, *pictures: str) -> JsonObject:
    """The record as JSON can hold it; bytes of pictures are the file beside the case, and marked so.

    Raises:
        RecordError: a value that JSON cannot hold.
    """
    out: JsonObject = {}
    for key, value in record.items():
        if key in pictures and (inside := _inside(value)) is not None:
            out[key] = inside
        else:
            out[key] = _plain(value, str(key))
    return out


def _inside(value: Cell) -> JsonValue:
    """What stands in the record for bytes of a picture; None where the value holds none."""
    if isinstance(value, list | tuple):
        found = [_inside(v) for v in value]
        return (
            [_plain(v, "") if f is None else f for v, f in zip(value, found, strict=True)]
            if any(found)
            else None
        )
    if isinstance(value, dict):
        return INSIDE | ({"path": str(value["path"])} if value.get("path") else {})
    text = value.strip().strip('"') if isinstance(value, str) else ""
    if isinstance(value, bytes | bytearray) or _DATA_URL.match(text) or _is_base64_of_a_picture(text):
        return dict(INSIDE)
    return None


def _plain(value: Cell, at: str) -> JsonValue:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return (
            (int(value) if value == value.to_integral_value() else float(value))
            if value.is_finite()
            else None
        )
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes | bytearray) and len(value) <= _MOST_BYTES:
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(k): _plain(v, f"{at}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{at}[{i}]") for i, v in enumerate(value)]
    found = f"{len(value)} bytes" if isinstance(value, bytes | bytearray) else type(value).__name__
    raise RecordError(at, "wrong value", found, "text, a number, a list or an object")


_MOST_BYTES = 65_536
