"""Mirror images as pairs: sides swap, nothing else does; what is not known is left out with the reason."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headscope.data.cases import load_cases
from headscope.data.schema import Step
from headscope.data.validation import inspect
from headscope.functions import DEFAULT
from headscope.making.pairs.mirror import mirror_answer, mirror_pairs
from headscope.making.scenes.generate import draw_scenes

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def asked(
    question: str, answer: str, choices: tuple[str, ...] = (), function: str = "relational_reasoning"
) -> Step:
    return Step(id="s1", question=question, answer=answer, choices=choices, function=function)


@pytest.mark.parametrize(
    ("question", "answer", "choices", "there"),
    [
        ("Where is the dog?", "left", ("left", "right"), "right"),
        ("Where is the dog?", "Top Left", (), "Top Right"),
        ("Where is the dog?", "top", ("top", "top left"), "top"),
        ("Which way does it look?", "LEFT", (), "RIGHT"),
        ("On which side is it?", "the left-hand side", (), "the right-hand side"),
        ("The cat is left of the dog.", "True", ("True", "False"), "False"),
        ("Is the cat on the right of the dog?", "yes", (), "no"),
        ("Is the dog facing the horse?", "yes", ("yes", "no"), "yes"),
        ("What colour is the cup?", "red", (), "red"),
        ("How many cups are there?", "3", (), "3"),
        ("Is it bright?", "yes", (), "yes"),
    ],
)
def test_the_answer_in_the_mirror(question: str, answer: str, choices: tuple[str, ...], there: str) -> None:
    assert mirror_answer(asked(question, answer, choices)) == (there, "")


@pytest.mark.parametrize(
    ("question", "answer", "choices", "reason"),
    [
        ("Is the cat left of the dog?", "no", (), "false statement"),
        ("What is left of the dog?", "the cat", (), "another thing"),
        ("Which way does the left one look?", "left", (), "both name a side"),
        ("Where is it?", "left", ("left", "middle"), "none of the choices"),
        ("What letter is on the sign?", "A", (), "letters"),
        ("Does it turn clockwise?", "yes", (), "turns"),
    ],
)
def test_what_is_not_known_is_left_out(
    question: str, answer: str, choices: tuple[str, ...], reason: str
) -> None:
    found, said = mirror_answer(asked(question, answer, choices))
    assert found is None
    assert reason in said


@given(st.sampled_from(["left", "right", "top left", "bottom right", "middle", "red", "the right one"]))
def test_two_mirrors_give_the_answer_back(answer: str) -> None:
    once, _ = mirror_answer(asked("Where is it?", answer))
    assert once is not None
    assert mirror_answer(asked("Where is it?", once))[0] == answer


def test_the_answers_of_mirrored_scenes_are_those_of_their_boxes(tmp_path: Path) -> None:
    cases = draw_scenes(tmp_path / "scenes", 12, seed=5)
    found = mirror_pairs(cases, tmp_path / "pairs")
    assert found.pairs is not None
    assert inspect(found.pairs.cases.folder, DEFAULT, keep=False, decode=True).faults == []
    swapped = 0
    for pair in found.pairs:
        first, second = (found.pairs.cases.by_id[c] for c in (pair.first, pair.second))
        before, after = (np.asarray(found.pairs.cases.image(c)) for c in (first, second))
        assert (before[:, ::-1] == after).all()
        one, other = found.pairs.asked(pair)
        if one.function == "spatial_perception":
            box = second.object(other.objects[0]).box
            assert box is not None
            third = int((box[0] + box[2]) / 2 // (second.width / 3))
            assert ("left" in other.answer, "right" in other.answer) == (third == 0, third == 2)
            swapped += one.answer != other.answer
        assert pair.control == (one.answer == other.answer)
    assert swapped > 5
    assert {p.control for p in found.pairs} == {True, False}
    assert found.left_out["letters and turns have no known answer in a mirror"] >= 0


@pytest.mark.skipif(not (SHARED / "vsr_photos").is_dir(), reason="../shared/data/vsr_photos is not there")
def test_photographs_of_vsr_give_pairs_and_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headscope.cli import main

    source = SHARED / "vsr_photos"
    words = ["import", "vsr", "--from", source / "dev_half.jsonl", "--images", source / "images"]
    monkeypatch.setattr(sys, "argv", ["headscope", "data", *map(str, words), "--out", str(tmp_path / "vsr")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    found = mirror_pairs(load_cases(tmp_path / "vsr"), tmp_path / "pairs", ("main",))
    assert found.pairs is not None
    sides = [p for p in found.pairs if not p.control]
    assert len(sides) >= 3, "statements of a side that hold"
    for pair in sides:
        one, other = found.pairs.asked(pair)
        assert "left" in one.question or "right" in one.question
        assert (one.answer, other.answer) == ("true", "false")
    assert found.left_out["a false statement about a side may be false in the mirror too"] >= 1
