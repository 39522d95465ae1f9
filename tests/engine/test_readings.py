from __future__ import annotations

import numpy as np
import pytest

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.edits.edits import Edit, add, edit, mute, scale
from headscope.engine import engine as engines
from headscope.engine.readings import Reader, Reading
from headscope.experiments.items import choose_items, open_readers
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.storage import Ledger

SETS = [(Head(0, 1),), (Head(1, 0), Head(2, 3)), (), (Head(0, 2), Head(1, 2)), (Head(2, 0),)]


@pytest.fixture
def items(cases, splits):
    return choose_items(cases, splits, "test", DEFAULT, 5, 0, ("alone", "gold"))


def naive(vlm, cases, items, heads=(), what=None, tokens=8):
    """Every item asked alone, the edit held by the public context manager."""
    rows = []
    for item in items:
        encoded = encode_batch(vlm, [item], lambda i: cases.image(i.case))
        with edit(vlm, heads, what or mute()):
            rows += ask(vlm, encoded, [item], max_new_tokens=tokens).rows
    return rows


def reader(vlm, cases, items, folder, **knobs):
    return Reader(vlm, items, lambda i: cases.image(i.case), Ledger(folder, {}), **knobs)


@pytest.mark.parametrize("name", ["spatial_perception", "counting", "main@gold", "main@alone"])
def test_readings_equal_every_item_asked_alone(vlm, cases, items, tmp_path, name):
    made = reader(vlm, cases, items[name], tmp_path, batch_size=3)
    clean = naive(vlm, cases, items[name])
    np.testing.assert_allclose(made.clean.margin, [r["margin"] for r in clean], atol=2e-4)
    assert made.clean.correct.tolist() == [float(r["correct"]) for r in clean]
    heads = (Head(0, 1), Head(1, 0))
    expected = naive(vlm, cases, items[name], heads)
    np.testing.assert_allclose(
        made.read(Edit(heads, mute())).margin, [r["margin"] for r in expected], atol=2e-4
    )


@pytest.mark.parametrize("scope", ["all", "question", "answer"])
def test_many_head_sets_in_one_forward_equal_one_run_each(vlm, cases, items, tmp_path, scope):
    sets = [tuple(h for h in heads if h.layer < 2) for heads in SETS[:4]]
    chosen = items["spatial_perception"]
    together = reader(vlm, cases, chosen, tmp_path / "a", rows=16).read_many(sets, mute(), scope)
    apart = reader(vlm, cases, chosen, tmp_path / "b", rows=1, batch_size=2)
    for heads, found in zip(sets, together, strict=True):
        expected = apart.read(Edit(heads, mute(), scope))
        np.testing.assert_allclose(found.margin, expected.margin, atol=2e-4)
        assert found.correct.tolist() == expected.correct.tolist()


def test_edits_of_different_strength_ride_in_one_forward(llava, cases, items, tmp_path):
    made = reader(llava, cases, items["counting"], tmp_path)
    vectors = np.random.default_rng(1).normal(size=(12, 12))
    edits = [Edit((Head(1, 1),), scale(s)) for s in (1.5, 3.0)] + [Edit((Head(1, 1),), add(vectors, 2.0))]
    for one, found in zip(edits, made.read_edits(edits), strict=True):
        expected = naive(llava, cases, items["counting"], one.heads, one.what)
        np.testing.assert_allclose(found.margin, [r["margin"] for r in expected], atol=2e-4)


def test_a_finished_reading_is_never_computed_again(llava, cases, items, tmp_path, monkeypatch):
    chosen = items["spatial_perception"]
    first = reader(llava, cases, chosen, tmp_path).read_many(SETS, mute())

    def never(*_args, **_kwargs):
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(engines, "ask", never)
    again = reader(llava, cases, chosen, tmp_path)
    for old, new in zip(first, again.read_many(SETS, mute()), strict=True):
        assert old.margin.tolist() == new.margin.tolist()
        assert old.correct.tolist() == new.correct.tolist()
    with pytest.raises(AssertionError, match="asked again"):
        again.read_many(SETS, scale(2.0))


