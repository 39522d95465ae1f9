"""One prompt under many patches: one clean run, and only the layers above each patch run again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from headscope.asking.ask import read_batch
from headscope.edits.patching import Patch, head_columns
from headscope.engine.decoder import difference
from headscope.engine.layers import Swap, Variant
from headscope.engine.replay import one_token
from headscope.engine.replay_trial import Replay, replay_of, sweep_of, together
from headscope.engine.shared_prefix import TOLERANCE, behind
from headscope.engine.suffix_sweep import SuffixSweep
from headscope.engine.sweep import Sweep
from headscope.engine.trace import Trace, run_clean
from headscope.models.answering.generation import Prefill
from headscope.models.answering.scoring import score_choices
from headscope.models.geometry import Geometry
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.models.ways import MODEL_ERRORS, Way, decided, refused

MEMORY = 2 * 2**30
PATCHES = "patches by replay"
WHOLE_RUNS = "whole runs"
LAST, SUFFIX, ALL = "last", "suffix", "all"
Logprobs = dict[str, float]


class PatchedPrompt:
    """A prompt with scored choices that is read under as many patches as wanted.

    Patches of the last position alone are read side by side as tokens behind the cached prompt; those that
    leave the prompt's first half alone as rows of what follows their first position; others as rows of all
    positions. Each joins at the lowest layer that it touches. Where a model takes none of these ways, a patch
    is a run of its own.

    Args:
        vlm: the model.
        encoded: one prompt.
        choices: what is scored behind it.
        memory: bytes that patches in one pass may take, about.

    Raises:
        ModelError: more than one prompt.
    """

    def __init__(self, vlm: VLM, encoded: Encoded, choices: Sequence[str], memory: int = MEMORY) -> None:
        self.vlm, self.encoded, self.choices, self.memory = vlm, encoded.to(vlm.device), choices, memory
        self._traces: dict[bool, Trace] = {}

    def clean(self) -> Logprobs:
        """Choice -> log-probability per token, without a patch."""
        return self._whole(None)

    def scores(self, patches: Sequence[Patch]) -> list[Logprobs]:
        """The same under each patch."""
        found: dict[int, Logprobs] = {}
        by_scope: dict[str, list[int]] = {}
        for i, patch in enumerate(patches):
            by_scope.setdefault(self._scope(patch), []).append(i)
        for scope, which in by_scope.items():
            found.update(zip(which, self._scores([patches[i] for i in which], scope), strict=True))
        return [found[i] for i in range(len(patches))]

    def _scope(self, patch: Patch) -> str:
        """Which way a patch is read, if the model takes it."""
        first = _first(patch)
        if first == self.encoded.length - 1:
            return LAST
        late = first > self.encoded.length // 2 and one_token(self.vlm, self.choices)
        return SUFFIX if late else ALL

    def strategy(self, scope: str, patch: Patch) -> str:
        """How patches of the scope are read, and why not by replay where they are not."""
        way = self._way(scope, patch)
        return f"{WHOLE_RUNS}: {way.refusal}" if way.refusal else "replay"

    def _scores(self, patches: Sequence[Patch], scope: str) -> list[Logprobs]:
        if self._way(scope, patches[0]).refusal:
            return [self._whole(p) for p in patches] if scope != SUFFIX else self._scores(patches, ALL)
        trace = self._clean_run(self._replay(scope))
        kept = not one_token(self.vlm, self.choices)
        size = together(self.vlm, trace, LAST if scope == LAST else ALL, self.memory, kept)
        if scope == SUFFIX:
            size = size * trace.length // (trace.length - min(map(_first, patches)))
        found: list[Logprobs] = []
        for start in range(0, len(patches), size):
            found += self._replayed(patches[start : start + size], scope, kept)
        return found

    def _replayed(self, patches: Sequence[Patch], scope: str, kept: bool) -> list[Logprobs]:
        replay, rows = self._replay(scope), len(patches)
        trace = self._clean_run(replay)
        variants = [swaps(self.vlm.geometry, p) for p in patches]
        if scope == SUFFIX:
            sweep: Sweep = SuffixSweep(trace, variants, replay.how, min(map(_first, patches)))
        else:
            sweep = sweep_of(scope)(trace, variants, replay.how, kept)
        prefill = Prefill(logits=sweep.logits())
        if kept:
            prefill.cache = sweep.cache()
            position = trace.prefill.position
            prefill.position = None if position is None else position.repeat_interleave(rows, dim=-2)
        tiled = behind(self.encoded, rows)
        with torch.no_grad(), self.vlm.reading(tiled):
            found = score_choices(self.vlm, tiled, prefill, [self.choices] * rows)
        return [one.logprobs for one in found]

    def _replay(self, scope: str) -> Replay:
        return replay_of(self.vlm, self.encoded, LAST if scope == LAST else ALL)

    def _whole(self, patch: Patch | None) -> Logprobs:
        (found,) = read_batch(self.vlm, self.encoded, [_as_said], [self.choices], patch, (), 1).scores
        return found.logprobs

    def _clean_run(self, replay: Replay) -> Trace:
        if replay.trimmed not in self._traces:
            self._traces[replay.trimmed] = run_clean(self.vlm, self.encoded, replay.trimmed)
        return self._traces[replay.trimmed]

    def _way(self, scope: str, patch: Patch) -> Way:
        """Whether patches are replayed: a trial of one on the first prompt that could use it."""
        return decided(
            self.vlm, f"{PATCHES}, scope {scope}", lambda: self._trial(scope, patch), instead="others"
        )

    def _trial(self, scope: str, patch: Patch) -> Way:
        replay = self._replay(scope)
        if replay.refusal:
            return Way(replay.refusal)
        kept = not one_token(self.vlm, self.choices)
        if kept and not replay.goes_on:
            return Way("choices of several tokens, and no plain cache of the prompt")
        try:
            (found,) = self._replayed([patch], scope, kept)
        except MODEL_ERRORS as exc:
            return refused(exc)
        wanted = self._whole(patch)
        gap = difference(_row(found, self.choices), _row(wanted, self.choices))
        if gap <= TOLERANCE.get(self.vlm.dtype, 3e-2):
            return Way()
        return Way(f"log-probabilities differ by {gap:.1e} of the largest")


def swaps(geometry: Geometry, patch: Patch) -> Variant:
    """What a patch of one prompt does, layer by layer, as a sweep takes it."""
    found = {}
    for site, heads in patch.sites(geometry):
        source = patch.source[site][0]
        everywhere = torch.ones(len(source), dtype=torch.bool)
        positions = everywhere if patch.positions is None else patch.positions[0].cpu()
        place = source.device
        found[site] = Swap(head_columns(site, heads).to(place), positions.to(place), source)
    return found


def _as_said(text: str) -> str | None:
    return text


def _first(patch: Patch) -> int:
    """The first position that a patch touches."""
    return 0 if patch.positions is None else int(patch.positions[0].int().argmax())


def _row(scores: Logprobs, choices: Sequence[str]) -> Tensor:
    return torch.tensor([[scores[c] for c in choices]])
