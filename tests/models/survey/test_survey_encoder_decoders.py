"""Encoder-decoders asked, captured, scored and edited by the ordinary code; all of it done again in float64
by whole forwards without batch or cache, heads recomputed from queries, keys and values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from recompute import recomputed, seen_by

from family_survey.plans import tiny_inputs, tiny_model
from headscope.asking.ask import Outcome, ask
from headscope.asking.items import Item
from headscope.data.schema import Case, Step
from headscope.edits.edits import Edit, mute
from headscope.errors import ModelError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Head
from headscope.models.types import Encoded, ImageGrid
from headscope.models.vlm import VLM
from headscope.models.weights import LoadedWeights

FAMILIES = ("florence2", "pix2struct", "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder")
# Choices as token ids: one token, several, and one that begins another.
ANSWERS = {"11": [11], "12 13": [12, 13], "12 13 14": [12, 13, 14], "15 16": [15, 16]}
STARTS = ((1,), (1, 20))
TOKENS = 5


class Bare(VLM):
    """A tiny model whose words are its token ids."""

    ends: tuple[int, ...] = (2,)

    @property
    def end_ids(self) -> tuple[int, ...]:
        return self.ends

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        return [list(ANSWERS[a]) for a in answers]


@cache
def bare(family: str) -> Bare:
    """The survey's tiny model in float64."""
    model = tiny_model(family).double()
    words = SimpleNamespace(
        pad_token_id=0,
        decode=lambda ids, **_: " ".join(str(int(i)) for i in ids),
        added_tokens_decoder={},
        all_special_ids=[],
    )
    processor = SimpleNamespace(tokenizer=words)
    found, weights = find_geometry(model), LoadedWeights(model)
    return Bare(model, processor, found, family, "", Path(), template=None, weights=weights)  # type: ignore[arg-type]


def inputs_of(vlm: Bare, start: Sequence[int], items: int = 1, first: int = 0) -> dict[str, Tensor]:
    """A batch for the encoder, and the tokens that the decoder starts from."""
    made = tiny_inputs(vlm.name, vlm.model, items=items, first=first)
    made = {n: v.double() if v.is_floating_point() else v for n, v in made.items()}
    return {**made, "decoder_input_ids": torch.tensor([list(start)] * items)}


def encoded_of(vlm: Bare, start: Sequence[int], items: int = 1) -> Encoded:
    nothing = torch.zeros(items, 9, dtype=torch.bool)
    inputs = inputs_of(vlm, start, items)
    return Encoded(inputs, nothing, nothing, len(start), [ImageGrid(None)] * items)


def item() -> Item:
    step = Step(id="s", question="Which?", answer="12 13", function="counting", choices=tuple(ANSWERS))
    case = Case(id="c", image="c.png", width=9, height=9, question="Which?", answer="11", steps=(step,))
    return Item("c/s/alone", case, step, "alone")


def asked(vlm: Bare, start: Sequence[int], items: int, edit: Edit | None = None) -> Outcome:
    readouts = ("prompt_last", "answer_mean")
    return ask(
        vlm,
        encoded_of(vlm, start, items),
        [item()] * items,
        edit=edit,
        readouts=readouts,
        max_new_tokens=TOKENS,
    )


def batch(family: str) -> int:
    """Two items, where the family can be asked in batches."""
    return 1 if family == "udop" else 2


def whole(vlm: Bare, start: Sequence[int], number: int, answer: Sequence[int]) -> dict[str, Tensor]:
    """An item alone with an answer behind the start tokens."""
    inputs = inputs_of(vlm, start, first=number)
    return {**inputs, "decoder_input_ids": torch.tensor([[*start, *answer]])}


def logprobs(vlm: Bare, start: Sequence[int], number: int, answer: Sequence[int]) -> Tensor:
    """(position, token) from the last start token on."""
    with torch.no_grad():
        logits = vlm.model(**whole(vlm, start, number, answer), use_cache=False).logits[0]
    return torch.log_softmax(logits[len(start) - 1 :].double(), dim=-1)


def scored(vlm: Bare, start: Sequence[int], number: int) -> dict[str, float]:
    found = {}
    for text, tokens in ANSWERS.items():
        table = logprobs(vlm, start, number, tokens)
        values = [table[i, t] for i, t in enumerate(tokens)]
        values.append(table[len(tokens), list(vlm.ends)].logsumexp(0))  # one choice begins another
        found[text] = float(torch.stack(values).mean())
    return found


families = pytest.mark.parametrize("family", FAMILIES)
starts = pytest.mark.parametrize("start", STARTS)


@families
@starts
def test_answers_and_choices_are_those_of_whole_uncached_forwards(
    family: str, start: tuple[int, ...]
) -> None:
    vlm = bare(family)
    outcome = asked(vlm, start, batch(family))
    for number in range(batch(family)):
        tokens = outcome.tokens[number]
        table = logprobs(vlm, start, number, tokens)
        assert tokens == table.argmax(dim=-1)[: len(tokens)].tolist()
        assert outcome.logprobs[number] == pytest.approx(scored(vlm, start, number), abs=1e-6)


