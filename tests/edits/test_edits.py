from __future__ import annotations

import copy
import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from edits.fixtures import picture
from edits.naive import double, extend, generate, logits, slow_copy
from headscope.asking.read import read
from headscope.capturing.prompt_capture import capture
from headscope.edits.baking import bake
from headscope.edits.batched import BatchedEdit, per_item
from headscope.edits.edits import Edit, add, edit, mute, scale
from headscope.errors import EditError, ModelError
from headscope.experiments.scan_model import scan
from headscope.models.finding import find_geometry
from headscope.models.geometry import Head

HEADS = (Head(0, 1), Head(0, 3), Head(1, 2))
SCOPES = ("all", "image", "question", "last", "answer")


def hooks(vlm):
    return sum(len(s.projection._forward_pre_hooks) for s in vlm.geometry.sites)


def test_muting_equals_zeroed_columns_of_the_output_projection(vlm, prompts):
    encoded = vlm.encode(prompts)
    cut = copy.deepcopy(vlm.model)
    for layer, head in [(0, 1), (0, 3), (1, 2)]:
        attention = cut.get_decoder().layers[layer].self_attn
        width = attention.head_dim
        attention.o_proj.weight.data[:, head * width : (head + 1) * width] = 0
    with edit(vlm, HEADS, mute()):
        found, tokens = logits(vlm, encoded.inputs), generate(vlm, encoded.inputs, 5)
    torch.testing.assert_close(found, logits(vlm, encoded.inputs, cut), atol=1e-5, rtol=1e-5)
    assert tokens.tolist() == generate(vlm, encoded.inputs, 5, cut).tolist()
    assert (found - logits(vlm, encoded.inputs)).abs().max() > 1e-3


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_equals_a_float64_loop_over_items_positions_and_heads(vlm, prompts, scope):
    encoded = vlm.encode(prompts)
    tokens = torch.tensor([[60, 90], [70, 110], [65, 120]])
    inputs, length = extend(encoded.inputs, tokens), encoded.length
    image_id = vlm.image_token_id

    def touched(item, position):
        return {
            "all": True,
            "image": int(inputs["input_ids"][item, position]) == image_id,
            "question": position < length and bool(encoded.question[item, position]),
            "last": position == length - 1,
            "answer": position >= length - 1,
        }[scope]

    def change(layer, item, position, head, z):
        return 0.25 * z if Head(layer, head) in HEADS and touched(item, position) else z

    expected = logits(vlm, double(inputs), slow_copy(vlm, change))
    with vlm.reading(encoded), edit(vlm, HEADS, scale(0.25), scope):
        found = logits(vlm, inputs)
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("scope", SCOPES)
def test_cached_generation_under_an_edit_equals_step_by_step_without_cache(vlm, prompts, scope):
    encoded = vlm.encode(prompts)
    with vlm.reading(encoded), edit(vlm, HEADS, mute(), scope), torch.no_grad():
        fast = generate(vlm, encoded.inputs, 4)
        slow = torch.zeros(len(prompts), 0, dtype=torch.long)
        for _ in range(4):
            out = vlm.model(**extend(encoded.inputs, slow), use_cache=False).logits[:, -1]
            out[:, list(vlm.end_ids)] = -math.inf
            slow = torch.cat([slow, out.argmax(-1, keepdim=True)], dim=1)
    assert fast.tolist() == slow.tolist()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_batch_gives_what_each_prompt_alone_gives(vlm, prompts, scope):
    encoded = vlm.encode(prompts)
    with vlm.reading(encoded), edit(vlm, HEADS, mute(), scope):
        together, tokens = logits(vlm, encoded.inputs)[:, -1], generate(vlm, encoded.inputs, 4)
    for i, prompt in enumerate(prompts):
        alone = vlm.encode([prompt])
        with vlm.reading(alone), edit(vlm, HEADS, mute(), scope):
            torch.testing.assert_close(logits(vlm, alone.inputs)[0, -1], together[i], atol=1e-4, rtol=1e-4)
            assert generate(vlm, alone.inputs, 4)[0].tolist() == tokens[i].tolist()


@pytest.mark.parametrize("scope", ["all", "question", "answer"])
def test_per_item_edits_equal_separate_runs(vlm, prompts, scope):
    encoded = vlm.encode(prompts)
    sets = [(Head(0, 0),), (), (Head(1, 3), Head(0, 2))]
    with vlm.reading(encoded), per_item(sets, mute(), scope).applied(vlm):
        together, tokens = logits(vlm, encoded.inputs), generate(vlm, encoded.inputs, 4)
    for i, heads in enumerate(sets):
        with vlm.reading(encoded), edit(vlm, heads, mute(), scope):
            torch.testing.assert_close(logits(vlm, encoded.inputs)[i], together[i], atol=1e-5, rtol=1e-5)
            assert generate(vlm, encoded.inputs, 4)[i].tolist() == tokens[i].tolist()


