"""Verdicts: kept at once, applied as said, refused where they would break a case; agreement as published."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reviewed import folder_of_cases
from sklearn.metrics import cohen_kappa_score

from headscope.data.cases import load_cases
from headscope.data.validation import validate
from headscope.errors import DataError, StoreError
from headscope.making.review.applied_reviews import agreement, apply_reviews, cohen_kappa, reviewers_of
from headscope.making.review.verdicts import Reviews, mark_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of_cases(tmp_path / "cases")


def test_verdicts_change_the_cases_as_said(folder: Path) -> None:
    cases = load_cases(folder)
    reviews = Reviews(cases, "ann")
    a, b = cases
    reviews.give(a, "s1", "accept")
    reviews.give(a, "s2", "fix", {"answer": "bottom right", "question": "Where is this dog?"})
    reviews.give(a, "s3", "reject")
    reviews.give(a, "main", "fix", {"question": "Does the dog face the horse?"})
    reviews.give(b, "s3", "fix", {"answer": "left"})
    done = apply_reviews(cases, "ann")
    assert (done.accepted, done.fixed, done.rejected, done.cases_left_out) == (1, 3, 1, 0)
    assert validate(folder) == []
    a, b = load_cases(folder)
    assert [s.id for s in a.steps] == ["s1", "s2", "s4"]
    assert a.steps[0].origin == "reviewed"
    assert (a.steps[1].answer, a.steps[1].choices) == ("bottom right", ("left", "right", "bottom right"))
    assert a.steps[1].question == "Where is this dog?"
    assert a.steps[2].depends_on == ("s2",)  # it rested on the rejected step too
    assert a.question == "Does the dog face the horse?"
    assert (b.steps[2].answer, b.steps[2].origin) == ("left", "reviewed")


def test_a_case_whose_main_question_is_rejected_is_kept_aside(folder: Path) -> None:
    cases = load_cases(folder)
    Reviews(cases, "ann").give(cases[1], "main", "reject")
    assert apply_reviews(cases, "ann").cases_left_out == 1
    assert [c.id for c in load_cases(folder)] == ["a"]
    assert '"id":"b"' in (folder / "reviews" / "rejected.jsonl").read_text()
    cases = load_cases(folder)
    Reviews(cases, "ann").give(cases[0], "main", "reject")
    with pytest.raises(DataError, match="rejected every case"):
        apply_reviews(cases, "ann")
    assert len(load_cases(folder)) == 1


def test_a_verdict_on_other_words_does_not_count(folder: Path) -> None:
    cases = load_cases(folder)
    Reviews(cases, "ann").give(cases[0], "s2", "accept")
    text = (folder / "cases.jsonl").read_text().replace("Where is the dog?", "Where is the cat?", 1)
    (folder / "cases.jsonl").write_text(text)
    changed = load_cases(folder)
    assert Reviews(changed, "ann").of(changed[0]) == {}


def test_accepting_an_unanswered_step_does_not_answer_it(folder: Path) -> None:
    cases = load_cases(folder)
    Reviews(cases, "ann").give(cases[1], "s3", "accept")
    apply_reviews(cases, "ann")
    assert load_cases(folder)[1].steps[2].origin == "unanswered"


@pytest.mark.parametrize(
    ("step", "ruling", "change", "message"),
    [
        ("s9", "accept", None, "no step 's9'"),
        ("s1", "love", None, "ruling 'love'"),
        ("s1", "fix", {}, "nothing is changed"),
        ("s1", "fix", {"question": " "}, "question: empty"),
        ("s2", "fix", {"function": "magic"}, "unknown function"),
        ("s2", "fix", {"origin": "given"}, "asked to change 'origin'"),
        ("s2", "fix", {"answer": "x" * 3000}, "at most 2000"),
        ("s2", "fix", {"answer": "\ud800"}, "half a character"),
        ("main", "fix", {"answer": ""}, "answer: empty"),
    ],
)
def test_a_verdict_that_would_break_the_case_is_refused(
    folder: Path, step: str, ruling: str, change: dict[str, str] | None, message: str
) -> None:
    cases = load_cases(folder)
    reviews = Reviews(cases, "ann")
    with pytest.raises(DataError, match=message):
        reviews.give(cases[0], step, ruling, change)
    assert reviews.of(cases[0]) == {}


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 50, "a b"])
def test_a_reviewer_is_a_plain_word(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match="reviewer"):
        Reviews(load_cases(folder), name)


def test_two_reviewers_are_compared_on_what_both_judged(folder: Path) -> None:
    cases = load_cases(folder)
    ann, bob = Reviews(cases, "ann"), Reviews(cases, "bob")
    for step in ("s1", "s2", "s3", "s4"):
        ann.give(cases[0], step, "accept")
    bob.give(cases[0], "s1", "accept")
    bob.give(cases[0], "s2", "fix", {"answer": "left"})
    bob.give(cases[0], "s3", "accept")
    rows = {r.function: r for r in agreement(cases, "ann", "bob")}
    assert rows["all"].n == 3
    assert rows["all"].same == pytest.approx(2 / 3)
    assert rows["all"].answers == pytest.approx(2 / 3)
    assert rows["spatial_perception"].same == 0
    assert rows["object_recognition"].kappa is None  # both said one and the same thing throughout
    assert reviewers_of(folder) == ["ann", "bob"]


def test_kappa_is_that_of_the_textbook() -> None:
    one = ["yes"] * 25 + ["no"] * 25  # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: kappa 0.4
    other = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(one, other) == pytest.approx(0.4)


@given(st.lists(st.tuples(*[st.sampled_from(["accept", "fix", "reject"])] * 2), min_size=2, max_size=30))
def test_kappa_is_that_of_sklearn(pairs: list[tuple[str, str]]) -> None:
    one, other = [list(side) for side in zip(*pairs, strict=True)]
    found = cohen_kappa(one, other)
    if found is None:
        assert len({*one, *other}) == 1
    else:
        assert found == pytest.approx(cohen_kappa_score(one, other))


def test_a_fix_that_another_reviewer_wrote_meanwhile_stays(folder: Path) -> None:
    ann, bob = load_cases(folder), load_cases(folder)  # both open
    Reviews(ann, "ann").give(ann[0], "s2", "fix", {"answer": "left"})
    Reviews(bob, "bob").give(bob[0], "s3", "fix", {"answer": "right"})
    assert apply_reviews(ann, "ann").fixed == 1
    done = apply_reviews(bob, "bob")
    assert (done.fixed, done.stale) == (1, ())
    answers = {s.id: s.answer for s in load_cases(folder)[0].steps}
    assert (answers["s2"], answers["s3"]) == ("left", "right")


def test_a_verdict_on_words_that_another_changed_since_does_not_count_and_is_named(folder: Path) -> None:
    ann, bob = load_cases(folder), load_cases(folder)
    Reviews(ann, "ann").give(ann[0], "s2", "fix", {"answer": "left"})
    Reviews(ann, "ann").give(ann[0], "s3", "accept")
    Reviews(bob, "bob").give(bob[0], "s2", "accept")  # the answer as it was
    Reviews(bob, "bob").give(bob[0], "s3", "accept")  # what ann says too
    apply_reviews(ann, "ann")
    done = apply_reviews(bob, "bob")
    assert done.stale == ("a/s2",)
    assert load_cases(folder)[0].steps[1].answer == "left"
    now = load_cases(folder)
    old = mark_of(bob[0].steps[1])
    with pytest.raises(DataError, match="somebody changed step 's2' since it was shown; look at it again"):
        Reviews(now, "bob").give(now[0], "s2", "accept", about=old)
    Reviews(now, "bob").give(now[0], "s2", "accept", about=mark_of(now[0].steps[1]))
    assert apply_reviews(now, "bob").stale == ()


@pytest.mark.parametrize("content", ["[]", "{}", '{"verdicts": {"s1": 3}}', '{"verdicts": {"s1": {"a": 1}}}'])
def test_a_file_of_verdicts_that_was_edited_is_refused_by_name(folder: Path, content: str) -> None:
    cases = load_cases(folder)
    reviews = Reviews(cases, "ann")
    reviews.give(cases[0], "s1", "accept")
    (file,) = reviews.folder.iterdir()
    file.write_text(content)
    with pytest.raises(StoreError, match=file.name):
        reviews.of(cases[0])
