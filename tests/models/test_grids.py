"""The image grid: paint one cell of the original picture, and only its patch may change in what the model
sees."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    LlavaImageProcessorPil,
    LlavaProcessor,
    SiglipImageProcessorPil,
)

from headscope.models.families import image_grids
from headscope.models.grids.layouts import cells
from headscope.models.types import Prompt
from headscope.models.vlm import VLM

SIZES = [(48, 48), (60, 36), (36, 66)]


def painted(size: tuple[int, int], box: Any) -> Image.Image:
    """A black picture with the middle of a rectangle white."""
    x0, y0, x1, y1 = (float(n) for n in box)
    dx, dy = (x1 - x0) * 0.3, (y1 - y0) * 0.3
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = max(0, round(x0 + dx)), max(0, round(y0 + dy))
    pixels[top : max(top + 1, round(y1 - dy)), left : max(left + 1, round(x1 - dx))] = 255
    return Image.fromarray(pixels, "RGB")


def brightest_patch(pixels: torch.Tensor, patch: int) -> int:
    """Index, row by row, of the brightest square of a (channel, row, column) picture."""
    c, h, w = pixels.shape
    patches = pixels.reshape(c, h // patch, patch, w // patch, patch).mean(dim=(0, 2, 4))
    return int(patches.flatten().argmax())


PROCESSORS = {
    "square resize": SiglipImageProcessorPil(size={"height": 24, "width": 24}),
    "short side and centre crop": CLIPImageProcessorPil(
        size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}
    ),
    "pad to a square": LlavaImageProcessorPil(
        do_pad=True, size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}
    ),
    "crop of a smaller picture": CLIPImageProcessorPil(
        size={"shortest_edge": 20}, crop_size={"height": 24, "width": 24}
    ),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", list(PROCESSORS))
def test_painting_a_cell_lights_up_exactly_its_llava_patch(
    tiny: VLM, kind: str, size: tuple[int, int]
) -> None:
    processor = LlavaProcessor(
        image_processor=PROCESSORS[kind],
        tokenizer=tiny.tokenizer,
        patch_size=6,
        vision_feature_select_strategy="full",
    )
    inputs = processor.image_processor([Image.new("RGB", size)], return_tensors="pt")
    (grid,) = image_grids(processor, "llava", [size], dict(inputs))
    assert grid.shape == (4, 4)
    assert grid.boxes is not None
    black = inputs["pixel_values"][0]
    seen = 0
    for token, box in enumerate(grid.boxes.tolist()):
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if not (1 <= x < size[0] - 1 and 1 <= y < size[1] - 1):
            continue  # this token stands for padding
        seen += 1
        pixels = processor.image_processor([painted(size, box)], return_tensors="pt")["pixel_values"][0]
        assert brightest_patch(pixels - black, 6) == token
    assert seen >= 8


def test_a_class_token_stands_for_no_place_and_default_strategy_drops_it(tiny: VLM) -> None:
    for strategy, extra, expected in (("full", 1, 10), ("default", 1, 9), ("full", 0, 9), ("default", 0, 8)):
        processor = LlavaProcessor(
            image_processor=PROCESSORS["square resize"],
            tokenizer=tiny.tokenizer,
            patch_size=8,
            vision_feature_select_strategy=strategy,
            num_additional_image_tokens=extra,
        )
        batch = processor(images=[Image.new("RGB", (48, 24))], text=["<image>"], return_tensors="pt")
        (grid,) = image_grids(processor, "llava", [(48, 24)], dict(batch))
        assert grid.boxes is not None
        assert len(grid.boxes) == expected == int((batch["input_ids"] == tiny.image_token_id).sum())
        placed = grid.boxes[~grid.boxes.isnan().any(dim=1)]
        whole = cells((48, 24), 3, 3)
        assert torch.equal(placed, whole[len(whole) - len(placed) :])


@pytest.mark.parametrize("size", [(48, 48), (60, 36), (36, 66), (100, 30), (9, 9)])
def test_painting_a_cell_lights_up_exactly_its_qwen_token(tiny_qwen: VLM, size: tuple[int, int]) -> None:
    encoded = tiny_qwen.encode([Prompt(Image.new("RGB", size), "Where?")])
    grid = encoded.grids[0]
    assert grid.boxes is not None
    assert grid.shape is not None
    assert len(grid.boxes) == grid.shape[0] * grid.shape[1] == int(encoded.image[0].sum())
    assert grid.boxes[-1].tolist()[2:] == pytest.approx(size)
    for token, box in enumerate(grid.boxes.tolist()):
        lit = tiny_qwen.encode([Prompt(painted(size, box), "Where?")]).inputs["pixel_values"]
        merged = lit.reshape(len(grid.boxes), -1).mean(dim=1)  # four patches in a row merge into one token
        assert int(merged.argmax()) == token


def test_grids_of_a_batch_belong_to_their_own_pictures(tiny_qwen: VLM) -> None:
    prompts = [Prompt(Image.new("RGB", size), "Where?") for size in SIZES]
    encoded = tiny_qwen.encode(prompts)
    for i, size in enumerate(SIZES):
        boxes = encoded.grids[i].boxes
        assert boxes is not None
        assert boxes[-1].tolist()[2:] == pytest.approx(size)
        assert len(boxes) == int(encoded.image[i].sum())


def test_a_family_without_a_known_map_says_so(tiny: VLM) -> None:
    grids = image_grids(tiny.processor, "someone_elses_vlm", [(4, 4)] * 2, {})
    assert [g.boxes for g in grids] == [None, None]
    assert "someone_elses_vlm" in grids[0].reason


def test_cells_cover_the_picture_without_gap_or_overlap() -> None:
    boxes = cells((7.0, 5.0), 3, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert areas.sum().item() == pytest.approx(35.0)
    assert boxes[:, :2].min() == 0
    assert boxes[5].tolist() == pytest.approx([7 / 4, 5 / 3, 14 / 4, 10 / 3])


def onevision(pinpoints: list[list[int]], tokens: int = 729, edge: int = 384) -> Any:
    """As much of LLaVA-OneVision's processor as its map needs: tiles of 384 pixels, 27 x 27 patches."""
    images = SimpleNamespace(size={"height": edge, "width": edge}, image_grid_pinpoints=pinpoints)
    return SimpleNamespace(
        image_processor=images, num_image_tokens=tokens, vision_aspect_ratio="anyres_max_9"
    )


