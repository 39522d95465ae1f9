from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from edits.naive import double, logits, slow_copy
from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch, tile
from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit, add, mute, scale
from headscope.engine import engine as engines
from headscope.engine import shared_prefix as fanning
from headscope.engine.readings import Reader
from headscope.engine.shared_prefix import SharedPrefix, read_sharing_prefix, shared_prefix_of
from headscope.errors import EditError, ModelError
from headscope.experiments.items import choose_items
from headscope.functions import DEFAULT
from headscope.models.finding import find_geometry
from headscope.models.geometry import Head
from headscope.models.ways import Way, kept_ways
from headscope.storage import Ledger

SETS = [
    (Head(0, 1),),
    (Head(1, 0), Head(1, 3)),
    (Head(0, 2), Head(1, 2)),
    (Head(1, 1),),
    (Head(0, 0), Head(0, 3)),
    (Head(1, 2), Head(0, 0)),
]


@pytest.fixture
def items(cases, splits):
    return choose_items(cases, splits, "test", DEFAULT, 5, 0, ("alone", "gold"))


def encoded_of(vlm, cases, item):
    return encode_batch(vlm, [item], lambda i: cases.image(i.case))


def reader(vlm, cases, chosen, folder, **knobs):
    return Reader(vlm, chosen, lambda i: cases.image(i.case), Ledger(folder, {}), **knobs)


def fanned(vlm, cases, item, edits, tokens=4, **how):
    with BatchedEdit(tuple(edits), one_prompt=True).applied(vlm):
        return read_sharing_prefix(
            vlm, encoded_of(vlm, cases, item), item, len(edits), tokens, SharedPrefix(**how)
        )


@pytest.mark.parametrize("trimmed", [False, True])
def test_logits_of_a_fan_are_those_of_a_slow_model_edited_head_by_head(llava, cases, items, trimmed):
    item = items["spatial_perception"][0]
    found = fanned(llava, cases, item, [Edit(h, mute()) for h in SETS], trimmed=trimmed)
    inputs = double(encoded_of(llava, cases, item).inputs)
    for row, heads in zip(found.logits, SETS, strict=True):
        muted = {(h.layer, h.head) for h in heads}
        slow = slow_copy(llava, lambda layer, _i, _p, h, z, m=muted: 0 * z if (layer, h) in m else z)
        expected = logits(llava, inputs, slow)[0, -1]
        np.testing.assert_allclose(row.double(), expected, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("scope", ["all", "image", "question", "last", "answer"])
@pytest.mark.parametrize("name", ["spatial_perception", "counting", "main@gold"])
def test_fanned_readings_are_those_of_whole_runs(vlm, cases, items, tmp_path, scope, name):
    whats = [mute(), mute(0.3), scale(2.0)]
    edits = [Edit(h, whats[i % 3], scope) for i, h in enumerate(SETS)]
    shared = reader(vlm, cases, items[name], tmp_path / "a")
    whole = reader(vlm, cases, items[name], tmp_path / "b", strategies=())
    assert shared.engine._shared_prefix(edits, 0) == SharedPrefix("", trimmed=True)
    for one, other in zip(shared.read_edits(edits), whole.read_edits(edits), strict=True):
        np.testing.assert_allclose(one.margin, other.margin, atol=2e-4)
        assert one.correct.tolist() == other.correct.tolist()


def test_directions_and_double_precision_agree_to_nine_digits(llava, cases, items):
    exact = copy.copy(llava)
    exact.model = copy.deepcopy(llava.model).double()
    exact.geometry = find_geometry(exact.model)
    vectors = np.random.default_rng(1).normal(size=(12, 12))
    edits = [Edit((Head(i % 3, i % 4),), add(vectors, 0.5 * i), "answer") for i in range(1, 7)]
    item = items["main@gold"][0]
    found = fanned(exact, cases, item, edits, tokens=6, trimmed=True)
    encoded = encoded_of(exact, cases, item)
    for i, one in enumerate(edits):
        whole = ask(exact, encoded, [item], edit=one, max_new_tokens=6)
        torch.testing.assert_close(found.logits[i], whole.logits[0], rtol=1e-9, atol=1e-9)
        assert found.tokens[i] == whole.tokens[0]
        assert found.margin[i] == pytest.approx(whole.rows[0]["margin"], rel=1e-9, abs=1e-9)


def test_picture_and_layers_below_the_first_edit_are_read_on_one_row(llava, cases, items):
    rows = {}
    inner = llava.model.model
    watched = {"tower": inner.vision_tower.encoder.layers[0].self_attn}
    for i, layer in enumerate(inner.language_model.layers):
        watched |= {f"attention {i}": layer.self_attn.q_proj, f"mlp {i}": layer.mlp}

    def note(name):
        def hook(_module, _args, out):
            rows.setdefault(name, (out[0] if isinstance(out, tuple) else out).shape)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in watched.items()]
    edits = [Edit((Head(1, h),), mute()) for h in range(4)] + [Edit((Head(2, 0),), mute())]
    try:
        fanned(llava, cases, items["counting"][0], edits, trimmed=True)
    finally:
        for handle in handles:
            handle.remove()
    assert {n: s[0] for n, s in rows.items()} == {
        "tower": 1, "attention 0": 1, "mlp 0": 1, "attention 1": 1, "mlp 1": 5, "attention 2": 5, "mlp 2": 5,
    }  # fmt: skip
    assert rows["mlp 1"][1] > 1
    assert rows["mlp 2"][1] == 1


