"""Pairs of scenes differ in one fact: everything else is the same, pixel by pixel and word by word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.data.validation import inspect
from headscope.errors import DataError
from headscope.functions import DEFAULT
from headscope.making.pairs.scenes import FACTS, draw_pairs, one_pair
from headscope.making.pairs.schema import Pairs, check_pairs, load_pairs
from headscope.making.scenes.scene import PLACES, THIRD

FUNCTIONS = {
    "place": "spatial_perception",
    "facing": "orientation_perception",
    "colour": "attribute_perception",
    "size": "attribute_perception",
    "letter": "text_reading",
    "count": "counting",
    "further": "relational_reasoning",
    "higher": "relational_reasoning",
    "nearer": "relational_reasoning",
    "presence": "object_recognition",
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return draw_pairs(tmp_path_factory.mktemp("pairs") / "drawn", 10, seed=3)


@given(st.sampled_from(sorted(FACTS)), st.integers(0, 40), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_all_pixels_outside_the_changed_things_are_the_same(fact: str, number: int, seed: int) -> None:
    pair, cases, scenes = one_pair(fact, number, seed, of=number + 1)
    pictures = [scene.render().astype(int) for scene in scenes]
    touched = np.zeros(pictures[0].shape[:2], bool)
    for case in cases:
        for name in pair.changed:
            box = next((o.box for o in case.objects if o.id == name), None)
            if box is not None:
                x0, y0, x1, y1 = map(int, box)
                touched[y0:y1, x0:x1] = True
    differs = (pictures[0] != pictures[1]).any(axis=2)
    assert differs.any()
    assert not differs[~touched].any()
    assert cases[0].question == cases[1].question
    assert cases[0].answer != cases[1].answer


def test_the_answers_are_those_of_the_boxes_and_attributes(pairs: Pairs) -> None:
    for pair in pairs:
        for name in (pair.first, pair.second):
            case = pairs.cases.by_id[name]
            step = pairs.question_of(case, pair)
            assert step.function == pair.function == FUNCTIONS[pair.fact]
            about = [case.object(o) for o in step.objects]
            centres = [
                ((o.box[0] + o.box[2]) / 2, (o.box[1] + o.box[3]) / 2) for o in about if o.box is not None
            ]
            if pair.fact == "place":
                ((x, y),) = centres
                assert step.answer == PLACES[int(y // THIRD)][int(x // THIRD)]
            elif pair.fact in ("facing", "colour", "size", "letter"):
                assert step.answer == about[0].attributes[pair.fact]
            elif pair.fact == "count":
                assert int(step.answer) == sum(o.name == about[0].name for o in case.objects) == len(about)
            elif pair.fact == "presence":
                assert step.answer == ("yes" if about[0].box else "no")
            elif pair.fact == "nearer":
                x, y, z = (np.array(c) for c in centres)
                assert step.answer == ("yes" if np.linalg.norm(x - z) < np.linalg.norm(y - z) else "no")
            else:
                axis = 0 if pair.fact == "further" else 1
                low = any(word in step.question.split() for word in ("left", "left,", "higher", "higher,"))
                chosen = (min if low else max)(range(2), key=lambda i: centres[i][axis])
                assert step.answer == about[chosen].name


def test_every_answer_comes_up_about_as_often_as_any_other(tmp_path: Path) -> None:
    made = draw_pairs(tmp_path / "many", 36, seed=1, facts=("place", "facing", "presence", "further"))
    for fact in ("facing", "presence"):
        said = Counter(made.asked(p)[0].answer for p in made if p.fact == fact)
        assert len(said) == 2
        assert min(said.values()) >= 9, "neither answer is always the first picture's"
    places = Counter(s.answer for p in made if p.fact == "place" for s in made.asked(p))
    assert len(places) == 9
    assert max(places.values()) <= 16
    words = Counter("left" in made.asked(p)[0].question for p in made if p.fact == "further")
    assert words[True] == words[False]


def test_both_cases_of_a_pair_are_in_one_split_and_splits_have_their_shares(pairs: Pairs) -> None:
    splits = Counter((p.fact, pairs.cases.splits[p.first]) for p in pairs)
    assert all(pairs.cases.splits[p.first] == pairs.cases.splits[p.second] for p in pairs)
    for fact in FACTS:
        assert (splits[fact, "fit"], splits[fact, "select"], splits[fact, "test"]) == (6, 2, 2)


def test_the_folder_is_one_of_cases_without_a_fault_and_reads_back(pairs: Pairs) -> None:
    found = inspect(pairs.cases.folder, DEFAULT, keep=False, decode=True)
    assert [str(f) for f in found.faults] == []
    again = load_pairs(pairs.cases.folder)
    assert (again.pairs, again.cases.cases) == (pairs.pairs, pairs.cases.cases)


def test_the_same_seed_gives_the_same_pairs(pairs: Pairs, tmp_path: Path) -> None:
    again = draw_pairs(tmp_path / "again", 10, seed=3)
    assert again.pairs == pairs.pairs
    assert again.cases.cases == pairs.cases.cases
    case = pairs.cases[0]
    assert (tmp_path / "again" / case.image).read_bytes() == pairs.cases.image_path(case).read_bytes()


def _with(pairs: Pairs, **changed: object) -> Pairs:
    return Pairs(pairs.cases, (pairs[0].model_copy(update=changed), *pairs.pairs[1:]))


FAULTS = {
    "expected the same answer": lambda p: _with(p, control=True),
    "no case 'x'": lambda p: _with(p, second="x"),
    "no question 's9'": lambda p: _with(p, question="s9"),
    "two pairs have this id": lambda p: _with(p, id=p[1].id),
    "one question needed": lambda p: _with(p, second=p[11].second),
    "two different answers": lambda p: _with(p, second=p[0].first),
}


@pytest.mark.parametrize("said", FAULTS)
def test_what_is_no_pair_is_refused(said: str, pairs: Pairs) -> None:
    with pytest.raises(DataError, match=said):
        check_pairs(FAULTS[said](pairs))


def test_a_line_that_is_no_pair_is_refused_with_its_place(pairs: Pairs, tmp_path: Path) -> None:
    made = draw_pairs(tmp_path / "one", 1, facts=("facing",))
    file = made.cases.folder / "pairs.jsonl"
    whole = file.read_text("utf-8")
    file.write_text(whole.replace('"function"', '"fonction"'), "utf-8")
    with pytest.raises(DataError, match=r"pairs\.jsonl:2: function: Field required"):
        load_pairs(made.cases.folder)
    file.unlink()
    with pytest.raises(DataError, match="headscope data pairs"):
        load_pairs(made.cases.folder)


def test_numbers_and_facts_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"asked for facts shape; there are place, facing"):
        draw_pairs(tmp_path / "a", 1, facts=("shape",))
    with pytest.raises(DataError, match="asked for 0 pairs"):
        draw_pairs(tmp_path / "b", 0)
