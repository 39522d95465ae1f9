from __future__ import annotations

import json
import re
import struct
import zlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headscope.data import validation
from headscope.data.cases import load_cases
from headscope.data.validation import Fault, validate
from headscope.errors import DataError
from headscope.functions import Taxonomy
from headscope.models.proofs.picture_proof import noise_picture
from made_cases import picture, record, write


def faults_of(folder: Path, *records: Any, **options: Any) -> list[str]:
    """Faults without the file's name: ``line: field: what, found X, expected Y``."""
    found = validate(write(folder, *records), **options)
    return [str(f).removeprefix(f"{folder}/cases.jsonl:") for f in found]


def changed(path: str, value: Any, name: str = "a") -> dict[str, Any]:
    """The example with one place changed: ``steps.1.depends_on``."""
    raw = record(name)
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place: Any = raw
    for part in way:
        place = place[part]
    place[last] = value
    return raw


def test_a_good_folder_has_no_fault(tmp_path: Path) -> None:
    assert validate(write(tmp_path, record("a"), record("b"))) == []


def test_every_fault_of_every_line_is_reported_in_order_with_its_exact_place(tmp_path: Path) -> None:
    bad = record("a", kind=7, answer="perhaps", extra=1)
    del bad["question"]
    bad["objects"][1]["box"] = [30, 5, 41, 4]
    bad["steps"][2]["depends_on"] = ["s9"]
    assert faults_of(tmp_path, bad, record("b"), "{broken", record("b")) == [
        "1: question: missing, found nothing, expected a value",
        "1: kind: wrong value, found 7, expected a valid string",
        "1: extra: unknown field, found 1, expected a field of the schema",
        "1: objects[1].box: inverted box, found (30, 5, 41, 4), expected x0 < x1 and y0 < y1",
        "1: objects[1].box: box outside the picture, found (30, 5, 41, 4), "
        "expected within the picture (40 x 30 pixels)",
        "1: answer: answer outside its choices, found 'perhaps', expected one of 'true', 'false'",
        "1: steps[2].depends_on[0]: no such step, found 's9', expected the id of an earlier step",
        "3: json: broken at column 2, found 'broken', expected property name enclosed in double quotes",
        "4: id: id given twice, found 'b', expected an id unlike that of line 2",
    ]


