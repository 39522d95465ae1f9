"""Attention maps: what the eager kernel returns, on the picture, on boxes counted pixel by pixel."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import headscope as hs
from asking.test_picture_attention import eager
from headscope.asking.picture_attention import PromptAttention
from headscope.capturing.captured import CapturePlan
from headscope.capturing.run import capture
from headscope.capturing.store import open_answers
from headscope.data.cases import Cases
from headscope.errors import StoreError
from headscope.experiments.attention_maps import (
    AttentionMaps,
    OverlaySettings,
    attention_maps,
    covered,
    map_row,
    maps_of,
    pooled,
)
from headscope.experiments.context import ExperimentContext
from headscope.making.scenes.generate import draw_scenes
from headscope.models.types import ImageGrid, Prompt
from headscope.models.vlm import VLM


@pytest.fixture(scope="module")
def context(tiny: VLM, tmp_path_factory: pytest.TempPathFactory) -> ExperimentContext:
    """Six scenes, all of test, that were asked in gold context."""
    folder = tmp_path_factory.mktemp("maps")
    cases = draw_scenes(folder / "data", 6, seed=3, things=(2, 4), card=False)
    splits = dict.fromkeys((c.id for c in cases), "test")
    asked = {"contexts": ("gold",), "main_contexts": ("gold",), "readouts": (), "batch_size": 8}
    capture(tiny, cases, splits, folder / "capture", **asked)
    return ExperimentContext(tiny, cases, splits, folder)


@pytest.fixture(scope="module")
def found(context: ExperimentContext) -> AttentionMaps:
    plan = CapturePlan.load(context.folder / "capture" / "plan.json")
    return attention_maps(context, plan, OverlaySettings(cases=3))


def prompt_of(context: ExperimentContext, row: dict) -> Prompt:
    """A row's question after the true answers that the capture put before it."""
    from headscope.asking.items import make_items

    case = context.cases.by_id[row["case"]]
    item = next(i for i in make_items([case], context.taxonomy, ("gold",)) if i.id == row["item"])
    turns = tuple((s.question, s.answer) for s in item.earlier)
    return Prompt(context.cases.image(case), item.question, turns)


def by_transformers(context: ExperimentContext, row: dict) -> tuple[NDArray[np.float64], ImageGrid]:
    """(head, image token) attention of the prompt's last position, and where the tokens lie."""
    vlm = context.vlm
    encoded = vlm.encode([prompt_of(context, row)])
    with eager(vlm), torch.no_grad():
        out = vlm.model(**encoded.inputs, output_attentions=True)
    last = torch.cat([a[0, :, -1] for a in out.attentions]).double().numpy()
    return last[:, encoded.image[0].numpy()], encoded.grids[0]


def by_pixels(grid: ImageGrid, box: tuple[float, ...], size: tuple[int, int]) -> NDArray[np.float64]:
    """(image token,) share of each token's rectangle in a box, counted on a grid of quarter pixels."""
    assert grid.boxes is not None
    step = 0.25
    x, y = (np.arange(0, side, step) + step / 2 for side in size)
    shares = []
    for x0, y0, x1, y1 in grid.boxes.double().numpy():
        across = ((x > max(x0, box[0])) & (x < min(x1, box[2]))).sum() * step
        down = ((y > max(y0, box[1])) & (y < min(y1, box[3]))).sum() * step
        shares.append(across * down / ((x1 - x0) * (y1 - y0)))
    return np.array(shares)


