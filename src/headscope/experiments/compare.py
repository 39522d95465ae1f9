"""One study's atlas beside another's: do the same heads, or heads at the same depth, serve a function?

Same heads in both (two runs of one model, a model before and after training): the strongest heads of each
function are counted that both have, and the rankings are correlated over heads. Any two models: the mean rank
of heads is correlated over relative depth, 0 the first attention layer and 1 the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headscope.errors import StudyError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.significance import overlap_p, q_over_functions
from headscope.probing.atlas import Atlas
from headscope.probing.summary import head_rows
from headscope.records import Artefact, Interval, JsonValue, Number, Record
from headscope.statistics.resampling import mean_estimate, percentile_interval, spearman, wilson_ci
from headscope.storage import plain

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


class Compared(Record):
    """One of the two atlases.

    Attributes:
        model, revision, data: what it was made from.
        heads, layers: heads, and attention layers.
    """

    model: str
    revision: str
    data: str
    heads: int
    layers: int


class Overlap(Record):
    """The strongest heads that both atlases name for a function.

    Attributes:
        k, shared: how many were taken of each, and how many of these are the same.
        share, ci: ``shared / k``, and its 95 % Wilson interval with heads as trials.
        expected: the share that two random sets have on average.
        p, q: hypergeometric p of at least as many, and that after Benjamini and Hochberg over functions.
    """

    k: int
    shared: int
    share: float
    ci: Interval
    expected: float
    p: Number
    q: Number = None


class RankAgreement(Record):
    """Spearman correlation of two rankings, over heads or over parts of the depth.

    Attributes:
        rho, ci: the correlation, and its 95 % bootstrap interval; heads are resampled.
        n: heads, or parts of the depth.
    """

    rho: Number
    ci: Interval
    n: int


class DepthAgreement(RankAgreement):
    """The same over relative depth.

    Attributes:
        depth: middle of each part, 0 to 1.
        here, there: mean rank of its heads, 0 the weakest of the model and 1 the strongest.
    """

    depth: tuple[float, ...]
    here: tuple[Number, ...]
    there: tuple[Number, ...]


class FunctionComparison(Record):
    """One function in both atlases.

    Attributes:
        overlap, over_heads: null where the models have not the same heads.
        over_depth: over relative depth.
    """

    overlap: Overlap | None = None
    over_heads: RankAgreement | None = None
    over_depth: DepthAgreement


class MeanAgreement(Record):
    """A mean over functions.

    Attributes:
        value, ci, n: the mean, its 95 % bootstrap interval (functions are resampled), functions.
    """

    value: Number
    ci: Interval
    n: int


class CompareResult(Artefact):
    """One study's atlas beside another's.

    Attributes:
        settings: all of them, seed among them.
        ranking: the ranking of both.
        here, there: the two atlases.
        same_heads: whether both models have the same heads, so that heads can be compared one by one.
        functions: function -> how far the two agree.
        skipped: function -> why it could not be compared.
        mean_overlap, mean_over_depth: over functions.
    """

    schema_: Literal["headscope/compare/1"] = Field(default="headscope/compare/1", alias="schema")
    settings: dict[str, JsonValue]
    ranking: str
    here: Compared
    there: Compared
    same_heads: bool
    functions: dict[str, FunctionComparison]
    skipped: dict[str, str] = Field(default_factory=dict)
    mean_overlap: MeanAgreement | None = None
    mean_over_depth: MeanAgreement


def compare(context: ExperimentContext, atlas: Atlas, settings: CompareSettings) -> CompareResult:
    """Hold this study's atlas against another's; writes ``compare.json``.

    Raises:
        StudyError: no function is ranked in both. StoreError: the other atlas cannot be read.
    """
    path = Path(settings.other)
    other = Atlas.load(path / "probe" / "atlas.json" if path.is_dir() else path)
    way = settings.ranking or atlas.default_ranking
    skipped = _skipped(atlas, other, way)
    names = [f for f in atlas.functions if f not in skipped]
    if not names:
        raise StudyError(f"compare: no function is ranked by {way} in both atlases: {skipped}")
    same = [h.label for h in atlas.heads] == [h.label for h in other.heads]
    rng = np.random.default_rng(context.seed)
    depths = _parts(atlas, settings.bins, other), _parts(other, settings.bins, atlas)
    pairs = {f: (atlas.strength(f, way), other.strength(f, way)) for f in names}
    overlaps = {f: _overlap(*pair, settings.heads) for f, pair in pairs.items()} if same else {}
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
    result = CompareResult(
        settings=plain({**asdict(settings), "seed": context.seed}),
        ranking=way,
        here=_about(atlas),
        there=_about(other),
        same_heads=same,
        functions=functions,
        skipped=skipped,
        mean_overlap=_mean(shares, settings.draws, context.seed) if shares else None,
        mean_over_depth=_mean([f.over_depth.rho for f in functions.values()], settings.draws, context.seed),
    )
    result.save(context.folder / FILE)
    return result


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


def _overlap(here: Floats, there: Floats, heads: int) -> Overlap:
    known = min(int(np.isfinite(s).sum()) for s in (here, there))  # heads without a score are never named
    k = max(1, min(heads or len(here) // 16, known))
    one, other = (set(np.argsort(-np.nan_to_num(s, nan=-np.inf), kind="stable")[:k]) for s in (here, there))
    shared = len(one & other)
    return Overlap(
        k=k,
        shared=shared,
        share=shared / k,
        ci=wilson_ci(shared, k),
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
