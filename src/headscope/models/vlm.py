"""A loaded vision-language model with everything that hooks need to know about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from headscope.errors import HeadscopeError, ModelError, in_one_line
from headscope.models.checkpoints import check_folder, folder_revision, locate
from headscope.models.contiguous import give_contiguous
from headscope.models.encoding import encode_prompts
from headscope.models.geometry import Geometry, find_geometry
from headscope.models.library_messages import quiet
from headscope.models.loading import count_weights, input_device, load_weights
from headscope.models.memory import is_out_of_memory, refuse_out_of_memory
from headscope.models.other_formats import naming_own_code
from headscope.models.placement import Placement, device_named
from headscope.models.processors import check_image_backend, image_backend_of, load_processor
from headscope.models.prompts import Template, answer_ids, end_ids, start_ids
from headscope.models.proofs.steps import REFUSED
from headscope.models.releases import check_release, other_release
from headscope.models.thinking import opened, special_ids
from headscope.models.types import Answer, Encoded, Frame, ImageGrid, Prompt
from headscope.models.ways import MODEL_ERRORS, failure
from headscope.models.weights import LoadedWeights, Weights, refuse_training

log = logging.getLogger(__name__)
_FIRST_TOKENS = 6  # of an answer, enough for the mark that opens a thought


@dataclass(eq=False, repr=False)
class VLM:
    """A vision-language model, its processor, and where its heads are.

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
    proof: Any = None
    frame: Frame | None = None
    _answers: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        give_contiguous(self.model)

    def __repr__(self) -> str:
        return f"VLM({self.name!r}, {self.family}, revision {self.revision}, {self.geometry.summary()})"

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
            prompts: pictures with their questions; the picture stands in the first turn of each dialogue.

        Returns:
            The batch: inputs and span masks (item, position).

        Raises:
            ModelError: no prompts, or something that the processor cannot take.
        """
        if len(prompts) > 1:
            self.require("batch", f"{len(prompts)} prompts in one batch (use batch size 1)")
        with quiet():
            encoded = encode_prompts(
                self.processor, self.template, self.family, self.image_token_id, prompts, self.start_ids
            )
        attended = encoded.inputs.get("attention_mask")
        if len(prompts) == 1 and attended is not None and not attended.all():
            raise ModelError(
                f"{self.name}: its processor padded a single prompt, which models are known to read "
                "otherwise than a bare one; check the padding settings in tokenizer.json and "
                "processor_config.json"
            )
        if self.proof is not None and self.proof.numbered:
            from headscope.models.proofs.batches import numbered

            encoded.inputs = numbered(encoded.inputs)
        reason = self.proof.refusal("spans") if self.proof is not None else ""
        if reason:
            encoded.grids = [ImageGrid(None, None, reason) for _ in encoded.grids]
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
        """While inside, hooks find the spans of this batch in ``frame``; may be nested."""
        self.require("positions", "a reading of the prompt's tokens")
        before, self.frame = self.frame, Frame(encoded, encoded.length)
        try:
            with self.frame.following(self.model):
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
        from headscope.asking.ask import answer_one

        turns = tuple((q, a) for q, a in history)
        with quiet():
            return answer_one(self, Prompt(image, question, turns), tuple(choices))


def load_model(
    name_or_path: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    prove: bool = True,
    *,
    device_map: str | Mapping[str, Any] | None = None,
    max_memory: Mapping[Any, Any] | None = None,
    quantization: str | None = None,
    attention: str | None = None,
    towers: Sequence[str] = ("decoder",),
    image_backend: str = "auto",
) -> VLM:
    """Load a vision-language model: "embedded", a checkpoint folder, or a Hugging Face Hub id (org/name).

    Folders are read without any network access; weights from safetensors only; no code of the checkpoint is
    run.

    Args:
        device: as torch names it ("cpu", "cuda", "cuda:1", ...), or "auto".
        dtype: "float32", "bfloat16", "float16", or "auto" for the checkpoint's own.
        prove: prove the model over a tiny input before it is handed out, as ``headscope models check`` does.
            What a step refuses is said in a warning, and refused wherever it is asked for.
        device_map: instead of ``device``: "auto", "balanced", "sequential", or module name -> device; layers
            then sit on several devices. Needs accelerate.
        max_memory: device -> most bytes, for the named maps: ``{0: "20GiB", "cpu": "60GiB"}``.
        quantization: "8bit" or "4bit"; needs accelerate and bitsandbytes. The revision then says so.
        attention: the attention kernel: "sdpa", "eager", "flash_attention_2", "flash_attention_3" or
            "flex_attention", as transformers names them; None: what the configuration names, else its choice.
        towers: whose heads: "decoder", "vision", or both; readouts are the decoder's alone.
        image_backend: "pil" or "torchvision"; "auto" is what the folder states ("image_backend" in
            processor_config.json), else what transformers itself takes: torchvision where it is installed and
            the family has that form. ``VLM.image_backend`` says which it was.

    Raises:
        ModelError: the model cannot be had, is incomplete, is not a vision-language model, or an option is
            not possible here, or transformers is older than any release that headscope works with.
        GeometryError: its heads could not be located, or a step failed without which nothing works.
        OutOfMemoryError: memory ran out during the proof.
    """
    if not isinstance(name_or_path, str | Path):
        raise ModelError(
            f"load_model: expected a name or a folder, found {type(name_or_path).__name__}; for a model that "
            "is in memory already: hs.wrap(model, processor)"
        )
    check_release(_transformers())
    how = Placement(device, dtype, device_map, max_memory, quantization, attention)
    if device_map is None:
        device_named(device)
    check_image_backend(image_backend)
    folder, name, commit = locate(name_or_path)
    with quiet(), naming_own_code(folder):
        config = check_folder(folder)
        processor = load_processor(folder, config, image_backend)
        model = load_weights(folder, config, how)
    template = Template(processor, str(config.model_type))
    identity = commit or folder_revision(folder)
    if quantization:
        identity += f"-{quantization}"
    weights = LoadedWeights(model)
    vlm = VLM(model, processor, Geometry(()), name, identity, folder, template, weights, how)
    vlm.geometry = find_geometry(model, towers, lambda: proof_inputs_of(vlm))
    if prove:
        prove_loaded(vlm)
    return vlm


def _transformers() -> str:
    import transformers

    return str(transformers.__version__)


def prove_loaded(vlm: VLM) -> None:
    """Prove a model before it is handed out; what is refused is said once, and thoughts are left out.

    Raises:
        GeometryError, ModelError, OutOfMemoryError: as :func:`proof_or_refusal`.
    """
    from headscope.models.proof import prove

    vlm.proof = proof_or_refusal(vlm, prove)
    for step in vlm.proof.steps:
        if step.status == REFUSED:
            log.warning("%s: loaded, but %s", vlm.name, vlm.proof.refusal(step.name))
    leave_thoughts_out(vlm)


def leave_thoughts_out(vlm: VLM) -> None:
    """End prompts with an empty thought where the model is seen to open one by itself."""
    from headscope.asking.generation import generate

    blank = Image.new("RGB", (32, 32), (127, 90, 60))
    try:
        with quiet():
            encoded = vlm.encode([Prompt(blank, "What is in the picture?")])
            tokens, _ = generate(vlm, encoded, _FIRST_TOKENS)
    except MODEL_ERRORS as exc:
        log.debug("%s: no answer to see whether it thinks: %s", vlm.name, failure(exc))
        return
    style = opened(vlm.decode(tokens[0].tolist()))
    if style is not None:
        vlm.template.leave_out(style)
        log.info("%s: opens a thought by itself; prompts end with an empty one", vlm.name)


def proof_inputs_of(vlm: VLM) -> dict[str, Any]:
    """Inputs of one small prompt, for what has to be seen in a forward."""
    from headscope.models.proofs.full import proof_inputs

    return proof_inputs(vlm)


def proof_or_refusal(vlm: VLM, prove: Callable[[VLM], Any]) -> Any:
    """Run a proof; what the model itself raises on the way becomes a refusal, never a proof.

    Raises:
        GeometryError: a step failed without which nothing works.
        OutOfMemoryError: memory ran out, which is no refusal of the model.
        ModelError: the model ended the proof with an error of its own.
    """
    try:
        with quiet():
            return prove(vlm)
    except HeadscopeError:
        raise
    except Exception as exc:  # odd models fail in odd places
        if is_out_of_memory(exc):
            refuse_out_of_memory(exc, f"{vlm.name}: the proof")
        elsewhere = other_release(vlm.family, _transformers())
        raise ModelError(
            f"{vlm.name}: the proof ended in the model's {type(exc).__name__}: {in_one_line(exc)}{elsewhere}"
        ) from exc
