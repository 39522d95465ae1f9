"""Whether a model's layers may be replayed, and what a replay may save: trials against whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit, mute
from headscope.edits.hooks import compile_edit
from headscope.engine.decoder import difference
from headscope.engine.layers import Variant
from headscope.engine.shared_prefix import TOLERANCE, behind
from headscope.engine.sharing import Sharing, sharing_of
from headscope.engine.sweep import RowSweep, Savings, Sweep, TokenSweep
from headscope.engine.trace import Trace, run_clean
from headscope.errors import ModelError
from headscope.models.answering.continuation import continue_from
from headscope.models.answering.generation import Prefill, generate
from headscope.models.geometry import Head
from headscope.models.memory import is_out_of_memory
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.models.ways import MODEL_ERRORS, REPLAY, Way, decided, refused

SCOPES = ("all", "last", "answer")
TOKENS = 3072  # positions in one call of a layer; more gain nothing


@dataclass(frozen=True)
class Replay:
    """How a model's layers are replayed at one scope.

    Attributes:
        scope: ``all``, ``last`` or ``answer``.
        how: what is saved.
        goes_on: whether tokens may follow the replayed prompt (choices and answers of several tokens).
        trimmed: whether the clean run may leave out what nobody reads (:func:`trace.run_clean`).
        sharing: how prompts of one form share a clean run; None: each has its own.
        refusal: why there is no replay; empty where there is.
    """

    scope: str
    how: Savings = field(default_factory=Savings)
    goes_on: bool = False
    trimmed: bool = False
    sharing: Sharing | None = field(default=None, compare=False)
    refusal: str = ""


def replay_of(vlm: VLM, encoded: Encoded, scope: str) -> Replay:
    """Whether and how layers are replayed, found out once per model and scope on a real prompt.

    A replay from the first layer without an edit must give the clean logits, and the mute of one head of each
    kind of layer, of the first and of the last, must give those of whole runs under
    :mod:`headscope.edits.edits`, within ``TOLERANCE``.
    """
    way = decided(vlm, f"{REPLAY}, scope {scope}", lambda: _find(vlm, encoded, scope), instead="whole runs")
    if way.refusal:
        return Replay(scope, refusal=way.refusal)
    found = way.choice or {}
    sharing = sharing_of(vlm, encoded, found["trimmed"], TOLERANCE.get(vlm.dtype, 3e-2))
    return Replay(scope, Savings(**found["how"]), found["goes_on"], found["trimmed"], sharing)


def _find(vlm: VLM, encoded: Encoded, scope: str) -> Way:
    if scope not in SCOPES:
        return Way(f"scope {scope!r} is not replayed")
    if any(site.tower != "decoder" for site in vlm.geometry.sites):
        return Way("heads of a vision tower are edited")
    try:
        trace = run_clean(vlm, encoded)
        less = _trimmed(vlm, encoded, trace)
    except MODEL_ERRORS as exc:
        return refused(exc)
    trace = less or trace
    tried = [Edit((head,), mute(), scope) for head in checked_heads(vlm, trace)]
    runs = [_whole(vlm, trace, e) for e in tried]
    wanted = torch.cat([p.logits for p in (trace.prefill, *runs) if p.logits is not None])
    variants: list[Variant] = [{}, *(compile_edit(vlm.geometry, e) for e in tried)]
    way = Way()
    for how in (Savings(), Savings(trimmed=False), Savings(joined=False, trimmed=False)):
        try:
            gap = difference(sweep_of(scope)(trace, variants, how).logits(), wanted)
            worst = max(gap, difference(_from_the_start(trace, scope, how, vlm), wanted[:1]))
            if worst <= TOLERANCE.get(vlm.dtype, 3e-2):
                goes_on = _goes_on(vlm, trace, tried, runs, Replay(scope, how))
                return Way(choice={"how": asdict(how), "goes_on": goes_on, "trimmed": less is not None})
            way = Way(f"logits differ by {worst:.1e} of the largest")
        except MODEL_ERRORS as exc:
            way = refused(exc)
            if way.short:
                return way
    return way


def _trimmed(vlm: VLM, encoded: Encoded, whole: Trace) -> Trace | None:
    """The clean run without what nobody reads, if it ends with the same logits; None if not."""
    try:
        trace = run_clean(vlm, encoded, trimmed=True)
    except MODEL_ERRORS as exc:
        if is_out_of_memory(exc):
            raise
        return None
    found, wanted = trace.prefill.logits, whole.prefill.logits
    assert found is not None
    assert wanted is not None
    return trace if difference(found, wanted) <= TOLERANCE.get(vlm.dtype, 3e-2) else None


def _whole(vlm: VLM, trace: Trace, edit: Edit) -> Prefill:
    with torch.no_grad(), vlm.reading(trace.encoded), edit.applied(vlm):
        return generate(vlm, trace.encoded, 1)[1]


def _goes_on(vlm: VLM, trace: Trace, tried: Sequence[Edit], runs: Sequence[Prefill], replay: Replay) -> bool:
    """Whether what follows a replayed prompt is what follows a whole run: two tokens of an answer."""
    variants = [compile_edit(vlm.geometry, e) for e in tried]
    try:
        sweep = sweep_of(replay.scope)(trace, variants, replay.how, kept=True)
        prefill = Prefill(sweep.logits(), sweep.cache(), trace.prefill.position)
        if prefill.position is not None:
            prefill.position = prefill.position.repeat_interleave(len(tried), dim=-2)
        tiled = behind(trace.encoded, len(tried))
        given = torch.arange(3, 5, device=trace.encoded.image.device).expand(len(tried), -1)
        with torch.no_grad(), vlm.reading(tiled), BatchedEdit(tuple(tried)).applied(vlm):
            found = continue_from(vlm, tiled, prefill, given)
        whole = []
        for one, own in zip(tried, runs, strict=True):
            with torch.no_grad(), vlm.reading(trace.encoded), one.applied(vlm):
                whole.append(continue_from(vlm, trace.encoded, own, given[:1]))
        return difference(found, torch.cat(whole)) <= TOLERANCE.get(vlm.dtype, 3e-2)
    except MODEL_ERRORS as exc:
        if is_out_of_memory(exc):
            raise
        return False


def _from_the_start(trace: Trace, scope: str, how: Savings, vlm: VLM) -> Tensor:
    """Clean logits, every layer run again: an edit of the first heads that changes nothing."""
    first = next(s for s in vlm.geometry.sites if s.tower == "decoder")
    same = compile_edit(vlm.geometry, Edit((first.heads[0],), mute(factor=1.0), scope))
    return sweep_of(scope)(trace, [same], how).logits()


def checked_heads(vlm: VLM, trace: Trace) -> list[Head]:
    """One head of the first layer, of the last, and of each kind of layer."""
    kinds: dict[Any, Head] = {}
    sites = [s for s in vlm.geometry.sites if s.tower == "decoder"]
    for site in sites:
        call = trace.calls[site.layer]
        mask = call.kwargs.get("attention_mask")
        form = None if mask is None else int((mask == mask.max()).sum())
        kind = (type(call.layer), type(site.attention), site.n_heads, site.head_dim, form)
        kinds.setdefault(kind, site.heads[-1])
    chosen = [sites[0].heads[0], *kinds.values(), sites[-1].heads[0]]
    return list(dict.fromkeys(chosen))


def sweep_of(scope: str) -> type[Sweep]:
    """The pass that a scope needs."""
    return RowSweep if scope == "all" else TokenSweep


def together(vlm: VLM, trace: Trace, scope: str, memory: int, kept: bool = False) -> int:
    """How many variants fit into ``memory`` bytes at once: at most as many as fill a layer's call well."""
    text = vlm.config.get_text_config() if hasattr(vlm.config, "get_text_config") else vlm.config
    width = trace.calls[0].inputs.shape[-1]
    inner = max(int(getattr(text, "intermediate_size", 0) or 0), 4 * width)
    per_position = (8 * width + 4 * inner) * torch.finfo(vlm.dtype).bits // 8
    positions = trace.length if scope == "all" else 1
    widest = trace.length if scope != "all" else 0  # attention over the cached prompt
    heads = max(s.n_heads for s in vlm.geometry.sites)
    each = positions * per_position + 4 * widest * heads + 4 * int(trace.prefill.logits.shape[-1])  # type: ignore[union-attr]
    if kept:
        each += sum(2 * (x.keys.nbytes + x.values.nbytes) for x in trace.prefill.cache.layers)
    fits = max(1, int(memory // (2 * each)))
    return min(fits, max(1, TOKENS // positions))


def logits_under(vlm: VLM, trace: Trace, edits: Sequence[Edit], replay: Replay, memory: int) -> Tensor:
    """(edit, vocabulary) logits at the last prompt position under each edit.

    Raises:
        ModelError: the engine has no replay.
    """
    if replay.refusal:
        raise ModelError(f"{vlm.name}: no replay: {replay.refusal}")
    variants = [compile_edit(vlm.geometry, e) for e in edits]
    size = together(vlm, trace, replay.scope, memory)
    kind = sweep_of(replay.scope)
    parts = [kind(trace, variants[i : i + size], replay.how).logits() for i in range(0, len(variants), size)]
    return torch.cat(parts)