def test_edits_read_ahead_together_are_found_one_by_one(llava, cases, items, tmp_path, monkeypatch):
    edits = [Edit((Head(i % 3, i % 4),), mute()) for i in range(7)]
    made = reader(llava, cases, items["counting"], tmp_path / "a")
    plain = reader(llava, cases, items["counting"], tmp_path / "b", strategies=())
    expected = [plain.read(e) for e in edits]
    first = made.read(edits[0])
    asked = []
    run = Reader._run
    monkeypatch.setattr(Reader, "_run", lambda self, some: asked.append(len(some)) or run(self, some))
    made.read_each([*edits, Edit(edits[3].heads, mute())])
    made.read_each(edits)
    assert asked == [6]  # the first was there, the last is the fourth again
    for change, other in zip(edits, expected, strict=True):
        np.testing.assert_allclose(made.read(change).margin, other.margin, atol=2e-4)
        assert made.read(change).correct.tolist() == other.correct.tolist()
    assert made.read(edits[0]).margin.tolist() == first.margin.tolist()
    assert asked == [6]


def test_readings_come_in_the_order_asked_whatever_layer_they_begin_at(llava, cases, items, tmp_path):
    edits = [Edit((Head(layer, 0),), mute()) for layer in (2, 0, 1, 2, 0, 1)]
    found = reader(llava, cases, items["counting"], tmp_path / "a").read_edits(edits)
    assert found[0].margin.tolist() == found[3].margin.tolist()
    for change, one in zip(edits, found, strict=True):
        expected = reader(llava, cases, items["counting"], tmp_path / "b").read(change)
        np.testing.assert_allclose(one.margin, expected.margin, atol=2e-4)


def test_edited_answers_are_as_long_as_the_longest_clean_answer(llava, cases, items, tmp_path, monkeypatch):
    bounds = []

    def spy(vlm, encoded, asked, *, edit=None, max_new_tokens=8):
        bounds.append((edit is not None, max_new_tokens))
        outcome = ask(vlm, encoded, asked, edit=edit, max_new_tokens=max_new_tokens)
        for row in outcome.rows:
            row["tokens"] = 2 if edit is None else row["tokens"]
        return outcome

    monkeypatch.setattr(engines, "ask", spy)
    made = reader(llava, cases, items["counting"], tmp_path, max_new_tokens=6)
    made.read_many(SETS, mute())
    assert {b for edited, b in bounds if not edited} == {6}
    assert {b for edited, b in bounds if edited} == {2}


def test_a_reading_survives_json():
    one = Reading(np.array([1.0, 0.0]), np.array([0.1 + 0.2, np.nan]), np.array([1.0, 0.0]))
    back = Reading.from_json(one.to_json())
    assert back.correct.tolist() == [1.0, 0.0]
    assert back.margin[0] == 0.1 + 0.2
    assert np.isnan(back.margin[1])
    assert one.accuracy == 50.0


def test_items_are_of_one_split_spread_over_pictures_and_chosen_without_answers(cases, splits):
    chosen = choose_items(cases, splits, "test", DEFAULT, 4, 7, ("gold",))
    assert set(chosen) == {"spatial_perception", "attribute_perception", "counting", "main@gold"}
    for some in chosen.values():
        assert len({i.case.image for i in some}) == 4
        assert all(splits[i.case.id] == "test" and i.context == "gold" for i in some)
    assert choose_items(cases, splits, "test", DEFAULT, 4, 7, ("gold",)) == chosen
    assert choose_items(cases, splits, "test", DEFAULT, 4, 8, ("gold",)) != chosen


def test_held_out_cases_are_left_out_unless_asked_for(cases, splits):
    marked = type(cases)(
        cases.folder, [c.model_copy(update={"held_out": ("wording",)}) if c.id < "c08" else c for c in cases]
    )
    plain = choose_items(marked, splits, "test", DEFAULT, 99, 0)
    assert {i.case.id for i in plain["counting"]} == {"c10", "c11", "c14", "c15"}
    assert len(choose_items(marked, splits, "test", DEFAULT, 99, 0, held_out=True)["counting"]) == 8


def test_readers_group_items_by_picture(llava, cases, items, tmp_path):
    readers = open_readers(llava, cases, items, Ledger(tmp_path, {}))
    assert len(set(readers["counting"].groups)) == len(readers["counting"]) == 5
