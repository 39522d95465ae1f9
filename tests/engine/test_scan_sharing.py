"""Clean runs of several prompts in one forward against a run of each alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from edits.fixtures import picture
from headscope.asking.batches import encode_batch
from headscope.engine import engine as engines
from headscope.engine import sharing as shared
from headscope.engine.replay_trial import replay_of
from headscope.engine.sharing import (
    Sharing,
    clean_runs,
    joined,
    layout_of,
    plan_prompts,
    run_together,
    sharing_of,
)
from headscope.engine.trace import run_clean, run_prompts
from headscope.errors import ModelError
from headscope.experiments.items import choose_items
from headscope.experiments.scan import ScanSettings, scan_heads
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.models.types import Prompt
from headscope.models.vlm import load_model
from models.families.folders import family_folder

QUESTIONS = ("Where is the dog?", "Where is the cat?", "dog Where is the?")


def alone(vlm: Any) -> list[Any]:
    return [vlm.encode([Prompt(picture(i), q)]) for i, q in enumerate(QUESTIONS)]


def same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("trimmed", [False, True])
def test_each_prompt_has_of_a_shared_run_what_it_has_alone(llava, trimmed):
    prompts = alone(llava)
    sharing = sharing_of(copy.copy(llava), prompts[0], trimmed, 1e-4)
    parts = run_together(llava, prompts, sharing, trimmed)
    logits = []
    for part, prompt in zip(parts, prompts, strict=True):
        own = run_clean(llava, prompt, trimmed)
        for a, b in zip(part.calls, own.calls, strict=True):
            for name in ("inputs", "z", "attended", "output"):
                same(getattr(a, name), getattr(b, name))
        for a, b in zip(part.prefill.cache.layers, own.prefill.cache.layers, strict=True):
            same(a.keys, b.keys)
            same(a.values, b.values)
        same(part.prefill.logits, own.prefill.logits)
        assert torch.equal(part.encoded.inputs["input_ids"], prompt.inputs["input_ids"])
        logits.append(own.prefill.logits)
    assert min((logits[0] - logits[i]).abs().max() for i in (1, 2)) > 1e-2, "the prompts must differ"


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl", "internvl", "paligemma", "idefics3", "gemma3"])
def test_families_share_runs_though_their_arguments_hold_prompts_in_other_dimensions(family, tmp_path):
    vlm = load_model(family_folder(family, tmp_path / family), prove=False)
    prompts = [vlm.encode([Prompt(picture(i), QUESTIONS[0])]) for i in range(3)]
    sharing = sharing_of(vlm, prompts[0], False, 1e-4)
    assert sharing is not None
    for part, prompt in zip(run_together(vlm, prompts, sharing, False), prompts, strict=True):
        same(part.prefill.logits, run_clean(vlm, prompt).prefill.logits)


def test_a_model_whose_prompts_act_on_each_other_is_read_one_by_one(llava):
    vlm = copy.copy(llava)
    vlm.model = copy.deepcopy(llava.model)
    first = vlm.model.model.language_model.layers[0].mlp
    first.register_forward_hook(lambda _m, _a, out: out + 0.1 * out.mean(dim=0, keepdim=True))
    assert sharing_of(copy.copy(llava), alone(llava)[0], False, 1e-4) is not None
    assert sharing_of(vlm, alone(llava)[0], False, 1e-4) is None


def test_where_prompts_stand_is_the_one_dimension_that_grows(llava):
    prompts = alone(llava)
    one, three = run_clean(llava, prompts[0]), run_prompts(llava, joined(prompts))
    layout = layout_of(one, three, 3)
    assert layout[(0, "inputs")] == 0
    assert layout[(1, "keys")] == 0
    longer = llava.encode([Prompt(picture(0), "Where is the dog, the cat and the pig?")])
    with pytest.raises(ModelError, match="for 3 prompts"):
        layout_of(run_clean(llava, longer), three, 3)
    with pytest.raises(ModelError, match="different length"):
        joined([prompts[0], longer])
    with pytest.raises(ModelError, match="does not hold 2 prompts"):
        shared.split(three, layout, prompts[:2])


def test_prompts_of_other_lengths_and_those_no_shared_run_is_made_for_are_read_alone(
    llava, cases, splits, monkeypatch, caplog
):
    items = choose_items(cases, splits, "select", DEFAULT, 4, 0, ())["counting"]

    def encode(item: Any) -> Any:
        return encode_batch(llava, [item], lambda i: cases.image(i.case))

    sharing = replay_of(llava, encode(items[0]), "all").sharing
    assert {i.id for c in plan_prompts(items, encode, sharing, 2**30) for i in c} == {i.id for i in items}
    assert [len(c) for c in plan_prompts(items, encode, sharing, 1)] == [1] * len(items)
    wanted = {i.id: run_clean(llava, encode(i)).prefill.logits for i in items}
    for given in (sharing, Sharing({}, 1)):
        found = {i.id: t for i, t in clean_runs(llava, items, encode, given, False)}
        for id_, logits in wanted.items():
            same(found[id_].prefill.logits, logits)
    assert "other arguments than when they were tried out" in caplog.text
    monkeypatch.setattr(
        shared, "run_prompts", lambda *a: (_ for _ in ()).throw(torch.OutOfMemoryError("full"))
    )
    for item, trace in clean_runs(llava, items, encode, sharing, False):
        same(trace.prefill.logits, wanted[item.id])
    assert "prompts are read one by one: full" in caplog.text
    monkeypatch.setattr(shared, "run_clean", lambda *a: (_ for _ in ()).throw(ModelError("not this one")))
    refused = [t for _, t in clean_runs(llava, items[:1], encode, None, False)]
    assert str(refused[0]) == "not this one"


def test_a_scan_gives_the_same_whatever_shares_a_run_and_wherever_it_was_stopped(
    tmp_path, monkeypatch, context
):
    settings = ScanSettings(functions=("counting",), max_items=5)
    heads = (Head(0, 1), Head(2, 2))
    whole = scan_heads(replace(context, folder=tmp_path / "a"), settings, heads=heads)
    single = scan_heads(replace(context, folder=tmp_path / "b"), settings, heads=heads, memory=1)
    drops = [torch.tensor(r.functions["counting"].drop) for r in (whole, single)]
    same(drops[1], drops[0])
    read = engines.read_item
    seen: list[str] = []

    def stops_at_the_third(vlm: Any, trace: Any, item: Any, *a: Any, **k: Any) -> Any:
        seen.append(item.id)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return read(vlm, trace, item, *a, **k)

    monkeypatch.setattr(engines, "read_item", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        scan_heads(replace(context, folder=tmp_path / "c"), settings, heads=heads)
    scan_heads(replace(context, folder=tmp_path / "c"), settings, heads=heads)
    assert sorted(set(seen)) == sorted(seen[:2] + seen[3:]), "what was done is not read again"
    assert (tmp_path / "c" / "scan.json").read_bytes() == (tmp_path / "a" / "scan.json").read_bytes()


def test_pictures_of_different_form_do_not_share_a_run(llava):
    one = alone(llava)[0]
    other = replace(one, inputs={**one.inputs, "pixel_values": one.inputs["pixel_values"][..., :-1]})
    with pytest.raises(ModelError, match="form"):
        joined([one, other])
