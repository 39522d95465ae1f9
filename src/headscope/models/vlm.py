"""A loaded vision-language model with everything that hooks need to know about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from headscope.errors import ModelError
from headscope.models.checkpoints import check_folder, locate, revision
from headscope.models.encoding import encode_prompts
from headscope.models.geometry import Geometry, find_geometry
from headscope.models.processors import load_processor
from headscope.models.prompts import Template, answer_ids, end_ids
from headscope.models.types import Answer, Encoded, Frame, Prompt

DTYPES = ("float32", "bfloat16", "float16", "auto")


@dataclass(eq=False, repr=False)
class VLM:
    """A vision-language model, its processor, and where its heads are.

    Attributes:
        model: the transformers model, in evaluation mode.
        processor: its processor, padding left.
        geometry: its heads, proved unless loaded with ``prove=False``.
        name: "embedded", a hub id, or the folder's name.
        revision: hub commit, or 16 hex digits over configuration and weights.
        folder: the checkpoint folder.
        proof: the proof of the geometry, None if it was not asked for.
        frame: spans of the batch now being read, None outside :meth:`reading`.
    """

    model: nn.Module
    processor: Any
    geometry: Geometry
    name: str
    revision: str
    folder: Path
    template: Template
    proof: Any = None
    frame: Frame | None = None
    _answers: dict[str, list[int]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"VLM({self.name!r}, {self.family}, revision {self.revision}, {self.geometry.summary()})"

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def family(self) -> str:
        """The model type in transformers' words, such as ``llava``."""
        return str(self.config.model_type)

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return next(p.dtype for p in self.model.parameters() if p.is_floating_point())

    @property
    def parameters(self) -> int:
        """How many weights there are, shared ones counted once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        return end_ids(self.model, self.tokenizer, self.template)

    @property
    def image_token_id(self) -> int:
        """The token that stands for a piece of the picture."""
        for name in ("image_token_id", "image_token_index"):
            value = getattr(self.config, name, None)
            if value is not None:
                return int(value)
        raise ModelError(
            f"{self.name}: the configuration of {self.family} names no image token; not supported"
        )

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Encode prompts as one left-padded batch with spans and image grids, on the model's device.

        Args:
            prompts: pictures with their questions; the picture stands in the first turn of each dialogue.

        Returns:
            The batch: inputs and span masks (item, position).

        Raises:
            ModelError: no prompts, or something that the processor cannot take.
        """
        encoded = encode_prompts(self.processor, self.template, self.family, self.image_token_id, prompts)
        for name, value in encoded.inputs.items():
            if value.is_floating_point():
                encoded.inputs[name] = value.to(self.dtype)
        return encoded.to(self.device)

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of answers as the model would write them after a prompt, without an end token.

        Raises:
            ModelError: an answer is empty.
        """
        for answer in answers:
            if answer not in self._answers:
                self._answers[answer] = answer_ids(self.tokenizer, self.template, answer)
        return [list(self._answers[answer]) for answer in answers]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of an answer's tokens, special ones and outer blanks left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    @contextmanager
    def reading(self, encoded: Encoded) -> Iterator[Frame]:
        """While inside, hooks find the spans of this batch in ``frame``; may be nested."""
        before, self.frame = self.frame, Frame(encoded, encoded.length)
        try:
            yield self.frame
        finally:
            self.frame = before

    def answer(
        self,
        image: Image.Image,
        question: str,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
    ) -> Answer:
        """Ask one question; edits that are active apply.

        Returns:
            The raw text, the choice that it amounts to, and each choice's log-probability per token.
        """
        from headscope.capture.ask import answer_one

        turns = tuple((q, a) for q, a in history)
        return answer_one(self, Prompt(image, question, turns), tuple(choices))


def load_model(
    name_or_path: str | Path, device: str = "cpu", dtype: str = "float32", prove: bool = True
) -> VLM:
    """Load a vision-language model: "embedded", a checkpoint folder, or a Hugging Face Hub id (org/name).

    Folders are read without any network access; weights from safetensors only; no code of the checkpoint is
    run.

    Args:
        device: as torch names it ("cpu", "cuda", "cuda:1", ...), or "auto".
        dtype: "float32", "bfloat16", "float16", or "auto" for the checkpoint's own.
        prove: prove the head geometry (a few forwards over a tiny input) before the model is handed out.

    Raises:
        ModelError: the model cannot be had, is incomplete, or is not a vision-language model.
        GeometryError: its heads could not be located, or a step of the proof failed.
    """
    place, number = _device(device), _dtype(dtype)
    folder, name, commit = locate(name_or_path)
    config = check_folder(folder)
    processor = load_processor(folder, config)
    model = _load_weights(folder, number).to(place).eval()
    model.requires_grad_(False)
    template = Template(processor, str(config.model_type))
    vlm = VLM(model, processor, find_geometry(model), name, commit or revision(folder), folder, template)
    if prove:
        from headscope.models.proof import prove_geometry

        vlm.proof = prove_geometry(vlm)
    return vlm


def _device(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        raise ModelError(f"device {device!r} is not available: {str(exc).splitlines()[0]}; try cpu") from exc
    return place


def _dtype(dtype: str) -> Any:
    if dtype not in DTYPES:
        raise ModelError(f"asked for dtype {dtype!r}; there are: {', '.join(DTYPES)}")
    return dtype if dtype == "auto" else getattr(torch, dtype)


def _load_weights(folder: Path, dtype: Any) -> nn.Module:
    """The model with every weight from the checkpoint; transformers would fill gaps with noise and a
    warning."""
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, by name
        )
    except Exception as exc:  # transformers, safetensors and torch raise many kinds here
        first = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        raise ModelError(f"{folder}: the weights cannot be loaded: {first}") from exc
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    model: nn.Module
    model, info = loaded
    for what in ("missing_keys", "mismatched_keys"):
        if info.get(what):
            keys = sorted(str(k) for k in info[what])
            raise ModelError(
                f"{folder}: weights do not fit the configuration: {len(keys)} {what}, first {keys[0]}"
            )
    return model
