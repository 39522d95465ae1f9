"""Boxes of reviewers: drawn, moved, removed; checked, applied, and stale where somebody changed the thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reviewed import folder_of_cases, folder_of_two_pictures

from headscope.data.cases import Cases, load_cases
from headscope.data.checks import check_case
from headscope.data.schema import Case
from headscope.data.validation import validate
from headscope.errors import DataError
from headscope.making.review.applied_reviews import apply_reviews
from headscope.making.review.box_changes import BoxChange, boxed, mark_of_thing, new_id, thing_of
from headscope.making.review.verdicts import Reviews


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of_cases(tmp_path / "cases")


def opened(folder: Path, reviewer: str = "ann") -> tuple[Cases, Reviews]:
    cases = load_cases(folder)
    return cases, Reviews(cases, reviewer)


def boxes(folder: Path) -> dict[str, tuple[str, int, tuple[float, ...] | None]]:
    return {o.id: (o.name, o.picture, o.box) for o in load_cases(folder)[0].objects}


def test_boxes_become_what_was_drawn(folder: Path) -> None:
    cases, reviews = opened(folder)
    reviews.give_box(cases[0], "dog", [20, 5, 38, 20.5])
    reviews.give_box(cases[0], None, [1, 1, 9, 9], name=" Red cup ")
    done = apply_reviews(cases, "ann")
    assert (done.boxes, done.accepted, done.stale) == (2, 0, ())
    assert validate(folder) == []
    assert boxes(folder) == {
        "dog": ("dog", 0, (20, 5, 38, 20.5)),
        "horse": ("horse", 0, (2, 4.5, 18, 25)),
        "red-cup": ("Red cup", 0, (1, 1, 9, 9)),
    }
    assert load_cases(folder)[0].objects[0].attributes == {"colour": "brown"}
    assert load_cases(folder)[0].steps == cases[0].steps


def test_a_removed_box_leaves_its_thing_where_a_question_is_about_it(folder: Path) -> None:
    cases, reviews = opened(folder)
    reviews.give_box(cases[0], "horse", None)
    reviews.give_box(cases[0], None, [1, 1, 9, 9], name="cup")
    apply_reviews(cases, "ann")
    assert boxes(folder)["horse"] == ("horse", 0, None)  # the main question names it
    cases, reviews = opened(folder)
    reviews.give_box(cases[0], "cup", None)
    assert apply_reviews(cases, "ann").stale == ()
    assert "cup" not in boxes(folder)


def test_a_thing_without_a_box_gets_one_in_the_picture_it_was_drawn_in(tmp_path: Path) -> None:
    folder = folder_of_two_pictures(tmp_path / "cases")
    cases, reviews = opened(folder)
    reviews.give_box(cases[0], "spoon", [35, 2, 59, 19], 1)  # wider than the first picture
    with pytest.raises(DataError, match="box outside the picture"):
        reviews.give_box(cases[0], "spoon", [35, 2, 59, 19], 0)
    apply_reviews(cases, "ann")
    assert validate(folder) == []
    assert boxes(folder)["spoon"] == ("spoon", 1, (35, 2, 59, 19))


@pytest.mark.parametrize(
    ("thing", "box", "picture", "name", "message"),
    [
        ("cat", [1, 1, 2, 2], 0, "", "no thing 'cat'"),
        ("dog", [1, 1, 50, 9], 0, "", r"box outside the picture, found \(1, 1, 50, 9\)"),
        ("dog", [-1, 1, 5, 9], 0, "", "box outside the picture"),
        ("dog", [5, 1, 5, 9], 0, "", "empty box"),
        ("dog", [9, 9, 5, 5], 0, "", "inverted box"),
        ("dog", [float("nan"), 1, 5, 9], 0, "", "not finite"),
        ("dog", [1, 2, 3], 0, "", "expected four numbers"),
        ("dog", [1, 2, "3", 4], 0, "", "expected a number of pixels"),
        ("dog", [1, 1, 5, 9], 1, "", "no picture number 1; there are 1"),
        ("dog", [1, 1, 5, 9], True, "", "no picture number True"),
        ("dog", [22, 5, 38, 20], 0, "", "nothing is changed"),
        (None, [1, 1, 5, 9], 0, " ", "name: expected text"),
        (None, [1, 1, 5, 9], 0, "x" * 300, "name: expected text"),
        (None, [1, 1, 5, 9], 0, "\ud800", "half a character"),
        (None, None, 0, "cup", "nothing is changed"),
    ],
)
def test_a_box_that_would_break_the_case_is_refused(
    folder: Path, thing: str | None, box: list[float] | None, picture: int, name: str, message: str
) -> None:
    cases, reviews = opened(folder)
    with pytest.raises(DataError, match=message):
        reviews.give_box(cases[0], thing, box, picture, name)  # type: ignore[arg-type]
    assert reviews.boxes_of(cases[0]) == {}
    assert not reviews.folder.exists()


def test_a_box_of_a_thing_that_another_changed_since_does_not_count_and_is_named(folder: Path) -> None:
    (ann, hers), (bob, his) = opened(folder), opened(folder, "bob")
    hers.give_box(ann[0], "dog", [20, 5, 38, 20])
    hers.give_box(ann[0], None, [1, 1, 9, 9], name="cup")
    hers.give_box(ann[0], "horse", [3, 4.5, 18, 25])
    his.give_box(bob[0], "dog", [25, 5, 38, 20])
    his.give_box(bob[0], None, [2, 2, 8, 8], name="cup")
    his.give_box(bob[0], "horse", [3, 4.5, 18, 25])  # what ann wants too
    old = mark_of_thing(bob[0].objects[0])
    assert apply_reviews(ann, "ann").boxes == 3
    done = apply_reviews(bob, "bob")
    assert (done.boxes, done.stale) == (0, ("a/box of dog", "a/box of cup"))
    assert boxes(folder)["dog"][2] == (20, 5, 38, 20)
    assert boxes(folder)["cup"][2] == (1, 1, 9, 9)
    cases, reviews = opened(folder, "bob")
    with pytest.raises(DataError, match="somebody changed the thing 'dog' since it was shown"):
        reviews.give_box(cases[0], "dog", [25, 5, 38, 20], about=old)
    reviews.give_box(cases[0], "dog", [25, 5, 38, 20], about=mark_of_thing(cases[0].objects[0]))
    assert apply_reviews(cases, "bob").boxes == 1


def test_what_was_written_once_is_not_written_again_when_another_puts_the_box_back(folder: Path) -> None:
    cases, reviews = opened(folder)
    reviews.give_box(cases[0], "dog", [20, 5, 38, 20])
    apply_reviews(cases, "ann")
    cases, reviews = opened(folder, "bob")
    reviews.give_box(cases[0], "dog", [22, 5, 38, 20])
    apply_reviews(cases, "bob")
    done = apply_reviews(load_cases(folder), "ann")
    assert (done.boxes, done.stale) == (0, ())
    assert boxes(folder)["dog"][2] == (22, 5, 38, 20)


def test_boxes_and_verdicts_of_one_case_stand_side_by_side(folder: Path) -> None:
    cases, reviews = opened(folder)
    reviews.give(cases[0], "s1", "accept")
    name, change = reviews.give_box(cases[0], None, [1, 1, 9, 9], name="cup")
    reviews.give(cases[0], "s3", "reject")
    assert (name, reviews.boxes_of(cases[0])) == ("cup", {"cup": change})
    reviews.take_back(cases[0], "s1")
    reviews.give_box(cases[0], "cup", [1, 1, 9, 8])  # its name stays
    assert set(reviews.of(cases[0])) == {"s3"}
    assert reviews.boxes_of(cases[0])["cup"] == BoxChange("", "cup", 0, (1, 1, 9, 8))
    reviews.take_back_box(cases[0], "cup")
    assert reviews.boxes_of(cases[0]) == {}
    assert set(reviews.of(cases[0])) == {"s3"}


def test_two_new_things_of_one_name_are_two(folder: Path) -> None:
    cases, reviews = opened(folder)
    names = [reviews.give_box(cases[0], None, [1, 1, 9, 9 + i], name="Cup")[0] for i in range(3)]
    assert names == ["cup", "cup-2", "cup-3"]
    assert new_id("杯", {"thing"}) == "thing-2"


corners = st.lists(st.integers(-5, 45), min_size=4, max_size=4)


@given(st.dictionaries(st.sampled_from(["dog", "horse", "cup"]), corners, max_size=3))
def test_whatever_is_accepted_leaves_a_case_without_fault(wanted: dict[str, list[int]]) -> None:
    from made_cases import record

    case = Case.model_validate(record("a"))
    changes = {
        name: BoxChange("", name, 0, (float(b[0]), float(b[1]), float(b[2]), float(b[3])))
        for name, b in wanted.items()
        if 0 <= b[0] < b[2] <= 40 and 0 <= b[1] < b[3] <= 30 and max(b) > 1
    }
    after = boxed(case, changes)
    assert list(check_case(after.model_dump(), None)) == []
    for name, change in changes.items():
        thing = thing_of(after, name)
        assert thing is not None
        assert thing.box == change.box
