"""bfloat16 on a CPU: linear layers are never given inputs for which torch would copy their weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headscope.asking.ask import ask
from headscope.asking.picture_features import shared_features
from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit, mute
from headscope.engine.replay_trial import Replay, logits_under
from headscope.engine.shared_prefix import SharedPrefix, read_sharing_prefix
from headscope.engine.sharing import joined
from headscope.engine.trace import run_clean, run_prompts
from headscope.models.contiguous import give_contiguous, gives_contiguous
from headscope.models.proofs.full import prove
from headscope.models.vlm import VLM, load_model
from headscope.models.ways import kept_ways
from models.families.folders import family_folder
from models.families.test_family_pipeline import PROMPTS, item_of

# LLaVA's projector reads patches behind a class token, LLaVA-OneVision's a transposed grid.
FAMILIES = ("llava_next", "llava_onevision", "qwen3_vl")


@pytest.fixture(scope="module", params=FAMILIES)
def half(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    folder = family_folder(request.param, tmp_path_factory.mktemp("half") / request.param)
    return load_model(folder, dtype="bfloat16", prove=False)


@contextmanager
def copying() -> Iterator[list[tuple[int, ...]]]:
    """Shapes of inputs of linear layers that torch multiplies item by item."""
    found: list[tuple[int, ...]] = []
    plain = nn.functional.linear

    def linear(given: Tensor, weight: Tensor, *more: Any) -> Tensor:
        if given.ndim > 2 and len(given) > 1 and not given.is_contiguous():
            found.append(tuple(given.shape))
        return plain(given, weight, *more)

    nn.functional.linear = linear  # type: ignore[assignment]
    try:
        yield found
    finally:
        nn.functional.linear = plain  # type: ignore[assignment]


def without_hooks(vlm: VLM) -> VLM:
    bare = copy.copy(vlm)
    bare.model = copy.deepcopy(vlm.model)
    for module in bare.model.modules():
        for key in [k for k, hook in module._forward_pre_hooks.items() if gives_contiguous(hook)]:
            del module._forward_pre_hooks[key]
    return bare


def test_without_it_the_head_is_given_such_a_slice(half: VLM) -> None:
    items = [item_of(p) for p in PROMPTS]
    bare = without_hooks(half)
    with copying() as found:
        bare.model.generate(**bare.encode(PROMPTS).inputs, max_new_tokens=1)
    assert (len(items), 1, 32) in found


def test_batches_choices_and_edits_give_none(half: VLM, tmp_path: Path) -> None:
    items = [item_of(p) for p in PROMPTS]
    with copying() as found:
        for change in (None, Edit((half.geometry.heads[1],), mute())):
            ask(half, half.encode(PROMPTS), items, edit=change, readouts=("prompt_last",), max_new_tokens=2)
        with kept_ways(half, tmp_path):  # the trial of a tree again
            ask(half, half.encode(PROMPTS[:1]), items[:1], max_new_tokens=2)
    assert not found


def test_fans_and_replays_give_none(half: VLM) -> None:
    prompt = half.encode(PROMPTS[:1])
    heads = half.geometry.heads[:2]
    with copying() as found, torch.no_grad():
        with BatchedEdit(tuple(Edit((h,), mute()) for h in heads), one_prompt=True).applied(half):
            read_sharing_prefix(
                half, prompt, item_of(PROMPTS[0]), 2, 2, SharedPrefix(trimmed=True, aside=True)
            )
        run_prompts(half, joined([prompt, prompt, prompt]), trimmed=True)
        for scope in ("all", "last"):
            edits = [Edit((h,), mute(), scope) for h in half.geometry.heads]
            logits_under(half, run_clean(half, prompt), edits, Replay(scope), 2**28)
    assert not found


def test_the_proof_gives_none(half: VLM) -> None:
    with copying() as found:
        prove(half)
    assert not found


def test_values_are_what_they_were() -> None:
    layer = nn.Linear(6, 5, bias=False, dtype=torch.bfloat16)
    give_contiguous(layer)
    seen: list[Tensor] = []
    layer.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    given = torch.randn(3, 4, 6, dtype=torch.bfloat16)[:, -2:]
    layer(given)
    assert torch.equal(seen[0], given)
    assert seen[0].is_contiguous()


def test_it_is_done_once_and_only_where_it_is_needed(half: VLM, tiny_llava_folder: Path) -> None:
    give_contiguous(half.model)
    hooks = [len(m._forward_pre_hooks) for m in half.model.modules() if isinstance(m, nn.Linear)]
    assert set(hooks) == {1}
    for dtype in ("float32", "float16"):
        vlm = load_model(tiny_llava_folder, dtype=dtype, prove=False)
        assert not any(m._forward_pre_hooks for m in vlm.model.modules())


def test_it_is_no_edit_of_the_tower_to_the_memo_of_pictures(tiny_llava_folder: Path) -> None:
    half = load_model(tiny_llava_folder, dtype="bfloat16", prove=False)
    encoded = half.encode(PROMPTS[:2])
    with torch.no_grad(), shared_features(half) as memo:
        for _ in range(2):
            half.model(**encoded.inputs)
    assert memo is not None
    assert memo.replayed == 2
