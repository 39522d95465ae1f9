"""What muting or patching each head would do, estimated for all heads at once: gradient x change of z.

To first order a margin changes by the sum over positions of its gradient in z times the change of z (Nanda,
"Attribution patching", 2023). One forward and one backward give it for every head of a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.asking.ask import scored_choices
from headscope.asking.items import Item
from headscope.edits.edits import Edit, Operation, mute
from headscope.edits.hooks import compile_edit
from headscope.errors import ModelError
from headscope.models.answering.continuation import continue_from
from headscope.models.answering.generation import Prefill, generate, pad_id, repeat_cache
from headscope.models.answering.rows import END
from headscope.models.answering.scoring import needs_end
from headscope.models.caches import returned_cache
from headscope.models.geometry import Site
from headscope.models.types import Encoded
from headscope.models.vlm import VLM


def estimate_drops(
    vlm: VLM, encoded: Encoded, item: Item, scope: str = "all", what: Operation | None = None
) -> tuple[float, NDArray[np.float64]]:
    """The clean margin of one item, and for each head the estimated drop of it, (head,).

    Raises:
        ModelError: more than one prompt, or a model that does not read a prompt in one forward.
    """
    margin, seen = _margin_gradients(vlm, encoded, item)
    drops = np.zeros(len(vlm.geometry.heads))
    edit = compile_edit(vlm.geometry, Edit(vlm.geometry.heads, what or mute(), scope))
    for place, (number, z, grad) in enumerate(seen):
        site = vlm.geometry.sites[number]
        first = all(n != number for n, _, _ in seen[:place])
        mask = _positions(scope, z, first)
        if grad is None or mask is None:
            continue
        factor, offset = edit[site]
        moved = z.detach()[:, mask] * (1 - torch.from_numpy(factor).to(z))
        if offset is not None:
            moved = moved - torch.from_numpy(offset).to(z)
        each = (grad[:, mask] * moved).double().sum(dim=(0, 1))
        own = each.unflatten(0, (site.n_heads, -1)).sum(dim=1)
        drops[vlm.geometry.slice_of(site)] += own.cpu().numpy()
    return margin, drops


def estimate_patches(
    vlm: VLM, encoded: Encoded, item: Item, source: Mapping[Site, Tensor]
) -> tuple[float, Tensor]:
    """The clean margin of one item, and by how much taking z of another run would lower it.

    Args:
        source: what :func:`headscope.edits.patching.prompt_z` found of the other run, all heads.

    Returns:
        Margin, and (head, position) nats per token, to first order; heads in flat order. A patch of several
        heads and positions is estimated by the sum over them.

    Raises:
        ModelError: more than one prompt, or a model that does not read a prompt in one forward.
    """
    margin, seen = _margin_gradients(vlm, encoded, item)
    # Forwards after the first read tokens behind the prompt, which keep their own z.
    first = {number: (z, grad) for number, z, grad in reversed(seen)}
    drops = torch.zeros(len(vlm.geometry.heads), encoded.length, dtype=torch.float64)
    for number, (z, grad) in first.items():
        site = vlm.geometry.sites[number]
        if grad is None or site not in source:
            continue
        moved = z.detach()[0] - source[site][0][-z.shape[1] :].to(z)
        each = (grad[0] * moved).double().unflatten(1, (site.n_heads, -1)).sum(dim=2)
        drops[vlm.geometry.slice_of(site), -z.shape[1] :] += each.T.cpu()
    return margin, drops


def _margin_gradients(
    vlm: VLM, encoded: Encoded, item: Item
) -> tuple[float, list[tuple[int, Tensor, Tensor | None]]]:
    """The clean margin, and of each forward's sites number, z and the margin's gradient in it."""
    if encoded.items != 1 or encoded.apart:
        raise ModelError("an estimate takes one prompt of a model whose decoder reads it")
    encoded = encoded.to(vlm.device)
    seen: list[tuple[int, Tensor]] = []
    tokens = _tokens(vlm, item)
    position = _position(vlm, encoded) if any(len(t) > 1 for t in tokens) else None
    with _grad_from_z(vlm, seen), vlm.reading(encoded):
        margin = _margin(vlm, encoded, item, tokens, position)
        grads = torch.autograd.grad(margin, [z for _, z in seen], allow_unused=True)
    return float(margin.detach()), [(n, z, g) for (n, z), g in zip(seen, grads, strict=True)]


def _positions(scope: str, z: Tensor, prompt: bool) -> slice | None:
    """Positions of one forward that the scope touches."""
    if scope == "all":
        return slice(None)
    if prompt:
        return slice(z.shape[1] - 1, None)
    return slice(None) if scope == "answer" else None


@contextmanager
def _grad_from_z(vlm: VLM, seen: list[tuple[int, Tensor]]) -> Iterator[None]:
    """Within, gradients reach z of every site and no weight; z of each forward is collected."""
    weights = [p for p in vlm.model.parameters() if p.requires_grad]
    with ExitStack() as stack:
        for number, site in enumerate(vlm.geometry.sites):

            def hook(_m: Any, args: tuple[Any, ...], number: int = number) -> tuple[Any, ...]:
                z = args[0] if args[0].requires_grad else args[0].detach().requires_grad_()
                seen.append((number, z))
                return (z, *args[1:])

            stack.callback(site.projection.register_forward_pre_hook(hook).remove)
        for weight in weights:
            weight.requires_grad_(False)
        try:
            with torch.enable_grad():
                yield
        finally:
            for weight in weights:
                weight.requires_grad_(True)


def _tokens(vlm: VLM, item: Item) -> list[tuple[int, ...]]:
    """The tokens of each choice, the end behind them where it counts."""
    answers = vlm.encode_answers(list(scored_choices(item)))
    end = (END,) if vlm.end_ids and needs_end(answers) else ()
    return [(*a, *end) for a in answers]


def _margin(
    vlm: VLM, encoded: Encoded, item: Item, tokens: Sequence[tuple[int, ...]], position: Tensor | None
) -> Tensor:
    """The margin by the rules of :mod:`headscope.models.answering.scoring`, with its graph."""
    longer = any(len(t) > 1 for t in tokens)
    output = vlm.model(**encoded.inputs, use_cache=longer, logits_to_keep=1)
    first = output.logits[0, -1].float().log_softmax(dim=-1)
    totals = torch.stack([first[t[0]] for t in tokens])
    if longer:
        totals = totals + _rest(vlm, encoded, returned_cache(output), tokens, position)
    means = totals / torch.tensor([len(t) for t in tokens], device=totals.device)
    texts = scored_choices(item)
    true = texts.index(item.truth)
    wrong = [i for i in range(len(texts)) if i != true]
    return means[true] - means[wrong].max() if wrong else means[true]


def _position(vlm: VLM, encoded: Encoded) -> Tensor | None:
    """Where generation says that the prompt ends; only multi-token choices need it, for one more forward."""
    found = []

    def keep(_m: Any, _a: Any, kwargs: dict[str, Any]) -> None:
        found.append(kwargs.get("position_ids"))

    handle = vlm.model.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        generate(vlm, encoded, 1)
    finally:
        handle.remove()
    return None if found[0] is None else found[0][..., -1:]


def _keep_states(cache: Any) -> None:
    """States of linear attention are replaced, not written in place: the gradient needs those before."""
    for layer in getattr(cache, "layers", ()):
        if hasattr(layer, "recurrent_states"):

            def replace(states: Tensor, state_idx: int = 0, layer: Any = layer, **_k: Any) -> Tensor:
                layer.recurrent_states[state_idx] = states
                return states

            layer.update_recurrent_state = replace


def _rest(
    vlm: VLM, encoded: Encoded, cache: Any, tokens: Sequence[tuple[int, ...]], position: Tensor | None
) -> Tensor:
    """(choice,) log-probability of all tokens after the first, one row a choice behind the prompt."""
    vlm.require("cached", "choices of several tokens scored behind a cached prompt")
    steps, rows = max(map(len, tokens)) - 1, len(tokens)
    given = torch.full((rows, steps), pad_id(vlm), device=encoded.image.device)
    for i, one in enumerate(tokens):
        given[i, : len(one) - 1] = torch.tensor(one[:-1], dtype=torch.long)
    if cache is None:
        raise ModelError(
            f"{vlm.name}: keeps no cache of the prompt, so choices of several tokens cannot be estimated; "
            "scan exactly instead"
        )
    repeat_cache(cache, rows)
    _keep_states(cache)
    prefill = Prefill(position=position)
    logits = continue_from(vlm, encoded, prefill, given, times=rows, cache=cache)
    found = logits.float().log_softmax(dim=-1)
    sums = []
    for i, one in enumerate(tokens):
        values = [
            found[i, k, list(vlm.end_ids)].logsumexp(dim=-1) if t == END else found[i, k, t]
            for k, t in enumerate(one[1:])
        ]
        sums.append(torch.stack(values).sum() if values else found.new_zeros(()))
    return torch.stack(sums)
