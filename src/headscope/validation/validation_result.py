"""The summary of ``headscope validate-method``: the method's errors on models with known answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headscope.records import Artefact, Interval, JsonValue, Number, Record
from headscope.validation.claim_scores import LevelClaims
from headscope.validation.emphasis_claims import EmphasisClaims
from headscope.validation.pointing_claims import PointingClaim


class RankingErrors(Record):
    """One ranking at its own cut-off, pooled over models, against the heads that were planted.

    Attributes:
        precision, precision_ci, recall, recall_ci, f1: of the heads named; Wilson intervals.
        false_discoveries, false_by_role: heads named falsely, and what they are.
        counts: what the shares rest on.
        rank_median, rank_worst: places of the planted heads among all, 1 first.
    """

    precision: Number
    precision_ci: Interval | None = None
    recall: Number
    recall_ci: Interval | None = None
    f1: Number
    false_discoveries: int
    false_by_role: dict[str, int] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    rank_median: Number = None
    rank_worst: Number = None


class PatchedHeads(RankingErrors):
    """What patching names, against the heads that were planted.

    Attributes:
        models: planted models that were patched.
    """

    models: int


class PairLoss(Record):
    """Redundant pairs: means over them.

    Attributes:
        one, other, both: points lost without one head, without the other, without both.
        clean: accuracy in percent.
    """

    one: Number
    other: Number
    both: Number
    clean: Number = None


class PlantedLevel(Record):
    """Planted models of one level of difficulty.

    Attributes:
        joint, independent, answer, decoding, causal: each ranking's errors.
        attention: of the heads that look at what is named.
        patching: of the heads that carry the fact alone, or while those that do are muted.
        models, accuracy: how many, and how well they answer.
        suppressors_below_zero: share of suppressors whose causal score is clearly negative.
        pairs: redundant pairs, where there are any.
    """

    joint: RankingErrors
    independent: RankingErrors
    answer: RankingErrors
    decoding: RankingErrors
    causal: RankingErrors
    attention: RankingErrors | None = None
    patching: PatchedHeads | None = None
    models: int
    accuracy: Number = None
    suppressors_below_zero: Number = None
    pairs: PairLoss | None = None

    def way(self, name: str) -> RankingErrors | None:
        """The errors of one ranking; None where it was not measured."""
        found: RankingErrors | None = getattr(self, name)
        return found


class FoundEdges(Record):
    """Edges of models in which some heads move a fact and later ones fetch it.

    Attributes:
        models: how many.
        wanted, found, found_ci: functions of two hops, those with an edge from a mover to a fetcher that is
            named, and the interval of their share.
        false, others: edges between heads that are named and not planted, and all that are not planted.
    """

    models: int
    wanted: int
    found: int
    found_ci: Interval
    false: int
    others: int


class ClaimedShare(Record):
    """How often anything is claimed where labels mean nothing.

    Attributes:
        claimed_share, ci, bound: share of functions with any claim, its interval over runs, its bound.
        within: whether it is no more than 1.96 standard errors above the bound.
        runs, families: how many.
    """

    claimed_share: float
    ci: Interval | None = None
    bound: float
    within: bool
    runs: int
    families: int = 0


class RejectionRates(Record):
    """How often muting randomly drawn heads is called worse than controls.

    Attributes:
        replicates: tests.
        reject_at_05, reject_at_05_ci, reject_at_05_within: share at level 0.05, its interval, whether within.
        reject_at_01, reject_at_01_ci, reject_at_01_within: the same at 0.01.
    """

    replicates: int
    reject_at_05: float
    reject_at_05_ci: Interval | None = None
    reject_at_05_within: bool
    reject_at_01: float
    reject_at_01_ci: Interval | None = None
    reject_at_01_within: bool


class RandomWeights(Record):
    """The chain on random weights.

    Attributes:
        accuracy, function_auroc_median: of answers; of the independent probes.
        claimed, pairs: ranking -> share of (function, head) pairs named, and how many there are.
    """

    accuracy: Number = None
    function_auroc_median: Number
    claimed: dict[str, float]
    pairs: dict[str, int]


class Nulls(Record):
    """Where there is nothing to find.

    Attributes:
        claimed_share: test -> share of functions with any claim.
        reject_at_05, reject_at_01, replicates: of the muting test among random sets.
        labels, random_heads, random_weights: all of it.
    """

    claimed_share: dict[str, float]
    reject_at_05: float
    reject_at_01: float
    replicates: int
    labels: dict[str, ClaimedShare]
    random_heads: dict[str, RejectionRates]
    random_weights: RandomWeights


class Coverage(Record):
    """How often 95 % intervals cover the truth.

    Attributes:
        share, ci, within, simulations: the share, its interval, whether it is from 93 to 97 % (of shares and
            their differences, which may be cautious: 93 % or more), simulations.
    """

    share: float
    ci: Interval | None = None
    within: bool
    simulations: int


class TestedHeads(Record):
    """Heads whose muting the test was tried on.

    Attributes:
        heads, per_layer, cases, sets: which, how many in each layer, questions, random sets.
        drop_points, random_points: points lost under them, and under random sets.
    """

    __test__ = False  # its name is no test's

    heads: tuple[str, ...]
    per_layer: dict[str, int] = Field(default_factory=dict)
    cases: int = 0
    sets: int = 0
    drop_points: Number
    random_points: Number


class Recurring(Record):
    """The five strongest heads of a function, over variants.

    Attributes:
        always, sometimes: there in every variant, and in some only; numbers in flat order.
    """

    always: tuple[int, ...]
    sometimes: tuple[int, ...]


class Stability(Record):
    """Mean Spearman correlations over heads between variants, on the embedded model.

    Attributes:
        seeds, halves, wordings: ranking -> correlation between probe seeds, halves of the pictures, wordings.
        top: ranking -> function -> heads that recur.
        causal_functions, model: which functions the causal one was read on; revision.
    """

    seeds: dict[str, Number]
    halves: dict[str, Number]
    wordings: dict[str, Number] = Field(default_factory=dict)
    top: dict[str, dict[str, Recurring]]
    causal_functions: tuple[str, ...] = ()
    model: str = ""


class ValidationResult(Artefact):
    """The method's errors.

    Attributes:
        quick, constructor, settings: which run, of which planted models, how large.
        wall_s: seconds of all units of work; several may run at once.
        planted: level -> each ranking against the truth.
        sets: level -> heads of the sufficient and necessary sets of patching against the truth.
        edges: what path patching finds of two hops.
        claims: level -> how often claims of the muting experiment are false there, and their power.
        emphasis: claims of gains from turning heads up, on models with a weak head.
        pointing: claim about pointing or waking -> how often it is false, and its power, on models that err.
        default_ranking: the criterion with the greatest F1 on the plain models.
        decoy_rejection: criterion -> share of decoys that it does not name.
        null: where there is nothing to find.
        coverage: interval -> how often it covers.
        power: function -> number of questions -> controls -> share of tests that reject.
        tested: function -> the heads that these tests mute.
        stability: of the rankings.
        dependence: ``readout`` or ``scope`` -> its value -> ranking -> errors.
    """

    schema_: Literal["headscope/validation/1"] = Field(default="headscope/validation/1", alias="schema")
    quick: bool
    constructor: str
    planted: dict[str, PlantedLevel]
    sets: dict[str, PatchedHeads] = Field(default_factory=dict)
    edges: FoundEdges | None = None
    claims: dict[str, LevelClaims] = Field(default_factory=dict)
    emphasis: EmphasisClaims | None = None
    pointing: dict[str, PointingClaim] = Field(default_factory=dict)
    default_ranking: str
    decoy_rejection: dict[str, float]
    null: Nulls
    coverage: dict[str, Coverage]
    power: dict[str, dict[str, dict[str, float]]]
    tested: dict[str, TestedHeads]
    stability: Stability
    dependence: dict[str, dict[str, dict[str, RankingErrors]]]
    settings: dict[str, JsonValue]
    wall_s: float
