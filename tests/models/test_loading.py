"""Placement, 8- and 4-bit weights: what they change, what they do not, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from headscope.edits.baking import bake
from headscope.edits.edits import edit, mute, scale
from headscope.errors import EditError, ModelError
from headscope.experiments.waking.awakening import ContributionNorms
from headscope.models import placement
from headscope.models.geometry import Head
from headscope.models.placement import Placement, RecordedOptions
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model

HEADS = (Head(0, 1), Head(2, 3))
PROMPTS = [
    Prompt(Image.new("RGB", (32, 24), (200, 30, 30)), "Is the dog facing the horse?"),
    Prompt(Image.new("RGB", (24, 32), (30, 30, 200)), "Where?"),
]
# All parts but two layers in memory; these are read from the file whenever they run.
OFFLOADED = {
    "": "cpu",
    "model.language_model.layers.1": "disk",
    "model.language_model.layers.2": "disk",
}
needs_accelerate = pytest.mark.skipif(not find_spec("accelerate"), reason="needs accelerate")
needs_bitsandbytes = pytest.mark.skipif(not find_spec("bitsandbytes"), reason="needs bitsandbytes")


def logits(vlm: VLM) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = vlm.model(**vlm.encode(PROMPTS).inputs).logits[:, -1].float()
    return found


def tokens(vlm: VLM) -> list[list[int]]:
    encoded = vlm.encode(PROMPTS)
    made: torch.Tensor = vlm.model.generate(**encoded.inputs, max_new_tokens=4, do_sample=False)
    return made[:, encoded.length :].tolist()


@pytest.fixture(scope="module")
def offloaded(tiny_llava_folder: Path) -> VLM:
    return load_model(tiny_llava_folder, device_map=OFFLOADED)


@needs_accelerate
def test_a_device_map_places_the_parts_and_the_model_is_proved_there(offloaded: VLM) -> None:
    assert offloaded.proof.figure("blocks") == 12
    layer = "model.language_model.layers.{}".format
    assert [offloaded.placement[layer(i)] for i in range(3)] == ["cpu", "disk", "disk"]
    assert all("." in part or part == "lm_head" for part in offloaded.placement), "no part within another"
    assert offloaded.device == torch.device("cpu")
    places = [site.projection.weight.device.type for site in offloaded.geometry.sites]
    assert places == ["cpu", "meta", "meta"]


@needs_accelerate
def test_a_placed_model_answers_and_is_edited_as_one_in_memory(offloaded: VLM, tiny: VLM) -> None:
    assert torch.equal(logits(offloaded), logits(tiny))
    assert tokens(offloaded) == tokens(tiny)
    bare = logits(tiny)
    with edit(offloaded, HEADS, mute()), edit(tiny, HEADS, mute()):
        assert torch.equal(logits(offloaded), logits(tiny))
        assert tokens(offloaded) == tokens(tiny)
        assert not torch.equal(logits(tiny), bare)
    assert torch.equal(logits(offloaded), bare)
    assert (offloaded.parameters, offloaded.revision) == (tiny.parameters, tiny.revision)


@needs_accelerate
def test_contribution_norms_do_not_need_the_weights_in_memory(offloaded: VLM, tiny: VLM) -> None:
    z = torch.randn(2, 12, 12, generator=torch.Generator().manual_seed(0)).numpy()
    found, expected = (ContributionNorms(v.geometry)(z) for v in (offloaded, tiny))
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


@needs_accelerate
def test_what_is_not_in_memory_is_not_baked(offloaded: VLM, tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"layers\.1\.[\w.]+ is offloaded, not in memory"):
        bake(offloaded, [Head(0, 0)], 2.0, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@needs_accelerate
def test_a_map_made_by_itself_places_everything(tiny_llava_folder: Path, tiny: VLM) -> None:
    vlm = load_model(tiny_llava_folder, device_map="auto", prove=False)
    assert torch.equal(logits(vlm), logits(tiny))


@needs_accelerate
@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"": "cpu", "model.no_such_part": "cpu"}, "has no part 'model.no_such_part'"),
        ({"model.language_model": "cpu"}, "gives no device for 'model.vision_tower"),
        ({"": "cuda:7"}, "'cuda:7' is not available"),
        ({"": 3}, "device 3 is not available"),
    ],
)
def test_a_map_with_gaps_or_slips_is_refused(places: Any, reason: str, tiny_llava_folder: Path) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(tiny_llava_folder, device_map=places)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "package"),
    [
        ({"device_map": "auto"}, "accelerate"),
        ({"quantization": "4bit"}, "accelerate"),
        ({"quantization": "4bit"}, "bitsandbytes"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_line_that_installs_it(
    options: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(ModelError, match=f"not installed: pip install {package}$"):
        Placement(**options)


@pytest.fixture(scope="module")
def any_width() -> Iterator[None]:
    """4-bit products of any width: a packed form for some CPUs wants multiples of 32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
        yield


