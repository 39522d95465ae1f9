"""What follows from an atlas's scores: who is functional, elbows, correlations, sparsity, scarcity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError
from headscope.probing.atlas import WAYS, Atlas, Scarcity, Sparsity
from headscope.probing.significance import elbow, finite_or_none
from headscope.probing.sparsity import scarcity, shares_above, sparsity
from headscope.statistics.ranking import strongest
from headscope.statistics.resampling import benjamini_hochberg

CRITERIA = ("joint", "independent", "answer", "decoding", "causal")
_PLAIN = 0.5  # AUROC of a head that tells nothing
# Muting any head moves the margin a little, if only through the norm, and enough cases make that
# significant. A functional head changes the odds of the true answer by a tenth, and does a tenth of what the
# strongest does.
# docs/method.md says how the cut-off was chosen and what errors were measured with it.
LEAST_NATS, LEAST_SHARE = 0.1, 0.1


def derive(atlas: Atlas, seed: int = 0, default_ranking: str | None = None) -> Atlas:
    """The atlas with everything that follows from its scores computed afresh.

    Criteria by which a head is functional (``selected``), at the atlas's false discovery level:
    ``joint``: before the elbow of the sorted importance; ``independent``: q and positive selectivity;
    ``answer``: q of decoding the answer; ``decoding``: both of these (the first alone where the answer does
    not come from the picture, as nothing could pass the second); ``causal``: q and a score of at least
    ``LEAST_NATS`` and ``LEAST_SHARE`` of the function's greatest.
    """
    judged = {way: {f: _selected(atlas, way, f) for f in atlas.functions} for way in CRITERIA}
    selected = {w: t for w, t in judged.items() if any(v is not None for v in t.values())}
    few, contrasts = {}, {}
    for way, table in selected.items():
        few[way] = _sparsity(atlas, way, table)
        contrast = _scarcity(atlas, way, few[way], seed)
        if contrast is not None:
            contrasts[way] = contrast
    return atlas.model_copy(
        deep=True,
        update={
            "selected": selected,
            "elbow": {
                way: {f: elbow(_size(atlas, way, f)) for f in atlas.functions if atlas.has(way, f)}
                for way in WAYS
                if any(atlas.has(way, f) for f in atlas.functions)
            },
            "correlations": atlas.ranking_correlations(),
            "sparsity": few,
            "scarcity": contrasts,
            "default_ranking": default_ranking
            or ("causal" if atlas.rankings.get("causal") else "independent"),
            "default_criterion": "causal" if "causal" in selected else "decoding",
        },
    )


def _sparsity(atlas: Atlas, way: str, table: Mapping[str, list[bool] | None]) -> dict[str, Sparsity]:
    """How few heads serve each function that a criterion could judge."""
    rows = head_rows(atlas)
    found = {f: sparsity(c, _size(atlas, way, f), rows) for f, c in table.items() if c is not None}
    if way == "causal":
        found = {f: {**v, "above": shares_above(atlas.scores(f, way))} for f, v in found.items()}
    return {f: Sparsity.model_validate(_plain(v)) for f, v in found.items()}


def _scarcity(atlas: Atlas, way: str, few: Mapping[str, Sparsity], seed: int) -> Scarcity | None:
    """Spatial functions against the others, by one criterion; None where there are not both."""
    known = {f: s.effective for f, s in few.items() if s.effective is not None}
    if way == "decoding":  # functions judged by the weaker half of it are no fair comparison
        known = {f: value for f, value in known.items() if f in _pictured(atlas)}
    group = [f in atlas.spatial for f in known]
    contrast = scarcity(list(known.values()), group, seed=seed)
    if contrast is None:
        return None
    cuts = dict.fromkeys(cut for f in known for cut in few[f].above)
    above = {cut: scarcity([few[f].above[cut] for f in known], group, seed=seed) for cut in cuts}
    return Scarcity.model_validate({**contrast, "functions": list(known), "effective": known, "above": above})


def with_causal(atlas: Atlas, causal: Mapping[str, Any] | None, default_ranking: str | None = None) -> Atlas:
    """The atlas with the causal ranking filled in and all that follows from it.

    Args:
        causal: function -> score per head (flat order; positive: the head helps), or function -> dict with
            ``score`` or ``margin_drop`` (head,), and optionally ``interval`` or ``margin_ci`` (head, 2) and
            ``p`` (head,); or the content of ``causal.json``, which has these under ``functions``. Without
            ``p`` it is taken one-sided from the 95 % interval by the normal approximation. None: as it is.

    Raises:
        StudyError: unknown functions, or another number of heads.
    """
    if causal is None:
        return derive(atlas, atlas.provenance.seed, default_ranking)
    table = causal.get("functions", causal)
    scores, intervals, p = {}, {}, {}
    for function, given in table.items():
        if function == "main":  # a causal scan may cover main questions too; they are no function
            continue
        parts = given if isinstance(given, Mapping) else {"score": given}
        score = _numbers(parts.get("score", parts.get("margin_drop")))
        if function not in atlas.functions or score.shape != (len(atlas.heads),):
            raise StudyError(
                f"asked to add causal scores of {function} for {score.size} heads; this atlas has "
                f"{len(atlas.heads)} heads and the functions {atlas.functions}"
            )
        scores[function] = finite_or_none(score)
        pairs = parts.get("interval", parts.get("margin_ci"))
        if pairs is not None:
            intervals[function] = interval_list(*_numbers(pairs).T)
        if parts.get("p") is not None:
            p[function] = _numbers(parts["p"])
        elif pairs is not None:
            p[function] = _p_from_interval(score, _numbers(pairs))

    def others(table: Mapping[str, Any]) -> dict[str, Any]:
        return {way: values for way, values in table.items() if way != "causal"}

    tables: dict[str, dict[str, Any]] = {
        "rankings": {**atlas.rankings, "causal": scores},
        "intervals": others(atlas.intervals),
        "p": others(atlas.p),
        "significance": others(atlas.significance),
    }
    if intervals:
        tables["intervals"]["causal"] = intervals
    if p:
        tables["p"]["causal"] = finite_table(p)
        tables["significance"]["causal"] = finite_table({f: benjamini_hochberg(v) for f, v in p.items()})
    return derive(atlas.model_copy(update=tables), atlas.provenance.seed, default_ranking)


def with_ranking(
    atlas: Atlas,
    name: str,
    shares: Mapping[str, Sequence[float | None]],
    intervals: Mapping[str, Sequence[tuple[float | None, float | None]]],
) -> Atlas:
    """The atlas with one more ranking: ``patching`` (what heads carry) or ``attention`` (where they look).

    Args:
        name: of the ranking.
        shares: function -> a share of each head (flat order).
        intervals: the same, with 95 % intervals.

    Raises:
        StudyError: unknown functions, or another number of heads.
    """
    for function, row in shares.items():
        if function not in atlas.functions or len(row) != len(atlas.heads):
            raise StudyError(
                f"asked to add {name} of {function} for {len(row)} heads; this atlas has "
                f"{len(atlas.heads)} heads and the functions {atlas.functions}"
            )
    ends = {f: np.array(pairs, dtype=float).reshape(-1, 2).T for f, pairs in intervals.items()}
    tables = {
        "rankings": {**atlas.rankings, name: finite_table(shares)},
        "intervals": {**atlas.intervals, name: {f: interval_list(*e) for f, e in ends.items()}},
    }
    return derive(atlas.model_copy(update=tables), atlas.provenance.seed, atlas.default_ranking)


def head_rows(atlas: Atlas) -> list[int]:
    """(head,) row of the head map: attention layers counted from 0 in flat order."""
    sites = [(h.tower, h.layer, h.site) for h in atlas.heads]
    place = {site: i for i, site in enumerate(dict.fromkeys(sites))}
    return [place[site] for site in sites]


def finite_table(table: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Function -> list of numbers with None for NaN."""
    return {f: finite_or_none(v) for f, v in table.items()}


