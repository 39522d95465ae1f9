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
from headscope.data.cases import IMAGES
from headscope.data.checks import Finding
from headscope.data.picture_files import picture_target, put_picture
from headscope.data.pictures import (
    FORMATS,
    PictureError,
    check_path,
    key_of,
    locate,
    quiet_bombs,
    read_size,
)
from headscope.data.schema import Picture

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
        """Whether the pictures of a settled draft are there."""
        return self.root is not None or all(isinstance(p, bytes) for p in (draft.picture, *draft.more))

    def settle(self, drafts: Sequence[CaseDraft]) -> list[tuple[Picture, ...] | Finding]:
        """For each draft its pictures beside the cases with their sizes, or what is wrong with one."""
        wanted = [[(self._name(p), p) for p in (d.picture, *d.more)] for d in drafts]
        new = {
            name: picture
            for shown in wanted
            for name, picture in shown
            if isinstance(name, str) and name not in self._known
        }
        with quiet_bombs(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            self._known.update(zip(new, pool.map(self._fetch, new, new.values()), strict=True))
        return [
            self._settled(draft, [n for n, _ in shown]) for draft, shown in zip(drafts, wanted, strict=True)
        ]

    def _settled(self, draft: CaseDraft, names: Sequence[str | Finding]) -> tuple[Picture, ...] | Finding:
        pictures: list[Picture] = []
        for number, name in enumerate(names):
            size = self._known[name] if isinstance(name, str) else name
            if isinstance(size, Finding):
                return size._replace(field=f"image {number + 1}") if number else size
            if size == UNKNOWN and draft.size and not number:
                size = draft.size
            pictures.append(Picture(image=str(name), width=size[0], height=size[1]))
        return tuple(pictures)

    def _name(self, picture: str | bytes) -> str | Finding:
        if isinstance(picture, bytes):
            return f"{IMAGES}/{hashlib.sha256(picture).hexdigest()[:24]}{_suffix(picture)}"
        if picture not in self._names:
            try:
                inside = self._relative(picture)
                check_path(inside)
                self._names[picture] = f"{IMAGES}/{key_of(inside)}"
            except PictureError as exc:
                self._names[picture] = _finding(exc)
        return self._names[picture]

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

    def _fetch(self, name: str, picture: str | bytes) -> Size | Finding:
        try:
            if isinstance(picture, bytes):
                target = picture_target(self.out, name)
                put_picture(picture, target)
                return read_size(target)
            if self.root is None:
                return UNKNOWN
            found = locate(self.root, self._relative(picture))
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
