"""Steps of a proof, what they rest on, and how the model under proof is run."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from headscope.errors import GeometryError, ModelError
from headscope.models.geometry import Geometry, Site
from headscope.models.memory import is_out_of_memory, refuse_out_of_memory

HELD, REFUSED, NOT_APPLICABLE = "held", "refused", "not applicable"
# Of a model without its processor: what can be shown only where there is one.
ON_CHECKPOINT = "on a checkpoint"

# Logits of so many positions, counted from the end, are looked at; each depends on all positions before it.
LAST = 8


@dataclass(frozen=True)
class Step:
    """One step of the proof: what was shown, and the figure that it rests on.

    ``status`` is ``held``, ``refused`` (the model does not do this), ``not applicable``, or ``on a
    checkpoint`` (left to one, whose processor is needed); then ``reason`` says why. ``limit``: what the
    figure is held to, not a number where it is a count or an effect. ``numbered``: it holds where position
    ids are passed to the model.
    """

    name: str
    shown: str
    figure: float
    status: str = HELD
    reason: str = ""
    numbered: bool = False
    limit: float = float("nan")


@dataclass(frozen=True)
class Proof:
    """The steps of a proof. A step about the geometry that fails raises instead."""

    steps: tuple[Step, ...] = field(default_factory=tuple)

    def step(self, name: str) -> Step:
        """The step of a name."""
        return next(s for s in self.steps if s.name == name)

    def figure(self, name: str) -> float:
        """The figure of a step."""
        return self.step(name).figure

    def require(self, name: str, asked: str) -> None:
        """Refuse what rests on a step that was tried and did not hold.

        Raises:
            ModelError: it did not; the message says what was asked and why the model does not do it.
        """
        reason = self.refusal(name)
        if reason:
            raise ModelError(f"asked for {asked}; {reason}")

    def refusal(self, name: str) -> str:
        """Why what rests on a step is refused; empty where it held, does not apply, or was not tried."""
        step = next((s for s in self.steps if s.name == name), None)
        if step is None or step.status != REFUSED:
            return ""
        return f"refused by the proof's step {name!r}: {step.reason}"

    @property
    def numbered(self) -> bool:
        """Whether batches have to be given position ids, counted from each item's own start."""
        return any(s.numbered for s in self.steps)

    @property
    def status(self) -> Literal["PROVED", "PARTLY"]:
        """``PROVED`` if every step held or is left to a checkpoint, else ``PARTLY``."""
        return "PARTLY" if self._lost else "PROVED"

    @property
    def reason(self) -> str:
        """Why it is not ``PROVED``: the steps that did not hold, with their reasons."""
        return "; ".join(f"{s.name} {s.status}: {s.reason}" for s in self._lost)

    @property
    def _lost(self) -> list[Step]:
        return [s for s in self.steps if s.status not in (HELD, ON_CHECKPOINT)]

    def to_json(self) -> dict[str, dict[str, str | float | None]]:
        """Name of each step -> status, what was shown, figure and limit (None if there is none), reason."""
        return {
            s.name: {
                "status": s.status,
                "shown": s.shown,
                "figure": s.figure if math.isfinite(s.figure) else None,
                "limit": s.limit if math.isfinite(s.limit) else None,
                "reason": s.reason,
            }
            for s in self.steps
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{s.name}: {s.shown} ({s.figure:.3g}{'' if math.isnan(s.limit) else f' of {s.limit:.3g}'})"
            if s.status == HELD
            else f"{s.name}: {s.status}: {s.reason}"
            for s in self.steps
        )


def logits_of(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """Logits (item, position, vocabulary) of the last :data:`LAST` positions, one forward without a cache.

    The map onto the vocabulary is given these positions alone. Models' own ``logits_to_keep`` is not used:
    some leave positions out of their last layers then, whose heads are under proof.

    Raises:
        GeometryError: the model puts out no logits.
    """
    given = {name: value for name, value in inputs.items() if name != "logits_to_keep"}
    if takes(model, "use_cache"):
        given["use_cache"] = False
    with _last_positions(vocabulary_map(model)):
        logits = getattr(model(**given), "logits", None)
    if not isinstance(logits, Tensor):
        raise GeometryError(
            f"proof step 'hooks' failed: {type(model).__name__} puts out no logits; it does not answer in "
            "text"
        )
    return logits[:, -LAST:].clone() if logits.shape[1] > LAST else logits


@contextmanager
def _last_positions(module: nn.Module | None) -> Iterator[None]:
    """Within, a module is given the last positions of (item, position, width) alone."""

    def cut(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        states = args[0] if args else None
        if not isinstance(states, Tensor) or states.ndim != 3:
            return args
        return (states[:, -LAST:].contiguous(), *args[1:])  # else bfloat16 copies the weights an item

    handle = module.register_forward_pre_hook(cut) if module is not None else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def vocabulary_map(model: nn.Module) -> nn.Module | None:
    """The module that makes logits; None where the model names none."""
    lookup: Any = getattr(model, "get_output_embeddings", None)
    try:
        found = lookup() if lookup is not None else None
    except (AttributeError, NotImplementedError):
        return None
    return found if isinstance(found, nn.Module) else None


def encodes(model: nn.Module) -> bool:
    """Whether an encoder reads picture and question, and the decoder starts from tokens of its own."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def prompt_ids(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """Tokens (item, position) that the decoder reads: an encoder-decoder's start tokens, else the prompt."""
    ids: Tensor = inputs["decoder_input_ids" if encodes(model) else "input_ids"]
    return ids


def number_format(model: nn.Module) -> torch.dtype:
    """What the model computes in; logits may come out in another format."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def takes(model: nn.Module, name: str) -> bool:
    """Whether the model's forward takes an argument of this name."""
    parameters = inspect.signature(model.forward).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def ends(geometry: Geometry) -> tuple[Site, ...]:
    """First and last site of each kind: enough for ways that all sites of a kind share."""
    chosen: dict[int, Site] = {}
    for kind in dict.fromkeys((s.tower, s.site) for s in geometry.sites):
        sites = [s for s in geometry.sites if (s.tower, s.site) == kind]
        chosen.update({id(s): s for s in (sites[0], sites[-1])})
    return tuple(chosen.values())


def attempt(name: str, step: Callable[[], Step]) -> Step:
    """A step, or its refusal where the model itself fails on the way.

    Raises:
        OutOfMemoryError: memory ran out, which says nothing about the model.
    """
    try:
        return step()
    except Exception as exc:  # models fail in their own ways; none of them may pass for proved
        if is_out_of_memory(exc):
            refuse_out_of_memory(exc, f"the proof's step {name!r}")
        first = (str(exc).strip().splitlines() or [""])[0]
        return Step(name, "", float("nan"), REFUSED, f"{type(exc).__name__}: {first}"[:300])
