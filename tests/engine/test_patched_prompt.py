"""Patches by replay against whole runs under hooks of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edits.fixtures import picture
from headscope.edits.patching import Patch, prompt_z
from headscope.engine import patched_prompt
from headscope.engine.patched_prompt import PatchedPrompt
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

CHOICES = ("left", "right")
LONG = ("top left", "bottom right", "top")  # of several tokens, one the beginning of another


@pytest.fixture
def both(vlm: VLM) -> tuple[Encoded, Encoded]:
    one, other = (vlm.encode([Prompt(picture(i), "Where is the dog?")]) for i in (3, 8))
    return one, other


def at(encoded: Encoded, name: str) -> torch.Tensor | None:
    """(1, position) bool."""
    last = torch.zeros_like(encoded.image)
    last[:, -1] = True
    return {"all": None, "image": encoded.image, "question": encoded.question, "last": last}[name]


@pytest.mark.parametrize("choices", [CHOICES, LONG])
@pytest.mark.parametrize("where", ["all", "image", "question", "last"])
def test_every_head_patched_alone_gives_what_a_whole_run_with_the_patch_gives(
    vlm: VLM, both: tuple[Encoded, Encoded], where: str, choices: tuple[str, ...]
) -> None:
    target, source = both
    z = prompt_z(vlm, source, vlm.geometry.heads)
    patches = [Patch((h,), z, at(target, where)) for h in vlm.geometry.heads]
    patches.append(Patch(vlm.geometry.heads, z, at(target, where)))
    prompt = PatchedPrompt(vlm, target, choices)
    found = prompt.scores(patches)
    assert prompt.strategy("last" if where == "last" else "all", patches[0]) == "replay"
    wanted = [prompt._whole(p) for p in patches]
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    clean = prompt.clean()
    assert max(abs(one[c] - clean[c]) for one in wanted for c in choices) > 1e-4, "nothing is patched"


def test_patches_at_different_positions_may_be_read_together_and_keep_their_order(
    vlm: VLM, both: tuple[Encoded, Encoded]
) -> None:
    target, source = both
    z = prompt_z(vlm, source, vlm.geometry.heads)
    heads = vlm.geometry.heads[-2], vlm.geometry.heads[0]
    patches = [Patch((h,), z, at(target, name)) for name in ("last", "image", "all") for h in heads]
    found = PatchedPrompt(vlm, target, CHOICES).scores(patches)
    alone = [PatchedPrompt(vlm, target, CHOICES).scores([p])[0] for p in patches]
    for a, b in zip(found, alone, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_all_heads_at_all_positions_give_the_other_runs_next_token(
    vlm: VLM, both: tuple[Encoded, Encoded]
) -> None:
    """The last position's residual stream is its token and what heads write there; the pictures differ only
    in other positions. Tokens that follow see those positions' own keys, so that only the next is exact."""

    def next_token(encoded: Encoded) -> torch.Tensor:
        with torch.no_grad(), vlm.reading(encoded):
            return vlm.model(**encoded.inputs).logits[:, -1]

    target, source = both
    own, wanted = next_token(target), next_token(source)
    with Patch(vlm.geometry.heads, prompt_z(vlm, source, vlm.geometry.heads)).applied(vlm):
        torch.testing.assert_close(next_token(target), wanted, atol=1e-4, rtol=0)
    assert (own - wanted).abs().max() > 1e-2


def test_a_run_patched_into_itself_gives_its_own_answer_bit_for_bit(
    vlm: VLM, both: tuple[Encoded, Encoded]
) -> None:
    target, _ = both
    patch = Patch(vlm.geometry.heads, prompt_z(vlm, target, vlm.geometry.heads))
    prompt = PatchedPrompt(vlm, target, CHOICES)
    assert prompt._whole(patch) == prompt.clean()


def test_a_model_that_refuses_replay_is_read_by_whole_runs_with_the_reason(
    vlm: VLM, both: tuple[Encoded, Encoded], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from headscope.models.ways import kept_ways

    def broken(*_: Any) -> Any:
        raise RuntimeError("not like this")

    target, source = both
    z = prompt_z(vlm, source, vlm.geometry.heads)
    patches = [Patch((h,), z) for h in vlm.geometry.heads[:2]]
    wanted = PatchedPrompt(vlm, target, CHOICES).scores(patches)
    monkeypatch.setattr(patched_prompt, "sweep_of", broken)
    with kept_ways(vlm, tmp_path):
        prompt = PatchedPrompt(vlm, target, CHOICES)
        found = prompt.scores(patches)
        assert (
            prompt.strategy("all", patches[0]) == "whole runs: the model raised RuntimeError: not like this"
        )
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def single_tokens(vlm: VLM, count: int) -> tuple[str, ...]:
    """Answers of one token each, none the beginning of another."""
    words = [chr(c) for c in range(97, 123)]
    return tuple(w for w, ids in zip(words, vlm.encode_answers(words), strict=True) if len(ids) == 1)[:count]


def test_patches_behind_the_picture_run_again_what_follows_them_alone(
    vlm: VLM, both: tuple[Encoded, Encoded]
) -> None:
    target, source = both
    choices = single_tokens(vlm, 3)
    assert len(choices) == 3
    z = prompt_z(vlm, source, vlm.geometry.heads)
    tail = torch.zeros_like(target.image)
    tail[:, -4:] = True
    patches = [Patch((h,), z, tail) for h in vlm.geometry.heads]
    patches += [Patch(vlm.geometry.heads, z, tail), Patch(vlm.geometry.heads[:2], z, at(target, "last"))]
    prompt = PatchedPrompt(vlm, target, choices)
    found = prompt.scores(patches)
    assert prompt.strategy(patched_prompt.SUFFIX, patches[0]) == "replay"
    wanted = [prompt._whole(p) for p in patches]
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    clean = prompt.clean()
    assert max(abs(one[c] - clean[c]) for one in wanted for c in choices) > 1e-4


def test_where_only_what_follows_cannot_run_again_all_positions_do(
    vlm: VLM, both: tuple[Encoded, Encoded], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from headscope.models.ways import kept_ways

    def broken(*_: Any) -> Any:
        raise RuntimeError("not here")

    target, source = both
    choices, z = single_tokens(vlm, 2), prompt_z(vlm, source, vlm.geometry.heads)
    tail = torch.zeros_like(target.image)
    tail[:, -3:] = True
    patches = [Patch((h,), z, tail) for h in vlm.geometry.heads]
    wanted = PatchedPrompt(vlm, target, choices).scores(patches)
    monkeypatch.setattr(patched_prompt, "SuffixSweep", broken)
    with kept_ways(vlm, tmp_path):
        prompt = PatchedPrompt(vlm, target, choices)
        found = prompt.scores(patches)
        assert "not here" in prompt.strategy(patched_prompt.SUFFIX, patches[0])
        assert prompt.strategy(patched_prompt.ALL, patches[0]) == "replay"
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