def test_a_model_that_fans_out_wrongly_is_read_whole_and_the_log_says_why(
    llava, cases, items, tmp_path, caplog
):
    model = copy.copy(llava)  # a model of its own to the record of what is known
    norm = llava.model.model.language_model.layers[2].input_layernorm
    mixes = norm.register_forward_hook(lambda _m, _a, out: out + 0.1 * (out.shape[0] > 4) * out.mean(0))
    edits = [Edit(h, mute()) for h in SETS]
    chosen = items["counting"]
    try:
        made = reader(model, cases, chosen, tmp_path, rows=1, batch_size=4)
        found = made.read_edits(edits)
        with kept_ways(model, tmp_path):  # beside the readings
            known = shared_prefix_of(model, None, None, edits, 1)
        assert "logits differ from those of whole runs" in known.refusal
        assert (
            "whole runs instead of edits of one prompt in one forward, scope all: logits differ"
            in caplog.text
        )
        expected = [
            [ask(model, encoded_of(model, cases, i), [i], edit=e).rows[0]["margin"] for i in chosen]
            for e in edits
        ]
    finally:
        mixes.remove()
    np.testing.assert_allclose([r.margin for r in found], expected, atol=2e-4)


def test_a_model_that_raises_at_a_fan_is_read_whole(llava, cases, items):
    model = copy.copy(llava)

    def no_broadcast(_module, args):
        if args[0].shape[0] not in (1, 6):
            raise RuntimeError("shapes do not match")

    handle = llava.model.model.language_model.layers[2].mlp.register_forward_pre_hook(no_broadcast)
    item = items["counting"][0]
    try:
        found = shared_prefix_of(model, encoded_of(model, cases, item), item, [Edit(SETS[0], mute())], 4)
    finally:
        handle.remove()
    assert found == SharedPrefix("the model raised RuntimeError: shapes do not match")


def test_a_layer_whose_last_position_does_not_stand_alone_is_computed_whole(llava, cases, items):
    model = copy.copy(llava)
    mlp = llava.model.model.language_model.layers[2].mlp
    leak = mlp.register_forward_hook(lambda _m, _a, out: out + out[:, :1])  # of the first position
    item = items["counting"][0]
    try:
        found = shared_prefix_of(model, encoded_of(model, cases, item), item, [Edit(SETS[0], mute())], 4)
    finally:
        leak.remove()
    assert found == SharedPrefix("", trimmed=False)


def test_what_cannot_be_fanned_out_is_refused(llava, cases, items):
    two = items["counting"][:2]
    encoded = encode_batch(llava, two, lambda i: cases.image(i.case))
    with pytest.raises(ModelError, match="share the prefix of a batch of 2 prompts"):
        read_sharing_prefix(llava, encoded, two[0], 3, 4)
    none = [Edit((), mute()), Edit((), mute())]
    with pytest.raises(ModelError, match="under 2 edits came out with 1 rows"):
        fanned(llava, cases, two[0], none)
    tiled = tile(encoded_of(llava, cases, two[0]).to(llava.device), 3)
    held = BatchedEdit((Edit(SETS[0], mute()), None), one_prompt=True).applied(llava)
    wrong = pytest.raises(EditError, match="2 edits were given for a forward over 3 rows")
    with held, torch.no_grad(), llava.reading(tiled), wrong:
        llava.model(**tiled.inputs)


def test_few_edits_and_edits_of_nothing_are_read_whole(llava, cases, items, tmp_path, monkeypatch):
    made = reader(llava, cases, items["counting"], tmp_path)
    monkeypatch.setattr(fanning, "_trial", lambda *_: Way())
    edits = [Edit(h, mute()) for h in SETS]
    assert made.engine._shared_prefix(edits, 0) is not None
    assert made.engine._shared_prefix(edits[: engines.FEWEST - 1], 0) is None
    assert made.engine._shared_prefix([*edits, Edit((), mute())], 0) is None
