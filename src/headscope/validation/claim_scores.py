"""Claims against the truth, level by level: how often they are false, and how often an effect is seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headscope.records import Interval, Number, Record
from headscope.statistics.shares import exact_interval
from headscope.validation.claims import OWN, PART, KnownClaim
from headscope.validation.planted.harder_plan import MOVED
from headscope.validation.planted.questions import COLOUR, FACING, PLACE

ONE_HEAD = "one_head"
# The functions that a level makes hard; in the others of a model, and in levels that are not here, all.
CONCERNED: dict[str, tuple[str, ...]] = {
    "redundant": (PLACE, FACING, COLOUR),
    "shared": (PLACE, FACING),
    "decoy": (PLACE, FACING, COLOUR),
    "suppressor": (PLACE, COLOUR),
    "always_on": (PLACE, FACING, COLOUR),
    "distributed": (PLACE,),
    "two_hop": MOVED,
    "backup": (PLACE, FACING, COLOUR),
}


class LevelClaims(Record):
    """Claims on planted models of one level; intervals are exact binomial ones, over tests.

    Attributes:
        models, replicates: planted models, and tests of a function that could have made a false claim.
        false_claims, false_claim_share, false_ci: claims of heads that are no specialists of the function.
        power_replicates, power_20_points, power_ci: tests of functions that the level is about, by their own
            scores, where muting all their heads costs 20 points; share of them rightly claimed, its interval.
        true_points: what muting those heads costs, mean over these tests.
        random_sets, random_claimed_share: random sets of the same layers put through the claim's test, and
            the share that would be claimed; sets that hold some of the right heads are among them.
    """

    models: int
    replicates: int
    false_claims: int
    false_claim_share: Number
    false_ci: Interval | None = None
    power_replicates: int
    power_20_points: Number
    power_ci: Interval | None = None
    true_points: Number
    random_sets: int = 0
    random_claimed_share: Number = None


def summarise_claims(claims: Sequence[KnownClaim]) -> dict[str, LevelClaims]:
    """Level -> its claims; ``one_head`` holds the functions of all levels that a single head serves.

    Example:
        >>> common = {"level": "plain", "seed": 0, "function": "counting", "arm": "own", "effect": "part"}
        >>> one = KnownClaim(**common, planted=3, true_points=20.0, claimed=True, right=True)
        >>> summarise_claims([one])["plain"].power_20_points
        1.0
    """
    several = [c for c in claims if c.planted != 1]
    found = {}
    for level in dict.fromkeys(c.level for c in several):
        mine = [c for c in several if c.level == level]
        about = CONCERNED.get(level)
        found[level] = _level(mine, [c for c in mine if about is None or c.function in about])
    single = [c for c in claims if c.planted == 1]
    if single:
        found[ONE_HEAD] = _level(single, single)
    return found


def _level(claims: Sequence[KnownClaim], about: Iterable[KnownClaim]) -> LevelClaims:
    wrong = sum(c.claimed and not c.right for c in claims)
    tried = [c for c in about if c.planted and (c.arm, c.effect) == (OWN, PART)]
    seen = sum(c.claimed and c.right for c in tried)
    random = sum(c.random_sets for c in claims)
    return LevelClaims(
        models=len({(c.level, c.seed) for c in claims}),
        replicates=len(claims),
        false_claims=wrong,
        false_claim_share=wrong / len(claims),
        false_ci=exact_interval(wrong, len(claims)),
        power_replicates=len(tried),
        power_20_points=seen / len(tried) if tried else None,
        power_ci=exact_interval(seen, len(tried)) if tried else None,
        true_points=sum(c.true_points for c in tried) / len(tried) if tried else None,
        random_sets=random,
        random_claimed_share=sum(c.random_claimed for c in claims) / random if random else None,
    )