def test_shares_are_those_of_the_models_own_attention_weights(
    context: ExperimentContext, found: AttentionMaps
) -> None:
    for row in found.rows[:: max(1, len(found.rows) // 4)]:
        weights, grid = by_transformers(context, row)
        assert row["on_picture"] == pytest.approx(weights.sum(axis=1), abs=2e-6)
        case = context.cases.by_id[row["case"]]
        width, height = row["size"]
        for box, thing in zip(row["boxes"], [o for o in case.objects if o.box], strict=True):
            expected = weights @ by_pixels(grid, thing.box, (width, height))
            assert box["on_box"] == pytest.approx(expected, abs=2e-4)
            x0, y0, x1, y1 = thing.box
            assert box["area"] == pytest.approx((x1 - x0) * (y1 - y0) / (width * height), abs=1e-6)
            assert (box["object"], box["name"]) == (thing.id, thing.name)
        cells = np.frombuffer(row["cells"], np.uint8).reshape(-1, row["rows"], row["columns"])
        on_grid = weights.reshape(cells.shape)
        assert row["peak"] == pytest.approx(on_grid.max(axis=(1, 2)), abs=2e-6)
        back = cells / 255 * np.array(row["peak"])[:, None, None]
        assert back == pytest.approx(on_grid, abs=on_grid.max() / 400)


def test_what_a_head_writes_is_its_block_of_the_projection_times_its_output(
    context: ExperimentContext, found: AttentionMaps
) -> None:
    row, vlm = found.rows[0], context.vlm
    prompt = prompt_of(context, row)
    z = hs.read(vlm, prompt.pictures[0], prompt.question, history=prompt.history).z
    for site in vlm.geometry.sites:
        weight = site.projection.weight.detach().double().numpy()
        for head in site.heads:
            own = z.sel(head=str(head)).values[: site.head_dim].astype(float)
            start = head.head * site.head_dim
            written = np.linalg.norm(weight[:, start : start + site.head_dim] @ own)
            assert row["contribution"][vlm.geometry.index(head)] == pytest.approx(written, rel=1e-3, abs=1e-5)


def test_half_of_the_cases_are_those_with_most_wrong_answers(
    context: ExperimentContext, found: AttentionMaps
) -> None:
    wrong: Counter[str] = Counter()
    for row in open_answers(context.folder / "capture"):
        wrong[row["case"]] += not row["correct"]
    worst = sorted(wrong, key=lambda name: (-wrong[name], name))[:2]
    assert list(found.most_failed) == worst
    assert len(found.drawn) == 1
    assert not set(found.drawn) & set(worst)
    assert list(maps_of(found)) == [*found.most_failed, *found.drawn]
    for name, rows in maps_of(found).items():
        case = context.cases.by_id[name]
        assert [r["step"] for r in rows] == [*(s.id for s in case.steps), "main"]


def test_the_file_is_what_was_found_and_a_stopped_run_goes_on(
    context: ExperimentContext, found: AttentionMaps
) -> None:
    assert AttentionMaps.load(context.folder / "overlay.json") == found
    plan = CapturePlan.load(context.folder / "capture" / "plan.json")
    resumed = replace(context, model=lambda: context.vlm)
    assert attention_maps(resumed, plan, OverlaySettings(cases=3)) == found
    with pytest.raises(StoreError, match="settings"):
        attention_maps(context, plan, OverlaySettings(cases=2))


def test_cases_with_several_pictures_are_left_out_with_the_reason(
    context: ExperimentContext, tmp_path: Path
) -> None:
    first, *rest = context.cases
    two = first.model_copy(update={"more": (rest[0].pictures[0],)})
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "capture").symlink_to(context.folder / "capture")
    changed = replace(context, cases=Cases(context.cases.folder, [two, *rest]), folder=tmp_path / "study")
    plan = CapturePlan.load(context.folder / "capture" / "plan.json")
    found = attention_maps(changed, plan, OverlaySettings(cases=6))
    assert found.left_out == {two.id: "it has several pictures"}
    assert two.id not in maps_of(found)


def test_a_fine_grid_is_summed_to_blocks_and_loses_no_weight() -> None:
    weights = np.random.default_rng(0).random((2, 7, 10))
    small = pooled(weights, 4)
    assert small.shape == (2, 4, 4)
    assert small.sum(axis=(1, 2)) == pytest.approx(weights.sum(axis=(1, 2)))
    assert small[1, 3, 0] == pytest.approx(weights[1, 6:, :3].sum())
    assert pooled(weights, 16) is not None
    assert (pooled(weights, 16) == weights).all()


def test_a_head_that_is_not_seen_has_no_share_and_tokens_without_a_place_no_part_in_a_box() -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 4.0], [float("nan")] * 4])
    grid = ImageGrid(boxes, (1, 2))
    assert covered(grid, (2.0, 0.0, 5.0, 2.0)).tolist() == [0.25, 0.125, 0.0]
    from PIL import Image

    weights = np.array([[0.1, 0.3, 0.2], [np.nan] * 3], dtype=np.float32)
    row = map_row(PromptAttention((), weights, {}, grid, Image.new("RGB", (8, 4))), 16)
    assert row["on_picture"] == [0.6, None]
    assert row["peak"] == [0.3, None]
    assert base64.b64decode(row["cells"]) == bytes([85, 255, 0, 0])
