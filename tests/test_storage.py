"""What a failed read or write says: which of the two it was, of which file, and why."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from headscope.cli import app as command
from headscope.data.cases import load_cases, save_cases
from headscope.errors import DamagedError, StoreError
from headscope.making.scenes.generate import draw_scenes
from headscope.storage import Ledger, disk_error, file_error, read_json, write_atomic


def system_error(number: int, name: str | None = None, target: str | None = None) -> OSError:
    """As the system raises it, with the file, and of a copy the file that it goes to."""
    return OSError(number, os.strerror(number), name, None, target)


def test_a_picture_that_is_gone_when_it_is_copied_is_no_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_scenes(tmp_path / "here", 1, seed=1, card=False)
    cases = load_cases(tmp_path / "here")
    picture = cases.image_path(cases[0])
    copy = shutil.copyfile

    def gone(source: Path, target: Path) -> None:
        picture.unlink()
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", gone)
    with pytest.raises(StoreError) as caught:
        save_cases(cases, tmp_path / "there")
    assert str(caught.value).startswith(f"{picture}: cannot be read: No such file or directory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    draw_scenes(tmp_path / "here", 1, seed=1, card=False)
    source = tmp_path / "here" / "cases.jsonl"
    with pytest.raises(OSError, match="No space") as caught:
        shutil.copyfile(source, "/dev/full")  # the system names both files
    assert "there/a: could not write: the disk is full" in str(disk_error(Path("there/a"), caught.value))
    assert "disk is full" in str(file_error(caught.value))


def test_a_write_that_is_not_allowed_says_so_and_asks_for_no_space(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        write_atomic(tmp_path / "file" / "inner.json", "{}")
    assert "inner.json: could not write: " in str(caught.value)
    assert "space" not in str(caught.value)
    for named in ("out/x.json", "out/.x.json.7.tmp", "out"):
        said = str(disk_error(Path("out/x.json"), system_error(errno.EACCES, named)))
        assert said.startswith("out/x.json: could not write: Permission denied; name a folder"), named
    said = str(disk_error(Path("runs/model"), system_error(errno.EACCES, "runs/.model.7.tmp/a.json")))
    assert said.startswith("runs/model: could not write")


def test_a_file_that_cannot_be_read_is_not_to_be_deleted(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        read_json(tmp_path)  # a folder
    assert str(caught.value).startswith(f"{tmp_path}: cannot be read: Is a directory")
    assert "delete" not in str(caught.value)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(StoreError, match="run its stage again, which makes anew what is damaged"):
        read_json(tmp_path / "broken.json")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (system_error(errno.EACCES, "a/b.json"), "error: a/b.json: cannot be opened: Permission denied"),
        (system_error(errno.ENOENT, "a/b.json"), "error: a/b.json: cannot be opened: No such file"),
        (system_error(errno.ECONNREFUSED), "error: the system refused: Connection refused"),
        (system_error(errno.ENOSPC), "the disk is full"),
    ],
)
def test_the_command_does_not_call_every_error_of_the_system_a_failed_write(
    found: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_options: object) -> None:
        raise found

    monkeypatch.setattr(command, "app", fails)
    monkeypatch.setattr(sys, "argv", ["headscope"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert said in err
    assert ("could not write" in err) == (found.errno == errno.ENOSPC)


def test_a_unit_that_is_damaged_cut_or_of_other_settings_is_made_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a", {"seed": 1})
    ledger.put("k=8", {"drop": 0.25})
    (unit,) = (p for p in ledger.folder.iterdir() if p.name != "settings.json")
    whole = unit.read_text()
    other = Ledger(tmp_path / "b", {"seed": 2})
    other.put("k=8", {"drop": 0.5})
    for text in (
        whole.replace("0.25", "0.75"),
        whole[:-9],
        "[]",
        '{"key": "k=8"}',
        '{"key": "k=9", "value": 1}',
        (other.folder / unit.name).read_text(),
    ):
        unit.write_text(text)
        assert "k=8" not in ledger
        with pytest.raises(DamagedError, match=unit.name):
            ledger.get("k=8")
        assert ledger.get_or("k=8", lambda: {"drop": 0.25}) == {"drop": 0.25}
        assert unit.read_text() == whole


def test_a_ledger_whose_settings_are_lost_keeps_the_units_that_were_made_with_those_asked_for(
    tmp_path: Path,
) -> None:
    Ledger(tmp_path, {"seed": 1}).put("a", 1)
    for text in (None, "{", '{"seed": 1, "checksum": "0"}'):
        mark = tmp_path / "settings.json"
        mark.unlink() if text is None else mark.write_text(text)
        assert "a" not in Ledger(tmp_path, {"seed": 2})
        mark.unlink()
        assert "a" in Ledger(tmp_path, {"seed": 1})


def test_units_written_before_units_had_checksums_are_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {"seed": 1})
    ledger.put("a", 1)
    (unit,) = (p for p in ledger.folder.iterdir() if p.name != "settings.json")
    unit.write_text('{\n "key": "a",\n "value": 1\n}\n')
    assert ledger.get("a") == 1
