"""The identity of a checkpoint folder: the same as ever, read anew whenever a file may have changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headscope.models import revisions
from headscope.models.revisions import cache_folder, revision
from headscope.models.vlm import load_model


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llava"}')
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    return [folder / "config.json", folder / "model.safetensors"]


@pytest.fixture
def readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Small files are worth keeping, settled at once; the list grows with every hash that is computed."""
    done: list[str] = []
    plain = revisions._hash

    def counted(files: list[Path]) -> str:
        done.append(plain(files))
        return done[-1]

    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(revisions, "_WORTH_KEEPING", 0)
    monkeypatch.setattr(revisions, "_UNSETTLED", 0.0)
    monkeypatch.setattr(revisions, "_hash", counted)
    return done


def by_hand(files: list[Path]) -> str:
    content = b"".join(f"{f.name}:{len(f.read_bytes())}\n".encode() + f.read_bytes() for f in files)
    return hashlib.sha256(content).hexdigest()[:16]


def test_the_identity_is_the_hash_over_names_sizes_and_content(
    files: list[Path], readings: list[str]
) -> None:
    assert revision(files) == by_hand(files) == revision(files)
    assert len(readings) == 1, "the second answer was kept"


def test_the_embedded_model_keeps_its_identity(tmp_path: Path) -> None:
    from headscope.models.embedded import atlas_file

    made_on = json.loads(atlas_file().read_text())["provenance"]["revision"]
    assert load_model("embedded", prove=False).revision == made_on


def overwrite(file: Path) -> None:
    file.write_bytes(file.read_bytes()[::-1])


def overwrite_and_set_the_time_back(file: Path) -> None:
    """As ``cp --preserve`` and ``rsync --times`` do."""
    times = file.stat()
    time.sleep(0.02)
    overwrite(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace_and_set_the_time_back(file: Path) -> None:
    other, times = file.with_name("other"), file.stat()
    other.write_bytes(file.read_bytes()[::-1])
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize(
    "change", [overwrite, overwrite_and_set_the_time_back, replace_and_set_the_time_back]
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_changed_and_kept_its_size_is_read_again(
    change: Callable[[Path], None], which: int, files: list[Path], readings: list[str]
) -> None:
    first = revision(files)
    size = files[which].stat().st_size
    change(files[which])
    assert files[which].stat().st_size == size
    assert revision(files) == by_hand(files) != first
    assert len(readings) == 2


def test_a_file_written_just_now_is_not_remembered(
    files: list[Path], readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change again within one tick of the file system's clock."""
    monkeypatch.setattr(revisions, "_UNSETTLED", 3600.0)
    assert revision(files) == revision(files)
    assert len(readings) == 2
    assert not cache_folder().exists()


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    files: list[Path], readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = revisions._hash

    def disturbed(files: list[Path]) -> str:
        found = counted(files)
        time.sleep(0.02)
        overwrite(files[1])
        return found

    monkeypatch.setattr(revisions, "_hash", disturbed)
    revision(files)
    assert not cache_folder().exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda note: note.write_text("{"),
        lambda note: note.write_text("[]"),
        lambda note: note.write_bytes(b"\xff\xfe\x00"),
        lambda note: note.write_text(note.read_text().replace('"revision": "', '"revision": "../')),
        lambda note: note.write_text(
            note.read_text().replace("headscope/revision/1", "headscope/revision/0")
        ),
    ],
)
def test_a_damaged_cache_is_ignored_and_made_again(
    damage: Callable[[Path], None], files: list[Path], readings: list[str]
) -> None:
    revision(files)
    (note,) = (cache_folder() / "revisions").iterdir()
    damage(note)
    assert revision(files) == by_hand(files)
    assert revision(files) == by_hand(files)
    assert len(readings) == 2, "read again once, then kept again"


def test_a_cache_that_cannot_be_written_is_done_without(
    files: list[Path], readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSCOPE_CACHE", str(files[0] / "under-a-file"))
    assert revision(files) == revision(files) == by_hand(files)
    assert len(readings) == 2


def test_a_copy_of_a_folder_has_its_own_note_and_the_same_identity(
    files: list[Path], readings: list[str], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(files[0].parent, tmp_path / "copy"))
    assert revision([copy / f.name for f in files]) == revision(files)
    assert len(readings) == len(list((cache_folder() / "revisions").iterdir())) == 2


def test_small_sets_leave_nothing_behind(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADSCOPE_CACHE", str(tmp_path / "cache"))
    revision(files)
    assert not cache_folder().exists()


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSCOPE_CACHE", "~/own")
    assert cache_folder() == Path.home() / "own"
    monkeypatch.delenv("HEADSCOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_folder() == Path("/shared/headscope")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "headscope"
