"""z is what it claims to be: recomputed in float64 from weights, zeroed inside attention, and free of its
batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from headscope.models.attention import attention_function
from headscope.models.geometry import Site
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM


def picture(seed: int, size: tuple[int, int] = (40, 28)) -> Image.Image:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy(), "RGB")


PROMPTS = [
    Prompt(picture(0), "Where is the dog?"),
    Prompt(
        picture(1),
        "Is the dog facing the horse?",
        (("How many sheep are there?", "two"), ("Which?", "the red one")),
    ),
    Prompt(picture(2), "How many cats are there in the picture, top left?"),
]


def read(vlm: VLM, encoded: Encoded) -> tuple[Tensor, dict[int, dict[str, Tensor]]]:
    """Logits, and for each layer the attention's input states and the projection's input."""
    seen: dict[int, dict[str, Tensor]] = {}
    handles = []
    for site in vlm.geometry.sites:
        slot = seen.setdefault(site.layer, {})

        def states(_m: nn.Module, args: Any, kwargs: Any, slot: dict[str, Tensor] = slot) -> None:
            slot["hidden"] = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]

        def entry(_m: nn.Module, args: Any, slot: dict[str, Tensor] = slot) -> None:
            slot["z"] = args[0].clone()

        handles.append(site.attention.register_forward_pre_hook(states, with_kwargs=True))
        handles.append(site.projection.register_forward_pre_hook(entry))
    try:
        with torch.no_grad():
            logits = vlm.model(**encoded.inputs, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()
    return logits, seen


def rotate(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Rotary embedding as in its paper, in the half-split layout: (head, position, width)."""
    half = x.shape[-1] // 2
    angles = positions[:, None].double() * theta ** (-torch.arange(half).double() / half)
    pairs = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def recompute(site: Site, config: Any, hidden: Tensor, attended: Tensor) -> Tensor:
    """z of one item, (attended position, head, width), from the states before the projections, in float64."""
    attention: Any = site.attention
    kv_heads, width = config.num_key_value_heads, config.head_dim

    def project(linear: nn.Linear, heads: int, norm: Any = None) -> Tensor:
        x = hidden[attended].double() @ linear.weight.double().T
        x = x.reshape(-1, heads, width)
        if norm is not None:
            x = x / (x.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * norm.weight.double()
        return x.transpose(0, 1)

    q = project(attention.q_proj, config.num_attention_heads, attention.q_norm)
    k, v = project(attention.k_proj, kv_heads, attention.k_norm), project(attention.v_proj, kv_heads)
    theta = config.rope_parameters["rope_theta"]
    positions = torch.arange(q.shape[1])
    q, k = rotate(q, positions, theta), rotate(k, positions, theta)
    z = []
    for h in range(config.num_attention_heads):
        group = h * kv_heads // config.num_attention_heads
        scores = q[h] @ k[group].T / width**0.5
        scores = scores.masked_fill(positions[None, :] > positions[:, None], float("-inf"))
        z.append(scores.softmax(-1) @ v[group])
    return torch.stack(z, dim=1)


def test_z_equals_an_independent_float64_recomputation_from_q_k_and_v(tiny: VLM) -> None:
    encoded = tiny.encode(PROMPTS)
    assert not encoded.inputs["attention_mask"].bool().all(), "the batch has to hold padding"
    _, seen = read(tiny, encoded)
    for site in tiny.geometry.sites:
        for item, attended in enumerate(encoded.inputs["attention_mask"].bool()):
            expected = recompute(site, tiny.config.text_config, seen[site.layer]["hidden"][item], attended)
            z = seen[site.layer]["z"][item][attended].reshape(-1, site.n_heads, site.head_dim).double()
            assert (z - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_recomputation_would_notice_a_wrong_head_order(tiny: VLM) -> None:
    encoded = tiny.encode(PROMPTS[:1])
    _, seen = read(tiny, encoded)
    site = tiny.geometry.sites[0]
    attended = encoded.inputs["attention_mask"][0].bool()
    expected = recompute(site, tiny.config.text_config, seen[0]["hidden"][0], attended)
    z = seen[0]["z"][0].reshape(-1, site.n_heads, site.head_dim).double()
    assert (z[:, [1, 0, 2, 3]] - expected).abs().max() > 1e-2 * expected.abs().max()


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_zeroing_a_head_inside_attention_changes_exactly_its_block(
    family: str, request: pytest.FixtureRequest
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    encoded = vlm.encode(PROMPTS)
    _, bare = read(vlm, encoded)
    for site in vlm.geometry.sites:
        for head in range(site.n_heads):

            def zero(output: Tensor, head: int = head) -> Tensor:
                output = output.clone()
                output[:, :, head] = 0
                return output

            with attention_function(site, zero):
                _, seen = read(vlm, encoded)
            moved = (seen[site.layer]["z"] != bare[site.layer]["z"]).reshape(-1, site.n_heads, site.head_dim)
            attended = encoded.inputs["attention_mask"].bool().flatten()
            others = [h for h in range(site.n_heads) if h != head]
            assert moved[attended][:, head].all()
            assert not moved[:, others].any()
            for lower in range(site.layer):
                assert torch.equal(seen[lower]["z"], bare[lower]["z"])


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_an_item_of_a_left_padded_batch_equals_the_item_alone(
    family: str, request: pytest.FixtureRequest
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    together = vlm.encode(PROMPTS)
    logits, seen = read(vlm, together)
    for item, prompt in enumerate(PROMPTS):
        alone = vlm.encode([prompt])
        own_logits, own = read(vlm, alone)
        n = alone.length
        assert torch.equal(together.inputs["input_ids"][item, -n:], alone.inputs["input_ids"][0])
        assert torch.equal(together.image[item, -n:], alone.image[0])
        assert torch.equal(together.question[item, -n:], alone.question[0])
        assert (logits[item, -n:] - own_logits[0]).abs().max() < 1e-4 * own_logits.abs().max()
        for site in vlm.geometry.sites:
            z, own_z = seen[site.layer]["z"][item, -n:], own[site.layer]["z"][0]
            assert (z - own_z).abs().max() < 1e-4 * own_z.abs().max()


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_batched_generation_writes_what_each_item_writes_alone(
    family: str, request: pytest.FixtureRequest
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    together = vlm.encode(PROMPTS)
    with torch.no_grad():
        batch = vlm.model.generate(**together.inputs, max_new_tokens=6, min_new_tokens=6, do_sample=False)
        for item, prompt in enumerate(PROMPTS):
            alone = vlm.encode([prompt])
            own = vlm.model.generate(**alone.inputs, max_new_tokens=6, min_new_tokens=6, do_sample=False)
            assert batch[item, together.length :].tolist() == own[0, alone.length :].tolist()
