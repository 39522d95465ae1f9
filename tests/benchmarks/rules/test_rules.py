"""Every official rule against examples worked by hand, and the formulas that the benchmarks publish."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headscope.benchmarks import sphere, vsr
from headscope.benchmarks import whatsup as whatsup_source
from headscope.benchmarks.registry import rule, sources
from headscope.benchmarks.rule import Table
from headscope.data.schema import Case
from headscope.models.answers import parse_answer


def case(name: str, answer: str = "yes", choices: tuple[str, ...] = ("yes", "no"), **more: Any) -> Case:
    return Case(
        id=name, image="a.png", width=8, height=8, question="?", answer=answer, choices=choices, **more
    )


def scores(table: Table) -> dict[tuple[str, str], tuple[float | None, int]]:
    return {(r.score, r.group): (r.value, r.n) for r in table}


def told(cases: list[Case], right: str) -> dict[str, str]:
    """Answers that are right (1) or wrong (0), by position."""
    return {
        c.id: c.answer if ok == "1" else next(x for x in c.choices if x != c.answer)
        for c, ok in zip(cases, right, strict=True)
    }


@pytest.mark.parametrize(
    ("text", "options", "option"),
    [
        ("Yes.", ("yes", "no"), "yes"),
        ("True, it is.", ("yes", "no"), "yes"),
        ("no", ("true", "false"), "false"),
        ("(B)", ("the chair", "the desk"), "the desk"),
        ("b) the desk", ("the chair", "the desk"), "the desk"),
        ("The answer is: A.", ("the chair", "the desk"), "the chair"),
        ("It is the top left one", ("left", "top left"), "top left"),
        ("left or right", ("left", "right"), None),
        ("maybe left, maybe right", ("left", "right"), None),
        ("A man", ("dog", "cat"), None),
        ("A cat", ("dog", "cat"), "cat"),
        ("E", ("dog", "cat"), None),
        ("B", ("A", "B"), "B"),
        ("", ("yes", "no"), None),
        ("\ud800\x00", ("yes", "no"), None),
    ],
)
def test_answers_are_read_as_a_person_reads_them(
    text: str, options: tuple[str, ...], option: str | None
) -> None:
    assert parse_answer(text, options, lettered=True) == option


@given(text=st.text(max_size=40), options=st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=4))
def test_reading_gives_an_option_or_nothing(text: str, options: list[str]) -> None:
    assert parse_answer(text, options, lettered=True) in {*options, None}


# What the authors' own records call the answer, where their rule reads that.
CALLED: dict[str, dict[str, Any]] = {
    "mindcube": {"gt_answer": "A"},
    "mmsi": {"answer": "A"},
    "omnispatial": {"answer": 1},  # its rule takes what it cannot read for A
    "spatialviz": {"Answer": "A"},
    "viewspatial": {"answer": "A. yes"},
}


@pytest.mark.parametrize("name", sorted(sources()))
def test_no_answer_and_nonsense_are_wrong_under_every_rule(name: str) -> None:
    original = {"qid": "VIN6MS3J", "identifier": "1-0", "source": "COCO", "image_path": "a/x_left_of_y.jpeg"}
    whole = {"mask": {"size": [2, 2], "counts": [0, 4]}}
    one = case(
        "mazenav.vqa.1.2",
        answer="no" if name == "omnispatial" else "yes",
        choices=("yes", "no"),
        kind="position_only",
        original=original | whole | CALLED.get(name, {}),
    )
    found = rule(name)
    assert found.right([one], {}) == {one.id: False}
    assert found.right([one], {one.id: None}) == {one.id: False}
    assert found.right([one], {one.id: "?!"}) == {one.id: False}
    # A word, where the rule reads letters alone its letter, where it reads points a point.
    right = [t for t in ("yes", "A", "B", "(0.5, 0.5)") if found.right([one], {one.id: t}) == {one.id: True}]
    assert right
    for row in found([one], {one.id: right[0]}):
        assert row.value is None or 0 <= row.value <= 1


def test_vsr_is_counted_by_relation_and_meta_category() -> None:
    cases = [
        case(f"v{i}", "true", ("true", "false"), kind=k) for i, k in enumerate(["facing", "on", "in", "on"])
    ]
    table = scores(rule("vsr/zeroshot/dev")(cases, told(cases, "1101")))
    assert table["accuracy", "all"] == (0.75, 4)
    assert table["accuracy", "meta-category: Topological"] == (pytest.approx(2 / 3), 3)
    assert table["accuracy", "meta-category: Orientation"] == (1.0, 1)
    assert table["accuracy", "relation: in"] == (0.0, 1)
    assert table["accuracy", "relation: on"] == (1.0, 2)


def test_vsr_meta_categories_follow_the_official_file() -> None:
    assert vsr.meta_category("among") == "Unallocated"  # listed twice there; the last one wins
    assert vsr.meta_category("ahead of") == "Adjacency"
    assert vsr.meta_category("far away from") == "Proximity"
    assert vsr.meta_category("under the influence of") == ""


def test_nlvr_consistency_needs_all_pictures_of_a_sentence() -> None:
    names = ["1-0", "1-1", "1-2", "2-0", "3-0", "3-1"]
    cases = [case(f"n{n}", "true", ("true", "false"), original={"identifier": n}) for n in names]
    table = scores(rule("nlvr")(cases, told(cases, "110111")))
    assert table == {
        ("precision", "all"): (pytest.approx(5 / 6), 6),
        ("consistency", "all"): (pytest.approx(2 / 3), 3),
    }


def test_cvbench_is_half_and_half() -> None:
    """The card's formula: 1/2 ((ade + coco) / 2 + omni)."""
    sources = ["ADE20K"] * 4 + ["COCO"] * 2 + ["Omni3D"] * 5
    cases = [case(f"c{i}", original={"source": s}, kind="2D/Count") for i, s in enumerate(sources)]
    table = scores(rule("cvbench")(cases, told(cases, "1000" + "11" + "11100")))
    ade, coco, omni = 0.25, 1.0, 0.6
    assert table["CV-Bench accuracy", "all"][0] == pytest.approx(0.5 * ((ade + coco) / 2 + omni))
    assert table["accuracy", "2D"][0] == pytest.approx((ade + coco) / 2)
    assert table["accuracy", "Omni3D"] == (pytest.approx(omni), 5)


