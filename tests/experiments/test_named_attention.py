"""The attention score on planted heads, whose queries are known, and on a model whose attention is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headscope.data.cases import Cases
from headscope.errors import StoreError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.named_attention import (
    AttentionScores,
    AttentionSettings,
    HeadAttention,
    attention_scores,
)
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model
from headscope.storage import read_json
from headscope.validation.planted.build import build_planted
from headscope.validation.planted.glyphs import CELLS, COLUMNS, PATCH
from headscope.validation.planted.questions import COLOUR, COUNT, OBJECT, PLACE, planted_cases


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentContext, dict[str, list[str]]]:
    folder = tmp_path_factory.mktemp("planted")
    vlm = load_model(build_planted(folder / "model", "plain", 3), prove=False)
    cases = planted_cases(folder / "data", 60, 3)
    truth = read_json(folder / "model" / "truth.json")["functions"]
    return ExperimentContext(vlm, cases, cases.splits, folder / "study", batch_size=7), truth


@pytest.fixture(scope="module")
def scores(planted: tuple[ExperimentContext, dict[str, list[str]]]) -> AttentionScores:
    return attention_scores(planted[0], AttentionSettings(max_items=20))


def test_a_planted_head_looks_at_what_is_named_and_a_viewer_at_the_whole_picture(
    planted: tuple[ExperimentContext, dict[str, list[str]]], scores: AttentionScores
) -> None:
    context, truth = planted
    roles = {h["label"]: h["role"] for h in read_json(context.vlm.folder / "truth.json")["heads"]}
    for function in (COLOUR, PLACE):
        share = dict(zip(scores.heads, scores.functions[function].share, strict=True))
        (own,) = truth[function]
        assert share[own] == max(share.values())
        assert (share[own] or 0) > 0.99
        viewers = [share[label] for label, role in roles.items() if role == "viewer"]
        # e^6 on each of nine cells: the few tokens of the text get the rest
        assert viewers == pytest.approx([1 / CELLS] * len(viewers), abs=0.02)
        assert own in scores.functions[function].lookers(scores.heads)
    # What is at a cell is named by nothing but the answer, which is never boxed; a count names nothing.
    assert scores.skipped == dict.fromkeys((OBJECT, COUNT), "no question of it names a thing with a box")


def test_the_share_is_that_of_the_models_own_attention_weights(
    planted: tuple[ExperimentContext, dict[str, list[str]]], scores: AttentionScores
) -> None:
    context, _ = planted
    vlm = context.vlm
    assert isinstance(vlm, VLM)
    items = context.choose("select", 20)[COLOUR]
    expected = []
    before = vlm.model.config.get_text_config()._attn_implementation
    vlm.model.set_attn_implementation("eager")
    try:
        for item in items:
            turns = [(t.question, t.answer) for t in item.earlier]
            prompt = Prompt(context.cases.image(item.case), item.question, tuple(turns))
            encoded = vlm.encode([prompt])
            with torch.no_grad():
                weights = vlm.model(**encoded.inputs, output_attentions=True).attentions
            (thing,) = [o for o in item.case.objects if o.id in item.step.objects]
            x, y = (int(v) // PATCH for v in thing.box[:2])
            place = encoded.image[0].nonzero()[y * COLUMNS + x, 0]
            expected.append(torch.cat([w[0, :, -1, place] for w in weights]).double().numpy())
    finally:
        vlm.model.set_attn_implementation(before)
    found = np.array(scores.functions[COLOUR].share, dtype=float)
    assert found == pytest.approx(np.mean(expected, axis=0), abs=1e-6)


def test_the_file_is_what_was_found_and_other_settings_are_refused(
    planted: tuple[ExperimentContext, dict[str, list[str]]], scores: AttentionScores
) -> None:
    context, _ = planted
    assert AttentionScores.load(context.folder / "attention.json") == scores
    with pytest.raises(StoreError, match="settings"):
        attention_scores(context, AttentionSettings(max_items=3))


def test_questions_without_boxes_are_left_out_with_the_reason(tiny: VLM, tmp_path: Path) -> None:
    cases = planted_cases(tmp_path / "data", 10, 1)
    bare = [
        c.model_copy(update={"objects": tuple(o.model_copy(update={"box": None}) for o in c.objects)})
        for c in cases
    ]
    context = ExperimentContext(tiny, Cases(cases.folder, bare), cases.splits, tmp_path / "study")
    found = attention_scores(context, AttentionSettings(max_items=2))
    assert found.functions == {}
    assert set(found.skipped.values()) == {"no question of it names a thing with a box"}


def test_a_model_whose_image_tokens_have_no_place_says_so(
    tiny: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    encode = tiny.encode

    def nowhere(*args, **kwargs):
        found = encode(*args, **kwargs)
        grids = tuple(
            dataclasses.replace(g, boxes=None, reason="a resampler mixes them") for g in found.grids
        )
        return dataclasses.replace(found, grids=grids)

    monkeypatch.setattr(tiny, "encode", nowhere)
    cases = planted_cases(tmp_path / "data", 10, 1)
    context = ExperimentContext(tiny, cases, cases.splits, tmp_path / "study")
    found = attention_scores(context, AttentionSettings(max_items=2))
    assert found.functions == {}
    reasons = set(found.skipped.values()) - {"no question of it names a thing with a box"}
    assert len(reasons) == 1
    assert "a resampler mixes them" in reasons.pop()


def test_a_head_looks_where_its_interval_is_above_a_tenth() -> None:
    seen = HeadAttention(
        items=9, share=(0.3, 0.3, None, 0.05), ci=((0.1, 0.4), (0.09, 0.5), (None, None), (0.04, 0.06))
    )
    assert seen.lookers(["a", "b", "c", "d"]) == ["a"]
