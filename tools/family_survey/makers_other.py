"""Inputs of families that hold no image tokens in their text, or that have an encoder apart."""

from __future__ import annotations

import torch
from torch import Tensor

from family_survey.inputs import Scene, with_text
from family_survey.makers import prompt, side_of
from family_survey.shrink import FIRST_SPECIAL

__all__ = [
    "fuyu", "idefics", "kosmos", "pix2struct", "plain", "protein", "qformer", "robot", "seq2seq",
    "seq2seq_text", "text", "udop",
]  # fmt: skip


def text(scene: Scene) -> dict[str, Tensor]:
    """Words alone."""
    return with_text(scene, [[]] * scene.items)


def plain(scene: Scene) -> dict[str, Tensor]:
    """Words, and beside them one square picture an item."""
    side = side_of(scene)
    return {**text(scene), "pixel_values": scene.noise(3, side, side)}


def seq2seq(scene: Scene) -> dict[str, Tensor]:
    """A picture for the encoder, words for the decoder."""
    side = side_of(scene)
    return {
        "pixel_values": scene.noise(3, side, side),
        "decoder_input_ids": scene.words(7),
    }


def seq2seq_text(scene: Scene) -> dict[str, Tensor]:
    """A picture and words for the encoder, words for the decoder."""
    side = side_of(scene)
    made = prompt(scene, {"pixel_values": scene.noise(3, side, side)})
    return {**made, "decoder_input_ids": scene.words(7)}


def qformer(scene: Scene) -> dict[str, Tensor]:
    """As many image tokens as there are queries, and the instruction once more for the query transformer."""
    side, queries = side_of(scene), int(scene.config.num_query_tokens)
    video = "video" in scene.family
    token = scene.config.video_token_index if video else scene.config.image_token_index
    shape = (2, 3, side, side) if video else (3, side, side)
    made = with_text(scene, [[token] * (queries * (2 if video else 1))] * scene.items)
    made["pixel_values"] = scene.noise(*shape)
    if scene.takes("qformer_input_ids"):
        made["qformer_input_ids"] = scene.words(5)
        made["qformer_attention_mask"] = torch.ones(scene.items, 5, dtype=torch.long)
    return made


def idefics(scene: Scene) -> dict[str, Tensor]:
    """A picture seen by gated cross-attention: pixel_values (item, picture, channel, row, column)."""
    side, made = side_of(scene), text(scene)
    return {
        **made,
        "pixel_values": scene.noise(1, 3, side, side),
        "image_attention_mask": made["attention_mask"][..., None].clone(),
    }


def kosmos(scene: Scene) -> dict[str, Tensor]:
    """Latent queries at marked positions; pixels, or flattened patches with row and column in front."""
    token = FIRST_SPECIAL
    made = with_text(scene, [[token] * int(scene.config.latent_query_num)] * scene.items)
    made["image_embeds_position_mask"] = (made["input_ids"] == token).long()
    if scene.takes("flattened_patches"):
        return {**made, "flattened_patches": patches(scene)}
    side = side_of(scene)
    return {**made, "pixel_values": scene.noise(3, side, side)}


def patches(scene: Scene) -> Tensor:
    """Flattened patches (item, patch, 2 + values): row and column from 1, then pixels."""
    places = torch.cartesian_prod(torch.arange(1.0, 4.0), torch.arange(1.0, 5.0))
    values = scene.noise(len(places), int(scene.vision.patch_embed_hidden_size))
    return torch.cat([places.expand(scene.items, -1, -1), values], dim=-1)


def pix2struct(scene: Scene) -> dict[str, Tensor]:
    """Flattened patches for the encoder, words for the decoder."""
    flat = patches(scene)
    mask = torch.ones(flat.shape[:2], dtype=torch.long)
    return {"flattened_patches": flat, "attention_mask": mask, "decoder_input_ids": scene.words(7)}


def udop(scene: Scene) -> dict[str, Tensor]:
    """Words with their boxes, and a picture, for the encoder; words for the decoder."""
    made = plain(scene)
    made["bbox"] = torch.zeros(*made["input_ids"].shape, 4)
    for row, mask, draw in zip(made["bbox"], made["attention_mask"], scene.draws, strict=True):
        corners = torch.rand(int(mask.sum()), 2, 2, generator=draw).sort(dim=-2).values
        row[mask.bool()] = corners.flatten(-2)
    return {**made, "decoder_input_ids": scene.words(7)}


def protein(scene: Scene) -> dict[str, Tensor]:
    """Words, and a protein sequence for the cross-attention."""
    ids = 5 + scene.words(9) % 15
    return {**text(scene), "protein_input_ids": ids, "protein_attention_mask": torch.ones_like(ids)}


def robot(scene: Scene) -> dict[str, Tensor]:
    """A camera picture with words, the robot's state, and the noise that becomes its actions."""
    config = scene.config
    side = int(config.vlm_config.vision_config.image_size)
    pixels = scene.noise(3, side, side)
    token = int(config.vlm_config.image_token_id)
    n = int(scene.model.model.vlm.get_image_features(pixels).pooler_output.shape[1])
    return {
        **with_text(scene, [[token] * n] * scene.items),
        "pixel_values": pixels[:, None],
        "pixel_attention_mask": torch.ones(scene.items, 1, dtype=torch.bool),
        "state": scene.noise(int(config.max_state_dim)),
        "noise": scene.noise(int(config.chunk_size), int(config.max_action_dim)),
        "timestep": torch.full((scene.items,), 0.5),
    }


def fuyu(scene: Scene) -> dict[str, Tensor]:
    """Patches fed straight to the decoder: pixel_values (item, patch, value)."""
    token, size = int(scene.config.image_token_id), int(scene.config.patch_size)
    made = with_text(scene, [[token] * 9] * scene.items)
    name = "pixel_values" if scene.takes("pixel_values") else "image_patches"
    return {**made, name: scene.noise(9, 3 * size * size)}
