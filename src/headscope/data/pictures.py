"""Safe reading of pictures from a folder that somebody else made: paths, sizes, pixels, and duplicates."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

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


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names in a row as a message shows them: as they are, or quoted where a terminal would obey them.

    Example:
        >>> listed(["id", "two\\nlines"])
        "id, 'two\\\\nlines'"
    """
    every = [str(name) for name in names]
    shown = [name if name.isprintable() and len(name) <= 80 else show(name) for name in every[:most]]
    return ", ".join(shown) + (", ..." if len(every) > most else "")


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
    forms = (image, *(unicodedata.normalize(form, image) for form in ("NFC", "NFD")))
    image = next((name for name in forms if os.path.lexists(folder / name)), image)  # "é" is one sign or two
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
    """Silence Pillow's own warnings about large pictures (the limit here is stricter and raises) and EXIF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", "Corrupt EXIF data")  # then the picture counts as upright
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open picture whose header passed: known format, sane size, a depth that can be read."""
    try:
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
            _check_header(picture)
            yield picture
    except PictureError:
        raise
    except Image.DecompressionBombError as exc:
        raise PictureError("enormous picture", show(str(exc)), f"at most {MAX_PIXELS} pixels") from exc
    except Image.UnidentifiedImageError as exc:
        kind = _other_kind(path)
        raise PictureError("unreadable picture", f"{show(path.name)}, {kind}", _READABLE) from exc
    except Exception as exc:  # decoders raise anything from OSError to struct.error on damaged files
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise PictureError("unreadable picture", f"{show(path.name)} ({reason[:120]})", _READABLE) from exc


def _other_kind(path: Path) -> str:
    """What a file is that is no picture of the readable formats, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif"):
        return "an HEIC or AVIF picture (save it as JPEG)"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "a TIFF or raw picture (save it as PNG)"
    return "not a picture"


def _check_header(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            "enormous picture",
            f"{width} x {height} = {width * height} pixels",
            f"at most {MAX_PIXELS} pixels",
        )
    if picture.mode[0] in "IF" and not _in_16_bits(picture):
        raise PictureError("deep pixels", f"mode {picture.mode}", "8 or 16 bits a channel (convert it first)")


def _in_16_bits(picture: Image.Image) -> bool:
    """Whether whole numbers from 0 to 65,535; Pillow opens such PNG and PPM files as ``I;16`` or ``I``."""
    return picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM"))


def turn_of(picture: Image.Image) -> int:
    """How EXIF says that the picture has to be turned, 2 to 8; 1: it is upright, or says nothing readable."""
    if picture.format == "PNG" and not _png_may_turn(picture):
        return 1  # Pillow would decode the whole picture to look for the tag
    try:
        turn = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF; the pixels may be well
        return 1
    return turn if isinstance(turn, int) and 2 <= turn <= 8 else 1


def _png_may_turn(picture: Image.Image) -> bool:
    """Whether a PNG has a chunk that can hold EXIF, seen without decoding."""
    if any(key in picture.info for key in ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")):
        return True
    file = getattr(picture, "fp", None)
    if file is None:
        return False
    place = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"eXIf":
                return True
            text = file.read(min(size, 32)) if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
            if text.startswith((b"Raw profile type", b"XML:com.adobe.xmp")):
                return True
            file.seek(size - len(text) + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(place)


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """(width, height) of a picture once it is turned as EXIF says."""
    width, height = picture.size
    return (height, width) if turn_of(picture) >= 5 else (width, height)


AnyPicture = Image.Image | str | Path | NDArray[Any]
"""A picture as callers have it: of Pillow, the path of a file, or an array (row, column, colour) of bytes."""
AnyPictures = AnyPicture | Sequence[AnyPicture]
"""One picture, or a list or tuple of several in their order."""


def to_rgb(picture: AnyPicture) -> Image.Image:
    """A picture in RGB, the same whether it comes from a file or from memory; the one way into a model.

    Turned as EXIF says, in every format; transparent parts laid over white; 16 bits scaled to 8; the first
    frame. A picture that is RGB and upright is given back itself.

    Raises:
        PictureError: over 50 million pixels, damaged, or pixels that are no 8 or 16 bits a channel.

    Example:
        >>> to_rgb(Image.new("LA", (2, 2), (0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if isinstance(picture, str | Path):
        return read_rgb(Path(picture).expanduser())
    if not isinstance(picture, Image.Image):
        picture = _from_array(picture)
    _check_header(picture)
    turn = turn_of(picture)
    if turn != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode[0] == "I":
        deep = np.asarray(picture).astype(np.int64)
        scaled = (np.clip(deep, 0, 65535) + 128) // 257
        return Image.fromarray(scaled.astype(np.uint8), "L").convert("RGB")
    try:
        if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
            over = picture.convert("RGBA")
            ground = Image.new("RGBA", over.size, "white")
            return Image.alpha_composite(ground, over).convert("RGB")
        return picture.convert("RGB")
    except ValueError as exc:
        raise PictureError("unknown colours", f"mode {picture.mode}", "RGB (convert it first)") from exc


def _from_array(given: object) -> Image.Image:
    """A picture from an array of pixels.

    Raises:
        PictureError: it is no array, or not of rows, columns and colours in whole numbers up to 255.
    """
    if not hasattr(given, "__array__"):
        expected = "a picture of Pillow, the path of a file, or an array (row, column, 3)"
        raise PictureError("not a picture", type(given).__name__, expected)
    pixels = np.asarray(given)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if 0 in pixels.shape or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        first = pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4)
        hint = "; colours stand first: np.moveaxis(array, 0, -1)" if first else ""
        expected = f"(row, column) or (row, column, 3 or 4){hint}"
        raise PictureError("not a picture", f"an array of shape {pixels.shape}", expected)
    if pixels.dtype != np.uint8 and not (pixels.dtype == np.uint16 and pixels.ndim == 2):
        expected = "uint8; of numbers from 0 to 1: (255 * array).round().astype('uint8')"
        raise PictureError("not a picture", f"an array of {pixels.dtype}", expected)
    return Image.fromarray(np.ascontiguousarray(pixels))


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) from the header, turned as EXIF says, nothing decoded.

    Raises:
        PictureError: not a picture, or one that ``read_rgb`` would refuse by its header.
    """
    with quiet_bombs(), _opened(path) as picture:
        return upright_size(picture)


def read_rgb(path: Path) -> Image.Image:
    """The picture of a file in RGB, by :func:`to_rgb`.

    Raises:
        PictureError: not a picture, truncated, over 50 million pixels, or more than 16 bits deep.
    """
    with quiet_bombs():
        return decode_rgb(path)


def decode_rgb(path: Path) -> Image.Image:
    """The same for threads, whose pool is wrapped in ``quiet_bombs``: warnings are the whole process's."""
    with _opened(path) as picture:
        found = to_rgb(picture)
        return found.copy() if found is picture else found  # the file is closed behind it


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
