"""A vision-language model in memory: what reading, generation, hooks and proofs need to know about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from torch import nn

from headscope.errors import ModelError
from headscope.models.contiguous import give_contiguous
from headscope.models.encoding import encode_prompts
from headscope.models.geometry import Geometry
from headscope.models.library_messages import quiet
from headscope.models.loading import count_weights, input_device
from headscope.models.placement import Placement
from headscope.models.processors import image_backend_of
from headscope.models.prompts import Template, answer_ids, end_ids, start_ids
from headscope.models.proofs.batch_proof import numbered
from headscope.models.proofs.proof_steps import Proof
from headscope.models.several_pictures import pictures_refusal
from headscope.models.thinking import special_ids
from headscope.models.types import Encoded, Frame, ImageGrid, Prompt
from headscope.models.weights import Weights, refuse_training


class OwnLock:
    """A lock that one thread may take several times; a copy of a model has a lock of its own."""

    def __init__(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __deepcopy__(self, memo: dict[int, Any]) -> OwnLock:
        return OwnLock()


@dataclass(eq=False, repr=False)
class BaseVLM:
    """A vision-language model, its processor, and where its heads are; :class:`headscope.models.vlm.VLM`
    also answers.

    Attributes:
        model: the transformers model, in evaluation mode.
        processor: its processor, padding left.
        geometry: its heads, proved unless loaded with ``prove=False``.
        name: "embedded", a hub id, or the folder's name.
        revision: hub commit, or 16 hex digits over configuration and weights; with "-wrapped" where these
            were hashed in memory.
        folder: the checkpoint folder; None of a model that was wrapped.
        loading: how it was loaded; None of a model that was wrapped.
        proof: the proof of the geometry, None if it was not asked for.
        frame: spans of the batch now being read, None outside :meth:`reading`.
    """

    model: nn.Module
    processor: Any
    geometry: Geometry
    name: str
    revision: str
    folder: Path | None
    template: Template
    weights: Weights
    loading: Placement | None = None
    proof: Proof | None = None
    frame: Frame | None = None
    _answers: dict[str, list[int]] = field(default_factory=dict)
    _refusals: dict[int, str] = field(default_factory=dict)  # number of pictures -> why not
    _turn: OwnLock = field(default_factory=OwnLock)

    def __post_init__(self) -> None:
        give_contiguous(self.model)

    def __repr__(self) -> str:
        kind, heads = type(self).__name__, self.geometry.summary()
        return f"{kind}({self.name!r}, {self.family}, revision {self.revision}, {heads})"

    def confirmed_revision(self) -> str:
        """The revision, after a check that the model in memory still is what it stands for.

        What it sees and what not: :class:`headscope.models.weights.LoadedWeights`; of a model that was
        wrapped, ``HashedWeights``.

        Raises:
            ModelError: the model was changed, or put into training mode.
        """
        change = self.weights.change(self.model)
        if change:
            raise ModelError(
                f"{self.name}: {change} since it was {'loaded' if self.folder else 'wrapped'} as revision "
                f"{self.revision}; for the model as it is now: vlm = hs.wrap(vlm.model, vlm.processor)"
            )
        refuse_training(self.model, self.name)
        return self.revision

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
        """Where inputs go: the device of the input embeddings."""
        return input_device(self.model)

    @property
    def placement(self) -> dict[str, str]:
        """Part of the model -> its device; one entry where all of it is in one place."""
        places = getattr(self.model, "hf_device_map", None) or {"": self.device}
        return {str(part): str(place) for part, place in places.items()}

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return next(p.dtype for p in self.model.parameters() if p.is_floating_point())

    @property
    def image_backend(self) -> str:
        """What pictures are turned into numbers with: ``torchvision`` or ``pil``."""
        return image_backend_of(self.processor)

    @property
    def parameters(self) -> int:
        """How many weights there are, shared ones counted once."""
        return count_weights(self.model)

    @property
    def start_ids(self) -> tuple[int, ...]:
        """Tokens that the decoder of an encoder-decoder starts from: its prompt; empty for other models."""
        return start_ids(self.model)

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

    def require(self, step: str, asked: str) -> None:
        """Refuse what rests on a step of the proof that was tried and did not hold.

        Raises:
            ModelError: it did not; the message says what was asked and why the model does not do it.
        """
        if self.proof is not None:
            self.proof.require(step, asked)

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """Encode prompts as one left-padded batch with spans and image grids, on the model's device.

        Of an encoder-decoder, what the encoder reads is padded on the right, and the decoder's prompt is its
        start tokens.

        Args:
            prompts: pictures with their questions; they stand in the first turn of each dialogue.

        Returns:
            The batch: inputs and span masks (item, position).

        Raises:
            ModelError: no prompts, or something that the processor cannot take, such as several pictures.
        """
        for count in sorted({len(p.pictures) for p in prompts} - {0, 1}):
            if reason := self.pictures_refusal(count):
                raise ModelError(f"{self.name}: asked about {count} pictures in one prompt; {reason}")
        if len(prompts) > 1:
            self.require("batch", f"{len(prompts)} prompts in one batch (use batch size 1)")
        with quiet(), self._turn:  # a tokenizer is not to be used by two threads at once
            encoded = self._encoded(prompts)
        attended = encoded.inputs.get("attention_mask")
        if len(prompts) == 1 and attended is not None and not attended.all():
            raise ModelError(
                f"{self.name}: its processor padded a single prompt, which models are known to read "
                "otherwise than a bare one; check the padding settings in tokenizer.json and "
                "processor_config.json"
            )
        if self.proof is not None and self.proof.numbered:
            encoded.inputs = numbered(encoded.inputs)
        reason = self.proof.refusal("spans") if self.proof is not None else ""
        if reason:
            encoded.grids = [ImageGrid(None, None, reason) for _ in encoded.grids]
        for name, value in encoded.inputs.items():
            if value.is_floating_point():
                encoded.inputs[name] = value.to(self.dtype)
        return encoded.to(self.device)

    def _encoded(self, prompts: Sequence[Prompt]) -> Encoded:
        """Prompts as the model's own template and processor encode them."""
        return encode_prompts(
            self.processor, self.template, self.family, self.image_token_id, prompts, self.start_ids
        )

    def pictures_refusal(self, count: int) -> str:
        """Why the model cannot be asked about so many pictures in one prompt; empty where it can."""
        if count not in self._refusals:
            with quiet(), self._turn:
                self._refusals[count] = "" if count == 1 else pictures_refusal(self._encoded, count)
        return self._refusals[count]

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of answers as the model would write them after a prompt, without an end token.

        Raises:
            ModelError: an answer is empty.
        """
        for answer in answers:
            if answer not in self._answers:
                apart = bool(self.start_ids)
                self._answers[answer] = answer_ids(self.tokenizer, self.template, answer, apart)
        return [list(self._answers[answer]) for answer in answers]

    @cached_property
    def _special(self) -> tuple[frozenset[int], frozenset[int]]:
        """Special tokens that mark thoughts, and the others."""
        return special_ids(self.tokenizer)

    def text_of(self, ids: Sequence[int]) -> str:
        """Text of an answer's tokens; of special ones only those that tell thought and answer apart."""
        marks, others = self._special
        if marks.isdisjoint(ids):
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
        return str(self.tokenizer.decode([i for i in ids if i not in others], skip_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The same without outer blanks."""
        return self.text_of(ids).strip()

    @contextmanager
    def reading(self, encoded: Encoded) -> Iterator[Frame]:
        """While inside, hooks find the spans of this batch in ``frame``; may be nested. Others wait."""
        self.require("positions", "a reading of the prompt's tokens")
        with self._turn:
            before, self.frame = self.frame, Frame(encoded, encoded.length)
            try:
                with self.frame.following(self.model):
                    yield self.frame
            finally:
                self.frame = before
