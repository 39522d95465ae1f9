"""Cached generation under an edit equals one forward over the same tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.memory import is_out_of_memory
from headscope.models.proofs import edits, places
from headscope.models.proofs.rounding import Compared, difference, logit_difference, other_order
from headscope.models.proofs.steps import NOT_APPLICABLE, REFUSED, Step, logits_of, number_format
from headscope.models.sites import Site

_TOKENS = 4
_SHOWN = f"{_TOKENS} tokens generated with a cache under an edit, against none; relative difference of z and logits"

Inputs = dict[str, Any]


def prove_cached(model: nn.Module, inputs: Inputs, sites: Sequence[Site]) -> Step:
    """The step ``cached``: a head muted, tokens generated with a cache have z and logits of one without.

    The edit is seen to act on every call, the prompt's and each generated token's, bit for bit; then all
    sites are compared over all positions, each given what the run without a cache had before it.
    """
    if not sites:
        return _refused("none of the heads asked for is the decoder's", status=NOT_APPLICABLE)
    site = sites[0]
    with edits.watched(sites, site, 0, 0.0) as faults, _read(sites) as calls:
        tokens = _generated(model, inputs, None)[1]
    odd = next((path for path, seen in calls.items() if seen[1:] != [1] * (_TOKENS - 1)), None)
    if len(tokens) != _TOKENS or odd is not None:
        seen = calls.get(odd or site.path)
        return _refused(
            f"positions read at {odd or site.path} for {len(tokens)} generated tokens: {seen}; expected the "
            "prompt, then one each"
        )
    if faults:
        return _refused(f"a head muted while tokens are generated: {faults[0]}")
    kept = places.compared_sites(sites, calls[site.path][0] + _TOKENS)
    given = torch.stack(tokens, dim=1)
    compare = _Comparison(model, inputs, kept, given)
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
            f"with and without a cache, under the same edit, {worst.place} differs by {worst.figure:.3g} "
            f"relative (limit {worst.limit:.3g})"
        )
        step = step or _refused(reason, worst)
    assert step is not None
    return step


def _refused(reason: str, worst: Compared | None = None, status: str = REFUSED) -> Step:
    figure, limit = (worst.figure, worst.limit) if worst is not None else (float("nan"), float("nan"))
    return Step("cached", _SHOWN, figure, status, reason, limit=limit)


@dataclass(frozen=True)
class _Comparison:
    """Generation of given tokens (item, token) with a cache beside a run without one, one head muted in both."""

    model: Any
    inputs: Inputs
    sites: list[Site]
    tokens: Tensor

    def with_one_forward(self) -> Compared:
        """Beside one forward over the prompt and the tokens; not every family can be given these."""
        whole = continued(self.inputs, self.tokens[:, :-1])
        with edits.scaled(self.sites[0], {0: 0.0}):
            trace = places.record(self.sites, lambda: logits_of(self.model, whole))
            trace.logits = trace.logits[-_TOKENS:]
            sites = [s for s in self.sites if s.path in trace.z]
            with other_order(self.model):
                noise = places.compare(sites, {0: trace}, lambda: logits_of(self.model, whole))[0]
            return self._generation(sites, trace, noise)

    def with_generation(self) -> Compared:
        """Beside generation without a cache, which not every family can do; its last forward reads all."""

        def whole() -> Tensor:
            return _generated(self.model, self.inputs, self.tokens, use_cache=False)[0]

        with edits.scaled(self.sites[0], {0: 0.0}):
            trace = places.record(self.sites, whole)
            sites = [s for s in self.sites if s.path in trace.z]
            with other_order(self.model):
                again = places.record(sites, whole)
            noise = {s.path: difference(trace.z[s.path], again.z[s.path], s.n_heads) for s in sites}
            noise[places.LOGITS] = logit_difference(trace.logits, again.logits)
            return self._generation(sites, trace, noise)

    def _generation(self, sites: list[Site], trace: places.Trace, noise: Mapping[str, float]) -> Compared:
        found = places.compare(sites, {0: trace}, lambda: _generated(self.model, self.inputs, self.tokens)[0])
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


class _Given:
    """Lets generation take given tokens (item, token), whatever it would have said."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens, self.step = tokens, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        wanted = self.tokens[:, self.step : self.step + 1].to(scores.device)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, wanted, 0.0)


def _generated(
    model: Any, inputs: Inputs, tokens: Tensor | None, use_cache: bool = True
) -> tuple[Tensor, list[Tensor]]:
    """Logits (item, token, vocabulary) and, per token, what was generated (item,): greedily, or as given."""
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
    given: Any = {} if tokens is None else {"logits_processor": LogitsProcessorList([_Given(tokens)])}
    output = model.generate(**inputs, generation_config=config, **given)
    said = output.sequences[:, -_TOKENS:]
    return torch.stack(list(output.logits), dim=1), [said[:, i] for i in range(len(output.logits))]


def _start(model: Any, inputs: Inputs) -> int | None:
    """The token that a decoder beside an encoder starts from; None lets the model choose."""
    given = inputs.get("decoder_input_ids")
    known = getattr(model.generation_config, "decoder_start_token_id", None)
    return int(given[0, 0]) if known is None and given is not None else known
