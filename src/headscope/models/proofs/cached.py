"""Cached generation under an edit equals one forward over the same tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.geometry import Site
from headscope.models.memory import is_out_of_memory
from headscope.models.proofs import edit_proof, places
from headscope.models.proofs.proof_steps import NOT_APPLICABLE, REFUSED, Step, logits_of, number_format
from headscope.models.proofs.rounding import RoundedDifference, logit_difference, other_order

_TOKENS = 4
_SHOWN = f"{_TOKENS} tokens generated with a cache under an edit, against none; relative difference"

Inputs = dict[str, Tensor]


def prove_cached(model: nn.Module, inputs: Inputs, sites: Sequence[Site]) -> Step:
    """The step ``cached``: a head muted, tokens generated with a cache have z and logits of one without.

    The edit is seen to act on every call, the prompt's and each generated token's, bit for bit; then all
    sites are compared over all positions, each given what the run without a cache had before it.
    """
    if not sites:
        return _refused("none of the heads asked for is the decoder's", status=NOT_APPLICABLE)
    site, tokens = sites[0], _words(model, inputs)
    with edit_proof.watched(sites, site, 0, 0.0) as faults, _read(sites) as calls:
        _generated(model, inputs, tokens)
    odd = next((path for path, seen in calls.items() if seen[1:] != [1] * (_TOKENS - 1)), None)
    if odd is not None:
        return _refused(
            f"positions read at {odd} for {_TOKENS} generated tokens: {calls[odd]}; expected the prompt, "
            "then one each"
        )
    if faults:
        return _refused(f"a head muted while tokens are generated: {faults[0]}")
    compared = places.places_of(model, sites, calls[site.path][0] + _TOKENS)
    compare = _Comparison(model, inputs, site, compared, tokens)
    step: Step | None = None
    for way in (compare.with_one_forward, compare.with_generation):
        try:
            worst = way()
        except Exception as exc:
            if is_out_of_memory(exc) or (way == compare.with_generation and step is None):
                raise
            continue
        if worst.held:
            return Step("cached", _SHOWN, worst.figure, limit=worst.limit)
        reason = (
            "a cache changes what a token gives under the same edit "
            f"({worst.place}: {worst.figure:.3g} relative, limit {worst.limit:.3g})"
        )
        step = step or _refused(reason, worst)
    assert step is not None
    return step


def _refused(reason: str, worst: RoundedDifference | None = None, status: str = REFUSED) -> Step:
    figure, limit = (worst.figure, worst.limit) if worst is not None else (float("nan"), float("nan"))
    return Step("cached", _SHOWN, figure, status, reason, limit=limit)


@dataclass(frozen=True)
class _Comparison:
    """Generation of given tokens (item, token) with a cache beside a run without; a head is muted in both."""

    model: Any
    inputs: Inputs
    muted: Site
    among: list[places.Place]
    tokens: Tensor

    def with_one_forward(self) -> RoundedDifference:
        """Beside one forward over the prompt and the tokens; not every family can be given these."""
        whole = continued(self.inputs, self.tokens[:, :-1])
        with edit_proof.scaled(self.muted, {0: 0.0}):
            trace = places.record(self.among, lambda: logits_of(self.model, whole))
            trace.logits = trace.logits[-_TOKENS:]
            compared = places.recorded(self.among, {0: trace})
            with other_order(self.model):
                noise = places.compare(compared, {0: trace}, lambda: logits_of(self.model, whole))[0]
            return self._generation(compared, trace, noise)

    def with_generation(self) -> RoundedDifference:
        """Beside generation without a cache, which not every family can do; its last forward reads all."""

        def whole() -> Tensor:
            return _generated(self.model, self.inputs, self.tokens, use_cache=False)

        with edit_proof.scaled(self.muted, {0: 0.0}):
            trace = places.record(self.among, whole)
            compared = places.recorded(self.among, {0: trace})
            with other_order(self.model):
                again = places.record(compared, whole)
            noise = {p.name: p.compare(trace.values[p.name], again.values[p.name]) for p in compared}
            noise[places.LOGITS] = logit_difference(trace.logits, again.logits)
            return self._generation(compared, trace, noise)

    def _generation(
        self, compared: list[places.Place], trace: places.Trace, noise: Mapping[str, float]
    ) -> RoundedDifference:
        found = places.compare(compared, {0: trace}, lambda: _generated(self.model, self.inputs, self.tokens))
        return places.worst(found[0], noise, number_format(self.model))


def continued(inputs: Inputs, tokens: Tensor) -> Inputs:
    """Inputs with tokens (item, token) behind the text; what else has its positions goes on as it ended."""
    name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    shape = inputs[name].shape
    longer = {}
    for key, value in inputs.items():
        if key == name:
            longer[key] = torch.cat([value, tokens.to(value)], dim=1)
        elif (
            isinstance(value, Tensor) and value.ndim >= 2 and value.shape[:2] == shape and "pixel" not in key
        ):
            more = value[:, -1:].expand(-1, tokens.shape[1], *value.shape[2:])
            longer[key] = torch.cat([value, more], dim=1)
        else:
            longer[key] = value
    return longer


@contextmanager
def _read(sites: Sequence[Site]) -> Iterator[dict[str, list[int]]]:
    """Path of a site -> how many positions each forward takes through it."""
    seen: dict[str, list[int]] = {site.path: [] for site in sites}
    handles = [
        site.projection.register_forward_pre_hook(
            lambda _module, args, into=seen[site.path]: into.append(args[0].shape[1])
        )
        for site in sites
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _words(model: Any, inputs: Inputs) -> Tensor:
    """Tokens (item, token) to be generated: the likeliest after the prompt, but no picture and no end."""
    special = set(_named_ids(model.config.to_dict()))
    special.update(_named_ids(getattr(model, "generation_config", model.config).to_dict()))
    ranked = logits_of(model, inputs)[0, -1].argsort(descending=True).tolist()
    return torch.tensor([[t for t in ranked if t not in special][:_TOKENS]])


def _named_ids(config: Mapping[str, Any]) -> Iterator[int]:
    """Tokens that a configuration names, parts of it included."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _named_ids(value)
        elif "token" in str(name):
            yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, int))


class _Given:
    """Lets generation take given tokens (item, token), whatever it would have said."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens, self.step = tokens, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        wanted = self.tokens[:, self.step : self.step + 1].to(scores.device)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, wanted, 0.0)


def _generated(model: Any, inputs: Inputs, tokens: Tensor, use_cache: bool = True) -> Tensor:
    """Logits (item, token, vocabulary) of generation that takes given tokens (item, token)."""
    from transformers import GenerationConfig, LogitsProcessorList

    config = GenerationConfig(
        max_new_tokens=_TOKENS,
        min_new_tokens=_TOKENS,
        do_sample=False,
        num_beams=1,
        use_cache=use_cache,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=0,
        decoder_start_token_id=_start(model, inputs),
    )
    given = LogitsProcessorList([_Given(tokens)])
    output = model.generate(**inputs, generation_config=config, logits_processor=given)
    return torch.stack(list(output.logits), dim=1)


def _start(model: Any, inputs: Inputs) -> int | None:
    """The token that a decoder beside an encoder starts from; None lets the model choose."""
    given = inputs.get("decoder_input_ids")
    known = getattr(model.generation_config, "decoder_start_token_id", None)
    return int(given[0, 0]) if known is None and given is not None else known
