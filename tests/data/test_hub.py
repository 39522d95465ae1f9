from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headscope.data.cases import Cases, load_cases
from headscope.data.hub import features, from_dataset, to_dataset
from headscope.errors import DataError
from headscope.models.proofs.picture_proof import noise_picture
from made_cases import good_cases, picture, record, write


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_cases_come_back_from_a_dataset_on_disk_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("hub")
    images = ("images/one.png", "two/deep.png", "three.png")
    for number, image in enumerate(images):
        picture(folder / "old", image, (number, 0, 0))
    count = data.draw(st.integers(1, 3))
    cases = Cases(folder / "old", [data.draw(good_cases(f"c{i}", images)) for i in range(count)])
    to_dataset(cases).save_to_disk(folder / "stored")
    stored = datasets.load_from_disk(folder / "stored")
    assert stored.features == features()
    back = from_dataset(stored, folder / "new")
    assert back.cases == cases.cases
    assert back.fingerprint == cases.fingerprint
    for case in cases:
        assert back.image_path(case).read_bytes() == cases.image_path(case).read_bytes()
    direct = from_dataset(to_dataset(cases), folder / "direct")
    assert (folder / "direct/cases.jsonl").read_bytes() == (folder / "new/cases.jsonl").read_bytes()
    assert direct.cases == cases.cases


def test_nothing_empty_and_null_stay_apart(tmp_path: Path) -> None:
    records = [
        record("a", original=None, split=None, kind="", objects=[], named=[], steps=[]),
        record("b", original={}, split="fit"),
        record("c", original={"x": None, "y": [], "z": 1.5, "n": 2**60, "t": "ü\u2028"}),
    ]
    for step in records[1]["steps"] + records[2]["steps"]:
        step["objects"] = []
    records[1]["objects"][0] |= {"box": None, "attributes": {"": "", "b": "2", "a": "1"}}
    cases = load_cases(write(tmp_path / "old", *records))
    back = from_dataset(to_dataset(cases), tmp_path / "new")
    assert [c.original for c in back] == [None, {}, records[2]["original"]]
    assert [c.split for c in back] == [None, "fit", None]
    assert list(back[1].objects[0].attributes.items()) == [("", ""), ("b", "2"), ("a", "1")]
    assert [o.box for o in back[1].objects] == [None, (2, 4.5, 18, 25)]
    assert back.cases == cases.cases


def test_pictures_are_the_files_bytes_and_open_as_pictures(tmp_path: Path) -> None:
    write(tmp_path, record("a"))
    noise = noise_picture((40, 30), 60)
    noise.save(tmp_path / "images/a.png", "JPEG", quality=30)
    dataset = to_dataset(load_cases(tmp_path))
    stored = dataset.cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert stored["bytes"] == (tmp_path / "images/a.png").read_bytes()
    assert dataset[0]["image"].size == (40, 30)
    assert json.loads(json.dumps(dataset[0]["steps"][1]["choices"])) == ["left", "right"]


def test_more_rows_than_one_chunk_keep_their_order(tmp_path: Path) -> None:
    cases = load_cases(write(tmp_path / "old", *[record(f"c{i}") for i in range(70)]))
    assert [row["id"] for row in to_dataset(cases).remove_columns("image")] == [f"c{i}" for i in range(70)]
    assert from_dataset(to_dataset(cases), tmp_path / "new").cases == cases.cases


def broken(dataset: datasets.Dataset, **changes: object) -> datasets.Dataset:
    """The dataset with its first row changed."""
    plain = dataset.cast_column("image", datasets.Image(decode=False))
    rows = list(plain)
    rows[0] |= changes
    return datasets.Dataset.from_list(rows, features=features())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_path": "../../x.png"}, "path leaves the folder"),
        ({"image_path": "/tmp/x.png"}, "absolute path"),
        ({"image_path": "cases.jsonl"}, "not a picture's name"),
        ({"image_path": "images/b.png"}, "two different pictures for 'images/b.png'"),
        ({"image": {"bytes": None, "path": "/etc/passwd"}}, "no bytes for its picture"),
        ({"image": {"bytes": b"text", "path": None}}, "unreadable picture"),
        ({"original": "{broken"}, "row 0 of the dataset is no case"),
        ({"split": "train"}, "split: Input should be 'fit', 'select' or 'test'"),
        ({"answer": None}, "answer: Input should be a valid string, found null"),
        ({"answer": "?"}, "answer outside its choices"),
        ({"id": "b"}, "two cases have the id 'b'"),
    ],
)
def test_a_dataset_that_holds_no_good_cases_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    dataset = to_dataset(load_cases(write(tmp_path / "old", record("a"), record("b"))))
    with pytest.raises(DataError, match=message):
        from_dataset(broken(dataset, **changes), tmp_path / "deep/new")
    assert not (tmp_path / "x.png").exists()


def test_other_datasets_are_refused_by_what_they_lack(tmp_path: Path) -> None:
    dataset = to_dataset(load_cases(write(tmp_path / "old", record("a"))))
    with pytest.raises(DataError, match=r"lacks the columns \['steps'\]"):
        from_dataset(dataset.remove_columns("steps"), tmp_path / "new")
    with pytest.raises(DataError, match=r"found DatasetDict with splits \['train'\]"):
        from_dataset(datasets.DatasetDict({"train": dataset}), tmp_path / "new")  # type: ignore[arg-type]
