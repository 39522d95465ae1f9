"""Tables as people have them: options, answers, pictures and columns are read as meant, or refused."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import io
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import published as p
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fuzzed import mutated, rows_tried
from headscope.benchmarks.importing.columns import chosen, options_of, readings, value_of
from headscope.benchmarks.importing.import_report import ImportReport
from headscope.benchmarks.importing.importer import run
from headscope.benchmarks.importing.sources import ImportPlace, SourceRow
from headscope.benchmarks.registry import import_cases, rule, source
from headscope.benchmarks.scores import constant
from headscope.cli.imports import _map
from headscope.data.cases import Cases, load_cases
from headscope.data.fields import RecordError
from headscope.data.schema import Case
from headscope.data.validation import inspect
from headscope.errors import DataError
from shared_cases import SMALL, needs_cases

ROW = {"image": "a.png", "question": "Which is red?", "answer": "cup"}


def imported(
    tmp_path: Path, *rows: dict[str, Any], name: str = "table", **more: Any
) -> tuple[ImportReport, Cases]:
    p._pic(tmp_path / "in", "images/a.png")
    place = p.put(tmp_path / "in/rows.jsonl", [{"id": str(i)} | r for i, r in enumerate(rows)]).parent
    report = import_cases(name, tmp_path / "out", place=place, **more)
    assert report.rows == report.cases + report.refused + report.merged
    return report, load_cases(tmp_path / "out")


def refused(tmp_path: Path, *rows: dict[str, Any], **more: Any) -> str:
    """Why the first row is refused beside a good last one."""
    report, _ = imported(tmp_path, *rows, ROW | {"id": "good"}, **more)
    return report.first[0]


@needs_cases
def test_the_collected_rows_are_read_as_they_are_meant(tmp_path: Path) -> None:
    report = import_cases("table", tmp_path / "out", place=SMALL / "tables.jsonl", images=SMALL)
    cases = load_cases(tmp_path / "out").by_id
    assert report.rows == 4
    assert "1" not in cases or cases["1"].answer == "2"
    assert (cases["2"].answer, cases["2"].choices) == ("false", ("true", "false"))
    assert rule("table").judge(cases["2"], "No.")
    assert (cases["3"].answer, cases["3"].choices) == ("plate", ("cup", "plate"))
    assert (cases["4"].answer, cases["4"].choices) == ("no", ("yes", "no"))


@needs_cases
def test_the_collected_options_in_columns_are_shown(tmp_path: Path) -> None:
    for name in ("vlmeval", "table"):
        columns = {"id": "index"} if name == "table" else None
        import_cases(name, tmp_path / name, place=SMALL / "options.tsv", images=SMALL, columns=columns)
        first, second = load_cases(tmp_path / name)
        assert (first.answer, first.choices) == ("no", ("yes", "no"))
        assert (second.answer, second.choices) == ("the jug", ("the cup", "the plate", "the fork", "the jug"))
        assert "the fork" in second.question


@pytest.mark.parametrize(
    ("answer", "choices", "right"),
    [
        ("No", ("yes", "no"), "no"), ("yes.", ("yes", "no"), "yes"), ("TRUE", ("true", "false"), "true"),
        (False, ("true", "false"), "false"), (["No"], ("yes", "no"), "no"), ("left", (), "left"),
        (3, (), "3"), (2.0, (), "2"), (1.5, (), "1.5"),
    ],
)  # fmt: skip
def test_answers_bring_their_choices_with_them(
    answer: Any, choices: tuple[str, ...], right: str, tmp_path: Path
) -> None:
    report, cases = imported(tmp_path, ROW | {"answer": answer})
    assert (cases[0].answer, cases[0].choices) == (right, choices)
    assert cases[0].original is not None
    assert cases[0].original["answer"] == answer
    assert bool(report.derived) == bool(choices)


def test_a_constant_answer_is_counted_among_open_ones_too() -> None:
    cases = [
        Case(id=str(i), image="a", width=1, height=1, question="?", answer=a)
        for i, a in enumerate("ababaaabaaaa")
    ]
    assert constant(cases) == pytest.approx(9 / 12)
    assert constant(cases[:5]) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["cup", "plate"], ("cup", "plate")),
        ({"A": "cup", "B": "plate"}, ("cup", "plate")),
        ({"A": "cup", "B": "plate", "C": None}, ("cup", "plate")),
        ({"text": ["cup", "plate"], "label": ["A", "B"]}, ("cup", "plate")),
        ("['cup', 'plate']", ("cup", "plate")),
        ('["cup", "plate"]', ("cup", "plate")),
        ('{"A": "cup", "B": "plate"}', ("cup", "plate")),
        ("A. cup\nB. plate", ("cup", "plate")),
        ("(A) cup (B) plate", ("cup", "plate")),
        ("A) cup, B) plate", ("cup", "plate")),
        ("a: cup; b: plate", ("cup", "plate")),
        ("cup\nplate", ("cup", "plate")),
        ("cup | plate", ("cup", "plate")),
        ("cup; plate", ("cup", "plate")),
        ("cup, plate", ("cup", "plate")),
        (["A. cup", "B. plate"], ("cup", "plate")),
        (["(A) cup", "(B) plate"], ("cup", "plate")),
        ([1, 2], ("1", "2")),
        ([True, False], ("true", "false")),
    ],
)
def test_options_are_read_in_every_form(options: Any, expected: tuple[str, ...]) -> None:
    assert options_of(options, "choices")[0] == expected


@pytest.mark.parametrize("options", ["cup", 3, [], {}, ["", "cup"], [None], [["a"], ["b", "c"]]])
def test_options_that_are_none_are_refused(options: Any) -> None:
    with pytest.raises(RecordError):
        options_of(options, "choices")


@pytest.mark.parametrize(
    "answer", ["B", "b", "(B)", "B.", "B)", "(B) plate", "B. plate", "plate", "Plate", " plate. "]
)
@given(labels=st.sampled_from([("A", "B", "C"), ("a", "b", "c")]))
def test_text_and_letter_name_an_option(answer: str, labels: tuple[str, ...]) -> None:
    assert chosen(answer, ("cup", "plate", "fork"), labels) == 1


@pytest.mark.parametrize(
    ("answer", "options", "why"),
    [
        (2, ["1", "2", "3"], "ambiguous"), ("A", ["B", "A"], "ambiguous"),
        ("D", ["cup", "plate"], "no such option"),
        ("B. cup", ["cup", "plate"], "no such option"), (7, ["cup", "plate"], "no such option"),
        ("spoon", ["cup", "plate"], "no such option"), (-1, ["cup", "plate"], "no such option"),
    ],
)  # fmt: skip
def test_answers_that_are_no_or_two_options_are_refused(
    answer: Any, options: list[str], why: str, tmp_path: Path
) -> None:
    assert why in refused(tmp_path, ROW | {"choices": options, "answer": answer})


@settings(max_examples=60, deadline=None)
@given(
    options=st.lists(st.text("abcd0123", min_size=1, max_size=3), min_size=2, max_size=6, unique=True),
    data=st.data(),
)
def test_an_answer_is_never_another_option_than_every_way_of_reading_it_allows(
    options: list[str], data: st.DataObject
) -> None:
    value = data.draw(st.sampled_from([*options, *range(-1, 8), *"ABCDEFG"]))
    try:
        found = chosen(value, options, "ABCDEFGH"[: len(options)])
    except RecordError:
        return
    ways = {k: v for k, v in readings(value, options, "ABCDEFGH"[: len(options)]).items() if k != "index1"}
    assert set(ways.values()) == {found}


def test_a_number_means_what_it_means_in_the_whole_file(tmp_path: Path) -> None:
    def answers(
        name: str, values: list[Any], options: list[Any], **more: Any
    ) -> tuple[list[str], ImportReport]:
        rows = [ROW | {"choices": options, "answer": v} for v in values]
        report, cases = imported(tmp_path / name, *rows, **more)
        return [c.answer for c in cases], report

    things = ["cup", "plate", "fork"]
    assert answers("zero", [0, 2, 1], things)[0] == ["cup", "fork", "plate"]
    assert answers("one", [1, 3, 2], things)[0] == ["cup", "fork", "plate"]
    found, report = answers("either", [1, 1], things)
    assert found == ["plate", "plate"]
    assert "counted from 0" in next(iter(report.guessed))
    assert answers("text", [5, 7, 5], ["5", "7"])[0] == ["5", "7", "5"]
    assert answers("cells", ["1", "3"], things)[0] == ["cup", "fork"]
    for said, right in (("text", "2"), ("index", "3"), ("index1", "2")):
        found, _ = answers(f"as {said}", [2], ["1", "2", "3"], columns={"answer_is": said})
        assert found == [right]


def test_letters_without_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="letter without options"):
        imported(tmp_path / "a", ROW | {"answer": "B"}, ROW | {"answer": "C"})
    row = {k: v for k, v in p.VLMEVAL.items() if k not in "ABCD"}
    with pytest.raises(DataError, match="letter without options"):
        imported(tmp_path / "b", row, name="vlmeval")


def test_answers_0_and_1_alone_are_said_to_be_open_and_read_by_the_option(tmp_path: Path) -> None:
    rows = [ROW | {"answer": n} for n in (0, 1, 1)]
    report, cases = imported(tmp_path / "open", *rows)
    assert cases[0].choices == ()
    assert any("answer_is=truth" in what for what in report.left_out)
    _, cases = imported(tmp_path / "said", *rows, columns={"answer_is": "truth"})
    assert [(c.answer, c.choices) for c in cases] == [("no", ("yes", "no")), *[("yes", ("yes", "no"))] * 2]


def test_an_object_of_options_may_be_the_other_way_round() -> None:
    assert options_of({"cup": "B", "plate": "A"}, "choices") == (("plate", "cup"), ("A", "B"))


@pytest.mark.parametrize(
    "box",
    [
        {"x1": 10, "y1": 20, "x2": 40, "y2": 44}, {"xmin": 10, "ymin": 20, "xmax": 40, "ymax": 44},
        {"x": 10, "y": 20, "w": 30, "h": 24}, {"left": 10, "top": 20, "width": 30, "height": 24},
        {"bbox": [10, 20, 40, 44]}, {"box": {"x": 10, "y": 20, "width": 30, "height": 24}},
    ],
)  # fmt: skip
def test_boxes_whose_keys_say_what_they_are(box: dict[str, Any], tmp_path: Path) -> None:
    for i, value in enumerate(([box | {"label": "cup"}], json.dumps([box | {"label": "cup"}]))):
        _, cases = imported(tmp_path / str(i), ROW | {"boxes": value})
        assert [(o.name, o.box) for o in cases[0].objects] == [("cup", (10, 20, 40, 44))]


def test_a_question_that_shows_its_options_is_left_as_it_is(tmp_path: Path) -> None:
    question = "Which is red? (A) cup (B) plate"
    _, cases = imported(tmp_path, ROW | {"question": question, "choices": ["cup", "plate"], "answer": "A"})
    assert (cases[0].question, cases[0].answer) == (question, "cup")


PNG = io.BytesIO()
Image.new("RGB", (64, 48), "red").save(PNG, "PNG")
BASE64 = base64.b64encode(PNG.getvalue()).decode()


@pytest.mark.parametrize(
    "image",
    [
        "a.png", ["a.png"], "['a.png']", "images/a.png", {"path": "a.png"}, {"bytes": None, "path": "a.png"},
        f"data:image/png;base64,{BASE64}", BASE64, [BASE64], "file://a.png", "./a.png",
    ],
    ids=range(11),
)  # fmt: skip
def test_a_picture_in_every_form_is_found(image: Any, tmp_path: Path) -> None:
    _, cases = imported(tmp_path, ROW | {"image": image})
    assert cases.image("0").size == (64, 48)


def test_names_of_pictures_may_be_long_composed_or_absolute_inside_the_folder(tmp_path: Path) -> None:
    long, coded = "x" * 150 + ".png", "B" * 90
    for name in (long, "caf\u00e9.png", "deep/b.png"):
        p._pic(tmp_path / "in/images", name)
    (tmp_path / "in/images" / coded).write_bytes(PNG.getvalue())  # might be base64, but is no picture's
    inside = str(tmp_path / "in/images/deep/b.png")
    rows = [ROW | {"image": name} for name in (long, "cafe\u0301.png", inside, coded)]
    _, cases = imported(tmp_path, *rows)
    assert len(cases) == 4
    assert cases[2].image == "images/deep/b.png"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"image": ["a.png", "b.png"]}, "image 2: missing picture"),
        ({"image": ["a.png", "b.png"], "image_2": "a.png"}, "several pictures"),
        ({"image": ["a.png", None]}, "no picture"),
        ({"mask": {"bytes": "xx", "path": "m.png"}}, "several pictures"),
        ({"image": "https://example.org/a.png"}, "web address"),
        ({"image": []}, "no picture"),
        ({"image": "/etc/passwd"}, "absolute path"),
        ({"question": "<image> <image> Which?"}, "several pictures"),
        ({"answer": ["cup", "plate"]}, "several answers"),
    ],
)
def test_what_one_case_cannot_hold_is_refused_by_its_name(
    row: dict[str, Any], why: str, tmp_path: Path
) -> None:
    assert why in refused(tmp_path, ROW | row)


@pytest.mark.parametrize(
    "row",
    [
        {"image": ["a.png", "b.png"]}, {"image": "['a.png', 'b.png']"}, {"image_2": "b.png"},
        {"second_image": "b.png"}, {"image": ["a.png", {"path": "b.png"}]},
        {"question": "<image><image> Which is red?", "image_2": "b.png"},
    ],
)  # fmt: skip
def test_several_pictures_of_a_row_are_one_case_in_their_order(row: dict[str, Any], tmp_path: Path) -> None:
    p._pic(tmp_path / "in", "images/b.png", (32, 24))
    report, cases = imported(tmp_path, ROW | row)
    assert [(x.image, x.width, x.height) for x in cases[0].pictures] == [
        ("images/a.png", 64, 48), ("images/b.png", 32, 24)
    ]  # fmt: skip
    assert report.several_pictures == 1
    assert "1 cases have several pictures" in "\n".join(report.lines())
    assert [x.size for x in cases.images("0")] == [(64, 48), (32, 24)]
    with pytest.raises(DataError, match="case '0' has 2 pictures"):
        cases.image("0")
    if "question" in row:
        assert cases[0].question == "(picture 1)(picture 2) Which is red?"


@pytest.mark.parametrize(
    "mark", ["<image>", "<image>\n", "<image 1>", "<|image|>", "<img>", "[IMAGE]", "<ImageHere>"]
)
def test_the_mark_of_the_picture_is_taken_out_of_questions(mark: str, tmp_path: Path) -> None:
    report, cases = imported(tmp_path, ROW | {"question": f"{mark}Which is red?"})
    assert cases[0].question == "Which is red?"
    assert report.derived == {"question: the mark for the picture taken out": 1}


def test_columns_may_be_nested_put_together_and_hold_commas(tmp_path: Path) -> None:
    row = {
        "meta": {"id": "a"}, "conversations": [{"value": "Which?"}, {"value": "cup"}],
        "choices, all": ["cup", "plate"], "hint": "Look at the table.",
    }  # fmt: skip
    told = ["image={meta.id}.png,question={hint} {conversations.0.value}"]
    told.append("answer=conversations.1.value,choices=choices, all")
    _, cases = imported(tmp_path, row, columns=_map(told))
    assert cases[0].question.startswith("Look at the table. Which?")
    assert (cases[0].answer, cases[0].choices) == ("cup", ("cup", "plate"))
    assert value_of({"a": '{"b": [1, 2]}'}, "a.b.1") == 2
    assert _map(["question=a, b", "answer=c"]) == {"question": "a, b", "answer": "c"}
    with pytest.raises(DataError, match="twice"):
        _map(["question=a", "question=b"])
    with pytest.raises(DataError, match="there are id, image"):
        imported(tmp_path / "b", ROW, columns={"question": "prompt"})


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    return p._parquet(path, rows)


def test_values_of_every_type_of_tables_are_kept(tmp_path: Path) -> None:
    values = {
        "when": dt.datetime(2024, 5, 6, 7, 8), "day": dt.date(2024, 5, 6), "for": dt.timedelta(seconds=3),
        "price": Decimal("3.50"), "raw": b"\x00\x01", "none": None, "nested": [{"a": [1.5]}],
    }  # fmt: skip
    row = {"image": {"bytes": PNG.getvalue(), "path": None}, "question": "How many?", "answer": Decimal("3")}
    place = parquet(tmp_path / "in/rows.parquet", [row | values])
    report = import_cases("table", tmp_path / "out", place=place)
    (case,) = load_cases(tmp_path / "out")
    assert (report.cases, case.answer) == (1, "3")
    assert case.original is not None
    kept = {k: case.original[k] for k in values}
    assert kept == {
        "when": "2024-05-06T07:08:00", "day": "2024-05-06", "for": 3.0, "price": 3.5,
        "raw": {"base64": "AAE="}, "none": None, "nested": [{"a": [1.5]}],
    }  # fmt: skip


def test_arrays_members_lines_and_shards_are_all_read(tmp_path: Path) -> None:
    rows = [ROW | {"id": str(i)} for i in range(3)]
    for name, content in {
        "array.json": rows, "member.json": {"info": {"a": 1}, "tags": ["x"], "data": rows},
        "lines.json": "\n".join(map(json.dumps, rows)), "mapping.json": {r["id"]: r for r in rows},
        "one.json": json.dumps(rows[0]),
    }.items():  # fmt: skip
        place = p.put(tmp_path / "in" / name, content)
        report = import_cases("table", tmp_path / name, place=place)
        assert report.cases == (1 if name == "one.json" else 3), name
    for i in range(2):
        parquet(tmp_path / f"shards/train-0000{i}-of-00002.parquet", [rows[i]])
    assert import_cases("table", tmp_path / "both", place=tmp_path / "shards").cases == 2
    (tmp_path / "shards/train-00001-of-00002.parquet").unlink()
    parquet(tmp_path / "shards/train-00002-of-00003.parquet", rows[:1])
    with pytest.raises(DataError, match=r"found 2 files|shards of train"):
        import_cases("table", tmp_path / "some", place=tmp_path / "shards")


def test_a_file_that_is_no_text_is_one_refusal(tmp_path: Path) -> None:
    for content in (b"\xff\xfe[", b"{\xd9}", b"\x00\x01"):
        (tmp_path / "rows.json").write_bytes(content)
        with pytest.raises(DataError, match=r"none became a case; first: .*rows\.json:1: json: "):
            import_cases("table", tmp_path / "out", place=tmp_path)


def test_rows_without_ids_are_told_apart_in_one_line_and_in_shards(tmp_path: Path) -> None:
    p._pic(tmp_path / "in", "images/a.png")
    (tmp_path / "in/rows.json").write_text(json.dumps([ROW, ROW | {"answer": "plate"}]))
    report = import_cases("table", tmp_path / "one", place=tmp_path / "in")
    assert (report.rows, report.cases) == (2, 2)
    (tmp_path / "in/rows.json").write_text(json.dumps({"x": ROW, "y": ROW}))
    assert import_cases("table", tmp_path / "keys", place=tmp_path / "in").cases == 2
    (tmp_path / "in/rows.json").unlink()
    for number in range(2):
        parquet(tmp_path / f"in/test-{number:05d}-of-00002.parquet", [ROW, ROW])
    report = import_cases("table", tmp_path / "shards", place=tmp_path / "in")
    assert (report.rows, report.cases, report.refused) == (4, 4, 0)


def test_arrow_files_as_datasets_saves_them_are_read(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([ROW, ROW | {"answer": "plate"}]).save_to_disk(tmp_path / "in")
    assert import_cases("table", tmp_path / "out", place=tmp_path / "in").cases == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=st.lists(
        st.from_regex(r"[a-z]{2,8}( [a-z]{2,8})?", fullmatch=True), min_size=2, max_size=6, unique=True
    ),
    shape=st.sampled_from(["list", "object", "letters", "lines", "json", "columns"]),
    kind=st.sampled_from(["text", "letter", "bracket"]),
    data=st.data(),
)
def test_generated_options_in_every_shape_give_the_right_answer(
    options: list[str], shape: str, kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = data.draw(st.integers(0, len(options) - 1))
    letters = "ABCDEF"[: len(options)]
    shaped: Any = {
        "list": options, "object": dict(zip(letters, options, strict=True)), "lines": "\n".join(options),
        "letters": " ".join(f"({a}) {o}" for a, o in zip(letters, options, strict=True)),
        "json": json.dumps(options), "columns": None,
    }[shape]  # fmt: skip
    answer = {"text": options[at], "letter": letters[at], "bracket": f"({letters[at]}) {options[at]}"}[kind]
    more = dict(zip(letters, options, strict=True)) if shape == "columns" else {"choices": shaped}
    _, cases = imported(tmp_path_factory.mktemp("o"), ROW | {"answer": answer} | more)
    assert (cases[0].answer, cases[0].choices) == (options[at], tuple(options))


def test_vlmeval_rows_share_pictures_by_index_and_carry_hints(tmp_path: Path) -> None:
    first = p.VLMEVAL | {"hint": "It is night."}
    second = p.VLMEVAL | {"index": 1, "image": "0", "answer": "A", "split": "test"}
    head = list(first)
    body = ["\t".join(str(r.get(k, "")) for k in head) for r in (first, second)]
    p.put(tmp_path / "in/X.tsv", "\n".join(["\t".join(head), *body]) + "\n")
    import_cases("vlmeval", tmp_path / "out", place=tmp_path / "in/X.tsv")
    one, two = load_cases(tmp_path / "out")
    assert one.question.startswith("It is night.\nIs the car")
    assert one.image == two.image
    assert (one.answer, two.answer, one.kind) == ("no", "yes", "Spatial_Relation")
    report = import_cases("vlmeval", tmp_path / "test", place=tmp_path / "in/X.tsv", split="test")
    assert (report.cases, report.refused) == (1, 1)
    assert "another split" in report.first[0]


RICH: dict[str, Any] = {
    "id": "1",
    "image": ["a.png"],
    "meta": {"q": "Which is red?", "hint": "Look."},
    "answer": "B",
    "kind": "colour",
    "choices": {"A": "cup", "B": "plate"},
    "things": [{"label": "cup", "bbox": [1, 2, 30, 40]}],
}


@pytest.mark.parametrize(
    ("boxes", "numbers"),
    [("", [1, 2, 30, 40]), ("xyxy01", [0.1, 0.2, 0.5, 0.9]), ("yxyx1000", [9, 90, 300, 400])],
)
def test_mutated_rows_of_rich_tables_are_cases_or_refusals(
    boxes: str, numbers: list[float], tmp_path: Path
) -> None:
    p._pic(tmp_path, "a.png")
    draw = random.Random(boxes)
    columns = {"question": "{meta.hint} {meta.q}", "boxes": "things"}
    place = ImportPlace(source("table"), tmp_path, (), "", tmp_path, columns, boxes)
    rich = RICH | {"things": [{"label": "cup", "bbox": numbers}]}
    rows = [SourceRow("t.jsonl", i + 1, mutated(rich | {"id": str(i)}, draw)) for i in range(rows_tried(600))]
    with contextlib.suppress(DataError):  # a survey may refuse the whole: boxes in another form
        report = run(place, tmp_path / "out", rows=iter(rows))
        assert report.rows == len(rows) == report.cases + report.refused
        assert inspect(tmp_path / "out", None, keep=False, decode=False).faults == []
        assert report.cases > len(rows) // 20


def test_an_excel_sheet_is_a_table(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    p._pic(tmp_path / "in", "images/a.png")
    book = openpyxl.Workbook()
    for row in (
        ["id", "image", "question", "answer", "choices"],
        [7, "a.png", "Which?", "B", "A. cup B. dog"],
    ):
        book.active.append(row)
    book.save(tmp_path / "in/mine.xlsx")
    for place in (tmp_path / "in", tmp_path / "in/mine.xlsx"):
        report = import_cases("table", tmp_path / f"out{len(place.name)}", place=place)
        (case,) = load_cases(tmp_path / f"out{len(place.name)}")
        assert (report.refused, case.answer, case.choices) == (0, "dog", ("cup", "dog"))


@pytest.mark.parametrize(
    ("choices", "answer"),
    [
        ([{"label": "A", "text": "cup"}, {"label": "B", "text": "plate"}], "B"),
        ([{"id": "x", "value": "cup"}, {"id": "y", "value": "plate"}], "y"),
        ([{"option": "cup"}, {"option": "plate"}], "plate"),
        (["cup", "plate", None, None], "B"),
    ],
)
def test_options_as_objects_and_padded_lists_are_read(
    choices: list[Any], answer: str, tmp_path: Path
) -> None:
    _, (case,) = imported(tmp_path, ROW | {"choices": choices, "answer": answer})
    assert (case.choices, case.answer) == (("cup", "plate"), "plate")


def test_nothing_between_options_is_refused(tmp_path: Path) -> None:
    assert "choices[1]" in refused(tmp_path, ROW | {"choices": ["cup", None, "plate"], "answer": "cup"})


def test_boxes_without_a_name_each_are_refused(tmp_path: Path) -> None:
    things = {"bbox": [[1, 2, 9, 9], [3, 3, 8, 8]], "label": ["cup"]}
    said = refused(tmp_path, ROW | {"boxes": things})
    assert "found 2 boxes and 1 names, expected a name for each box" in said


@pytest.mark.parametrize(
    "mark",
    [
        "<image-1>",
        "{image}",
        "<img src='a.png'>",
        "<img>a.png</img>",
        "![a photo](a.png)",
        "<Image>",
        "[IMG]",
    ],
)
def test_a_mark_for_the_picture_is_no_part_of_the_question(mark: str, tmp_path: Path) -> None:
    _, (case,) = imported(tmp_path, ROW | {"question": f"{mark}\nWhich is red?"})
    assert case.question == "Which is red?"


@pytest.mark.parametrize("names", [("image_1", "image_2"), ("image1", "image2"), ("image", "image_b")])
def test_numbered_columns_of_pictures_are_one_case(names: tuple[str, str], tmp_path: Path) -> None:
    p._pic(tmp_path / "in", "images/b.png")
    row = {"question": "Which is red?", "answer": "cup"} | dict(zip(names, ("a.png", "b.png"), strict=True))
    _, (case,) = imported(tmp_path, row)
    assert len(case.pictures) == 2


@pytest.mark.parametrize("box", [[10, 10, 400, 30], [-30, 5, 20, 30]])
def test_a_box_far_out_of_its_picture_is_refused_and_not_cut(box: list[int], tmp_path: Path) -> None:
    rows = [ROW | {"boxes": [[1, 2, 30, 40]]} for _ in range(9)]
    report, cases = imported(tmp_path, *rows, ROW | {"boxes": [box]})
    assert (report.refused, len(cases)) == (1, 9)
    assert "box outside the picture" in report.first[0]


def test_a_column_given_twice_is_refused(tmp_path: Path) -> None:
    place = p.put(tmp_path / "t.csv", "id,question,answer,answer\n1,Is it?,yes,no\n")
    with pytest.raises(DataError, match="two columns called 'answer'"):
        import_cases("table", tmp_path / "out", place=place)


def test_a_list_with_bullets_is_one_of_options(tmp_path: Path) -> None:
    _, (case,) = imported(tmp_path, ROW | {"choices": "- cup\n- plate", "answer": "plate"})
    assert case.choices == ("cup", "plate")