def test_per_item_edits_of_different_kinds_ride_together(llava, prompts):
    encoded = llava.encode(prompts)
    direction = {Head(1, 1): np.arange(12.0)}
    edits = (Edit((Head(0, 0),), scale(2.0)), None, Edit((Head(1, 1),), add(direction, 0.5)))
    with BatchedEdit(edits).applied(llava):
        together = logits(llava, encoded.inputs)
    for i, one in enumerate(edits):
        with (one or Edit((), mute())).applied(llava):
            torch.testing.assert_close(logits(llava, encoded.inputs)[i], together[i], atol=1e-5, rtol=1e-5)


def test_per_item_edits_follow_items_that_are_repeated_in_a_row(llava, prompts):
    encoded = llava.encode(prompts)
    sets = [(Head(0, 0),), (Head(2, 1),), (Head(1, 3),)]
    twice = {k: v.repeat_interleave(2, dim=0) for k, v in encoded.inputs.items()}
    with llava.reading(encoded), per_item(sets, mute()).applied(llava):
        once, repeated = logits(llava, encoded.inputs), logits(llava, twice)
    torch.testing.assert_close(once.repeat_interleave(2, dim=0), repeated, atol=1e-5, rtol=1e-5)


def test_nested_edits_compose_the_outer_one_first(llava, prompts):
    inputs = llava.encode(prompts).inputs
    direction = {Head(1, 0): np.linspace(-1, 1, 12)}

    def change(layer, item, position, head, z):
        return (0.5 * z + torch.linspace(-1, 1, 12, dtype=z.dtype)) if (layer, head) == (1, 0) else z

    with edit(llava, [Head(1, 0)], scale(0.5)), edit(llava, [Head(1, 0)], add(direction)):
        found = logits(llava, inputs)
    expected = logits(llava, double(inputs), slow_copy(llava, change))
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=2e-4)


def test_mean_muting_puts_the_mean_in_place_of_z(llava, prompts):
    inputs = llava.encode(prompts).inputs
    means = np.random.default_rng(0).normal(size=(12, 12))

    def change(layer, item, position, head, z):
        return torch.from_numpy(means[layer * 4 + head]) if Head(layer, head) in HEADS else z

    with edit(llava, HEADS, mute(mean=means)):
        found = logits(llava, inputs)
    expected = logits(llava, double(inputs), slow_copy(llava, change))
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=2e-4)


def test_leaving_restores_the_model_bit_for_bit_also_after_an_exception(vlm, prompts):
    encoded = vlm.encode(prompts)
    before, weights = logits(vlm, encoded.inputs), copy.deepcopy(vlm.model.state_dict())
    with edit(vlm, HEADS, mute()):
        logits(vlm, encoded.inputs)
    with pytest.raises(RuntimeError, match="stop"), edit(vlm, HEADS, mute()), edit(vlm, HEADS, scale(2)):
        raise RuntimeError("stop")
    assert hooks(vlm) == 0
    assert torch.equal(before, logits(vlm, encoded.inputs))
    assert all(torch.equal(weights[k], v) for k, v in vlm.model.state_dict().items())


def test_only_touched_projections_carry_a_hook(llava):
    with edit(llava, [Head(1, 0), Head(1, 2)], mute()):
        assert [len(s.projection._forward_pre_hooks) for s in llava.geometry.sites] == [0, 1, 0]


def test_an_edit_of_no_heads_changes_nothing(llava, prompts):
    inputs = llava.encode(prompts).inputs
    with edit(llava, [], mute()):
        assert hooks(llava) == 0
        inside = logits(llava, inputs)
    assert torch.equal(inside, logits(llava, inputs))


@pytest.mark.parametrize("factor", [math.nan, math.inf, -math.inf])
def test_a_factor_that_is_not_finite_is_refused(factor):
    with pytest.raises(EditError, match="finite"):
        scale(factor)


def test_what_cannot_be_edited_is_refused_with_the_reason(llava, prompts):
    with pytest.raises(EditError, match="no head"), edit(llava, [Head(9, 0)], mute()):
        pass
    with pytest.raises(EditError, match="named twice"), edit(llava, [Head(0, 0), Head(0, 0)], mute()):
        pass
    with pytest.raises(EditError, match="unknown scope"), edit(llava, [Head(0, 0)], mute(), "middle"):
        pass
    with (
        pytest.raises(EditError, match="width 12"),
        edit(llava, [Head(0, 0)], add({Head(0, 0): np.ones(5)})),
    ):
        pass
    with (
        pytest.raises(EditError, match="no vector"),
        edit(llava, [Head(0, 0)], add({Head(0, 1): np.ones(12)})),
    ):
        pass
    with (
        pytest.raises(EditError, match="not finite"),
        edit(llava, [Head(0, 0)], mute(mean=np.full((12, 12), np.nan))),
    ):
        pass
    with pytest.raises(EditError, match="one of them"):
        mute(0.1, mean=np.zeros((12, 12)))
    with pytest.raises(EditError, match="reading"), edit(llava, [Head(0, 0)], mute(), "image"):
        logits(llava, llava.encode(prompts).inputs)
    with (
        pytest.raises(EditError, match="one edit per item"),
        per_item([[Head(0, 0)]] * 2, mute()).applied(llava),
    ):
        logits(llava, llava.encode(prompts).inputs)
    with pytest.raises(EditError, match="share one scope"):
        BatchedEdit((Edit((Head(0, 0),), mute(), "all"), Edit((Head(0, 0),), mute(), "last")))