ONE_FAULT = [
    ("objects.0.box", [0, 0, 41, 30], "objects[0].box: box outside the picture"),
    ("objects.0.box", [-0.1, 0, 4, 3], "objects[0].box: box outside the picture"),
    ("objects.0.box", [3, 3, 3, 9], "objects[0].box: empty box"),
    ("objects.0.box", [9, 3, 3, 9], "objects[0].box: inverted box"),
    ("objects.0.box", [float("nan"), 3, 3, 9], "objects[0].box[0]: not finite"),
    ("objects.0.box", [1, 2, 3, float("inf")], "objects[0].box[3]: not finite"),
    ("objects.0.box", [1, 2, 3], "objects[0].box[3]: missing"),
    ("objects.0.box", [1, 2, 3, 4, 5], "objects[0].box: wrong value, found a list of 5"),
    ("objects.0.box", [1, 2, 3, "4"], "objects[0].box[3]: wrong value, found '4', expected a valid number"),
    ("objects.0.attributes", {"a b": 3}, "objects[0].attributes['a b']: wrong value, found 3"),
    ("named", ["dog", "cow"], "named[1]: no such object, found 'cow'"),
    ("named", ["dog", "dog"], "named[1]: object named twice"),
    ("choices", ["true", "false", "True"], "choices[2]: choice given twice, found 'True'"),
    ("choices", ["true"], "choices: single choice"),
    ("choices", ["true", " "], "choices[1]: empty choice"),
    ("answer", "", "answer: empty"),
    ("question", " ", "question: empty"),
    ("id", "", "id: empty"),
    ("split", "train", "split: wrong value, found 'train', expected 'fit', 'select' or 'test'"),
    ("held_out", ["a,b"], "held_out[0]: unusable tag"),
    ("width", 39, "width: not the picture's size, found 39, expected 40"),
    ("width", "40", "width: wrong value, found '40', expected a valid integer"),
    ("steps.1.function", "smell", "steps[1].function: unknown function, found 'smell', expected one of "),
    ("steps.1.answer", "up", "steps[1].answer: answer outside its choices, found 'up'"),
    ("steps.1.objects", ["cow"], "steps[1].objects[0]: no such object, found 'cow'"),
    ("steps.1.depends_on", ["s2"], "steps[1].depends_on[0]: step rests on itself"),
    ("steps.1.depends_on", ["s3"], "steps[1].depends_on[0]: rests on a later step, found 's3'"),
    ("steps.1.depends_on", ["s4"], "steps[1].depends_on[0]: circle of steps, found 's4', which rests on"),
    ("steps.3.depends_on", ["s2", "s2"], "steps[3].depends_on[1]: step named twice"),
    ("steps.3.id", "main", "steps[3].id: reserved id, found 'main'"),
    ("steps.3.id", "a/b", "steps[3].id: reserved id, found 'a/b'"),
    ("steps.3.id", "s1", "steps[3].id: id given twice, found 's1'"),
    ("steps.3", 5, "steps[3]: wrong value, found 5"),
    ("original", {"x": [1, float("-inf")]}, "original.x[1]: not finite, found -inf"),
    ("original", {"x": "\ud800"}, "original.x: half a character"),
    ("image", "images/none.png", "image: missing picture, found no file 'images/none.png'"),
    ("image", "../a.png", "image: path leaves the folder, found '../a.png'"),
    ("image", "images/../../a.png", "image: path leaves the folder"),
    ("image", "images\\..\\..\\a.png", "image: path leaves the folder"),
    ("image", "/etc/passwd", "image: absolute path, found '/etc/passwd'"),
    ("image", "C:\\a.png", "image: absolute path"),
    ("image", "\\\\host\\a.png", "image: absolute path"),
    ("image", "images\\a.png", "image: backslash in the path"),
    ("image", "a\x00.png", "image: control character in the path, found 'a\\x00.png'"),
    ("image", "", "image: no path"),
    ("image", "images", "image: not a file, found 'images', a folder or device"),
    ("image", "images/" + "x" * 5000, "image: unreadable picture"),
    ("image", "images/a.png/b", "image: missing picture"),
]


@pytest.mark.parametrize(("path", "value", "start"), ONE_FAULT)
def test_one_wrong_place_gives_one_fault_that_names_it(
    tmp_path: Path, path: str, value: Any, start: str
) -> None:
    raw = changed(path, value)
    picture(tmp_path, "images/a.png")
    (tmp_path / "cases.jsonl").write_text(json.dumps(raw))
    found = validate(tmp_path)
    assert [str(f).removeprefix(f"{tmp_path}/cases.jsonl:1: ")[: len(start)] for f in found] == [start]
    with pytest.raises(DataError, match=re.escape(start)):
        load_cases(tmp_path)


def test_an_object_id_given_twice_leaves_the_lost_one_dangling(tmp_path: Path) -> None:
    assert [f.split(", expected")[0] for f in faults_of(tmp_path, changed("objects.1.id", "dog"))] == [
        "1: objects[1].id: id given twice, found 'dog'",
        "1: named[1]: no such object, found 'horse'",
    ]


def test_a_step_whose_id_went_wrong_leaves_the_steps_that_rest_on_it_dangling(tmp_path: Path) -> None:
    assert [f.split(",")[0] for f in faults_of(tmp_path, changed("steps.0.id", "main"))] == [
        "1: steps[0].id: reserved id",
        "1: steps[1].depends_on[0]: no such step",
        "1: steps[2].depends_on[0]: no such step",
    ]


RAW_LINES = [
    (b'{"id": "a", "im', "json: broken off"),
    (b'{"id": "a"', "json: broken off"),
    (b"[1, 2]", "case: wrong value, found a list of 2"),
    (b"null", "case: wrong value, found null"),
    (b"NaN", "case: not finite"),
    (b'{"id": "\xff"}', "json: not UTF-8, found byte 0xFF at column 9"),
    (b'{"id": "a\tb"}', "json: broken at column 10"),
    (b"[" * 100_000, "json: nested too deeply"),
    (b"9" * 5000, "json: number too long"),
    (b'{"original": {"a": 1, "a": 2}}', "json: key given twice, found 'a'"),
]