@families
@starts
def test_captured_z_is_the_heads_recomputed_from_queries_keys_and_values(
    family: str, start: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = bare(family)
    said = asked(vlm, start, batch(family)).tokens[0]
    monkeypatch.setattr(Bare, "ends", (said[2],))  # so that the first answer ends early, the second elsewhere
    outcome = asked(vlm, start, batch(family))
    assert len(outcome.tokens[0]) < TOKENS
    for number in range(batch(family)):
        kept = outcome.tokens[number]
        steps = min(len(kept) + 1, TOKENS)  # positions that predict answer tokens, the end among them
        entered, calls = seen_by(
            [s.projection for s in vlm.geometry.sites], vlm.model, whole(vlm, start, number, kept)
        )
        assert all(len(z) == 1 for z in entered)
        for site in vlm.geometry.sites:
            inside = {id(module) for module in site.attention.modules()}
            (call,) = [c for c in calls if id(c.module) in inside]
            heads = recomputed(call)[0, len(start) - 1 :][:steps].numpy()  # (position, head, width)
            for name, expected in (("prompt_last", heads[0]), ("answer_mean", heads.mean(axis=0))):
                found = outcome.z[name][number, vlm.geometry.slice_of(site)]
                assert np.allclose(found, expected, rtol=0, atol=1e-5), (site.path, name)
                assert np.abs(expected).max() > 1e-3


@families
def test_contributions_of_captured_heads_add_up_to_what_attention_writes(family: str) -> None:
    vlm, start = bare(family), STARTS[0]
    outcome = asked(vlm, start, 1)
    written: list[Tensor] = []
    with ExitStack() as stack, torch.no_grad():
        for site in vlm.geometry.sites:
            hook = site.projection.register_forward_hook(lambda _m, _a, output: written.append(output[0, -1]))
            stack.callback(hook.remove)
        vlm.model(**whole(vlm, start, 0, ()), use_cache=False)
    for site, output in zip(vlm.geometry.sites, written, strict=True):
        z = torch.from_numpy(outcome.z["prompt_last"][0, vlm.geometry.slice_of(site)])
        weight: Any = site.projection.weight.unflatten(1, (site.n_heads, site.head_dim))
        total = torch.einsum("hw,ohw->o", z[:, : site.head_dim], weight)
        bias = getattr(site.projection, "bias", None)
        assert torch.allclose(total + (0 if bias is None else bias), output, rtol=0, atol=1e-8), site.path


def zeroed(
    vlm: Bare, head: Head, start: Sequence[int], number: int, answer: Sequence[int], scope: str
) -> Tensor:
    """Log-probabilities of a whole forward with a head zeroed by hand at the positions of a scope."""
    site, first = vlm.geometry.site_of(head), len(start) - 1
    rows = {"all": slice(0, None), "last": slice(first, first + 1), "answer": slice(first, None)}[scope]

    def zero(_module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        z = args[0].clone()
        z[:, rows, head.head * site.head_dim : (head.head + 1) * site.head_dim] = 0
        return (z,)

    handle = site.projection.register_forward_pre_hook(zero)
    try:
        return logprobs(vlm, start, number, answer)
    finally:
        handle.remove()


@families
@starts
@pytest.mark.parametrize("scope", ["all", "last", "answer"])
def test_an_edit_acts_in_cached_batches_as_by_hand_in_whole_forwards(
    family: str, start: tuple[int, ...], scope: str
) -> None:
    vlm = bare(family)
    plain = asked(vlm, start, batch(family))
    for kind in dict.fromkeys(s.site for s in vlm.geometry.sites):
        head = next(h for h in vlm.geometry.heads if h.site == kind and h.head == 1)
        outcome = asked(vlm, start, batch(family), Edit((head,), mute(), scope))
        for number in range(batch(family)):
            tokens = outcome.tokens[number]
            by_hand = zeroed(vlm, head, start, number, tokens, scope)
            assert tokens == by_hand.argmax(dim=-1)[: len(tokens)].tolist()
            choice = zeroed(vlm, head, start, number, ANSWERS["15 16"], scope)
            end = choice[2, list(vlm.ends)].logsumexp(0)
            score = float((choice[0, 15] + choice[1, 16] + end) / 3)
            assert outcome.logprobs[number]["15 16"] == pytest.approx(score, abs=1e-6)
            assert abs(plain.logprobs[number]["15 16"] - score) > 1e-6, "the edit should matter"


@families
def test_an_edit_at_the_last_start_token_leaves_answer_tokens_as_they_are(family: str) -> None:
    """The decoder's prompt may be one token long: a forward over one later token is not the prompt."""
    vlm, start = bare(family), STARTS[0]
    head = vlm.geometry.heads[0]
    site = vlm.geometry.site_of(head)
    edit, seen = Edit((head,), mute(), "last"), []
    encoded = encoded_of(vlm, start)
    with torch.no_grad(), vlm.reading(encoded), edit.applied(vlm):
        watch = site.projection.register_forward_pre_hook(
            lambda _m, args: seen.append(bool((args[0][0, :, site.block(head.head)] == 0).all()))
        )
        vlm.model.generate(**encoded.inputs, max_new_tokens=3, min_new_tokens=3, decoder_start_token_id=1)
        watch.remove()
    assert seen == [True, False, False]


@pytest.mark.parametrize("scope", ["image", "question"])
def test_scopes_of_the_encoders_positions_are_refused(scope: str) -> None:
    vlm = bare("florence2")
    with pytest.raises(ModelError, match="an encoder reads picture and question"):
        asked(vlm, STARTS[0], 1, Edit((vlm.geometry.heads[0],), mute(), scope))