def test_cvbench_has_no_total_without_all_three_sources() -> None:
    cases = [case("c", original={"source": "COCO"})]
    table = scores(rule("cvbench")(cases, told(cases, "1")))
    assert table["CV-Bench accuracy", "all"][0] is None
    assert table["accuracy", "COCO"] == (1.0, 1)


def test_blink_counts_every_sub_task_alike() -> None:
    cases = [case(f"val_Counting_{i}", kind="Counting") for i in range(4)] + [
        case("val_x_1", kind="Relative_Depth")
    ]
    table = scores(rule("blink/Counting/val")(cases, told(cases, "10001")))
    assert table["mean of sub-tasks", "all"] == (pytest.approx((0.25 + 1.0) / 2), 2)


def whatsup(things: list[str]) -> list[Case]:
    return [
        case(
            f"whatsup-a-{i}-{form}",
            "right caption",
            ("right caption", "wrong caption"),
            kind=form.split("_")[0],
            original={"image_path": f"data/controlled_images/{thing}_{form}_table.jpeg"},
        )
        for i, thing in enumerate(things)
        for form in ("left_of", "right_of", "on", "under")
    ]


def test_whatsup_pairs_and_sets_need_all_of_their_members() -> None:
    cases = whatsup(["mug", "book", "cap"])
    table = scores(rule("whatsup/a")(cases, told(cases, "1111" + "1101" + "0110")))
    assert table["individual", "all"] == (pytest.approx(9 / 12), 12)
    assert table["pair", "all"] == (pytest.approx(3 / 6), 6)  # mug both, book left and right
    assert table["set", "all"] == (pytest.approx(1 / 3), 3)
    assert table["individual", "preposition: left"] == (pytest.approx(2 / 3), 3)


@given(st.lists(st.booleans(), min_size=8, max_size=8))
def test_whatsup_agrees_with_the_authors_counting(right: list[bool]) -> None:
    """Their loop over eval_dict, written with arrays: photographs are left, right, on, under."""
    cases = whatsup(["mug", "book"])
    table = scores(whatsup_source.table(cases, {c.id: ok for c, ok in zip(cases, right, strict=True)}))
    grid = np.array(right).reshape(2, 4)
    pairs = (grid[:, 0] & grid[:, 1]).sum() + (grid[:, 2] & grid[:, 3]).sum()
    assert table["pair", "all"][0] == pytest.approx(pairs * 100 / (8 / 2) / 100)
    assert table["set", "all"][0] == pytest.approx(grid.all(axis=1).sum() / 2)


