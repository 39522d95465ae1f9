"""What the playground shows is what the library gives, and nothing of one request reaches another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playing import embedded_playground, state_of

import headscope as hs
from headscope.edits.means import Direction
from headscope.errors import DataError, EditError, HeadscopeError
from headscope.experiments.controls import draw
from headscope.models.geometry import heads_of
from headscope.play.opening import open_playground
from headscope.play.picture_shelf import PictureShelf
from headscope.play.play_requests import DrawRequest, HeadRequest, PictureChoice
from headscope.play.playground import Playground

HEADS = ("L3H5", "L4H0", "L5H1")
PLAYGROUND = embedded_playground
LOOK = {"colour": "red", "size": "big", "x": 1, "y": 1}


def logprobs(shown: Any) -> dict[str, float]:
    return {c.choice: c.logprob for c in shown.choices}


@pytest.mark.parametrize("number", [0, 1, 4])
def test_answers_are_those_of_the_library_under_the_same_pointing_and_edit(number: int) -> None:
    playground, boxes = PLAYGROUND(), ((10.0, 20.0, 90.0, 120.0),)
    state = state_of(
        number, boxes=boxes, style="both", edit={"heads": HEADS, "action": "scale", "factor": 0.3}
    )
    found = playground.answers(state)
    picture = playground.shelf.image(state.picture)
    plain = playground.vlm.answer(picture, state.question, choices=state.choices)
    with hs.edit(playground.vlm, HEADS, hs.scale(0.3)):
        pointed = hs.point("both", picture, boxes).image
        changed = playground.vlm.answer(pointed, state.question, choices=state.choices)
    assert (found.plain.text, found.plain.answer) == (plain.text.strip(), plain.parsed)
    assert logprobs(found.plain) == plain.logprobs
    assert logprobs(found.changed) == changed.logprobs != plain.logprobs
    assert sum(c.share for c in found.changed.choices if c.share) == pytest.approx(1)


def test_an_edit_at_the_last_position_is_another_than_at_all() -> None:
    everywhere, last = (
        PLAYGROUND().answers(state_of(edit={"heads": HEADS, "scope": scope})) for scope in ("all", "last")
    )
    assert logprobs(everywhere.changed) != logprobs(last.changed)


def test_steering_adds_the_direction_that_the_study_gave() -> None:
    plain = PLAYGROUND()
    vectors = np.random.default_rng(0).normal(size=(len(plain.vlm.geometry.heads), 24))
    playground = Playground(plain.vlm, PictureShelf(), directions={"counting": Direction(vectors, 9, 9)})
    state = state_of(edit={"heads": HEADS, "action": "steer", "factor": 2.0, "function": "counting"})
    with hs.edit(plain.vlm, HEADS, hs.add(vectors, 2.0)):
        wanted = plain.vlm.answer(plain.shelf.image(state.picture), state.question, choices=state.choices)
    assert logprobs(playground.answers(state).changed) == wanted.logprobs


def test_steering_without_a_study_says_what_it_needs() -> None:
    state = state_of(edit={"heads": HEADS, "action": "steer", "function": "counting"})
    with pytest.raises(EditError, match=r"headscope play --study STUDY"):
        PLAYGROUND().answers(state)


def test_the_map_is_the_gradient_of_the_margin_times_z() -> None:
    # By finite differences: a head turned down by a hundredth lowers the margin by a hundredth of its effect.
    playground, state, small = PLAYGROUND(), state_of(1), 0.01
    found = playground.head_effects(state)
    picture = playground.shelf.image(state.picture)

    def margin() -> float:
        scores = playground.vlm.answer(picture, state.question, choices=state.choices).logprobs
        return scores[found.answer] - max(v for k, v in scores.items() if k != found.answer)

    assert found.margin == pytest.approx(margin(), abs=1e-4)
    for index in np.argsort(np.abs(found.effects))[-5:]:
        head = playground.vlm.geometry.heads[index]
        with hs.edit(playground.vlm, [head], hs.scale(1 - small)):
            down = margin()
        with hs.edit(playground.vlm, [head], hs.scale(1 + small)):
            up = margin()
        assert (up - down) / (2 * small) == pytest.approx(found.effects[index], rel=0.02, abs=2e-3)


def test_attention_is_that_of_the_reading() -> None:
    playground, state = PLAYGROUND(), state_of(2)
    found = playground.attention(HeadRequest(state=state, head="L3H5"))
    seen = hs.read(playground.vlm, playground.shelf.image(state.picture), state.question).attention("L3H5")
    assert np.array(found.weights) == pytest.approx(seen.weights.values[0], abs=1e-5)
    assert found.area == seen.area


def test_random_sets_are_matched_layer_by_layer_and_edited_alike() -> None:
    playground, state = PLAYGROUND(), state_of(3, edit={"heads": HEADS})
    found = playground.random_sets(DrawRequest(state=state, draws=5, seed=3))
    sets = draw(playground.vlm.geometry, heads_of(HEADS), 5, 3).draws
    assert found.layer_matched
    picture = playground.shelf.image(state.picture)
    for shown, some in zip(found.answers, sets, strict=True):
        assert sorted(h.layer for h in some) == [3, 4, 5]
        with hs.edit(playground.vlm, some, hs.mute()):
            wanted = playground.vlm.answer(picture, state.question, choices=state.choices)
        assert logprobs(shown) == wanted.logprobs


def test_random_sets_of_no_heads_are_refused() -> None:
    with pytest.raises(EditError, match="click some"):
        PLAYGROUND().random_sets(DrawRequest(state=state_of()))


def test_a_case_is_asked_step_by_step_and_the_verdict_is_not_put_before_the_question() -> None:
    playground, state = PLAYGROUND(), state_of(0)
    case = playground.shelf.case(state.picture)
    assert case
    found = playground.steps(state)
    assert [s.question for s in found.steps] == [*(s.question for s in case.steps), case.question]
    assert [s.truth for s in found.steps[:-1]] == [s.answer for s in case.steps]
    picture, turns = playground.shelf.image(state.picture), []
    for step, shown in zip(case.steps, found.steps, strict=False):
        said = playground.vlm.answer(picture, step.question, turns, step.choices).text.strip()
        assert shown.plain == said
        turns.append((step.question, said))
    before = [t for t in turns if "lead" not in t[0] and not t[0].startswith("So ")]  # the two conclusions
    last = playground.vlm.answer(picture, case.question, before, case.choices)
    assert found.steps[-1].plain == last.text.strip()


def test_a_step_is_asked_after_the_steps_before_it() -> None:
    playground = PLAYGROUND()
    case = playground.shelf.case(state_of(0).picture)
    assert case
    found = playground.steps(state_of(0, question=case.steps[3].question, choices=case.steps[3].choices))
    assert [s.question for s in found.steps] == [s.question for s in case.steps[:4]]
    assert found.steps[-1].truth == case.steps[3].answer


def test_a_question_of_ones_own_gets_steps_by_rules_and_no_invented_truth() -> None:
    scene = {
        "source": "scene",
        "things": [
            {"kind": "dog", "colour": "red", "size": "big", "facing": "left", "x": 50, "y": 90},
            {"kind": "apple", "colour": "green", "size": "big", "x": 140, "y": 90},
        ],
    }
    state = state_of(
        picture=scene, question="Is the dog to the left of the apple?", choices=("true", "false")
    )
    found = PLAYGROUND().steps(state)
    assert found.reason == ""
    assert len(found.steps) > 2
    assert found.steps[-1].truth == found.steps[-2].truth == ""
    assert {s.truth for s in found.steps if s.question.startswith("Is there")} == {"yes"}


def test_a_question_that_the_rules_do_not_know_says_so() -> None:
    found = PLAYGROUND().steps(state_of(question="How do you do?"))
    assert not found.steps
    assert found.reason.startswith("the rules make no steps of this question: ")


def test_requests_side_by_side_leak_nothing_into_each_other() -> None:
    playground = PLAYGROUND()
    edits: list[dict[str, Any]] = [
        {},
        {"heads": HEADS},
        {"heads": HEADS[:1], "action": "scale", "factor": 4},
        {"heads": [str(h) for h in playground.vlm.geometry.heads]},
    ]
    wanted = [playground.answers(state_of(1, edit=edit)).changed for edit in edits]
    faults: list[object] = []

    def one(number: int) -> None:
        for turn in range(6):
            which = (number + turn) % len(edits)
            found = playground.answers(state_of(1, edit=edits[which])).changed
            if found != wanted[which]:
                faults.append((which, found))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len({str(w) for w in wanted}) == len(wanted)


def test_a_refused_edit_leaves_the_model_as_it_was() -> None:
    playground = PLAYGROUND()
    before = playground.answers(state_of(1)).plain
    with pytest.raises(HeadscopeError, match="L99H0"):
        playground.answers(state_of(1, edit={"heads": ["L99H0"]}))
    assert playground.answers(state_of(1)).changed == before


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ({"source": "example", "id": "none"}, "there is no example 'none' here"),
        ({"source": "case", "id": "x"}, "run headscope play with the same --study"),
        ({"source": "upload", "id": "x"}, "choose the file once more"),
        (
            {
                "source": "scene",
                "things": [{"kind": "troll", "colour": "red", "size": "big", "x": 1, "y": 1}],
            },
            "no drawing of a 'troll'",
        ),
        (
            {"source": "scene", "things": [{"kind": "dog", "colour": "red", "size": "big", "x": 1, "y": 1}]},
            "a dog faces 'left' or 'right'",
        ),
    ],
)
def test_a_picture_that_is_not_there_is_refused_in_words(picture: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        PLAYGROUND().answers(state_of(picture=PictureChoice.model_validate(picture)))


def test_uploads_are_kept_by_content_and_the_oldest_give_way(tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    shelf, keys = PictureShelf(), []
    for number in range(70):
        data = BytesIO()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(data, "PNG")
        keys.append(shelf.upload(data.getvalue())[0])
        assert shelf.upload(data.getvalue())[0] == keys[-1]
    assert shelf.image(PictureChoice(source="upload", id=keys[-1])).getpixel((0, 0)) == (69, 0, 0)
    with pytest.raises(DataError, match="once more"):
        shelf.image(PictureChoice(source="upload", id=keys[0]))


def test_a_model_beside_a_study_is_refused(tmp_path: Path) -> None:
    for option in ("model", "device", "dtype"):
        with pytest.raises(HeadscopeError, match=f"--{option} x: a study has its own"):
            open_playground(study=tmp_path, **{option: "x"})  # type: ignore[arg-type]


def test_another_model_has_no_atlas_and_answers_all_the_same(tiny: hs.VLM) -> None:
    playground = Playground(tiny, PictureShelf(), name="tiny")
    state = state_of(edit={"heads": ["L0H1"]})
    found = playground.answers(state)
    assert logprobs(found.plain) != logprobs(found.changed)
    assert len(playground.head_effects(state).effects) == len(tiny.geometry.heads)