def test_descriptions_tell_edits_apart_and_ignore_the_order_of_heads():
    one = Edit((Head(0, 1), Head(2, 3)), mute())
    assert one.describe() == Edit((Head(2, 3), Head(0, 1)), mute()).describe()
    others = [
        Edit((Head(0, 1),), mute()),
        Edit((Head(0, 1), Head(2, 3)), scale(2.0)),
        Edit((Head(0, 1), Head(2, 3)), mute(), "last"),
        Edit((Head(0, 1), Head(2, 3)), mute(mean=np.zeros((4, 2)))),
        Edit((Head(0, 1), Head(2, 3)), mute(mean=np.ones((4, 2)))),
        Edit((Head(0, 1), Head(2, 3)), add(np.ones((4, 2)), 1.0)),
        Edit((Head(0, 1), Head(2, 3)), add(np.ones((4, 2)), 2.0)),
    ]
    seen = [repr(e.describe()) for e in (one, *others)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("scope", ["image", "answer"])
def test_scopes_of_tokens_are_refused_on_a_vision_tower(vlm, prompts, scope):
    tower = dataclasses.replace(vlm, geometry=find_geometry(vlm.model, ("vision",)))
    head, encoded = tower.geometry.heads[0], vlm.encode(prompts)
    with (
        tower.reading(encoded),
        pytest.raises(EditError, match="vision tower see patches"),
        edit(tower, [head], mute(), scope),
    ):
        pass
    with edit(tower, [head], mute()):
        found = logits(vlm, encoded.inputs)
    assert (found - logits(vlm, encoded.inputs)).abs().max() > 0


def test_vectors_may_stand_under_pairs_and_labels(llava, prompts):
    inputs, vector = llava.encode(prompts).inputs, np.linspace(-1, 1, 12)
    with edit(llava, [Head(0, 2)], add({Head(0, 2): vector})):
        wanted = logits(llava, inputs)
    for given in ({(0, 2): vector}, {"L0H2": vector}):
        with edit(llava, "L0H2", add(given)):
            assert torch.equal(logits(llava, inputs), wanted)
    assert add({(0, 2): vector}).describe() == add({Head(0, 2): vector}).describe()
    with edit(llava, [(0, 2)], mute(mean={(0, 2): vector})):
        assert not torch.equal(logits(llava, inputs), wanted)


def test_an_edit_in_one_thread_is_refused_in_another(llava, prompts):
    inputs = llava.encode(prompts).inputs
    plain = logits(llava, inputs)
    with ThreadPoolExecutor(1) as other:
        with edit(llava, HEADS, mute()):
            edited = logits(llava, inputs)
            with pytest.raises(EditError, match="edit of it is open in another thread; leave the edit first"):
                other.submit(logits, llava, inputs).result()
            assert torch.equal(logits(llava, inputs), edited)
        assert torch.equal(other.submit(logits, llava, inputs).result(), plain)


def test_answers_asked_by_several_threads_are_those_of_one(llava):
    pictures = [picture(seed, 32 + 8 * seed, 24) for seed in range(4)]
    choices = ("left", "right")
    alone = [llava.answer(p, "Where is the dog?", choices=choices) for p in pictures]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            asked = [pool.submit(llava.answer, p, "Where is the dog?", choices=choices) for p in pictures]
            assert [a.result() for a in asked] == alone


@pytest.mark.parametrize("given", ["embedded", None, Path("model")])
def test_what_is_no_model_is_refused_by_name_with_what_to_do(llava, given):
    shown = picture(0)
    for use in (
        lambda model: edit(model, [Head(0, 0)], mute()).__enter__(),
        lambda model: read(model, shown, "Where?"),
        lambda model: capture(model, [(shown, "Where?")]),
        lambda model: scan(model, [], "nowhere"),
        lambda model: bake(model, [Head(0, 0)], 2.0, "nowhere"),
    ):
        for wrong in (given, llava.model):
            with pytest.raises(
                ModelError, match=rf"found {type(wrong).__name__}; .*hs.wrap\(model, processor\)"
            ):
                use(wrong)
