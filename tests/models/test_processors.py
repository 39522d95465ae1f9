"""Processors of every family with and without torchvision: which image backend is taken, and which choices
are refused with what to do."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, AutoConfig
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.utils import is_torchvision_available

from checkpoint_statements import state_image_backend
from headscope.errors import ModelError
from headscope.models.processors import image_backend_of, load_processor
from headscope.models.types import Prompt
from headscope.models.vlm import load_model
from models.families.folders import family_folder, tokenizer_of
from models.families.kinds_torchvision import TORCHVISION_ONLY
from models.families.test_family_pipeline import picture

HERE = is_torchvision_available()
with_torchvision = pytest.mark.skipif(not HERE, reason="torchvision is not installed")
without_torchvision = pytest.mark.skipif(HERE, reason="torchvision is installed")

FAMILIES = sorted(f for f in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES if f in PROCESSOR_MAPPING_NAMES)
FORMS = {f: IMAGE_PROCESSOR_MAPPING_NAMES.get(f) or {} for f in FAMILIES}
FORMS["diffusion_gemma"] = FORMS["gemma4"]
FORMS["glm4v_moe"] = FORMS["glm4v"]
FORMS["qwen3_vl_moe"] = FORMS["qwen3_vl"]
SOUND = {
    **FEATURE_EXTRACTOR_MAPPING_NAMES,
    "diffusion_gemma": "Gemma4AudioFeatureExtractor",
    "nemotron_h_omni": "ParakeetFeatureExtractor",
}
# Processors that take no picture, or no question.
UNFIT = {
    "evolla": "not a processor of text and images",
    "instructblipvideo": "not a processor of text and images",
    "pp_formulanet": "takes a picture and no question",
}
# Special tokens that processors ask their tokenizer for by name.
NAMES = (
    "image", "video", "audio", "boi", "eoi", "boa", "eoa", "eol", "eof", "image_start", "image_end",
    "image_break", "image_boundary", "fake_image", "slice_start", "slice_end", "image_id_start",
    "image_id_end", "img_line_break", "start_image", "end_image", "context_image", "image_wrapper",
    "vision_start", "vision_end", "video_start", "video_end", "end_of_utterance",
)  # fmt: skip


def config_of(family: str) -> Any:
    """As much of a configuration as a processor needs: its class and its name."""
    kind = CONFIG_MAPPING[family]
    return kind.__new__(kind)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer's files with every special token that a processor asks for."""
    folder = tmp_path_factory.mktemp("words")
    more = ("|SPEAKER|", "|NEWLINE|", "<0x00>", "<0x04>", "<0x05>", "<0x06>", "<image>", "<|image|>")
    named = {f"{n}_token": f"<|{n}_token|>" for n in NAMES}
    tokenizer_of(more, bos="<s>", **named).save_pretrained(folder)
    return folder


@pytest.fixture
def folder_of(words: Path, tmp_path: Path) -> Any:
    """A folder with a family's processor in its default settings."""

    def made(family: str) -> Path:
        folder = tmp_path / family
        shutil.copytree(words, folder)
        own: dict[str, Any] = {"processor_class": PROCESSOR_MAPPING_NAMES[family]}
        if family in SOUND:
            own["feature_extractor"] = {"feature_extractor_type": SOUND[family]}
        names = FORMS[family]
        images = names.get("torchvision") or names.get("pil") or "CLIPImageProcessor"
        files = {
            "processor_config": own,
            "preprocessor_config": {"image_processor_type": images},
            "config": {"model_type": family},
        }
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
        return folder

    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_pictures_as_transformers_would_here(family: str, folder_of: Any) -> None:
    folder, config = folder_of(family), config_of(family)
    if not HERE and FORMS[family] and "pil" not in FORMS[family]:
        with pytest.raises(ModelError, match=r"exists only with torchvision: pip install torchvision$"):
            load_processor(folder, config)
    elif family in UNFIT:
        with pytest.raises(ModelError, match=UNFIT[family]):
            load_processor(folder, config)
    else:
        processor = load_processor(folder, config)
        assert type(processor).__name__ == PROCESSOR_MAPPING_NAMES[family]
        assert image_backend_of(processor) == (
            "torchvision" if HERE and "torchvision" in FORMS[family] else "pil"
        )


