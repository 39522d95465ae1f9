from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from headscope.data.cases import Cases, case_line, load_cases, save_cases
from headscope.data.schema import Case
from headscope.data.validation import validate
from headscope.errors import DataError, StoreError
from headscope.models.proofs.picture_proof import noise_picture
from made_cases import good_cases, picture, record, write


def test_the_seed_example_loads_with_its_steps_objects_and_picture(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path, record("a")))
    assert len(cases) == 1
    assert cases[0] is cases.by_id["a"]
    assert [s.answer for s in cases[0].steps] == ["a dog, a horse", "right", "left", "yes"]
    assert cases[0].object("horse").box == (2, 4.5, 18, 25)
    assert (cases.image("a").mode, cases.image("a").size) == ("RGB", (40, 30))
    assert cases.folder == tmp_path


def test_the_jsonl_file_itself_may_be_named(tmp_path: Path) -> None:
    write(tmp_path, record("a"))
    (tmp_path / "cases.jsonl").rename(tmp_path / "mine.jsonl")
    assert load_cases(tmp_path / "mine.jsonl").image("a").size == (40, 30)


def test_the_example_of_the_documentation_is_a_good_case(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/file-formats.md").read_text("utf-8")
    raw = json.loads(page.split("```json\n")[1].split("```")[0])
    picture(tmp_path, raw["image"], size=(96, 96))
    (tmp_path / "cases.jsonl").write_text(json.dumps(raw))
    assert validate(tmp_path) == []
    assert load_cases(tmp_path)[0].steps[3].depends_on == ("s2", "s3")


@pytest.mark.parametrize("made", ["nothing", "folder", "empty file", "blank lines"])
def test_where_there_are_no_cases_one_clear_message_says_so(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "d"
    if made != "nothing":
        folder.mkdir()
    if made == "empty file":
        (folder / "cases.jsonl").touch()
    if made == "blank lines":
        (folder / "cases.jsonl").write_text("\n  \n")
    with pytest.raises(DataError, match=r"cases.jsonl:1: file: no cases, found .*, expected one") as caught:
        load_cases(folder)
    assert "data validate" not in str(caught.value), "it would list this one fault again"


def test_loading_tells_the_first_fault_and_how_many_there_are(tmp_path: Path) -> None:
    write(tmp_path, record("a"), record("b", answer="perhaps"), record("b", width=41))
    with pytest.raises(DataError) as caught:
        load_cases(tmp_path)
    first, rest = str(caught.value).split("\n")
    assert first == (
        f"{tmp_path}/cases.jsonl:2: answer: answer outside its choices, found 'perhaps', "
        "expected one of 'true', 'false'"
    )
    assert "3 faults" in rest
    assert f"headscope data validate {tmp_path}" in rest


def test_unknown_functions_are_refused_unless_no_taxonomy_is_asked_for(tmp_path: Path) -> None:
    raw = record("a")
    raw["steps"][0]["function"] = "smell"
    write(tmp_path, raw)
    with pytest.raises(DataError, match="unknown function, found 'smell'"):
        load_cases(tmp_path)
    assert load_cases(tmp_path, taxonomy=None)[0].steps[0].function == "smell"


def test_subsets_keep_order_and_the_splits_of_the_whole(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path, *[record(f"c{i}") for i in range(10)]))
    part = cases.subset(["c7", "c2"])
    assert [c.id for c in part] == ["c2", "c7"]
    assert part.splits == {i: cases.splits[i] for i in ("c2", "c7")}
    tested = cases.subset(lambda c: cases.splits[c.id] == "test")
    assert set(tested[:1].splits.values()) == {"test"}
    assert [c.id for c in cases[3:5]] == ["c3", "c4"]
    with pytest.raises(DataError, match="nope"):
        cases.subset(["nope"])


def test_two_cases_of_one_id_cannot_be_put_together() -> None:
    case = Case.model_validate_json(json.dumps(record("a")))
    with pytest.raises(DataError, match="two cases have the id 'a'"):
        Cases("x", [case, case])


def test_the_fingerprint_follows_cases_and_pictures_but_not_layout_or_time(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path / "one", record("a"), record("b")))
    save_cases(cases, tmp_path / "two")
    assert (tmp_path / "two/cases.jsonl").read_bytes() != (tmp_path / "one/cases.jsonl").read_bytes()
    assert load_cases(tmp_path / "two").fingerprint == cases.fingerprint
    assert cases[:1].fingerprint != cases.fingerprint
    changed = load_cases(write(tmp_path / "one", record("a", kind="other"), record("b")))
    assert changed.fingerprint != cases.fingerprint
    noise_picture((40, 30), 50).save(tmp_path / "two/images/a.png")
    assert load_cases(tmp_path / "two").fingerprint != cases.fingerprint


