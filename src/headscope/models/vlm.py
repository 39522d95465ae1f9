"""A loaded vision-language model that answers questions, and how it is loaded and proved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
import transformers
from PIL import Image

from headscope.data.pictures import AnyPictures
from headscope.errors import HeadscopeError, ModelError, in_one_line
from headscope.models.answering.generation import before_end, generate
from headscope.models.answering.scoring import score_choices
from headscope.models.answers import parser_of
from headscope.models.base import BaseVLM
from headscope.models.checkpoints import check_folder, folder_revision, locate
from headscope.models.finding import find_geometry
from headscope.models.geometry import Geometry
from headscope.models.library_messages import quiet
from headscope.models.loading import load_weights
from headscope.models.memory import is_out_of_memory, refuse_out_of_memory
from headscope.models.other_formats import naming_own_code
from headscope.models.placement import DeviceMap, MaxMemory, Placement, device_named
from headscope.models.processors import check_image_backend, load_processor
from headscope.models.prompts import Template
from headscope.models.proofs.full import proof_inputs, prove
from headscope.models.proofs.proof_steps import REFUSED
from headscope.models.releases import check_release, other_release
from headscope.models.thinking import opened
from headscope.models.types import Answer, Prompt, choices_of, turns_of
from headscope.models.ways import MODEL_ERRORS, failure
from headscope.models.weights import LoadedWeights

log = logging.getLogger(__name__)
_FIRST_TOKENS = 6  # of an answer, enough for the mark that opens a thought
T = TypeVar("T")


class VLM(BaseVLM):
    """A vision-language model, its processor, and where its heads are.

    Made by :func:`load_model` or :func:`headscope.models.wrapping.wrap`.

    What it holds: :class:`headscope.models.base.BaseVLM`.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 1)
        >>> len(vlm.geometry.heads)
        64
        >>> vlm.answer(cases.image(cases[0]), "Where is the dog?").parsed
        'right'
    """

    def answer(
        self,
        image: AnyPictures,
        question: str,
        history: Sequence[tuple[str, str]] = (),
        choices: Sequence[str] = (),
        max_new_tokens: int = 16,
    ) -> Answer:
        """Ask one question; edits that are active apply.

        Args:
            image: the picture: of Pillow, the path of a file, or an array (row, column, 3) of uint8; or a
                list of several, for a model that takes them.
            question: as asked.
            history: (question, answer) turns before it.
            choices: answers to be scored; the text then amounts to one of them, or to none.
            max_new_tokens: length limit of the answer, its end token included.

        Returns:
            The text, the choice (or open answer) it amounts to, each choice's log-probability per token, and
            the probability of all choices together.

        Raises:
            ModelError: the processor cannot take the prompt, or the model refuses what is asked of it.
        """
        prompt, options = Prompt(image, question, turns_of(history)), choices_of(choices)
        with quiet(), torch.no_grad():
            encoded = self.encode([prompt])
            with self.reading(encoded):
                tokens, prefill = generate(self, encoded, max_new_tokens)
                (scores,) = score_choices(self, encoded, prefill, [options])
        text = self.decode(tokens[0][before_end(tokens, self.end_ids)[0]].tolist())
        return Answer(text, parser_of(question, options)(text), scores.logprobs, scores.total)


def need_vlm(given: object, asked: str) -> None:
    """Refuse what is no model of headscope, where one was asked for.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(given, VLM):
        raise ModelError(
            f"{asked}: expected a model as hs.load_model(NAME) gives it, found {type(given).__name__}; for a "
            "model in memory: hs.wrap(model, processor)"
        )


def load_model(
    name_or_path: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    prove: bool = True,
    *,
    device_map: str | DeviceMap | None = None,
    max_memory: MaxMemory | None = None,
    quantization: str | None = None,
    attention: str | None = None,
    towers: str | Sequence[str] = ("decoder",),
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

    Example:
        >>> import headscope as hs
        >>> vlm = hs.load_model("embedded", dtype="bfloat16")
        >>> vlm.family, vlm.proof.status
        ('llava', 'PROVED')
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
    vlm.geometry = find_geometry(model, towers, lambda: proof_inputs(vlm))
    if prove:
        prove_loaded(vlm)
    return vlm


def _transformers() -> str:
    return str(transformers.__version__)


def prove_loaded(vlm: VLM) -> None:
    """Prove a model before it is handed out; what is refused is said once, and thoughts are left out.

    Raises:
        GeometryError, ModelError, OutOfMemoryError: as :func:`proof_or_refusal`.
    """
    vlm.proof = proof_or_refusal(vlm, prove)
    for step in vlm.proof.steps:
        if step.status == REFUSED:
            log.warning("%s: loaded, but %s", vlm.name, vlm.proof.refusal(step.name))
    leave_thoughts_out(vlm)


def leave_thoughts_out(vlm: VLM) -> None:
    """End prompts with an empty thought where the model is seen to open one by itself."""
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


def proof_or_refusal(vlm: VLM, prove: Callable[[VLM], T]) -> T:
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
