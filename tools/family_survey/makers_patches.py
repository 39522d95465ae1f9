"""Inputs of families that take pictures as rows of patches with the shape of their grid."""

from __future__ import annotations

import torch
from torch import Tensor

from family_survey.inputs import Scene
from family_survey.makers import one, prompt

__all__ = [
    "diffusion", "grid", "grid_hw", "inkling", "merge_grid", "merged_patches", "molmo", "naflex",
    "patch_grid", "positions", "strip",
]  # fmt: skip


def _grids(scene: Scene) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Frames, rows and columns of patches of each picture, and their products; pictures differ in width."""
    shapes = [(1, 4, 4 + 4 * (number % 2)) for number in scene.numbers]
    return shapes, [t * h * w for t, h, w in shapes]


def grid(scene: Scene) -> dict[str, Tensor]:
    """Flat patches: pixel_values (patch, value), image_grid_thw (item, 3)."""
    vision = scene.vision
    patch = one(vision.patch_size)
    depth = getattr(vision, "temporal_patch_size", None) or getattr(vision, "patch_temporal", None) or 1
    shapes, sizes = _grids(scene)
    pixels = {
        "pixel_values": scene.noise(3 * int(depth) * patch * patch, sizes=sizes),
        "image_grid_thw": torch.tensor(shapes),
    }
    return prompt(scene, pixels, sizes)


def patch_grid(scene: Scene) -> dict[str, Tensor]:
    """Patches that keep their shape: pixel_values (patch, channel, row, column), image_grid_thw (item, 3)."""
    patch = one(scene.vision.patch_size)
    shapes, sizes = _grids(scene)
    pixels = {
        "pixel_values": scene.noise(3, patch, patch, sizes=sizes),
        "image_grid_thw": torch.tensor(shapes),
    }
    return prompt(scene, pixels, sizes)


def merge_grid(scene: Scene) -> dict[str, Tensor]:
    """Flat patches, with how many are merged a side: image_merge_sizes (item)."""
    patch = one(scene.vision.patch_size)
    shapes, sizes = _grids(scene)
    pixels = {
        "pixel_values": scene.noise(3 * patch * patch, sizes=sizes),
        "image_grid_thw": torch.tensor(shapes),
        "image_merge_sizes": torch.full((scene.items,), 2),
    }
    return prompt(scene, pixels, sizes)


def grid_hw(scene: Scene) -> dict[str, Tensor]:
    """Flat patches: pixel_values (patch, value), image_grid_hw (item, 2)."""
    patch = one(scene.vision.patch_size)
    shapes, sizes = _grids(scene)
    pixels = {
        "pixel_values": scene.noise(3 * patch * patch, sizes=sizes),
        "image_grid_hw": torch.tensor([s[1:] for s in shapes]),
    }
    return prompt(scene, pixels, sizes)


def merged_patches(scene: Scene) -> dict[str, Tensor]:
    """Patches as large as the merged ones: pixel_values (patch, row, column, channel)."""
    side = one(scene.vision.patch_size) * int(scene.vision.spatial_merge_size)
    shapes, sizes = [(1, 2, 2)] * scene.items, [4] * scene.items
    pixels = {
        "pixel_values": scene.noise(side, side, 3, sizes=sizes),
        "image_grid_thw": torch.tensor(shapes),
    }
    return prompt(scene, pixels, sizes)


def inkling(scene: Scene) -> dict[str, Tensor]:
    """Four patches an item: pixel_values (patch, frame, row, column, channel)."""
    side, depth = one(scene.vision.patch_size), int(scene.vision.temporal_patch_size)
    return prompt(scene, {"pixel_values": scene.noise(depth, side, side, 3, sizes=[4] * scene.items)})


def positions(scene: Scene) -> dict[str, Tensor]:
    """Patches with their places: pixel_values (item, patch, value), image_position_ids (item, patch, 2)."""
    return prompt(scene, _placed(scene))


def _placed(scene: Scene) -> dict[str, Tensor]:
    vision = scene.vision
    side = int(getattr(vision, "model_patch_size", 0) or vision.patch_size)
    places = torch.cartesian_prod(torch.arange(4), torch.arange(4)).flip(-1)
    return {
        "pixel_values": scene.noise(16, 3 * side * side),
        "image_position_ids": places.expand(scene.items, -1, -1).clone(),
    }


def diffusion(scene: Scene) -> dict[str, Tensor]:
    """A picture and words for the encoder, a canvas of tokens for the decoder, which sees both."""
    made = prompt(scene, _placed(scene))
    canvas = scene.words(int(scene.config.canvas_length))
    seen = torch.cat([made["attention_mask"], torch.ones_like(canvas)], dim=1)
    return {**made, "decoder_input_ids": canvas, "decoder_attention_mask": seen}


def naflex(scene: Scene) -> dict[str, Tensor]:
    """Flat patches an item with their grid: pixel_values (item, patch, value), spatial_shapes (item, 2)."""
    patch = one(scene.vision.patch_size)
    pixels = {
        "pixel_values": scene.noise(16, 3 * patch * patch),
        "spatial_shapes": torch.tensor([[4, 4]] * scene.items),
        "pixel_attention_mask": torch.ones(scene.items, 16, dtype=torch.long),
    }
    return prompt(scene, pixels)


def strip(scene: Scene) -> dict[str, Tensor]:
    """All patches in one strip: pixel_values (1, channel, row, column), target_sizes (item, 2)."""
    patch = one(scene.vision.patch_size)
    strips = scene.noise(3, patch, 64 * patch)
    pixels = {
        "pixel_values": torch.cat(list(strips), dim=-1)[None],
        "target_sizes": torch.tensor([[8, 8]] * scene.items, dtype=torch.int32),
    }
    return prompt(scene, pixels)


def molmo(scene: Scene) -> dict[str, Tensor]:
    """One crop an item as flat patches, and which patches are pooled into each token."""
    patch = one(scene.vision.patch_size)
    pooled = torch.arange(16).reshape(2, 2, 2, 2).transpose(1, 2).reshape(4, 4)
    pixels = {
        "pixel_values": scene.noise(16, 3 * patch * patch),
        "image_token_pooling": torch.cat([pooled + 16 * i for i in range(scene.items)]),
        "image_grids": torch.tensor([[2, 2, 0, 0]] * scene.items),
    }
    made = prompt(scene, pixels)
    return {**made, "image_num_crops": torch.ones(scene.items, dtype=torch.long)}
