"""Pictures written beside cases: whole or not at all, inside their folder, and never through a link."""

from __future__ import annotations

import shutil
from pathlib import Path

from headscope.data.pictures import PictureError, check_path, key_of
from headscope.data.validation import CASES_FILE
from headscope.errors import DataError
from headscope.storage import disk_error


def put_picture(content: Path | bytes, target: Path) -> None:
    """A file, or its bytes, as the picture at ``target``: whole or not at all, and never through a link.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            shutil.copyfile(content, temporary)
        temporary.replace(target)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise disk_error(target, exc) from exc


def picture_target(folder: Path, image: str) -> Path:
    """Where a picture may be written: inside ``folder``, links followed; its folder is made.

    Raises:
        DataError: the path leaves the folder, or is that of the cases.
        StoreError: the folder cannot be made.
    """
    target = folder / image
    try:
        check_path(image)
        if key_of(image) == CASES_FILE:
            raise PictureError("not a picture's name", image, "another name")
        if not target.parent.resolve().is_relative_to(folder.resolve()):
            raise PictureError("link leaves the folder", image, f"a path under {folder}")
    except (PictureError, RuntimeError) as exc:
        raise DataError(f"{target}: {exc}") from exc
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise disk_error(target.parent, exc) from exc
    return target
