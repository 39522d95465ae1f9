"""Safe reading of pictures from a folder that somebody else made: paths, sizes, pixels, and duplicates."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from PIL import Image

from headscope.errors import DataError

MAX_PIXELS = 50_000_000
# Pillow can read more, but some readers (EPS) start other programs, and TIFF has a hundred dialects.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM")
_READABLE = "a picture file (PNG, JPEG, WebP, GIF, BMP or PPM)"
_ORIENTATION = 0x0112


class PictureError(DataError):
    """A picture that cannot be used: what is wrong, what was found, what was expected."""

    def __init__(self, what: str, found: str, expected: str) -> None:
        super().__init__(f"{what}, found {found}, expected {expected}")
        self.what, self.found, self.expected = what, found, expected


def show(value: object) -> str:
    """A value as a message shows it: short, and with nothing in it that a terminal would obey."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} keys"
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def key_of(image: str) -> str:
    """The relative path of a picture in its one normal form: ``./a.png`` is ``a.png``."""
    return str(PurePosixPath(image))


def check_path(image: str) -> None:
    """Refuse a path that is not a plain relative one, without looking at the disk.

    Raises:
        PictureError: empty, absolute, climbing out with ``..``, or with characters that no portable path has.
    """
    expected = "a path relative to the folder of the cases, with forward slashes"
    if not image.strip() or key_of(image) == ".":
        raise PictureError("no path", show(image), expected)
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", image):
        raise PictureError("control character in the path", show(image), expected)
    windows = PureWindowsPath(image)
    if image.startswith("/") or windows.drive or windows.root:
        raise PictureError("absolute path", show(image), expected)
    if ".." in windows.parts:
        raise PictureError("path leaves the folder", show(image), "a path without '..'")
    if "\\" in image:
        raise PictureError("backslash in the path", show(image), expected)


def locate(folder: Path, image: str) -> Path:
    """The file of a picture, after symbolic links, proved to lie inside ``folder``.

    Raises:
        PictureError: an unsafe path, a link out of the folder, or no regular file there.
    """
    check_path(image)
    real, root = os.path.realpath(folder / image), os.path.realpath(folder)
    if os.path.commonpath([real, root]) != root:
        raise PictureError("link leaves the folder", f"{show(image)} -> {show(real)}", f"a file under {root}")
    try:
        mode = os.stat(real).st_mode  # noqa: PTH116  (the path is resolved already)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise PictureError("missing picture", f"no file {show(image)}", _READABLE) from exc
    except OSError as exc:
        raise PictureError("unreadable picture", f"{show(image)} ({exc.strerror})", _READABLE) from exc
    if not stat.S_ISREG(mode):
        raise PictureError("not a file", f"{show(image)}, a folder or device", _READABLE)
    return Path(real)


@contextmanager
def quiet_bombs() -> Iterator[None]:
    """Silence Pillow's own warning about large pictures; the limit here is stricter and raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open picture whose header passed: known format, sane size, upright, eight bits a channel."""
    try:
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
            _check_header(picture)
            yield picture
    except PictureError:
        raise
    except Image.DecompressionBombError as exc:
        raise PictureError("enormous picture", show(str(exc)), f"at most {MAX_PIXELS} pixels") from exc
    except Image.UnidentifiedImageError as exc:
        raise PictureError("unreadable picture", f"{show(path.name)}, not a picture", _READABLE) from exc
    except Exception as exc:  # decoders raise anything from OSError to struct.error on damaged files
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise PictureError("unreadable picture", f"{show(path.name)} ({reason[:120]})", _READABLE) from exc


def _check_header(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            "enormous picture",
            f"{width} x {height} = {width * height} pixels",
            f"at most {MAX_PIXELS} pixels",
        )
    if picture.mode[0] in "IF":
        raise PictureError("deep pixels", f"mode {picture.mode}", "8 bits a channel (convert it first)")
    if picture.format in ("JPEG", "MPO", "WEBP"):
        turned = picture.getexif().get(_ORIENTATION, 1)
        if turned not in (0, 1):
            raise PictureError(
                "turned picture",
                f"EXIF orientation {turned}",
                "upright pixels (save it turned, without the tag)",
            )


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) from the header, nothing decoded.

    Raises:
        PictureError: not a picture, or one that ``read_rgb`` would refuse by its header.
    """
    with quiet_bombs(), _opened(path) as picture:
        return picture.size


def read_rgb(path: Path) -> Image.Image:
    """The picture in RGB, as stored (first frame); transparent parts are laid over white.

    Raises:
        PictureError: not a picture, truncated, over 50 million pixels, 16 bits deep, or turned by EXIF.
    """
    with quiet_bombs():
        return decode_rgb(path)


def decode_rgb(path: Path) -> Image.Image:
    """The same for threads, whose pool is wrapped in ``quiet_bombs``: warnings are the whole process's."""
    with _opened(path) as picture:
        if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
            over = picture.convert("RGBA")
            ground = Image.new("RGBA", over.size, "white")
            return Image.alpha_composite(ground, over).convert("RGB")
        return picture.convert("RGB")


def content_keys(paths: Iterable[Path]) -> dict[Path, str]:
    """A key per file, equal for files of identical bytes.

    Only files whose size is shared with another are read, so that large sets of photographs cost little.
    A file that cannot be read stands for itself.
    """
    sizes: dict[Path, int] = {}
    for path in paths:
        try:
            sizes[path] = path.stat().st_size
        except OSError:
            sizes[path] = -1
    shared = Counter(sizes.values())
    keys = {}
    for path, size in sizes.items():
        keys[path] = f"{size}"
        if size < 0 or shared[size] > 1:
            keys[path] += f":{_digest(path)}"
    return keys


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return str(path)