def test_whatsup_pairs_of_captions_have_no_sets() -> None:
    cases = [case("whatsup-coco_two-0", "a", ("a", "b"), original={"row": [1, "a", "b"]}, kind="left")]
    assert {r.score for r in rule("whatsup/coco_two")(cases, told(cases, "1"))} == {"individual"}


def test_3dsrbench_forms_of_a_question_are_right_together() -> None:
    names = [
        f"{base}{flip}{turn}"
        for base, flip, turn in product(("VIN6MS3J", "AB12CD34"), ("", "-flip"), ("", "-1"))
    ]
    cases = [case(f"3dsr-{n}", original={"qid": n}, kind="height_higher") for n in names]
    # first question: mirror turned round is wrong; second: all right
    table = scores(rule("3dsrbench")(cases, told(cases, "1110" + "1111")))
    assert table["vanilla", "all"] == (pytest.approx(7 / 8), 8)
    assert table["Circular", "all"] == (pytest.approx(3 / 4), 4)  # each question and its mirror, all orders
    assert table["Flip", "all"] == (pytest.approx(3 / 4), 4)  # each order, question and mirror
    assert table["FlipCircular", "all"] == (pytest.approx(1 / 2), 2)
    assert table["Circular", "category: height"] == (pytest.approx(3 / 4), 4)


def test_sphere_counts_invalid_answers_as_wrong() -> None:
    cases = [case(f"p{i}", kind="position_only") for i in range(4)]
    answers = {"p0": "yes", "p1": "no", "p2": "I cannot tell", "p3": "yes or no? Hard to say"}  # p3: neither
    table = scores(rule("sphere/single_skill")(cases, answers))
    assert table["accuracy", "task: position_only"] == (pytest.approx(1 / 4), 4)
    assert table["validity", "all"] == (pytest.approx(2 / 4), 4)
    assert sphere.read(cases[2], "I cannot tell") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", "3"), ("There are three.", "3"), ("none", None), ("no cups", "0"), ("12 or 13", "12")],
)
def test_sphere_reads_the_first_number(text: str, number: str | None) -> None:
    assert sphere.read(case("c", "3", ()), text) == number


def test_sphere_average_is_that_of_the_authors_script() -> None:
    """main_process_results.py: counting is the mean of two; every group's mean joins the average."""
    accuracy = {
        "position_only": 0.5,
        "counting_only-paired-position_and_counting": 1.0,
        "counting_only-paired-distance_and_counting": 0.0,
        "distance_only": 1.0,
        "size_only": 0.5,
        "position_and_counting": 0.5,
        "distance_and_counting": 0.0,
        "distance_and_size": 1.0,
        "object_occlusion": 0.5,
        "object_manipulation": 0.0,
    }
    cases = [case(f"{kind}/{i}", kind=kind) for kind in accuracy for i in range(2)]
    right = "".join({0.0: "00", 0.5: "10", 1.0: "11"}[v] for v in accuracy.values())
    table = scores(rule("sphere")(cases, told(cases, right)))
    single = [0.5, (1.0 + 0.0) / 2, 1.0, 0.5]
    multi, reasoning = [0.5, 0.0, 1.0], [0.5, 0.0]
    values = [*single, np.mean(single), *multi, np.mean(multi), *reasoning, np.mean(reasoning)]
    assert table["average", "all"] == (pytest.approx(np.mean(values)), 12)
    assert table["mean of tasks", "group: single skill"][0] == pytest.approx(np.mean(single))


def test_sources_without_a_rule_get_accuracy_by_kind() -> None:
    cases = [case("a", kind="x"), case("b", kind="y")]
    assert scores(rule("nowhere/at/all")(cases, told(cases, "10"))) == {
        ("accuracy", "all"): (0.5, 2),
        ("accuracy", "kind: x"): (1.0, 1),
        ("accuracy", "kind: y"): (0.0, 1),
    }
