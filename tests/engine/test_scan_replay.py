"""The replay against whole runs: under the edits of the package, by hand in float64, and where it must not
be trusted."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from edits.fixtures import make_case, picture
from headscope.asking.ask import ask
from headscope.asking.items import Item
from headscope.edits.edits import Edit, mute, scale
from headscope.engine import replay_trial as engines
from headscope.engine.replay import clean_margin, read_item
from headscope.engine.replay_trial import Replay, logits_under, replay_of, together
from headscope.engine.trace import run_clean
from headscope.errors import ModelError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Head
from headscope.models.types import Prompt
from headscope.models.ways import kept_ways

ROOM = 2**30


@pytest.fixture
def encoded(vlm: Any) -> Any:
    return vlm.encode([Prompt(picture(3), "Where is the dog?", (("How many sheep are there?", "two"),))])


@pytest.fixture
def prompt(llava: Any) -> Any:
    return llava.encode([Prompt(picture(3), "Where is the dog?")])


def item_of(step: int) -> Item:
    case = make_case(1)
    return Item(f"c/{step}", case, case.steps[step], "alone")


def whole(vlm: Any, encoded: Any, change: Edit) -> torch.Tensor:
    with torch.no_grad(), vlm.reading(encoded), change.applied(vlm):
        return vlm.model(**encoded.inputs, use_cache=False).logits[0, -1]


@pytest.mark.parametrize("scope", ["all", "last", "answer"])
def test_every_head_gives_the_logits_of_its_whole_run(vlm, encoded, scope):
    engine = replay_of(vlm, encoded, scope)
    assert not engine.refusal
    edits = [Edit((h,), mute(), scope) for h in vlm.geometry.heads]
    found = logits_under(vlm, run_clean(vlm, encoded, engine.trimmed), edits, engine, ROOM)
    wanted = torch.stack([whole(vlm, encoded, e) for e in edits])
    assert (wanted - wanted.mean(dim=0)).abs().max() > 0.1, "the heads must differ"
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_scope_all_is_the_model_without_the_heads_columns_in_float64(llava):
    vlm = copy.copy(llava)
    vlm.model = copy.deepcopy(llava.model).double()
    vlm.geometry = find_geometry(vlm.model)
    encoded = vlm.encode([Prompt(picture(5), "Which way does the cat look?")])
    engine = replay_of(vlm, encoded, "all")
    edits = [Edit((h,), mute()) for h in vlm.geometry.heads]
    found = logits_under(vlm, run_clean(vlm, encoded, engine.trimmed), edits, engine, ROOM)
    for head, row in zip(vlm.geometry.heads, found, strict=True):
        twin = copy.deepcopy(vlm.model)
        weight = twin.model.language_model.layers[head.layer].self_attn.o_proj.weight
        with torch.no_grad():
            weight[:, head.head * 12 : (head.head + 1) * 12] = 0
            wanted = twin(**encoded.inputs, use_cache=False).logits[0, -1]
        torch.testing.assert_close(row, wanted, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("scope", ["all", "last", "answer"])
@pytest.mark.parametrize("step", [0, 2], ids=["choices of several tokens", "open answer"])
def test_margins_and_answers_of_several_tokens_are_those_of_whole_runs(vlm, encoded, scope, step):
    item, engine = item_of(step), replay_of(vlm, encoded, scope)
    edits = [Edit((h,), mute(), scope) for h in vlm.geometry.heads]
    trace = run_clean(vlm, encoded)
    found = read_item(vlm, trace, item, edits, engine, most=4)
    rows = [ask(vlm, encoded, [item], edit=e, max_new_tokens=4).rows[0] for e in edits]
    np.testing.assert_allclose(found.margin, [r["margin"] for r in rows], atol=1e-5)
    assert found.correct.tolist() == [float(r["correct"]) for r in rows]
    clean = ask(vlm, encoded, [item]).rows[0]["margin"]
    assert clean_margin(vlm, trace, item) == pytest.approx(clean, abs=1e-5)


@pytest.mark.parametrize("scope", ["all", "last"])
def test_head_sets_factors_and_means_are_whole_runs_too(vlm, encoded, scope):
    heads = vlm.geometry.heads
    rng = np.random.default_rng(0)
    means = rng.normal(size=(len(heads), vlm.geometry.max_width)).astype(np.float32)
    edits = [
        Edit((heads[1], heads[2]), mute(), scope),
        Edit((heads[0], heads[-1], heads[5]), mute(), scope),
        Edit((heads[3],), scale(1.7), scope),
        Edit((heads[-2],), mute(mean=means), scope),
        Edit((heads[2], heads[6]), mute(mean=means), scope),
        Edit((), mute(), scope),
    ]
    found = logits_under(vlm, run_clean(vlm, encoded), edits, replay_of(vlm, encoded, scope), ROOM)
    wanted = torch.stack([whole(vlm, encoded, e) for e in edits])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_less_memory_means_smaller_passes_and_the_same_logits(llava, prompt):
    trace, engine = run_clean(llava, prompt), replay_of(llava, prompt, "all")
    edits = [Edit((h,), mute()) for h in llava.geometry.heads]
    assert together(llava, trace, "all", 1) == 1
    assert together(llava, trace, "all", 2**20) < together(llava, trace, "all", 2**28)
    little = logits_under(llava, trace, edits, engine, 1)
    torch.testing.assert_close(little, logits_under(llava, trace, edits, engine, ROOM), atol=1e-6, rtol=1e-5)


def test_what_a_model_does_between_its_layers_is_replayed_if_it_adds_and_refused_if_it_does_more(llava):
    encoded = llava.encode([Prompt(picture(3), "Where is the dog?")])
    for between, replayed in ((lambda x: x + 0.5, True), (torch.tanh, False)):
        vlm = _with(llava, between)
        engine = replay_of(vlm, encoded, "all")
        assert (not engine.refusal) is replayed
        if replayed:
            edits = [Edit((h,), mute()) for h in vlm.geometry.heads]
            found = logits_under(vlm, run_clean(vlm, encoded, engine.trimmed), edits, engine, ROOM)
            wanted = torch.stack([whole(vlm, encoded, e) for e in edits])
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def _with(llava: Any, between: Any) -> Any:
    """A copy whose second layer stands in a box that first changes what the first layer gave."""
    vlm = copy.copy(llava)
    vlm.model = copy.deepcopy(llava.model)
    vlm.geometry = find_geometry(vlm.model)
    decoder = vlm.model.model.language_model
    first = decoder.layers[0]

    def changed(*args: Any, **kwargs: Any) -> Any:
        return between(first(*args, **kwargs))

    class Layers(torch.nn.ModuleList):
        def __getitem__(self, place: Any) -> Any:
            got = super().__getitem__(place)
            return [changed, *list(got)[1:]] if isinstance(place, slice) else got

    decoder.layers = Layers(decoder.layers)
    return vlm


def test_a_replay_that_gives_other_logits_is_refused_with_the_difference(
    llava, prompt, monkeypatch, tmp_path
):
    right = engines.RowSweep._above

    def wrong(self: Any, number: int, call: Any, *args: Any) -> Any:
        return right(self, number, call, *args) * (1.01 if number == 1 else 1.0)

    monkeypatch.setattr(engines.RowSweep, "_above", wrong)
    with kept_ways(llava, tmp_path):
        engine = replay_of(llava, prompt, "all")
    assert engine.refusal.startswith("logits differ by")
    with pytest.raises(ModelError, match="no replay"):
        logits_under(llava, run_clean(llava, prompt), [], engine, ROOM)


def test_a_batch_and_an_unknown_scope_are_no_matter_for_a_replay(llava):
    two = llava.encode([Prompt(picture(0), "Where?"), Prompt(picture(1), "Where?")])
    with pytest.raises(ModelError, match="one prompt"):
        run_clean(llava, two)
    engine = replay_of(llava, llava.encode([Prompt(picture(0), "Where?")]), "image")
    assert engine == Replay("image", refusal="scope 'image' is not replayed")


def test_the_model_is_left_without_hooks_and_stand_ins(llava, prompt):
    engine = replay_of(llava, prompt, "all")
    trace = run_clean(llava, prompt)
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in llava.model.modules()]
    weights = copy.deepcopy(llava.model.state_dict())
    run_clean(llava, prompt)
    logits_under(llava, trace, [Edit((Head(1, 2),), mute())], engine, ROOM)
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in llava.model.modules()] == hooks
    assert not any("forward" in m.__dict__ for m in llava.model.modules())
    assert all(torch.equal(v, weights[k]) for k, v in llava.model.state_dict().items())
