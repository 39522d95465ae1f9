"""What all benchmarks share: a random VLM of a stated shape, interleaved ratios, one file of results."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results.json"
sys.path.insert(0, str(ROOT.parent / "tests"))  # the tiny tokenizer and chat template of the tests


@dataclass(frozen=True)
class Ratio:
    """Times of two pieces of work, run in turns.

    Attributes:
        a, b: seconds of each repetition, the two sides of a pair next to each other in time.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]

    def record(self, work: float = 1.0) -> dict[str, Any]:
        """``median`` of a/b over pairs, ``spread`` (quartiles), a 95 % interval of the median, ``n``.

        Args:
            work: how many times b's work is contained in a's (``work=1/36``: b did a 36th part of it).
        """
        ratios = np.array(self.a) / np.array(self.b) / work
        draws = np.random.default_rng(0).choice(ratios, (2_000, len(ratios)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
        return {
            "n": len(ratios),
            "median": float(np.median(ratios)),
            "spread": [float(q) for q in np.quantile(ratios, [0.25, 0.75])],
            "ci": [float(low), float(high)],
            "seconds": [float(np.median(self.a)), float(np.median(self.b))],
        }


def interleaved(a: Callable[[], object], b: Callable[[], object], pairs: int = 7, warmup: int = 1) -> Ratio:
    """Time ``a`` and ``b`` in turns, the order swapped from pair to pair, so that drift hits both alike."""
    for _ in range(warmup):
        a()
        b()
    times: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (a, b)[side]()
            times[side].append(time.perf_counter() - start)
    return Ratio(tuple(times[0]), tuple(times[1]))


def record(name: str, value: dict[str, Any]) -> None:
    """Put one result into results.json, with the machine it was measured on; the others stay."""
    found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    found[name] = {**value, "machine": machine()}
    RESULTS.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", "utf-8")
    print(f"{name}: {json.dumps(value)[:300]}")


def machine() -> dict[str, Any]:
    """What a ratio may depend on: cores, threads, versions."""
    import transformers

    return {
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def random_vlm(
    folder: str | Path,
    *,
    layers: int = 12,
    heads: int = 12,
    width: int = 64,
    tower_layers: int = 12,
    tower_width: int = 768,
    pixels: int = 224,
    patch: int = 16,
    seed: int = 0,
    vocabulary: int = 0,
    dtype: str = "float32",
) -> Path:
    """A LLaVA-class checkpoint folder with random weights and a working processor; made once per folder.

    Decoder: ``layers`` x ``heads`` of ``width``, hidden size heads * width, MLP four times as wide. Tower:
    SigLIP, ``tower_layers`` of ``tower_width``, (pixels / patch)^2 image tokens. The default has about 200 M
    parameters.

    Args:
        vocabulary: rows of the embeddings and of the head; by default as many as the tokenizer has tokens.
        dtype: number format in which it is made and stored.
    """
    from transformers import (
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        Qwen3Config,
        SiglipImageProcessorPil,
        SiglipVisionConfig,
    )

    from tiny import LLAVA_TEMPLATE, make_tokenizer

    path = Path(folder)
    if (path / "model.safetensors").is_file():
        return path
    path.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(["<image>"])
    vision = SiglipVisionConfig(
        hidden_size=tower_width,
        intermediate_size=4 * tower_width,
        num_hidden_layers=tower_layers,
        num_attention_heads=max(1, tower_width // 64),
        image_size=pixels,
        patch_size=patch,
    )
    vision.vision_use_head = False
    text = Qwen3Config(
        vocab_size=max(vocabulary, len(tokenizer)),
        hidden_size=heads * width,
        intermediate_size=4 * heads * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=width,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=(pixels // patch) ** 2,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        model = LlavaForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": pixels, "width": pixels}),
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="full",
        chat_template=LLAVA_TEMPLATE,
    )
    processor.save_pretrained(path)
    model.save_pretrained(path, safe_serialization=True)
    return path
