"""Fair controls: random heads, as many per layer as the heads under test, and never those themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from headscope.errors import EditError
from headscope.models.geometry import Geometry, Head

CLAIM_SETS = 200  # distinct control sets behind a claim; fewer give a quick look, never a claim
FEWEST = 20  # different sets below which no p can be under 0.05

Pool = tuple[tuple[Head, ...], int]  # heads to draw from, and how many


@dataclass(frozen=True)
class Controls:
    """Random head sets to hold against the heads under test.

    Attributes:
        draws: the head sets, each in flat order.
        layer_matched: whether each has as many heads in every layer as the heads under test.
        reason: why not, or what else a reader has to know; empty if nothing.
        distinct: how many different sets there are among the draws.
    """

    draws: tuple[tuple[Head, ...], ...]
    layer_matched: bool
    reason: str
    distinct: int


def draw(
    geometry: Geometry,
    heads: Sequence[Head],
    draws: int,
    seed: int,
    exclude: Iterable[Head] = (),
    disjoint: bool = True,
) -> Controls:
    """Draw control head sets at random, disjoint from ``heads`` (and ``exclude``), matched layer by layer.

    Where the tested heads fill more than half of a layer (or too few others are left in it) no fair match
    exists there; where fewer than ``FEWEST`` sets match, none of at least that many draws could show
    p < 0.05. Then all sets are drawn over all layers, and ``reason`` says so. All draws differ while the
    number of possible sets allows it; otherwise every possible set is taken equally often.

    Args:
        disjoint: whether the sets share no head with ``heads``. Disjoint sets ask whether these heads matter
            more than others; p over them is no test for a set that was itself drawn at random: where one head
            of a layer matters most, whichever set holds it beats every set disjoint from it. Sets that may
            share heads with those under test are drawn by the law of a random set, so that p over them is
            what it says (docs/method.md).

    Raises:
        EditError: no heads, unknown heads, or fewer heads left than are under test.

    Example:
        >>> controls = draw(geometry, [Head(0, 1), Head(2, 3)], draws=200, seed=0)  # doctest: +SKIP
        >>> controls.layer_matched, len(controls.draws)  # doctest: +SKIP
        (True, 200)
    """
    tested = tuple(Head(*h) for h in heads)
    unknown = [h for h in tested if h not in set(geometry.heads)]
    if not tested or unknown or draws < 0:
        strange = f" (not in it: {[str(h) for h in unknown]})" if unknown else ""
        raise EditError(
            f"controls: asked for {draws} draws against heads {[str(h) for h in tested]}; need at least one "
            f"head, all of them in this model{strange}, and draws >= 0"
        )
    banned = (set(tested) if disjoint else set()) | {Head(*h) for h in exclude}
    pools, reason = _layer_pools(geometry, tested, banned, disjoint)
    if disjoint and not reason and _possible(pools) < FEWEST <= draws:
        found = _possible(pools)
        reason = f"drawn over all layers: too few sets match layer by layer for p < 0.05 ({found})"
    matched = not reason
    if reason:
        free = tuple(h for h in geometry.heads if h not in banned)
        pools = [(free, len(tested))]
        if len(free) < len(tested):
            raise EditError(
                f"controls: {len(tested)} heads are under test, and only {len(free)} others are left to "
                "draw from; test fewer heads"
            )
    rng = np.random.default_rng(seed)
    made = _distinct(geometry, pools, draws, rng)
    found = len(set(made))
    if found < len(made):
        reason = "; ".join(r for r in (reason, f"only {found} different control sets exist") if r)
    return Controls(tuple(made), matched, reason, found)


def matched_sets(geometry: Geometry, heads: Sequence[Head]) -> int:
    """How many other sets have as many heads in every layer and share none with ``heads``.

    Example:
        >>> matched_sets(geometry, [Head(0, 1), Head(2, 3)])  # layers of 8 heads  # doctest: +SKIP
        49
    """
    counts = ((len(m), sum(h in m for h in heads)) for m in geometry.per_layer().values())
    return math.prod(math.comb(total - count, count) for total, count in counts)


def matched_draw(geometry: Geometry, heads: Sequence[Head], draws: int, seed: int) -> Controls:
    """As :func:`draw`, but rather few sets that match layer by layer than many that do not.

    For two heads of a layer of eight there are 15 others: all of them are taken, and p cannot be below 1/16.
    Where none matches, sets are drawn over all layers, and ``reason`` says so.
    """
    return draw(geometry, heads, min(draws, matched_sets(geometry, heads) or draws), seed)


def _layer_pools(
    geometry: Geometry, tested: Sequence[Head], banned: set[Head], disjoint: bool
) -> tuple[list[Pool], str]:
    """What to draw from in each layer that holds tested heads, and why that is not possible (or empty)."""
    pools: list[Pool] = []
    crowded = []
    for members in geometry.per_layer().values():
        count = sum(h in members for h in tested)
        free = tuple(h for h in members if h not in banned)
        if (disjoint and count > len(members) / 2) or count > len(free):
            crowded.append(f"layer {members[0].layer} ({count} of {len(members)})")
        if count:
            pools.append((free, count))
    if crowded:
        return [], f"drawn over all layers: the tested heads leave too few others in {', '.join(crowded)}"
    return pools, ""


def _possible(pools: list[Pool]) -> int:
    return math.prod(math.comb(len(free), count) for free, count in pools)


def _distinct(
    geometry: Geometry, pools: list[Pool], draws: int, rng: np.random.Generator
) -> list[tuple[Head, ...]]:
    possible = _possible(pools)
    if possible <= draws:  # every set there is, as often as the others, in random order
        everything = _enumerate(geometry, pools)
        order = [i for _ in range(-(-draws // len(everything))) for i in rng.permutation(len(everything))]
        return [everything[i] for i in order[:draws]]
    made: dict[tuple[Head, ...], None] = {}
    if possible <= 4 * draws:  # nearly all of them: rejection would be slow
        everything = _enumerate(geometry, pools)
        return [everything[i] for i in rng.permutation(len(everything))[:draws]]
    while len(made) < draws:
        chosen = [free[i] for free, count in pools for i in rng.choice(len(free), size=count, replace=False)]
        made.setdefault(_ordered(geometry, chosen))
    return list(made)


def _enumerate(geometry: Geometry, pools: list[Pool]) -> list[tuple[Head, ...]]:
    sets: list[tuple[Head, ...]] = [()]
    for free, count in pools:
        sets = [s + c for s in sets for c in combinations(free, count)]
    return [_ordered(geometry, s) for s in sets]


def _ordered(geometry: Geometry, heads: Iterable[Head]) -> tuple[Head, ...]:
    return tuple(sorted(heads, key=geometry.index))