def interval_list(
    low: Sequence[float] | NDArray[Any], high: Sequence[float] | NDArray[Any]
) -> list[tuple[float, float] | None]:
    """(low, high) per head, None where there is no interval."""
    pairs = zip(np.asarray(low, dtype=float), np.asarray(high, dtype=float), strict=True)
    return [(float(a), float(b)) if np.isfinite(a) and np.isfinite(b) else None for a, b in pairs]


def _numbers(values: Any) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _p_from_interval(score: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """One-sided p of a positive score; a score without spread (muting changes nothing) has p = 1."""
    from scipy.stats import norm

    error = (pairs[:, 1] - pairs[:, 0]) / (2 * norm.ppf(0.975))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = norm.sf(score / error)
    return np.where(error > 0, p, np.where(np.isfinite(score), 1.0, np.nan))


def _size(atlas: Atlas, way: str, function: str) -> NDArray[np.float64]:
    """Strength with 0 for a head that does nothing: what Gini and elbow are taken of."""
    way = "independent" if way == "decoding" else way
    found = atlas.strength(function, way)
    return found if way == "joint" else np.maximum(found - (_PLAIN if way == "independent" else 0.0), 0.0)


def _selected(atlas: Atlas, way: str, function: str) -> list[bool] | None:
    """Which heads pass a criterion; None where it cannot be judged."""
    if way == "decoding":
        first = _selected(atlas, "independent", function)
        second = _selected(atlas, "answer", function)
        if first is None or function not in _pictured(atlas):
            return first
        return None if second is None else [a and b for a, b in zip(first, second, strict=True)]
    if not atlas.has(way, function):
        return None
    if way == "joint":
        strength = atlas.strength(function, way)
        chosen = set(strongest(strength, elbow(strength)))
        return [i in chosen for i in range(len(strength))]
    q = atlas.significance.get(way, {}).get(function)
    if q is None or all(x is None for x in q):
        return None
    score = atlas.scores(function, way)
    if way == "independent":
        selectivity = _numbers(atlas.selectivity.get(function) or [None] * len(q))
        score = np.where(np.isfinite(selectivity), selectivity, score - _PLAIN)
    least = 0.0
    if way == "causal":
        least = max(LEAST_NATS, LEAST_SHARE * float(np.nanmax(score, initial=0.0)))
    passed = score >= least if least else score > 0
    return [x is not None and x <= atlas.level and bool(ok) for x, ok in zip(q, passed, strict=True)]


def _pictured(atlas: Atlas) -> list[str]:
    """Functions whose answer comes from the picture."""
    return atlas.functions if atlas.from_picture is None else atlas.from_picture


def _plain(cell: dict[str, Any]) -> dict[str, Any]:
    """NaN to None."""
    return {k: finite_or_none(v) if isinstance(v, float) or k == "ci" else v for k, v in cell.items()}
