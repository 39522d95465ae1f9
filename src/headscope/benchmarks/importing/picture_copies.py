"""Pictures of an import: found safely, looked at in parallel, and put beside the cases."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from PIL import Image

from headscope.benchmarks.importing.sources import CaseDraft
from headscope.data.cases import IMAGES, picture_target, put_picture
from headscope.data.checks import Finding
from headscope.data.pictures import (
    FORMATS,
    PictureError,
    check_path,
    key_of,
    locate,
    quiet_bombs,
    read_size,
)

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


class PictureCopier:
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

    def there(self, draft: CaseDraft) -> bool:
        """Whether the picture of a settled draft is there."""
        return isinstance(draft.picture, bytes) or self.root is not None

    def settle(self, drafts: Sequence[CaseDraft]) -> list[tuple[str, Size] | Finding]:
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

    def _name(self, draft: CaseDraft) -> str | Finding:
        if isinstance(draft.picture, bytes):
            return f"{IMAGES}/{hashlib.sha256(draft.picture).hexdigest()[:24]}{_suffix(draft.picture)}"
        if draft.picture not in self._names:
            try:
                draft.picture = self._relative(draft.picture)
                check_path(draft.picture)
                self._names[draft.picture] = f"{IMAGES}/{key_of(draft.picture)}"
            except PictureError as exc:
                self._names[draft.picture] = _finding(exc)
        return self._names[draft.picture]

    def _relative(self, name: str) -> str:
        """A name as seen from the folder of pictures: an absolute path inside, one with the folder's name."""
        if self.root is None or "\0" in name:
            return name
        if Path(name).is_absolute():
            for root in (self.root.absolute(), self.root.resolve()):
                if Path(name).is_relative_to(root):
                    return str(Path(name).relative_to(root))
        head, _, rest = name.partition("/")
        if rest and head == self.root.resolve().name and not (self.root / name).exists():
            return rest
        return name

    def _fetch(self, name: str, draft: CaseDraft) -> Size | Finding:
        try:
            if isinstance(draft.picture, bytes):
                target = picture_target(self.out, name)
                put_picture(draft.picture, target)
                return read_size(target)
            if self.root is None:
                return UNKNOWN
            found = locate(self.root, draft.picture)
            size = read_size(found)
            target = picture_target(self.out, name)
            if target.resolve() != found:
                put_picture(found, target)
            return size
        except PictureError as exc:
            finding = _finding(exc)
            missing = exc.what == "missing picture" and self.root is not None
            return finding._replace(found=f"{finding.found} in {self.root}") if missing else finding


def _finding(exc: PictureError) -> Finding:
    return Finding("image", exc.what, exc.found, exc.expected)


def _suffix(content: bytes) -> str:
    try:
        with quiet_bombs(), Image.open(BytesIO(content), formats=FORMATS) as picture:
            return _SUFFIX.get(picture.format or "", ".bin")
    except Exception:  # decoders raise anything; reading the size will say what is wrong
        return ".bin"