@pytest.mark.parametrize("family", [f for f in FAMILIES if {"pil", "torchvision"} <= set(FORMS[f])])
def test_pil_is_there_for_the_asking_in_both_environments(family: str, folder_of: Any) -> None:
    assert image_backend_of(load_processor(folder_of(family), config_of(family), "pil")) == "pil"


@with_torchvision
@pytest.mark.parametrize(("family", "asked"), [("llama4", "pil"), ("video_llava", "torchvision")])
def test_a_form_that_a_family_does_not_have_is_refused(family: str, asked: str, folder_of: Any) -> None:
    with pytest.raises(ModelError, match=rf"'{asked}'.*exists only with .*; leave the option out"):
        load_processor(folder_of(family), config_of(family), asked)


def test_a_backend_that_there_is_not_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'cv2'; there are: auto, pil, torchvision"):
        load_model(tmp_path / "nothing", image_backend="cv2")


@without_torchvision
def test_torchvision_that_is_not_installed_is_refused_with_the_line_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not installed: pip install torchvision$"):
        load_model(tmp_path / "nothing", image_backend="torchvision")


@with_torchvision
def test_a_folder_may_state_what_its_pictures_are_read_with(folder_of: Any) -> None:
    folder, config = folder_of("llava"), config_of("llava")
    state_image_backend(folder, "pil")
    assert image_backend_of(load_processor(folder, config)) == "pil"
    assert image_backend_of(load_processor(folder, config, "torchvision")) == "torchvision", "asked for"


def test_a_folder_that_states_what_there_is_not_is_refused(folder_of: Any) -> None:
    folder = folder_of("llava")
    state_image_backend(folder, "cv2")
    with pytest.raises(ModelError, match=r"processor_config\.json: asked for image backend 'cv2'; there are"):
        load_processor(folder, config_of("llava"))


def test_the_embedded_model_is_read_with_the_pixels_that_it_was_trained_on() -> None:
    assert load_model("embedded", prove=False).image_backend == "pil"


def test_a_folder_that_names_no_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"names no processor that transformers knows for family 'mistral4'"):
        load_processor(tmp_path, config_of("mistral4"))


def test_the_video_part_is_left_out_and_decoders_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for decoder in ("av", "decord", "torchcodec", "cv2"):
        monkeypatch.setitem(sys.modules, decoder, None)  # an import of it fails
    vlm = load_model(family_folder("qwen2_vl", tmp_path / "model"), prove=False)
    assert vlm.processor.video_processor.merge_size is None
    assert int(vlm.encode([Prompt(picture(0, (64, 64)), "Where?")]).image.sum()) == 16
    json.loads(vlm.processor.to_json_string())


@with_torchvision
@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "internvl", "smolvlm", "gemma3", *TORCHVISION_ONLY])
def test_a_pictures_pixels_do_not_depend_on_those_beside_it(family: str, tmp_path: Path) -> None:
    """torchvision resizes pictures of one size together; captures rest on each being read by itself."""
    vlm = load_model(family_folder(family, tmp_path / "model"), prove=False)
    prompts = [Prompt(picture(seed, (90, 70)), "Where?") for seed in range(3)]
    together = vlm.encode(prompts).inputs["pixel_values"]
    alone = [vlm.encode([p]).inputs["pixel_values"] for p in prompts]
    along = 0 if family != "minicpm_ocr" else -1
    assert torch.equal(together, torch.cat(alone, dim=along))


def test_the_false_pattern_of_older_mistral_folders_is_put_right(tmp_path: Path) -> None:
    """transformers knows such a tokenizer by its size (over 100,000 words) and the folder's release."""
    folder = family_folder("mistral3", tmp_path / "model")
    file = folder / "tokenizer.json"
    raw = json.loads(file.read_text("utf-8"))
    vocabulary = raw["model"]["vocab"]
    vocabulary |= {f"word{i}": len(vocabulary) + 1000 + i for i in range(100_000)}
    file.write_text(json.dumps(raw), "utf-8")
    config = AutoConfig.from_pretrained(folder)

    def pieces(release: str) -> list[str]:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"transformers_version": release}))
        splitter = load_processor(folder, config).tokenizer.backend_tokenizer.pre_tokenizer
        return [piece for piece, _ in splitter.pre_tokenize_str("HTTPServer 42")]

    assert pieces("5.0.0") == ["HTTPServer", "Ġ42"]
    assert pieces("4.52.4") == ["HTTPServer", "Ġ", "4", "2"]
