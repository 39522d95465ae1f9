"""The truth of planted models, shown by muting: a planted head is its function's only bearer."""

from __future__ import annotations

import numpy as np
import pytest

from headscope.edits.edits import mute
from headscope.errors import StudyError
from headscope.models.geometry import parse_head
from headscope.validation.planted.frozen import FROZEN, constructor_fingerprint
from headscope.validation.planted.plan import HEADS, LAYERS, LEVELS, make_plan
from headscope.validation.planted.questions import ANSWERS, FUNCTIONS, KNOWLEDGE, PICTURED


def lost(reader, *head_sets):
    """Share of answers lost under each set of heads, by label."""
    sets = [tuple(parse_head(h) for h in heads) for heads in head_sets]
    readings = reader.read_many(sets, mute())
    return [float((reader.clean.correct - r.correct).mean()) for r in readings]


def test_the_constructor_is_the_one_that_was_frozen_before_any_method_was_scored() -> None:
    assert constructor_fingerprint() == FROZEN


def test_a_planted_model_loads_like_any_other_and_its_geometry_is_proved(planted_model) -> None:
    vlm, truth = planted_model("plain")
    assert vlm.proof is not None
    assert len(vlm.geometry.heads) == LAYERS * HEADS == len(truth["heads"])
    assert [str(h) for h in vlm.geometry.heads] == [h["label"] for h in truth["heads"]]


def test_an_unedited_planted_model_answers_everything_right(planted_model, readers) -> None:
    vlm, _ = planted_model("plain")
    for function, reader in readers(vlm).items():
        assert reader.clean.correct.all(), function
        assert (reader.clean.margin > 0).all(), function


def test_muting_a_planted_head_takes_its_function_to_chance_and_no_other(planted_model, readers) -> None:
    vlm, truth = planted_model("plain")
    found = readers(vlm)
    heads = {f: truth["functions"][f] for f in PICTURED}
    assert all(len(h) == 1 for h in heads.values())
    for measured, reader in found.items():
        drops = dict(zip(heads, lost(reader, *heads.values()), strict=True))
        for muted, drop in drops.items():
            if muted != measured:
                assert drop == 0, (muted, measured)
                continue
            # What is left is guessing: within three standard errors of one in as many as there are answers.
            chance = 1 / len(ANSWERS[measured])
            error = np.sqrt(chance * (1 - chance) / len(reader))
            assert 1 - drop <= chance + 3 * error, measured


def test_muting_any_bystander_changes_no_answer(planted_model, readers) -> None:
    vlm, truth = planted_model("plain")
    idle = [h["label"] for h in truth["heads"] if h["role"] in ("reader", "viewer", "mixer")]
    assert len(idle) == LAYERS * HEADS - len(PICTURED)
    for function, reader in readers(vlm).items():
        assert lost(reader, *[(h,) for h in idle]) == [0.0] * len(idle), function


def test_bystanders_put_out_as_much_as_planted_heads(planted_model, pictures) -> None:
    from headscope.asking.ask import ask
    from headscope.asking.batches import encode_batches
    from headscope.asking.items import make_items
    from headscope.functions import DEFAULT

    vlm, truth = planted_model("plain")
    items = make_items(list(pictures)[:20], DEFAULT, ("gold",), ())
    ((encoded, asked),) = encode_batches(vlm, items, lambda i: pictures.image(i.case), len(items))
    z = ask(vlm, encoded, asked, readouts=("prompt_last",), max_new_tokens=1).z["prompt_last"]
    sizes: dict[str, list[float]] = {}
    for number, part in enumerate(truth["heads"]):
        site = vlm.geometry.site_of(vlm.geometry.heads[number])
        columns = site.projection.weight[:, site.block(part["head"])].numpy()
        mine = [i for i, a in enumerate(asked) if not part["functions"] or a.function in part["functions"]]
        norm = np.linalg.norm(z[mine, number] @ columns.T, axis=1).mean()
        sizes.setdefault("planted" if part["functions"] else "idle", []).append(float(norm))
    ratio = np.median(sizes["idle"]) / np.median(sizes["planted"])
    assert 0.7 < ratio < 1.5


def test_either_of_a_redundant_pair_is_enough_and_both_are_needed(planted_model, readers) -> None:
    vlm, truth = planted_model("redundant")
    for function, reader in readers(vlm, tuple(truth["saturating"])).items():
        one, other = truth["functions"][function]
        alone, second, both = lost(reader, (one,), (other,), (one, other))
        assert alone == second == 0
        assert both > 0.4, function


def test_a_shared_head_bears_both_its_functions(planted_model, readers) -> None:
    vlm, truth = planted_model("shared")
    place, facing = "spatial_perception", "orientation_perception"
    assert truth["functions"][place] == truth["functions"][facing]
    for reader in readers(vlm, (place, facing)).values():
        assert lost(reader, truth["functions"][place])[0] > 0.4


def test_a_decoy_holds_the_answer_and_is_idle(planted_model, readers) -> None:
    vlm, truth = planted_model("decoy")
    decoys = {f: h for f, h in truth["decoys"].items() if h}
    assert len(decoys) == 3
    for function, reader in readers(vlm, tuple(decoys)).items():
        assert lost(reader, decoys[function]) == [0.0], function


def test_muting_a_suppressor_raises_the_margin(planted_model, readers) -> None:
    vlm, truth = planted_model("suppressor")
    against = {f: h for f, h in truth["suppressors"].items() if h}
    assert len(against) == 2
    for function, reader in readers(vlm, tuple(against)).items():
        (reading,) = reader.read_many([(parse_head(against[function][0]),)], mute())
        assert (reading.margin > reader.clean.margin + 1).all(), function


@pytest.mark.parametrize("level", LEVELS)
def test_plans_are_reproducible_and_differ_between_seeds(level: str) -> None:
    plan = make_plan(level, 5)
    assert plan == make_plan(level, 5)
    assert plan != make_plan(level, 6)
    places = [(p.layer, p.head) for p in plan.parts]
    assert places == [(i, h) for i in range(LAYERS) for h in range(HEADS)]
    truth = plan.truth()
    assert set(truth["functions"]) == set(FUNCTIONS)
    assert truth["functions"][KNOWLEDGE] == []


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(StudyError, match="plain"):
        make_plan("easy", 0)