def test_transparent_parts_are_laid_over_white(tmp_path: Path) -> None:
    write(tmp_path, record("a"))
    glass = Image.new("RGBA", (40, 30), (255, 0, 0, 0))
    glass.putpixel((3, 4), (0, 0, 255, 255))
    glass.save(tmp_path / "images/a.png")
    seen = load_cases(tmp_path).image("a")
    assert seen.getpixel((0, 0)) == (255, 255, 255)
    assert seen.getpixel((3, 4)) == (0, 0, 255)


def test_a_picture_that_went_bad_after_loading_is_a_data_error(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path, record("a"), record("b"), record("c")))
    (tmp_path / "images/a.png").unlink()
    (tmp_path / "images/b.png").write_text("no picture")
    picture(tmp_path, "images/c.png", size=(30, 40))
    for name, message in {"a": "missing", "b": "not a picture", "c": "wrong size, found 30 x 40"}.items():
        with pytest.raises(DataError, match=message):
            cases.image(name)


def test_a_truncated_picture_passes_loading_but_neither_reading_nor_validation(tmp_path: Path) -> None:
    write(tmp_path, record("a"))
    path = tmp_path / "images/a.png"
    noise_picture((40, 30), 80).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="unreadable picture"):
        load_cases(tmp_path).image("a")
    assert [f.what for f in validate(tmp_path)] == ["unreadable picture"]


def test_saving_refuses_what_loading_would_refuse(tmp_path: Path) -> None:
    good = Case.model_validate_json(json.dumps(record("a")))
    picture(tmp_path, "images/a.png")
    for change, message in [
        ({"image": "../a.png"}, "path leaves the folder"),
        ({"answer": "perhaps"}, "outside its choices"),
        ({"original": {"x": float("nan")}}, "original.x: not finite"),
        ({"original": {"x": "\ud800"}}, "half a character"),
        ({"original": {"x": object()}}, "cannot be written as JSON"),
    ]:
        with pytest.raises(DataError, match=message):
            save_cases([good.model_copy(update=change)], tmp_path)
    with pytest.raises(DataError, match="no cases"):
        save_cases([], tmp_path)
    with pytest.raises(DataError, match="missing picture"):
        save_cases([good], tmp_path / "elsewhere")
    assert not (tmp_path / "cases.jsonl").exists()


def test_saving_where_nothing_can_be_written_is_a_store_error(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path / "d", record("a")))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="could not write"):
        save_cases(cases, tmp_path / "file")


def test_saving_never_writes_through_a_link_out_of_the_folder(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path / "d", record("a")))
    (tmp_path / "out").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new/images").symlink_to(tmp_path / "out")
    with pytest.raises(DataError, match="link leaves the folder"):
        save_cases(cases, tmp_path / "new")
    assert not list((tmp_path / "out").iterdir())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_saved_loads_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    images = ("images/1.png", "2.png")
    for image in images:
        picture(folder / "old", image)
    made = [data.draw(good_cases(f"c{i}", images)) for i in range(data.draw(st.integers(1, 3)))]
    saved = save_cases(Cases(folder / "old", made), folder / "new")
    assert not validate(folder / "new")
    loaded = load_cases(folder / "new")
    assert loaded.cases == tuple(made)
    assert loaded.fingerprint == saved.fingerprint
    assert (folder / "new/cases.jsonl").read_text("utf-8").split("\n")[:-1] == [case_line(c) for c in made]
