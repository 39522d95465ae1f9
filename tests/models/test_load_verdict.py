"""Loading runs the proof that `models check` prints; what it refuses is said, and refused in use."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.edits.baking import bake
from headscope.errors import HeadscopeError, ModelError, OutOfMemoryError
from headscope.models import loading
from headscope.models.answering.generation import generate
from headscope.models.geometry import Head
from headscope.models.proofs import batch_proof, cached, full, head_proof
from headscope.models.proofs.proof_steps import Proof, Step
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model
from models.families.folders import family_folder

PICTURE = Image.new("RGB", (32, 32), (127, 90, 60))
PROMPTS = [Prompt(PICTURE, "What is it?"), Prompt(PICTURE, "Where is the dog?")]


@pytest.fixture(scope="module")
def hunyuan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family that numbers its pictures over the whole batch."""
    return family_folder("hunyuan_vl", tmp_path_factory.mktemp("families") / "hunyuan")


def verdicts(proof: dict[str, dict[str, object]]) -> dict[str, tuple[object, object]]:
    return {name: (step["status"], step["reason"]) for name, step in proof.items()}


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("which", ["tiny_llava_folder", "tiny_qwen_folder", "hunyuan"])
def test_loading_gives_the_verdict_of_check(which: str, kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    printed = CliRunner().invoke(app, ["models", "check", str(folder), "--dtype", kind, "--json"]).stdout
    checked = json.loads(printed[printed.index("{") :])
    loaded = load_model(folder, dtype=kind).proof
    assert verdicts(loaded.to_json()) == verdicts(checked["proofs"])
    assert (loaded.status, loaded.reason) == (checked["status"], checked["reason"])


def test_what_is_refused_is_said_at_load(hunyuan: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "headscope"):
        load_model(hunyuan)
    said = [r.message for r in caplog.records if r.name.startswith("headscope.models.vlm")]
    assert len(said) == 1
    assert "loaded, but refused by the proof's step 'batch'" in said[0]


def refusing(vlm: VLM, step: str) -> VLM:
    """The same model with a step refused and all others held."""
    names = ("positions", "baked", "batch", "cached", "spans")
    steps = [Step(n, "", 0.0, "refused" if n == step else "held", "it does not" * (n == step)) for n in names]
    return replace(vlm, proof=Proof(tuple(steps)))


def read(vlm: VLM, _folder: Path) -> None:
    with vlm.reading(vlm.encode(PROMPTS[:1])):
        pass


USES: dict[str, Callable[[VLM, Path], object]] = {
    "positions": read,
    "batch": lambda vlm, _folder: vlm.encode(PROMPTS),
    "cached": lambda vlm, _folder: generate(vlm, vlm.encode(PROMPTS[:1]), 2),
    "baked": lambda vlm, folder: bake(vlm, [Head(0, 1)], 2.0, folder / "baked"),
}


@pytest.mark.parametrize("step", USES)
def test_a_refused_step_refuses_exactly_what_rests_on_it(tiny: VLM, step: str, tmp_path: Path) -> None:
    vlm = refusing(tiny, step)
    for name, use in USES.items():
        if name == step:
            with pytest.raises(
                ModelError, match=rf"asked for .*refused by the proof's step '{step}': it does"
            ):
                use(vlm, tmp_path)
        else:
            use(vlm, tmp_path)


def test_choices_of_several_tokens_rest_on_the_cache_and_single_ones_do_not(tiny: VLM) -> None:
    vlm = refusing(tiny, "cached")
    encoded = vlm.encode(PROMPTS[:1])
    tokens, prefill = generate(vlm, encoded, 1)
    assert tokens.shape == (1, 1)
    assert prefill.logits is not None
    with pytest.raises(ModelError, match="'cached'"):
        vlm.answer(PICTURE, "Where?", choices=("top left of it", "bottom right of it"))


def test_a_refused_map_of_image_tokens_is_not_handed_out(tiny: VLM) -> None:
    assert tiny.encode(PROMPTS[:1]).grids[0].boxes is not None
    (grid,) = refusing(tiny, "spans").encode(PROMPTS[:1]).grids
    assert grid.boxes is None
    assert grid.reason == "refused by the proof's step 'spans': it does not"


# memory

MESSAGES = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 17.1 GB, max allowed: 18.13 GB)."),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "python": MemoryError(),
}
PLACES = {"heads": head_proof, "batch": batch_proof, "cached": cached}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("place", PLACES)
def test_running_out_of_memory_is_no_refusal(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    def full_up(*_: object) -> None:
        raise MESSAGES[message]

    monkeypatch.setattr(PLACES[place], "logits_of", full_up)
    with pytest.raises(OutOfMemoryError, match="out of memory") as caught:
        load_model(tiny_llava_folder)
    said = str(caught.value)
    assert "--dtype" in said
    assert "--device-map" in said
    assert "refused" not in said


def test_an_allocator_that_really_fails_is_understood(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full, "prove_batch", lambda *_: torch.empty(1 << 60))
    with pytest.raises(OutOfMemoryError, match="step 'batch': out of memory"):
        full.prove(tiny)


@pytest.mark.parametrize("message", ["torch", "cpu"])
def test_weights_that_find_no_room_are_no_bad_weights(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    def full_up(*_: object) -> None:
        raise MESSAGES[message]

    monkeypatch.setattr(loading, "_from_pretrained", full_up)
    with pytest.raises(OutOfMemoryError, match="loading the weights: out of memory"):
        load_model(tiny_llava_folder)
    monkeypatch.undo()
    monkeypatch.setattr(torch.nn.Module, "to", full_up)
    with pytest.raises(OutOfMemoryError, match="moving the weights to cpu: out of memory"):
        load_model(tiny_llava_folder)


def test_another_error_on_the_way_is_a_refusal_and_not_taken_for_memory(
    tiny: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("index 7 is out of bounds for dimension 0")

    monkeypatch.setattr(full, "prove_batch", broken)
    assert full.prove(tiny).step("batch").status == "refused"
    assert issubclass(OutOfMemoryError, HeadscopeError)
