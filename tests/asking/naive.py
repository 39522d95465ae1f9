"""Capture the slow and plain way: one item, no batch, no padding, no cache, one whole forward a question."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headscope.asking.items import Item, history_of, make_items
from headscope.data.cases import Cases
from headscope.data.schema import Case, Object, Step
from headscope.functions import DEFAULT
from headscope.models import ways
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model

SETTINGS: dict[str, Any] = {
    "contexts": ("gold", "own"),
    "main_contexts": ("alone", "gold", "own"),
    "readouts": ("prompt_last", "answer_mean"),
    "batch_size": 4,
    "shard_items": 8,
    "max_new_tokens": 3,
}
SPLITS = {"c0": "fit", "c1": "select", "c2": "test", "c3": "fit", "c4": "fit"}

_PLACES = ("top", "top left", "bottom right", "left")
_COLOURS = ("red", "blue", "green")


def make_case(number: int) -> Case:
    """A case with one-token, several-token, nested and open answers, and questions of different lengths."""
    count, place = ("two", "three", "four"), _PLACES[number % 4]
    steps = (
        _step("s1", "counting", "How many sheep" + " and sheep" * (number % 3) + " are there?", "two", count),
        _step("s2", "spatial_perception", "Where in the picture is the car?", place, _PLACES),
        _step("s3", "attribute_perception", "What colour is it?", _COLOURS[number % 3], ()),
        _step("s4", "decision_making", "So, is it there?", "yes", ("yes", "no")),
    )
    return Case(
        id=f"c{number}",
        image=f"images/c{number}.png",
        width=24 + 8 * (number % 2),
        height=24,
        kind="facing",
        question="Is the dog facing the horse?",
        answer="no",
        choices=("yes", "no"),
        steps=steps,
        objects=(Object(id="o", name="dog", box=(0, 0, 8, 8)), Object(id="p", name="cow")),
        held_out=("wording",),
    )


def _step(name: str, function: str, question: str, answer: str, choices: tuple[str, ...]) -> Step:
    return Step(id=name, question=question, answer=answer, function=function, choices=choices)


def picture(item: Item) -> Image.Image:
    """Noise that differs between cases and is the same each time."""
    rng = np.random.default_rng(int(item.case.id[1:]))
    size = (item.case.height, item.case.width, 3)
    return Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8))


def some_items(count: int, contexts: Sequence[str] = ("gold", "alone")) -> list[Item]:
    """All items of a few cases."""
    return make_items([make_case(i) for i in range(count)], DEFAULT, contexts)


def some_cases(folder: Path, count: int) -> Cases:
    """The same cases on disk, as far as capture needs them."""
    cases = [make_case(i) for i in range(count)]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for item in make_items(cases, DEFAULT, ["alone"]):
        picture(item).save(folder / item.case.image)
    return Cases(folder, cases)


def load_double(folder: Path, ends: Sequence[int] = ()) -> VLM:
    """A model of its own in float64, with more end tokens if wanted, so that random answers end early."""
    vlm = load_model(folder, prove=False)
    vlm.model.double()
    if ends:
        vlm.model.generation_config.eos_token_id = [int(vlm.tokenizer.eos_token_id), *ends]
    return vlm


@dataclass
class StubEdit:
    """Multiplies the z of some (layer, head) by a factor, everywhere or from the last prompt position on."""

    heads: tuple[tuple[int, int], ...]
    factor: float
    scope: str = "all"

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """By the frame's mask, as edits in headscope do."""

        def make(site: Any) -> Any:
            def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
                assert vlm.frame is not None
                z = args[0]
                mask = vlm.frame.scope_mask(self.scope, z.shape[1], z.shape[0])
                return (self._edited(z, site, mask[..., None]),)

            return hook

        with ExitStack() as stack:
            for site in vlm.geometry.sites:
                stack.callback(site.projection.register_forward_pre_hook(make(site)).remove)
            yield

    def plainly(self, z: torch.Tensor, site: Any, prompt_length: int) -> torch.Tensor:
        """The same on a whole uncached forward of one unpadded item, by positions."""
        where = torch.zeros(1, z.shape[1], 1, dtype=torch.bool)
        where[:, 0 if self.scope == "all" else prompt_length - 1 :] = True
        return self._edited(z, site, where)

    def _edited(self, z: torch.Tensor, site: Any, where: torch.Tensor) -> torch.Tensor:
        out = z.clone()
        for layer, head in self.heads:
            if layer == site.layer:
                block = slice(head * site.head_dim, (head + 1) * site.head_dim)
                out[..., block] = torch.where(where, z[..., block] * self.factor, z[..., block])
        return out


def whole_forward(
    vlm: VLM,
    item: Item,
    answer: Sequence[int],
    edit: StubEdit | None = None,
    own: dict[str, str] | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """One uncached forward over prompt and answer of one item.

    Returns:
        Log-probabilities (position, vocabulary) and z (position, head, width) of the positions from the last
        prompt position on, and the prompt's length.
    """
    encoded = vlm.encode([Prompt(picture(item), item.question, history_of(item, own))])
    inputs, length = dict(encoded.inputs), encoded.length
    extra = torch.tensor([list(answer)], dtype=torch.long)
    for name, value in inputs.items():
        if value.ndim == 2 and value.shape[1] == length and not value.is_floating_point():
            fill = {"input_ids": extra, "attention_mask": torch.ones_like(extra)}
            inputs[name] = torch.cat([value, fill.get(name, torch.zeros_like(extra))], dim=1)
    z: dict[int, torch.Tensor] = {}

    def make(index: int, site: Any) -> Any:
        def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            given = args[0] if edit is None else edit.plainly(args[0], site, length)
            z[index] = given[0, length - 1 :].clone()
            return (given,)

        return hook

    with ExitStack() as stack, torch.no_grad():
        for i, site in enumerate(vlm.geometry.sites):
            stack.callback(site.projection.register_forward_pre_hook(make(i, site)).remove)
        logits = vlm.model(**inputs, use_cache=False).logits[0, length - 1 :].double()
    heads = [z[i].reshape(len(z[i]), s.n_heads, s.head_dim) for i, s in enumerate(vlm.geometry.sites)]
    return torch.log_softmax(logits, dim=-1).numpy(), torch.cat(heads, dim=1).numpy(), length


def choice_logprobs(vlm: VLM, item: Item, edit: StubEdit | None = None) -> dict[str, float]:
    """Log-probability per token of each choice, each from a whole forward of its own."""
    options = {c: vlm.encode_answers([c])[0] for c in (item.choices or (item.truth,))}
    nested = any(a != b and b[: len(a)] == a for a in options.values() for b in options.values())
    scores = {}
    for text, tokens in options.items():
        logprobs, _, _ = whole_forward(vlm, item, tokens, edit)
        values = [logprobs[i, t] for i, t in enumerate(tokens)]
        if nested:
            values.append(np.log(sum(np.exp(logprobs[len(tokens), e]) for e in vlm.end_ids)))
        scores[text] = float(np.mean(values))
    return scores


def forced(monkeypatch: pytest.MonkeyPatch, vlm: VLM, refusal: str) -> None:
    """Let choices be read as trees, or in rows for this reason, whatever a trial says."""
    monkeypatch.setitem(ways._record(vlm).ways, ways.TREE, ways.Way(refusal, {}))


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with a hash of its bytes, hidden ones too."""
    files = [f for f in sorted(folder.rglob("*")) if f.is_file()]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
