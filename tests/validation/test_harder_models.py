"""The truth of the second version's models: by their weights in numpy, and by muting."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from headscope.edits.edits import mute
from headscope.errors import StudyError
from headscope.models.geometry import parse_head
from headscope.validation.planted.frozen import EXTENDED, FROZEN_EXTENDED, constructor_fingerprint
from headscope.validation.planted.glyphs import CELLS, COLUMNS
from headscope.validation.planted.harder_build import in_two_hops
from headscope.validation.planted.harder_heads import READY, harder_head, harder_stream
from headscope.validation.planted.harder_plan import (
    GROUP,
    HARDER_LAYERS,
    HARDER_LEVELS,
    MOVED,
    SHARES,
    make_harder_plan,
)
from headscope.validation.planted.plan import HEADS
from headscope.validation.planted.questions import (
    ANSWERS,
    COLOUR,
    COUNT,
    FACING,
    FUNCTIONS,
    KNOWLEDGE,
    OBJECT,
    PICTURED,
    PLACE,
    RELATION,
    last_words,
)

STREAM = harder_stream()


def lost(reader, *head_sets, scope="all"):
    """Share of answers lost under each set of heads, by label."""
    sets = [tuple(parse_head(h) for h in heads) for heads in head_sets]
    return [float((reader.clean.correct - r.correct).mean()) for r in reader.read_many(sets, mute(), scope)]


def at_chance(function: str, loss: float, questions: int) -> bool:
    """Whether what is left is guessing, within three standard errors of one in as many as it has answers."""
    chance = 1 / len(ANSWERS[function])
    return 1 - loss <= chance + 3 * np.sqrt(chance * (1 - chance) / questions)


def weights(level: str, role: str, function: str | None, seed: int = 3):
    """Heads of a role for a function as matrices, each drawn from a generator of its own."""
    parts = [p for p in make_harder_plan(level, seed).parts if p.role == role]
    mine = [p for p in parts if function is None or function in p.functions]
    return [harder_head(p, level, STREAM, np.random.default_rng(i)) for i, p in enumerate(mine)]


def columns_of_cells() -> np.ndarray:
    """(place, cell): the map that answers "where is it", written by hand."""
    return np.array([[float(cell % COLUMNS == c) for cell in range(CELLS)] for c in range(COLUMNS)])


def test_the_constructor_is_the_one_that_was_frozen_before_any_method_was_scored() -> None:
    assert constructor_fingerprint(EXTENDED) == FROZEN_EXTENDED


@pytest.mark.parametrize("level", HARDER_LEVELS)
def test_unedited_models_answer_everything_right(
    level: str, planted_model, readers, pictures, two_hop_pictures
) -> None:
    vlm, truth = planted_model(level, harder=True)
    assert len(vlm.geometry.heads) == HARDER_LAYERS * HEADS == len(truth["heads"])
    cases = two_hop_pictures if level == "two_hop" else pictures
    found = readers(vlm, cases=cases)
    assert set(found) == set(FUNCTIONS)
    for function, reader in found.items():
        assert reader.clean.correct.all(), function


@pytest.mark.parametrize("level", ["plain", "always_on", "two_hop"])
def test_each_head_of_a_function_answers_for_its_third_of_the_things(
    level: str, planted_model, readers, pictures, two_hop_pictures
) -> None:
    vlm, truth = planted_model(level, harder=True)
    words, thirds = last_words(), {h["label"]: h["third"] for h in truth["heads"]}
    cases = two_hop_pictures if level == "two_hop" else pictures
    for function, reader in readers(vlm, (PLACE, FACING, RELATION, COLOUR, OBJECT), cases).items():
        size = (9 if function == OBJECT else 6) // GROUP
        about = [next(words[w][1][0] for w in item.question.split() if w in words) for item in reader.items]
        heads = truth["functions"][function]
        readings = reader.read_many([(parse_head(h),) for h in heads], mute())
        together = reader.read_many([tuple(map(parse_head, heads))], mute())[0]
        for head, reading in zip(heads, readings, strict=True):
            mine = np.array([i // size == thirds[head] for i in about])
            assert reading.correct[~mine].all(), (function, head)
            np.testing.assert_array_equal(reading.correct[mine], together.correct[mine])
        assert at_chance(function, 1 - together.correct.mean(), len(reader)), function


def test_every_function_dies_with_the_early_generalist_and_its_own_head_alone(planted_model, readers) -> None:
    vlm, truth = planted_model("early_generalist", harder=True)
    (first,) = truth["generalists"]
    assert parse_head(first).layer == 0
    assert not any(first in heads for heads in truth["functions"].values())
    for measured, reader in readers(vlm).items():
        assert at_chance(measured, lost(reader, (first,))[0], len(reader)), measured
        for muted in PICTURED:
            (loss,) = lost(reader, truth["functions"][muted])
            assert (loss > 0) == (muted == measured), (muted, measured)


def test_the_early_generalist_says_that_there_is_text_and_nothing_else() -> None:
    (head,) = weights("early_generalist", "generalist", None)
    said = head.o[STREAM.at("ready")] @ head.v
    expected = np.zeros((1, STREAM.width))
    expected[0, STREAM.at("text")] = READY
    np.testing.assert_allclose(said, expected, atol=1e-12)
    assert not head.o[STREAM.content("work", "answer", "done", "carried")].any()


def test_twenty_heads_add_up_to_one_and_none_gives_more_than_a_twentieth() -> None:
    heads = weights("distributed", "planted", PLACE)
    assert len(heads) == SHARES == 20
    rows, cells = STREAM.at(f"work {PLACE}"), STREAM.at("cell")
    circuits = [h.o[rows] @ h.v[:, cells] for h in heads]
    for one in circuits:
        np.testing.assert_allclose(one, columns_of_cells() / 20, atol=1e-12)
    np.testing.assert_allclose(sum(circuits), columns_of_cells(), atol=1e-12)


def test_each_of_twenty_heads_costs_next_to_nothing_and_all_cost_the_function(planted_model, readers) -> None:
    vlm, truth = planted_model("distributed", harder=True)
    heads = truth["functions"][PLACE]
    for measured, reader in readers(vlm).items():
        losses = lost(reader, *[(h,) for h in heads], heads[:10], heads)
        assert losses[:-1] == [0.0] * 21, measured  # half of the evidence is still enough
        assert at_chance(measured, losses[-1], len(reader)) == (measured == PLACE), measured
    reader = readers(vlm, (PLACE,))[PLACE]
    readings = reader.read_many([tuple(map(parse_head, heads[:k])) for k in range(0, 21, 5)], mute())
    margins = [float(r.margin.mean()) for r in readings]
    assert all(more > less for more, less in pairwise(margins))


def test_two_hops_make_the_map_of_places_only_together() -> None:
    work, carried, cells = (STREAM.at(b) for b in (f"work {PLACE}", f"carried {PLACE}", "cell"))
    movers, fetchers = weights("two_hop", "mover", PLACE), weights("two_hop", "fetcher", PLACE)
    assert len(movers) == len(fetchers) == GROUP
    for mover, fetcher in zip(movers, fetchers, strict=True):
        path = fetcher.o[work] @ fetcher.v[:, carried] @ mover.o[carried] @ mover.v[:, cells]
        np.testing.assert_allclose(path, columns_of_cells(), atol=1e-12)
        assert not mover.o[work].any()
        assert not fetcher.v[:, STREAM.content("cell", "image", "kind", "facing", "colour")].any()


def test_muting_either_hop_kills_its_function_alone(planted_model, readers, two_hop_pictures) -> None:
    vlm, truth = planted_model("two_hop", harder=True)
    for function in MOVED:
        heads = truth["functions"][function]
        first, second = heads[:GROUP], heads[GROUP:]
        assert max(parse_head(h).layer for h in first) < min(parse_head(h).layer for h in second)
        for measured, reader in readers(vlm, cases=two_hop_pictures).items():
            losses = lost(reader, first, second, heads)
            if measured == function:
                assert all(at_chance(function, loss, len(reader)) for loss in losses), function
            else:
                assert losses == [0.0] * 3, (function, measured)


def test_the_first_hop_acts_before_the_last_word_and_the_second_at_it(
    planted_model, readers, two_hop_pictures
) -> None:
    vlm, truth = planted_model("two_hop", harder=True)
    for function, reader in readers(vlm, MOVED, two_hop_pictures).items():
        heads = truth["functions"][function]
        assert lost(reader, heads[:GROUP], scope="last") == [0.0]
        assert at_chance(function, lost(reader, heads[GROUP:], scope="last")[0], len(reader)), function


def test_questions_of_moved_functions_end_in_a_word_that_names_nothing(pictures, two_hop_pictures) -> None:
    for one, other in zip(pictures, two_hop_pictures, strict=True):
        for asked, moved in zip(one.steps, other.steps, strict=True):
            assert moved == in_two_hops(asked)
            assert (asked.question != moved.question) == (asked.function in MOVED)
        assert other.question == other.steps[0].question


def test_a_backup_is_silent_while_its_first_head_speaks() -> None:
    """Scores by hand: 30 for the thing that is sought, 10 for the sink, 60 more while it is held."""
    backup = weights("backup", "backup", PLACE)[0]
    asking, sink, thing = (np.zeros(STREAM.width) for _ in range(3))
    for token in (asking, sink, thing):
        token[STREAM.at("const")] = 64.0
    plan = make_harder_plan("backup", 3)
    kind = 2 * next(p.third for p in plan.parts if (p.role, p.functions) == ("backup", (PLACE,)))
    asking[STREAM.at(f"asked {PLACE}")[kind]] = 1.0
    sink[STREAM.at("sink")] = thing[STREAM.at("kind")[kind]] = 1.0

    def scores() -> list[float]:
        return [float((backup.q @ asking) @ (backup.k @ token) / np.sqrt(24)) for token in (sink, thing)]

    assert scores() == pytest.approx([10.0, 30.0])
    asking[STREAM.at(f"done {PLACE}")] = 0.85  # the least that the first head says
    assert scores() == pytest.approx([61.0, 30.0])


def test_first_heads_or_their_backups_are_enough_and_one_of_them_is_needed(planted_model, readers) -> None:
    vlm, truth = planted_model("backup", harder=True)
    for function in (PLACE, FACING, COLOUR):
        heads = truth["functions"][function]
        first, second = heads[:GROUP], heads[GROUP:]
        assert max(parse_head(h).layer for h in first) < min(parse_head(h).layer for h in second)
        for measured, reader in readers(vlm).items():
            *single, alone, other, both = lost(reader, *[(h,) for h in heads], first, second, heads)
            assert single == [0.0] * (2 * GROUP), (function, measured)
            assert alone == other == 0, (function, measured)
            assert at_chance(measured, both, len(reader)) == (measured == function), (function, measured)


@pytest.mark.parametrize("level", HARDER_LEVELS)
def test_plans_are_reproducible_and_differ_between_seeds(level: str) -> None:
    plan = make_harder_plan(level, 5)
    assert plan == make_harder_plan(level, 5)
    assert plan != make_harder_plan(level, 6)
    assert [(p.layer, p.head) for p in plan.parts] == [
        (i, h) for i in range(HARDER_LAYERS) for h in range(HEADS)
    ]
    truth = plan.truth()
    assert set(truth["functions"]) == set(FUNCTIONS)
    assert truth["functions"][KNOWLEDGE] == []
    assert [len(truth["functions"][f]) for f in (COUNT, OBJECT)] == [1, GROUP]
    assert all(truth["functions"][f] for f in PICTURED)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(StudyError, match="two_hop"):
        make_harder_plan("easy", 0)
