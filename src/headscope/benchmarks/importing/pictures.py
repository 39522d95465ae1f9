"""Pictures of an import: within records or named by them, found safely, and put beside the cases."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from headscope.benchmarks.importing.records import Draft, Unfit
from headscope.data.cases import IMAGES, picture_target
from headscope.data.checks import Finding
from headscope.data.pictures import (
    FORMATS,
    PictureError,
    check_path,
    key_of,
    locate,
    quiet_bombs,
    read_size,
    show,
)
from headscope.storage import disk_error

Size = tuple[int, int]
UNKNOWN: Size = (0, 0)
_SUFFIX = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "PPM": ".ppm",
}


class Pictures:
    """Finds the pictures of drafts and copies them to ``out``.

    Args:
        root: folder of pictures, or None: cases then name pictures that are not there yet.
        out: folder of the cases.
    """

    def __init__(self, root: Path | None, out: Path) -> None:
        self.root, self.out = root, out
        self._known: dict[str, Size | Finding] = {}
        self._names: dict[str, str | Finding] = {}

    @property
    def written(self) -> int:
        """How many pictures lie beside the cases now."""
        return sum(not isinstance(v, Finding) and v != UNKNOWN for v in self._known.values())

    def there(self, draft: Draft) -> bool:
        """Whether the picture of a settled draft is there."""
        return isinstance(draft.picture, bytes) or self.root is not None

    def settle(self, drafts: Sequence[Draft]) -> list[tuple[str, Size] | Finding]:
        """For each draft its picture's path beside the cases and its size, or what is wrong with it."""
        names = [self._name(d) for d in drafts]
        new = {
            name: d
            for name, d in zip(names, drafts, strict=True)
            if isinstance(name, str) and name not in self._known
        }
        with quiet_bombs(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            self._known.update(zip(new, pool.map(self._fetch, new, new.values()), strict=True))
        out: list[tuple[str, Size] | Finding] = []
        for name, draft in zip(names, drafts, strict=True):
            size = self._known[name] if isinstance(name, str) else name
            if size == UNKNOWN and draft.size:
                size = draft.size
            out.append(size if isinstance(size, Finding) else (str(name), size))
        return out

    def _name(self, draft: Draft) -> str | Finding:
        if isinstance(draft.picture, bytes):
            return f"{IMAGES}/{hashlib.sha256(draft.picture).hexdigest()[:24]}{_suffix(draft.picture)}"
        if draft.picture not in self._names:
            try:
                check_path(draft.picture)
                self._names[draft.picture] = f"{IMAGES}/{key_of(draft.picture)}"
            except PictureError as exc:
                self._names[draft.picture] = _finding(exc)
        return self._names[draft.picture]

    def _fetch(self, name: str, draft: Draft) -> Size | Finding:
        try:
            if isinstance(draft.picture, bytes):
                target = picture_target(self.out, name)
                _write(target, draft.picture)
                return read_size(target)
            if self.root is None:
                return UNKNOWN
            found = locate(self.root, draft.picture)
            size = read_size(found)
            target = picture_target(self.out, name)
            if target.resolve() != found:
                _copy(found, target)
            return size
        except PictureError as exc:
            return _finding(exc)


def _finding(exc: PictureError) -> Finding:
    return Finding("image", exc.what, exc.found, exc.expected)


def _suffix(content: bytes) -> str:
    try:
        with quiet_bombs(), Image.open(BytesIO(content), formats=FORMATS) as picture:
            return _SUFFIX.get(picture.format or "", ".bin")
    except Exception:  # decoders raise anything; reading the size will say what is wrong
        return ".bin"


def _write(target: Path, content: bytes) -> None:
    try:
        target.unlink(missing_ok=True)  # never write through a link
        target.write_bytes(content)
    except OSError as exc:
        raise disk_error(target, exc) from exc


def _copy(found: Path, target: Path) -> None:
    try:
        target.unlink(missing_ok=True)
        shutil.copyfile(found, target)
    except OSError as exc:
        raise disk_error(target, exc) from exc


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
