"""One study's atlas beside another's: do the same heads, or heads at the same depth, serve a function?

Same heads in both (two runs of one model, a model before and after training): the strongest heads of each
function are counted that both have, and the rankings are correlated over heads. Any two models: the mean rank
of heads is correlated over relative depth, 0 the first attention layer and 1 the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError
from headscope.experiments.compare_result import (
    Compared,
    CompareResult,
    DepthAgreement,
    FunctionComparison,
    MeanAgreement,
    Overlap,
    RankAgreement,
)
from headscope.experiments.significance import overlap_p, q_over_functions
from headscope.probing.atlas import Atlas
from headscope.probing.summary import head_rows
from headscope.statistics.resampling import mean_estimate, percentile_interval, spearman, wilson_ci
from headscope.storage import plain

if TYPE_CHECKING:
    from headscope.experiments.context import ExperimentContext

FILE = "compare.json"
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CompareSettings:
    """What is held against what.

    Attributes:
        other: folder of the other study, or its ``atlas.json``.
        ranking: of both atlases; empty: the default one of this study's.
        heads: how many of a function's strongest heads count; 0: a sixteenth of all, at least one.
        bins: parts of the depth; fewer where a model has fewer attention layers.
        draws: of the bootstraps.
    """

    other: str = ""
    ranking: str = ""
    heads: int = 0
    bins: int = 8
    draws: int = 2000


def compare_stage(context: ExperimentContext, atlas: Atlas, settings: CompareSettings) -> CompareResult:
    """Hold this study's atlas against another's; writes ``compare.json``.

    Raises:
        StudyError: no function is ranked in both. StoreError: the other atlas cannot be read.
    """
    path = Path(settings.other)
    other = Atlas.load(path / "probe" / "atlas.json" if path.is_dir() else path)
    result = compare_atlases(atlas, other, settings, context.seed)
    result.save(context.folder / FILE)
    return result


def compare_atlases(atlas: Atlas, other: Atlas, settings: CompareSettings, seed: int) -> CompareResult:
    """Hold one atlas against another.

    Raises:
        StudyError: no function is ranked in both.
    """
    way = settings.ranking or atlas.default_ranking
    skipped = _skipped(atlas, other, way)
    names = [f for f in atlas.functions if f not in skipped]
    if not names:
        raise StudyError(f"compare: no function is ranked by {way} in both atlases: {skipped}")
    same = [h.label for h in atlas.heads] == [h.label for h in other.heads]
    rng = np.random.default_rng(seed)
    depths = _parts(atlas, settings.bins, other), _parts(other, settings.bins, atlas)
    pairs = {f: (atlas.strength(f, way), other.strength(f, way)) for f in names}
    labels = [h.label for h in atlas.heads]
    overlaps = {f: _overlap(*pair, settings.heads, labels) for f, pair in pairs.items()} if same else {}
    q = q_over_functions({f: found.p for f, found in overlaps.items()})
    functions = {
        f: FunctionComparison(
            overlap=overlaps[f].model_copy(update={"q": q[f]}) if same else None,
            over_heads=_over_heads(*pair, settings.draws, rng) if same else None,
            over_depth=_over_depth(pair, depths, settings.draws, rng),
        )
        for f, pair in pairs.items()
    }
    shares = [found.share for found in overlaps.values()]
    return CompareResult(
        settings=plain({**asdict(settings), "seed": seed}),
        ranking=way,
        here=_about(atlas),
        there=_about(other),
        same_heads=same,
        functions=functions,
        skipped=skipped,
        mean_overlap=_mean(shares, settings.draws, seed) if shares else None,
        mean_over_depth=_mean([f.over_depth.rho for f in functions.values()], settings.draws, seed),
    )


def _skipped(atlas: Atlas, other: Atlas, way: str) -> dict[str, str]:
    """Function -> which atlas does not rank heads for it."""
    found = {}
    sides = {"this": atlas, "the other": other}
    for name in dict.fromkeys([*atlas.functions, *other.functions]):
        lacking = [s for s, a in sides.items() if name not in a.functions or not a.has(way, name)]
        if lacking:
            found[name] = f"no {way} ranking in {' and '.join(lacking)} atlas"
    return found


def _about(atlas: Atlas) -> Compared:
    made = atlas.provenance
    return Compared(
        model=made.model,
        revision=made.revision,
        data=made.data,
        heads=len(atlas.heads),
        layers=max(head_rows(atlas)) + 1,
    )


def _overlap(here: Floats, there: Floats, heads: int, labels: Sequence[str]) -> Overlap:
    known = min(int(np.isfinite(s).sum()) for s in (here, there))  # heads without a score are never named
    k = max(1, min(heads or len(here) // 16, known))
    one, other = (np.argsort(-np.nan_to_num(s, nan=-np.inf), kind="stable")[:k] for s in (here, there))
    both = [labels[i] for i in one if i in set(other)]
    shared = len(both)
    return Overlap(
        k=k,
        shared=shared,
        share=shared / k,
        ci=wilson_ci(shared, k),
        heads=tuple(both),
        expected=k / len(here),
        p=overlap_p(shared, k, len(here)),
    )


def _over_heads(here: Floats, there: Floats, draws: int, rng: np.random.Generator) -> RankAgreement:
    known = np.flatnonzero(np.isfinite(here) & np.isfinite(there))
    picks = (known[rng.integers(0, len(known), len(known))] for _ in range(draws))
    drawn = [spearman(here[pick], there[pick]) for pick in picks]
    ci = percentile_interval(drawn, len(known))
    return RankAgreement(rho=spearman(here, there), ci=ci, n=len(known))


def _parts(atlas: Atlas, most: int, other: Atlas) -> Ints:
    """(head,) which part of the depth each head lies in; as many parts as the shallower model has layers."""
    rows = np.array(head_rows(atlas))
    count = min(most, *(max(head_rows(a)) + 1 for a in (atlas, other)))
    depth = rows / max(1, rows.max())
    return np.minimum((depth * count).astype(np.int64), count - 1)


def _over_depth(
    strengths: tuple[Floats, Floats], parts: tuple[Ints, Ints], draws: int, rng: np.random.Generator
) -> DepthAgreement:
    """Spearman over parts of the depth of the mean ranks; heads are resampled within each part."""
    count = int(max(p.max() for p in parts)) + 1
    profiles = [_profile(s, p, count) for s, p in zip(strengths, parts, strict=True)]
    here, there = (profile(None) for profile in profiles)
    drawn = [spearman(*(profile(rng) for profile in profiles)) for _ in range(draws)]
    heads = min(len(s) for s in strengths)
    return DepthAgreement(
        rho=spearman(here, there),
        ci=percentile_interval(drawn, heads),
        n=count,
        depth=tuple((i + 0.5) / count for i in range(count)),
        here=tuple(here.tolist()),
        there=tuple(there.tolist()),
    )


def _profile(strength: Floats, parts: Ints, count: int) -> Callable[[np.random.Generator | None], Floats]:
    """Mean rank by part of the depth, of the heads or of heads drawn with replacement within each part."""
    from scipy.stats import rankdata

    known = np.flatnonzero(np.isfinite(strength))
    rank = (rankdata(strength[known]) - 1) / max(1, len(known) - 1)
    members = [rank[parts[known] == i] for i in range(count)]

    def profile(rng: np.random.Generator | None) -> Floats:
        drawn = (
            members if rng is None else [m[rng.integers(0, len(m), len(m))] if len(m) else m for m in members]
        )
        return np.array([m.mean() if len(m) else np.nan for m in drawn])

    return profile


def _mean(values: Sequence[float | None], draws: int, seed: int) -> MeanAgreement:
    found = mean_estimate([np.nan if v is None else v for v in values], draws=draws, seed=seed)
    return MeanAgreement(value=found.value, ci=found.ci, n=found.n)
