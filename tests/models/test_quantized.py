"""Quantised weights are proved or refused by trial; what would go wrong unnoticed is refused by name."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

import headscope as hs
from headscope.errors import EditError, ModelError
from headscope.experiments.waking.awakening import ContributionNorms
from headscope.models.geometry import Head, has_plain_matrix
from headscope.models.proofs.full import prove
from headscope.models.types import Prompt
from headscope.models.vlm import VLM

HEADS = (Head(0, 1), Head(2, 3))
PROMPT = Prompt(Image.new("RGB", (32, 24), (200, 30, 30)), "Is the dog facing the horse?")
needs_bitsandbytes = pytest.mark.skipif(not find_spec("bitsandbytes"), reason="needs bitsandbytes")


class Packed(nn.Module):
    """A quantised projection as GPTQ and AWQ have it: whole numbers and scales as buffers, no weight."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = plain.in_features, plain.out_features
        weight = plain.weight.detach()
        self.scales: Tensor
        self.qweight: Tensor
        self.register_buffer("scales", weight.abs().amax(1, keepdim=True) / 127)
        self.register_buffer("qweight", (weight / self.scales).round().to(torch.int8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.qweight.to(x.dtype) * self.scales.to(x.dtype))


@pytest.fixture
def model(tiny_llava_folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(tiny_llava_folder)


@pytest.fixture
def copy(tiny_llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llava_folder, tmp_path / "copy"))


def pack(model: Any) -> Any:
    for module in list(model.get_decoder().modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Packed(child))
    return model.eval()


def logits(vlm: VLM) -> Tensor:
    with torch.no_grad():
        found: Tensor = vlm.model(**vlm.encode([PROMPT]).inputs).logits[:, -1].float()
    return found


def name_quantisation(folder: Path, method: str) -> None:
    file = folder / "config.json"
    raw = json.loads(file.read_text()) | {"quantization_config": {"quant_method": method, "bits": 4}}
    file.write_text(json.dumps(raw))


def test_projections_of_whole_numbers_are_proved_edited_and_not_baked(
    model: Any, tiny_llava_folder: Path, tiny: VLM, tmp_path: Path
) -> None:
    vlm = hs.wrap(pack(model), tiny_llava_folder)
    assert vlm.proof.figure("blocks") == 12
    assert prove(vlm).step("baked").status == "not applicable"
    assert functional.cosine_similarity(logits(vlm), logits(tiny)).min() > 0.99
    with hs.edit(vlm, HEADS, hs.mute()):
        edited = logits(vlm)
    for head in HEADS:
        columns = slice(12 * head.head, 12 * head.head + 12)
        model.get_decoder().layers[head.layer].self_attn.o_proj.qweight[:, columns] = 0
    torch.testing.assert_close(logits(vlm), edited, rtol=1e-5, atol=1e-5)
    with pytest.raises(EditError, match="is not what its configuration builds"):
        hs.bake(hs.wrap(model, tiny_llava_folder, prove=False), HEADS, 2.0, tmp_path / "out")


def test_what_each_head_writes_is_known_without_a_weight(model: Any, tiny_llava_folder: Path) -> None:
    vlm = hs.wrap(pack(model), tiny_llava_folder, prove=False)
    z = torch.randn(2, 12, 12, generator=torch.Generator().manual_seed(0)).numpy()
    found = ContributionNorms(vlm.geometry)(z)
    for site in vlm.geometry.sites:
        weight = (site.projection.qweight * site.projection.scales).double().numpy()  # type: ignore[operator]
        for h in range(4):
            flat = vlm.geometry.slice_of(site).start + h
            written = z[:, flat].astype("float64") @ weight[:, site.block(h)].T
            assert found[:, flat] == pytest.approx((written**2).sum(1) ** 0.5, rel=1e-4)


def test_only_a_projection_that_multiplies_with_its_weight_is_plain() -> None:
    class Linear(nn.Linear):
        pass

    replaced = nn.Linear(4, 4)
    replaced.forward = lambda x: functional.linear(x.round(), replaced.weight)  # type: ignore[method-assign]
    packed = nn.Linear(4, 4)
    packed.weight = nn.Parameter(packed.weight.to(torch.int8), requires_grad=False)
    assert has_plain_matrix(nn.Linear(4, 4))
    assert not any(map(has_plain_matrix, (Linear(4, 4), replaced, packed, Packed(nn.Linear(4, 4)))))


@pytest.mark.skipif(not find_spec("accelerate"), reason="needs accelerate")
def test_a_projection_that_accelerate_places_is_plain_still(tiny_llava_folder: Path) -> None:
    vlm = hs.load_model(tiny_llava_folder, device_map="auto", prove=False)
    assert has_plain_matrix(vlm.geometry.sites[0].projection)


def test_a_quantisation_that_transformers_does_not_know_is_refused(copy: Path) -> None:
    name_quantisation(copy, "nobody_knows")
    with pytest.raises(ModelError, match=r"quantised by 'nobody_knows', .* would pass for weights"):
        hs.load_model(copy)


def test_scales_that_no_quantisation_uses_are_refused(copy: Path) -> None:
    """transformers would take the packed numbers for weights, and say so in a warning."""
    weights = load_file(copy / "model.safetensors")
    name = next(n for n in weights if n.endswith("o_proj.weight"))
    scale = weights[name].abs().max() / 448
    weights[name] = (weights[name] / scale).to(torch.float8_e4m3fn)
    save_file(
        weights | {f"{name}_scale_inv": scale.reshape(1, 1)}, copy / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ModelError, match=r"holds packed weights \(.*o_proj\.weight_scale_inv"):
        hs.load_model(copy)


@pytest.mark.parametrize(
    ("method", "module", "package"),
    [
        ("gptq", "optimum", "optimum"),
        ("awq", "gptqmodel", "gptqmodel"),
        ("compressed-tensors", "compressed_tensors", "compressed-tensors"),
        ("torchao", "torchao", "torchao"),
        ("auto-round", "auto_round", "auto-round"),
    ],
)
def test_a_package_that_a_quantisation_needs_is_named(
    method: str, module: str, package: str, copy: Path
) -> None:
    if find_spec(module):
        pytest.skip(f"{package} is installed")
    file = copy / "config.json"
    settings = {"quant_method": method, "bits": 4, "group_size": 32, "config_groups": {}}
    if method == "torchao":
        settings = {"quant_method": method, "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": settings}))
    with pytest.raises(ModelError, match=rf"quantised by '{method}'; .*pip install .*{package}") as caught:
        hs.load_model(copy)
    assert "\n" not in str(caught.value)


