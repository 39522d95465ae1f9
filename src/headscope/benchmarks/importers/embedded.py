"""Pictures inside records: bytes of a table, base64 text, or a name; and the record as JSON without them."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

from headscope.benchmarks.importers.base import Unfit
from headscope.data.pictures import show

INSIDE = {"picture": "the file beside the case"}  # stands in the record where the picture's bytes were
_LONG = 120  # a name is shorter, base64 of a picture longer


def picture_of(record: dict[str, Any], key: str) -> str | bytes:
    """The picture of a record: the bytes of its file, or its name.

    Raises:
        Unfit: there is none, or the text is neither a name nor base64.
    """
    value = record.get(key)
    if isinstance(value, dict):
        content, name = value.get("bytes"), value.get("path")
        value = content if content else name
    if isinstance(value, bytes) and value:
        return value
    if not isinstance(value, str) or not value.strip():
        raise Unfit(key, "no picture", show(value), "a picture or its name")
    if len(value) <= _LONG:
        return value.strip()
    try:
        return base64.b64decode(
            value.strip().strip('"').removeprefix("data:image/jpeg;base64,"), validate=True
        )
    except (binascii.Error, ValueError) as exc:
        raise Unfit(key, "unreadable picture", f"{len(value)} characters", "base64, or a name") from exc


def kept(record: dict[str, Any], *pictures: str) -> dict[str, Any]:
    """The record as JSON can hold it; bytes of pictures are the file beside the case, and marked so.

    Raises:
        Unfit: a value that JSON cannot hold.
    """
    out = {}
    for key, value in record.items():
        if key in pictures and (
            isinstance(value, bytes | dict) or (isinstance(value, str) and len(value) > _LONG)
        ):
            name = value.get("path") if isinstance(value, dict) else None
            out[key] = INSIDE | ({"path": str(name)} if name else {})
        else:
            out[key] = _plain(value, str(key))
    return out


def _plain(value: Any, at: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v, f"{at}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{at}[{i}]") for i, v in enumerate(value)]
    raise Unfit(at, "wrong value", type(value).__name__, "text, a number, a list or an object")