@pytest.mark.parametrize(("line", "start"), RAW_LINES)
def test_lines_that_are_no_json_object_are_named_and_the_next_line_is_still_read(
    tmp_path: Path, line: bytes, start: str
) -> None:
    last = json.dumps(record("a", answer="?")).encode()
    picture(tmp_path, "images/a.png")
    (tmp_path / "cases.jsonl").write_bytes(line + b"\r\n\n" + last)
    found = validate(tmp_path)
    assert str(found[0]).removeprefix(f"{tmp_path}/cases.jsonl:1: ").startswith(start)
    assert (found[-1].line, found[-1].field) == (3, "answer")


def test_a_byte_order_mark_is_one_fault_and_hides_none(tmp_path: Path) -> None:
    line = json.dumps(record("a", answer="?"))
    (tmp_path / "cases.jsonl").write_bytes(b"\xef\xbb\xbf" + line.encode())
    picture(tmp_path, "images/a.png")
    assert [(f.field, f.what) for f in validate(tmp_path)] == [
        ("file", "byte order mark"),
        ("answer", "answer outside its choices"),
    ]


def test_utf_16_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_bytes(f"{json.dumps(record('a'))}\n{{}}\n".encode("utf-16"))
    assert [(f.line, f.what) for f in validate(tmp_path)] == [(1, "not UTF-8")]


def test_a_line_of_enormous_length_is_skipped_without_reading_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "MAX_LINE", 5000)
    found = faults_of(tmp_path, record("a"), record("b", kind="x" * 20_000), record("c", answer="?"))
    assert [f.split(",")[0] for f in found] == [
        "2: json: enormous line",
        "3: answer: answer outside its choices",
    ]


def test_a_long_circle_is_found_without_recursion(tmp_path: Path) -> None:
    raw = record("a")
    step = raw["steps"][0]
    raw["steps"] = [
        deepcopy(step) | {"id": f"t{i}", "depends_on": [f"t{(i - 1) % 3000}"]} for i in range(3000)
    ]
    found = faults_of(tmp_path, raw)
    assert found == [
        "1: steps[0].depends_on[0]: circle of steps, found 't2999', which rests on this step, "
        "expected the id of an earlier step"
    ]


