"""What an import refuses, how it says so, and that it leaves nothing half done."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import published as p
import pytest
from PIL import Image

from headscope.benchmarks.registry import import_cases
from headscope.data.cases import load_cases
from headscope.errors import DataError


def vsr(tmp_path: Path, *rows: object) -> Path:
    p.put(tmp_path / "in/images/000000050403.jpg", p.jpeg())
    lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
    return p.put(tmp_path / "in/rows.jsonl", "\n".join(lines) + "\n").parent


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"image": "a.jpg", ', "json: broken off, found the end"),
        ("[1]", "record: wrong value, found a list of 1, expected an object"),
        (p.VSR | {"label": 2}, "label: wrong value, found 2, expected 0 or 1"),
        (p.VSR | {"label": True}, "label: wrong value, found true, expected a whole number"),
        ({k: v for k, v in p.VSR.items() if k != "caption"}, "caption: missing, found nothing"),
        (p.VSR | {"caption": "  "}, "caption: empty"),
        (p.VSR | {"image": "../../etc/passwd"}, "image: path leaves the folder"),
        (p.VSR | {"image": "/etc/passwd"}, "image: absolute path"),
        (p.VSR | {"image": "gone.jpg"}, "image: missing picture, found no file 'gone.jpg'"),
        ('{"label": NaN, "caption": "x"}', "label: not finite, found nan"),
        ('{"label": 1, "label": 0}', "label: key given twice"),
        (json.dumps(p.VSR)[:-1] + ', "x": "\\ud800"}', "x: half a character"),
        ('{"a": ' * 3000 + "1" + "}" * 3000, "json: nested too deeply"),
        ('{"label": ' + "9" * 5000 + "}", "json: number too long, found 5000 digits"),
    ],
)
def test_a_bad_record_is_refused_by_file_line_and_field_and_the_rest_goes_on(
    tmp_path: Path, row: object, said: str
) -> None:
    place = vsr(tmp_path, p.VSR, row, p.VSR)
    report = import_cases("vsr", tmp_path / "out", place=place)
    assert (report.rows, report.cases, report.refused) == (3, 2, 1)
    assert f"rows.jsonl:2: {said}" in report.first[0]
    saved = json.loads((tmp_path / "out/refused.jsonl").read_text())
    assert saved["line"] == 2
    assert len(load_cases(tmp_path / "out")) == 2


def test_the_report_lies_beside_the_cases_and_adds_up(tmp_path: Path) -> None:
    report = import_cases("vsr", tmp_path / "out", place=vsr(tmp_path, p.VSR, "{", p.VSR | {"label": 3}))
    saved = json.loads((tmp_path / "out/import.json").read_text())
    assert saved == report.as_json()
    assert saved["rows"] == saved["cases"] + saved["refused"] + saved["merged"] == 3
    assert saved["reasons"] == {"json: broken off": 1, "label: wrong value": 1}
    assert report.lines()[0].startswith("vsr: 3 rows in = 1 cases + 2 refused + 0 merged")


def test_items_of_an_array_are_named_by_line_and_place(tmp_path: Path) -> None:
    bad = p.EMBSPATIAL | {"question_id": "x", "answer": 9}
    text = "[\n" + json.dumps(p.EMBSPATIAL) + ",\n" + json.dumps(bad) + "\n]"
    p.put(tmp_path / "in/embspatial_bench.json", text)
    report = import_cases("embspatial", tmp_path / "out", place=tmp_path / "in")
    assert report.cases == 1
    assert "embspatial_bench.json:3: [1].answer: no such option, found 9" in report.first[0]


def test_a_file_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    whole = json.dumps([p.EMBSPATIAL, p.EMBSPATIAL | {"question_id": "b"}])
    p.put(tmp_path / "in/embspatial_bench.json", whole[:-40])
    report = import_cases("embspatial", tmp_path / "out", place=tmp_path / "in")
    assert (report.cases, report.refused) == (1, 1)
    assert "json: broken off" in report.first[0]


def test_a_record_twice_is_refused_the_second_time(tmp_path: Path) -> None:
    p.put(tmp_path / "in/embspatial_bench.json", [p.EMBSPATIAL, p.EMBSPATIAL])
    report = import_cases("embspatial", tmp_path / "out", place=tmp_path / "in")
    assert (report.cases, report.refused) == (1, 1)
    assert "id: id given twice" in report.first[0]


def test_a_symlink_out_of_the_pictures_is_refused(tmp_path: Path) -> None:
    place = vsr(tmp_path, p.VSR, p.VSR | {"image": "link.jpg"})
    p.put(tmp_path / "secret.jpg", p.jpeg())
    (place / "images/link.jpg").symlink_to(tmp_path / "secret.jpg")
    report = import_cases("vsr", tmp_path / "out", place=place)
    assert (report.cases, report.refused) == (1, 1)
    assert "image: link leaves the folder" in report.first[0]


def test_an_enormous_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    place = vsr(tmp_path, p.VSR, p.VSR | {"image": "bomb.png"})
    Image.new("1", (20_000, 20_000)).save(place / "images/bomb.png")
    assert (place / "images/bomb.png").stat().st_size < 200_000
    report = import_cases("vsr", tmp_path / "out", place=place)
    assert report.refused == 1
    assert "rows.jsonl:2: image: enormous picture" in report.first[0]
    assert not (tmp_path / "out/images/bomb.png").exists()


@pytest.mark.parametrize(
    "bad", [[float("nan"), 1, 2, 3], [1, 2, -3, 4], [1, 2], "box", [900, 1, 5, 5], [1e308] * 4]
)
def test_boxes_that_are_none_are_refused(tmp_path: Path, bad: object) -> None:
    p.folder(tmp_path / "in", "multihopspatial")
    rows = [p.MULTIHOP, p.MULTIHOP | {"id": 13, "bbox": bad}]
    p.put(tmp_path / "in/data/multihop_test_4500.json", rows)
    report = import_cases("multihopspatial", tmp_path / "out", place=tmp_path / "in", split="test")
    assert (report.cases, report.refused) == (1, 1)
    assert "[1].bbox" in report.first[0]


def test_packed_files_are_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("rows.jsonl", "0" * 10_000_000)
    with pytest.raises(DataError, match="unpack it first"):
        import_cases("vsr", tmp_path / "out", place=path)


def test_nothing_is_left_where_no_row_becomes_a_case(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 rows, none became a case; first: .*rows.jsonl:1: json"):
        import_cases("vsr", tmp_path / "out", place=vsr(tmp_path, "{", "{"))
    assert sorted(x.name for x in (tmp_path / "out").iterdir()) == ["import.json", "refused.jsonl"]


def test_a_folder_that_holds_cases_is_never_written_over(tmp_path: Path) -> None:
    place = vsr(tmp_path, p.VSR)
    import_cases("vsr", tmp_path / "out", place=place)
    before = (tmp_path / "out/cases.jsonl").read_bytes()
    with pytest.raises(DataError, match="holds cases already"):
        import_cases("vsr", tmp_path / "out", place=place)
    assert (tmp_path / "out/cases.jsonl").read_bytes() == before


def test_a_limit_stops_after_so_many_rows(tmp_path: Path) -> None:
    report = import_cases("vsr", tmp_path / "out", place=vsr(tmp_path, p.VSR, p.VSR, p.VSR), limit=2)
    assert (report.rows, report.cases) == (2, 2)


def test_several_files_without_a_split_are_a_question_back(tmp_path: Path) -> None:
    for name in ("dev", "test"):
        p.put(tmp_path / f"in/splits/random/{name}.jsonl", [p.VSR])
        p.put(tmp_path / f"in/{name}.jsonl", [p.VSR])
    with pytest.raises(DataError, match=r"found 2 files .* --split \(random/train"):
        import_cases("vsr", tmp_path / "out", place=tmp_path / "in")


@pytest.mark.parametrize("split", ["../up", "a/**", "/etc", "*"])
def test_a_split_is_a_name_and_not_a_pattern(tmp_path: Path, split: str) -> None:
    with pytest.raises(DataError, match="--split"):
        import_cases("vsr", tmp_path / "out", place=vsr(tmp_path, p.VSR), split=split)


def test_a_hub_source_without_a_network_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)^cambridgeltl/vsr_zeroshot: .*network.*--from") as found:
        import_cases("vsr", tmp_path / "out", split="zeroshot/dev")
    assert "\n" not in str(found.value)


def test_an_unknown_source_and_a_missing_place_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="known are vsr, nlvr, clevr"):
        import_cases("imagenet", tmp_path / "out")
    with pytest.raises(DataError, match="no such file or folder; get data/splits"):
        import_cases("vsr", tmp_path / "out", place=tmp_path / "nowhere")


def test_cases_imported_without_pictures_get_them_by_importing_again_into_the_same_folder(
    tmp_path: Path,
) -> None:
    place = vsr(tmp_path, p.VSR)
    pictures = (place / "images").rename(tmp_path / "elsewhere")
    first = import_cases("vsr", tmp_path / "out", place=place)
    assert first.without_picture == 1
    assert "import them again into the same folder, with --images FOLDER" in first.lines()[-1]
    with pytest.raises(DataError, match="name the folder of pictures by --images"):
        import_cases("vsr", tmp_path / "out", place=place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none became a case"):
        import_cases("vsr", tmp_path / "out", place=place, images=tmp_path / "empty")
    import_cases("vsr", tmp_path / "out", place=place, images=pictures)
    assert load_cases(tmp_path / "out")[0].width > 0
    with pytest.raises(DataError, match="holds cases already; name a new folder by --out"):
        import_cases("vsr", tmp_path / "out", place=place, images=pictures)


def test_cases_that_were_changed_since_their_import_are_not_imported_over(tmp_path: Path) -> None:
    place = vsr(tmp_path, p.VSR)
    pictures = (place / "images").rename(tmp_path / "elsewhere")
    import_cases("vsr", tmp_path / "out", place=place)
    file = tmp_path / "out" / "cases.jsonl"
    file.write_text(file.read_text().replace('"kind":"', '"kind":"other '))
    with pytest.raises(DataError, match=r"changed since their import .* a new folder by --out"):
        import_cases("vsr", tmp_path / "out", place=place, images=pictures)
