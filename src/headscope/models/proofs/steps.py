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
from headscope.models.sites import Geometry, Site

HELD, REFUSED, NOT_APPLICABLE = "held", "refused", "not applicable"
# Of a model without its processor: what can be shown only where there is one.
ON_CHECKPOINT = "on a checkpoint"

# Greatest difference allowed between a projection's output and the sum of its heads' parts, relative to the
# output.
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9, torch.bfloat16: 5e-2, torch.float16: 1e-2}
# Greatest difference between logits that should be equal but are summed in another order (edit against
# baked weights), relative to the largest logit.
BAKED = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2, torch.float16: 4e-3}
# The same where padding, batch or cache change the kernels' shapes.
SHAPED = {torch.float32: 1e-4, torch.float64: 1e-9, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class Step:
    """One step of the proof: what was shown, and the figure that it rests on.

    ``status`` is ``held``, ``refused`` (the model does not do this), ``not applicable``, or ``on a
    checkpoint`` (left to one, whose processor is needed); then ``reason`` says why. ``numbered``: it holds
    where position ids are passed to the model.
    """

    name: str
    shown: str
    figure: float
    status: str = HELD
    reason: str = ""
    numbered: bool = False


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
        step = next((s for s in self.steps if s.name == name), None)
        if step is not None and step.status == REFUSED:
            raise ModelError(f"asked for {asked}; refused by the proof's step {name!r}: {step.reason}")

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

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Name of each step -> its status, what was shown, figure (None where there is none), reason."""
        return {
            s.name: {
                "status": s.status,
                "shown": s.shown,
                "figure": None if math.isnan(s.figure) else s.figure,
                "reason": s.reason,
            }
            for s in self.steps
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{s.name}: {s.shown} ({s.figure:.3g})"
            if s.status == HELD
            else f"{s.name}: {s.status}: {s.reason}"
            for s in self.steps
        )


def logits_of(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """Logits (item, position, vocabulary) of one forward without a cache.

    Raises:
        GeometryError: the model puts out no logits.
    """
    given = dict(inputs)
    if takes(model, "use_cache"):
        given["use_cache"] = False
    output = model(**given)
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise GeometryError(
            f"proof step 'hooks' failed: {type(model).__name__} puts out no logits; it does not answer in "
            "text"
        )
    return logits


def encodes(model: nn.Module) -> bool:
    """Whether an encoder reads picture and question, and the decoder starts from tokens of its own."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def prompt_ids(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """Tokens (item, position) that the decoder reads: an encoder-decoder's start tokens, else the prompt."""
    ids: Tensor = inputs["decoder_input_ids" if encodes(model) else "input_ids"]
    return ids


def takes(model: nn.Module, name: str) -> bool:
    """Whether the model's forward takes an argument of this name."""
    parameters = inspect.signature(model.forward).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


@contextmanager
def scaled(site: Site, factors: Mapping[int, float]) -> Iterator[None]:
    """Within, heads of a site are multiplied at the projection's input, as edits do it."""

    def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        z = args[0].clone()
        for head, factor in factors.items():
            z[..., site.block(head)] *= factor
        return (z, *args[1:])

    handle = site.projection.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


# Logits beyond this are bans, not values (Chameleon gives its image tokens the lowest float there is).
_BANNED = 1e30


def gap(expected: Tensor, found: Tensor) -> float:
    """Greatest difference, relative to the largest expected value (at least 1); banned logits left out.

    Infinite where one of the two bans what the other does not, not a number where one holds none.
    """
    expected, found = expected.double(), found.double()
    counted = expected.abs() < _BANNED
    if not torch.equal(counted, found.abs() < _BANNED):
        return float("nan") if bool(found.isnan().any()) else float("inf")
    expected, found = expected[counted], found[counted]
    if not len(expected):
        return float("nan")
    return float((expected - found).abs().max() / expected.abs().max().clamp_min(1.0))


def ends(geometry: Geometry) -> tuple[Site, ...]:
    """First and last site of each kind: enough for ways that all sites of a kind share."""
    chosen: dict[int, Site] = {}
    for kind in dict.fromkeys((s.tower, s.site) for s in geometry.sites):
        sites = [s for s in geometry.sites if (s.tower, s.site) == kind]
        chosen.update({id(s): s for s in (sites[0], sites[-1])})
    return tuple(chosen.values())


def attempt(name: str, step: Callable[[], Step]) -> Step:
    """A step, or its refusal where the model itself fails on the way."""
    try:
        return step()
    except Exception as exc:  # models fail in their own ways; none of them may pass for proved
        first = (str(exc).strip().splitlines() or [""])[0]
        return Step(name, "", float("nan"), REFUSED, f"{type(exc).__name__}: {first}"[:300])