def test_patches_that_do_not_fill_a_tile_leave_its_edge_unseen() -> None:
    inputs = {"pixel_values": torch.zeros(1, 5, 3, 384, 384)}
    (grid,) = image_grids(onevision([[768, 768]]), "llava_onevision", [(768, 768)], inputs)
    assert grid.boxes is not None
    base, lines = grid.boxes[:729], grid.boxes[729:].reshape(54, 55, 4)
    # The whole picture at half its size: 14 pixels of a tile are 28 of the picture.
    assert base[0].tolist() == [0, 0, 28, 28]
    assert base[26].tolist() == [728, 0, 756, 28]
    # The tiles at full size: the second begins at 384, six pixels after the first one's last patch ends.
    row = lines[0]
    assert row[26].tolist() == [364, 0, 378, 14]
    assert row[27].tolist() == [384, 0, 398, 14]
    assert row[53].tolist() == [748, 0, 762, 14]
    assert lines[27, 0].tolist() == [0, 384, 14, 398]
    assert row[54].isnan().all()


def test_a_grid_that_is_shrunk_reaches_over_the_gap_between_tiles() -> None:
    inputs = {"pixel_values": torch.zeros(1, 17, 3, 384, 384)}
    (grid,) = image_grids(onevision([[1536, 1536]]), "llava_onevision", [(1536, 1536)], inputs)
    assert grid.boxes is not None
    # 4 x 27 tokens a side are shrunk by 4/3 to 81; each stands for 4/3 patches.
    lines = grid.boxes[729:].reshape(81, 82, 4)
    assert lines[0, 0].tolist() == pytest.approx([0, 0, 14 * 4 / 3, 14 * 4 / 3], abs=1e-3)
    # Token 20 begins at patch 26 2/3 of the first tile and ends at patch 1 of the second.
    assert lines[0, 20, [0, 2]].tolist() == pytest.approx([14 * 80 / 3, 384 + 14], abs=1e-3)


def test_what_a_processor_sets_itself_comes_before_its_published_image_settings() -> None:
    images = SimpleNamespace(
        crop_to_patches=False, size={"height": 448, "width": 448}, min_patches=1, max_patches=12
    )
    processor = SimpleNamespace(
        image_processor=images, image_seq_length=256, images_kwargs={"crop_to_patches": True}
    )
    (grid,) = image_grids(processor, "internvl", [(896, 448)], {})
    assert grid.boxes is not None
    assert len(grid.boxes) == 256 * 3, "two tiles and the whole picture"
    processor.images_kwargs = {}
    (grid,) = image_grids(processor, "internvl", [(896, 448)], {})
    assert grid.boxes is not None
    assert len(grid.boxes) == 256