def test_links_out_of_the_folder_are_refused_and_links_within_it_are_not(tmp_path: Path) -> None:
    data = write(tmp_path / "data", record("a"), record("b"))
    secret = picture(tmp_path, "secret.png")
    (data / "images/b.png").unlink()
    (data / "images/b.png").symlink_to("a.png")
    assert validate(data) == []
    (data / "images/a.png").unlink()
    (data / "images/a.png").symlink_to(secret)
    assert [(f.line, f.what) for f in validate(data)] == [
        (1, "link leaves the folder"),
        (2, "link leaves the folder"),
    ]
    (data / "images/a.png").unlink()
    (data / "images/a.png").symlink_to("b.png")
    assert {f.what for f in validate(data)} == {"unreadable picture"}


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(10_000, 5_001), (20_000, 10_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("error")
def test_enormous_pictures_are_refused_by_their_header(tmp_path: Path, size: tuple[int, int]) -> None:
    write(tmp_path, record("a"))
    (tmp_path / "images/a.png").write_bytes(png_header(*size))
    assert [f.what for f in validate(tmp_path)] == ["enormous picture"]
    with pytest.raises(DataError, match="at most 50000000 pixels"):
        load_cases(tmp_path)


def test_pictures_that_cannot_be_read_are_named_and_turned_ones_count_upright(tmp_path: Path) -> None:
    names = ["deep", "turned", "text", "cut", "eps", "tiff"]
    write(tmp_path, *[record(n, image=f"{n}.x") for n in names], draw=False)
    Image.new("I;16", (40, 30)).save(tmp_path / "deep.x", "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 40)).save(tmp_path / "turned.x", "JPEG", exif=exif)  # 40 x 30 once turned
    (tmp_path / "text.x").write_text("hello")
    noise_picture((40, 30), 90).save(tmp_path / "cut.x", "JPEG")
    (tmp_path / "cut.x").write_bytes((tmp_path / "cut.x").read_bytes()[:-300])
    Image.new("RGB", (40, 30)).save(tmp_path / "eps.x", "EPS")
    Image.new("RGB", (40, 30)).save(tmp_path / "tiff.x", "TIFF")
    assert [f.what for f in validate(tmp_path)] == ["unreadable picture"] * 4


def test_one_picture_in_two_splits_is_a_fault_by_path_link_and_content(tmp_path: Path) -> None:
    write(
        tmp_path,
        record("a", split="fit"),
        record("b", image="./images/a.png", split="test"),
        record("c", image="copy.png", split="select"),
        record("d", image="link.png", held_out=["wording"]),
        record("e", image="copy.png"),
    )
    (tmp_path / "copy.png").write_bytes((tmp_path / "images/a.png").read_bytes())
    (tmp_path / "link.png").unlink()
    (tmp_path / "link.png").symlink_to("copy.png")
    assert [str(f).split(":", 1)[1] for f in validate(tmp_path)] == [
        f"{line}: split: picture in two splits, found '{split}' for the picture of line 1, expected 'fit'"
        for line, split in ((2, "test"), (3, "select"), (4, "test"))
    ]


def test_another_taxonomy_brings_its_own_functions(tmp_path: Path) -> None:
    mine = Taxonomy("mine", ("smell",), frozenset(), frozenset(), frozenset(), {"smell": "what it smells of"})
    found = faults_of(tmp_path, record("a"), taxonomy=mine)
    assert len(found) == 4
    assert all("unknown function" in f and f.endswith("expected one of smell") for f in found)
    assert faults_of(tmp_path, record("a"), taxonomy=None) == []


def test_many_pictures_are_checked_in_threads_with_the_same_outcome(tmp_path: Path) -> None:
    write(tmp_path, *[record(f"c{i}") for i in range(100)])
    for i in (3, 50, 99):
        (tmp_path / f"images/c{i}.png").write_text("x")
    assert [f.line for f in validate(tmp_path)] == [4, 51, 100]


def test_messages_hold_nothing_that_a_terminal_would_obey(tmp_path: Path) -> None:
    raw = record("a", answer="\x1b[2J\u202e" + "x" * 500)
    raw["\x1b[31m"] = 1
    text = "\n".join(faults_of(tmp_path, raw))
    assert text.replace("\n", "").isprintable()
    assert max(map(len, text.split("\n"))) < 250


def test_a_folder_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").mkdir()
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file", "a\x00b", "x" * 5000):
        assert [(f.line, f.what) for f in validate(place)] == [(1, "no cases")]


def test_a_fault_prints_as_file_line_field_what_found_expected() -> None:
    fault = Fault("d/cases.jsonl", 7, "steps[2].depends_on[0]", "no such step", "'s9'", "an earlier one")
    assert str(fault) == (
        "d/cases.jsonl:7: steps[2].depends_on[0]: no such step, found 's9', expected an earlier one"
    )


@pytest.mark.parametrize(
    "place", ["question", "answer", "choices.0", "steps.1.question", "objects.0.name", "id"]
)
def test_a_text_of_a_megabyte_is_refused(tmp_path: Path, place: str) -> None:
    found = faults_of(tmp_path, changed(place, "a" * 1_000_000))
    field = re.sub(r"\.(\d+)", r"[\1]", place)
    assert f"1: {field}: too long, found 1,000,000 characters, expected at most 20,000 characters" in found


HOSTILE = {"NUL": "\x00", "escape": "\x1b[2J", "bell": "\x07", "override": "\u202e", "isolate": "\u2066"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("place", ["id", "question", "answer", "kind", "objects.0.name", "steps.1.question"])
def test_control_characters_and_turns_of_direction_are_refused(tmp_path: Path, place: str, text: str) -> None:
    found = [f for f in faults_of(tmp_path, changed(place, f"dog{text}")) if "control character" in f]
    field = re.sub(r"\.(\d+)", r"[\1]", place)
    assert len(found) == 1
    assert found[0].startswith(f"1: {field}: control character, found U+{ord(text[0]):04X} in 'dog")
    assert text not in found[0]


def test_what_the_source_said_is_kept_whatever_it_holds_and_line_ends_are_text(tmp_path: Path) -> None:
    kept = record("a", original={"caption": "dog\x1b[2J"}, question="Is it so?\n(A) yes\r\n\t(B) no")
    assert faults_of(tmp_path, kept) == []
