"""A model that is in memory already: the same proof as a folder's, identified by its weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from headscope.errors import ModelError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Geometry
from headscope.models.library_messages import quiet
from headscope.models.processors import load_processor, prepared
from headscope.models.prompts import Template
from headscope.models.proofs.full import proof_inputs
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, proof_or_refusal, prove_loaded
from headscope.models.weights import HashedWeights, LoadedWeights, refuse_offloaded, refuse_training


def wrap(
    model: nn.Module,
    processor: Any,
    name: str | None = None,
    *,
    prove: bool = True,
    towers: str | Sequence[str] = ("decoder",),
) -> VLM:
    """A vision-language model in memory, proved as :func:`headscope.models.vlm.load_model` proves a folder.

    For models that were trained, merged or loaded by other means; on any device, in any number format. An
    adapter of PEFT is taken as it is, merged or not. The model is used in place and not changed: it has to be
    in evaluation mode. Its revision is a hash over its weights; a study or edit that is begun after they were
    changed is refused, and the model has to be wrapped anew.

    Args:
        model: a transformers model that answers in text about a picture, or a PeftModel around one.
        processor: its processor (a copy is used, padding left), or the folder that holds its files.
        name: what studies and reports call it; by default its class.
        prove: as in ``load_model``.
        towers: as in ``load_model``.

    Raises:
        ModelError: it is no such model, is compiled, sharded, offloaded or in training mode.
        GeometryError: its heads could not be located, or a step of the proof failed.

    Example:
        >>> import headscope as hs
        >>> from headscope.models.embedded import weights_folder
        >>> from transformers import AutoModelForImageTextToText, AutoProcessor
        >>> model = AutoModelForImageTextToText.from_pretrained(weights_folder()).eval()
        >>> hs.wrap(model, AutoProcessor.from_pretrained(weights_folder()), "mine").proof.status
        'PROVED'
    """
    inner = _without_peft(model) if _is_peft(model) else model
    _refuse(inner)
    config: Any = inner.config
    own = name or type(inner).__name__
    with quiet():
        read = isinstance(processor, str | Path)
        ready = load_processor(Path(processor), config) if read else prepared(copy.deepcopy(processor), own)
        template = Template(ready, str(config.model_type))
    vlm = VLM(inner, ready, Geometry(()), own, "", None, template, LoadedWeights(inner))
    vlm.geometry = find_geometry(inner, towers, lambda: proof_inputs(vlm))
    proof_or_refusal(vlm, lambda v: _use_once(v, model))
    vlm.weights = weights = HashedWeights(inner)
    vlm.revision = weights.revision
    if prove:
        prove_loaded(vlm)
    return vlm


def _refuse(model: Any) -> None:
    """Raise for what can be seen to be no usable model before anything is computed."""
    kind = type(model).__name__
    if isinstance(model, VLM):
        raise ModelError(f"wrap: {model.name} is a headscope VLM already; use it as it is")
    if not isinstance(model, nn.Module):
        raise ModelError(f"wrap: expected a model (torch.nn.Module) and its processor; found {kind}")
    _refuse_compiled(model)
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise ModelError(f"wrap: {kind} spreads a model over devices; give the model inside, model.module")
    if not hasattr(getattr(model, "config", None), "model_type") or not hasattr(model, "generate"):
        raise ModelError(
            f"wrap: {kind} is no transformers model that generates text; give one such as "
            "AutoModelForImageTextToText makes"
        )
    sharded = next((n for n, p in model.named_parameters() if type(p.data).__name__ == "DTensor"), None)
    if sharded is not None:
        raise ModelError(f"wrap: {sharded} is sharded over processes; gather the model in one first")
    refuse_offloaded(model)
    refuse_training(model, f"wrap: {kind}")


def _refuse_compiled(model: nn.Module) -> None:
    for path, module in model.named_modules():
        where = f"{path or type(model).__name__} "
        if hasattr(module, "_orig_mod"):
            raise ModelError(
                f"wrap: {where}is compiled (torch.compile), and edits do not reach compiled code; give what "
                "was compiled, model._orig_mod"
            )
        if getattr(module, "_compiled_call_impl", None) is not None:
            raise ModelError(
                f"wrap: {where}was compiled in place (model.compile()), and edits do not reach compiled "
                "code; load the model anew and leave it as it is"
            )


def _is_peft(model: Any) -> bool:
    peft = sys.modules.get("peft")
    return peft is not None and isinstance(model, peft.PeftModel)


def _without_peft(model: Any) -> nn.Module:
    """The transformers model inside, whose projections hold the adapter's parts.

    Raises:
        ModelError: an adapter that is no part of the projections but of the prompt.
    """
    if any(config.is_prompt_learning for config in model.peft_config.values()):
        kinds = ", ".join(str(c.peft_type.value) for c in model.peft_config.values())
        raise ModelError(
            f"wrap: an adapter of kind {kinds} writes tokens before the prompt, where headscope does not "
            "follow it; adapters of projections (LoRA and its like) are possible"
        )
    inner: nn.Module = model.get_base_model()
    return inner


def _use_once(vlm: VLM, outer: nn.Module) -> None:
    """One forward: packed weights are unpacked by it, and are identified as they are from then on.

    Of an adapted model it also shows that the adapter is all inside the model's projections.

    Raises:
        ModelError: the PeftModel computes more than the model inside it.
    """
    inputs = vlm.encode([Prompt(Image.new("RGB", (32, 32), (127, 90, 60)), "What is it?")]).inputs
    with torch.no_grad():
        inside = vlm.model(**inputs).logits
        if outer is not vlm.model and not torch.equal(outer(**inputs).logits, inside):
            raise ModelError(
                f"wrap: {type(outer).__name__} computes more than the model inside it does; merge the "
                "adapter (model.merge_and_unload()) and wrap the result"
            )