def bitsandbytes(bits: int) -> Any:
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="bfloat16")


@pytest.fixture
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """4-bit products of any width: a packed form for some CPUs wants multiples of 32."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)


@needs_bitsandbytes
@pytest.mark.parametrize("bits", [8, 4])
def test_a_checkpoint_stored_in_few_bits_is_proved_in_its_own_format(
    bits: int, copy: Path, any_width: None, tiny: VLM, tmp_path: Path
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(
        copy, quantization_config=bitsandbytes(bits), dtype=torch.bfloat16
    )
    model.save_pretrained(copy)
    vlm = hs.load_model(copy, dtype="auto")
    assert vlm.proof.figure("blocks") == 12
    assert vlm.parameters == tiny.parameters
    with pytest.raises(EditError, match="quantised"):
        hs.bake(vlm, HEADS, 2.0, tmp_path / "out")
    with pytest.raises(
        ModelError, match=r"asked for float32, but .* stays in bfloat16; say --dtype bfloat16"
    ):
        hs.load_model(copy)


@needs_bitsandbytes
@pytest.mark.parametrize("bits", [8, 4])
def test_packed_weights_in_memory_are_identified_and_left_as_they_are(
    bits: int, tiny_llava_folder: Path, any_width: None
) -> None:
    def loaded() -> Any:
        return AutoModelForImageTextToText.from_pretrained(
            tiny_llava_folder, quantization_config=bitsandbytes(bits), dtype=torch.bfloat16
        )

    vlm = hs.wrap(loaded(), tiny_llava_folder)
    before = logits(vlm)
    assert vlm.confirmed_revision() == vlm.revision
    assert torch.equal(logits(vlm), before)
    assert hs.wrap(loaded(), tiny_llava_folder, prove=False).revision == vlm.revision
    weight = vlm.geometry.sites[1].projection.weight
    weight.data[0] = weight.data[1].clone()
    with pytest.raises(ModelError, match=r"layers\.1\.self_attn\.o_proj\.weight changed"):
        vlm.confirmed_revision()


@needs_bitsandbytes
def test_weights_that_a_cpu_rearranges_are_read_as_they_lie() -> None:
    """bitsandbytes' own ``state_dict`` leaves the scales turned round, and the layer computes otherwise."""
    from bitsandbytes.nn import Linear4bit

    from headscope.models.weights import HashedWeights

    layer = Linear4bit(128, 64, bias=False, compute_dtype=torch.bfloat16, compress_statistics=False)
    layer.load_state_dict({"weight": torch.randn(64, 128, generator=torch.Generator().manual_seed(0))})
    layer = layer.to("cpu").eval().requires_grad_(False)
    x = torch.randn(3, 128, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    before = layer(x)
    if not getattr(layer.weight.quant_state, "packing_format_for_cpu", False):
        pytest.skip("this CPU rearranges nothing")
    weights = HashedWeights(layer)
    assert weights.change(layer) == ""
    assert torch.equal(layer(x), before)


@pytest.mark.parametrize("package", ["torchao", "optimum.quanto"])
def test_other_packed_forms_are_proved_by_trial(
    package: str, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip(package, reason=f"needs the package {package}")
    from transformers import QuantoConfig, TorchAoConfig

    if package == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig

        settings: Any = TorchAoConfig(Int8WeightOnlyConfig(version=2))
    else:
        settings = QuantoConfig(weights="int4")
    model = AutoModelForImageTextToText.from_pretrained(
        tiny_llava_folder, quantization_config=settings, dtype=torch.bfloat16
    )
    vlm = hs.wrap(model, tiny_llava_folder)
    assert vlm.proof.figure("blocks") == 12
    assert vlm.confirmed_revision() == vlm.revision
    with pytest.raises(EditError, match="quantised"):
        hs.bake(vlm, HEADS, 2.0, tmp_path / "out")