@pytest.fixture(scope="module", params=["8bit", "4bit"])
def quantised(request: pytest.FixtureRequest, any_width: None, tiny_llava_folder: Path) -> VLM:
    return load_model(tiny_llava_folder, dtype="bfloat16", quantization=request.param)


@needs_bitsandbytes
def test_quantised_weights_are_counted_whole_and_named_in_the_revision(quantised: VLM, tiny: VLM) -> None:
    kind = "8bit" if quantised.revision.endswith("8bit") else "4bit"
    assert quantised.revision == f"{tiny.revision}-{kind}"
    assert quantised.parameters == tiny.parameters
    weight = quantised.geometry.sites[0].projection.weight
    assert weight.dtype == {"8bit": torch.int8, "4bit": torch.uint8}[kind]
    assert torch.nn.functional.cosine_similarity(logits(quantised), logits(tiny)).min() > 0.9


@needs_bitsandbytes
def test_an_edit_of_quantised_weights_is_exactly_undone(quantised: VLM) -> None:
    bare = logits(quantised)
    with edit(quantised, HEADS, scale(0.0)):
        zeroed = logits(quantised)
    with edit(quantised, HEADS, mute()):
        assert torch.equal(logits(quantised), zeroed)
    assert (zeroed - bare).abs().max() > 0.01
    assert torch.equal(logits(quantised), bare)


@needs_bitsandbytes
def test_quantised_weights_are_not_baked(quantised: VLM, tmp_path: Path) -> None:
    with pytest.raises(EditError, match="quantised"):
        bake(quantised, [Head(0, 0)], 2.0, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@needs_bitsandbytes
def test_quantised_weights_pass_the_proof(quantised: VLM) -> None:
    assert quantised.proof.figure("blocks") == 12
    assert quantised.proof.figure("sum") < 2e-2


def test_eight_bits_want_half_precision() -> None:
    with pytest.raises(ModelError, match="say dtype 'float16' or 'bfloat16'"):
        Placement(quantization="8bit")


def test_options_of_a_study_are_plain_and_only_those_that_were_given() -> None:
    assert (
        RecordedOptions.of(None) is RecordedOptions.of({}) is RecordedOptions.of({"tower": "decoder"}) is None
    )
    assert RecordedOptions.of({"max_memory": {0: "1GiB"}, "quantization": None}) == {
        "max_memory": {"0": "1GiB"}
    }
    with pytest.raises(
        ModelError, match="'speed'; there are: device_map, max_memory, quantization, attention, tower"
    ):
        RecordedOptions.of({"speed": 3})
    with pytest.raises(ModelError, match="depends on the picture alone"):
        RecordedOptions.of({"tower": "vision"})


def test_an_error_of_the_models_own_during_the_proof_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(vlm: VLM) -> None:
        raise RuntimeError("index out of range\nand more")

    monkeypatch.setattr("headscope.models.vlm.prove", broken)
    with pytest.raises(
        ModelError, match="embedded: the proof ended in the model's RuntimeError: index out of range"
    ):
        load_model("embedded")
