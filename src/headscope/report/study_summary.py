"""The types of ``summary.json``: a study in one small record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from headscope.experiments.ablation_result import MutingTest
from headscope.experiments.waking.summary_records import BothSummary, PointingSummary
from headscope.records import Artefact, Interval, Number, Record
from headscope.report.chain import ChainCell
from headscope.storage import Row
from headscope.study.evaluation_result import AnswerForm
from headscope.study.record import SplitCounts

FILE = "summary.json"


class SummaryModel(Record):
    """The model.

    Attributes:
        name, revision, parameters, layers, heads: as in ``study.json``.
    """

    name: str | None = None
    revision: str | None = None
    parameters: int | None = None
    layers: int | None = None
    heads: int | None = None


class AccuracyCell(Record):
    """A share of right answers, 0 to 1.

    Attributes:
        value, n, ci: the share, the answers that it is of, its interval.
    """

    value: Number
    n: int
    ci: Interval


class JointCell(Record):
    """The joint probe, shares of the steps of ``test`` whose function is told right.

    Attributes:
        accuracy, majority, shuffled: the probe; the most frequent function; trained on shuffled labels.
        words_alone, words_by: a classifier that sees the words of the question alone, and which: bag of words
            or mean token embedding, whichever was better on ``select``.
        beyond_words, beyond_words_ci: what the probe adds to it, and its 95 % interval by picture.
        n: steps.
    """

    accuracy: Number = None
    words_alone: Number = None
    majority: Number = None
    shuffled: Number = None
    words_by: str = ""
    beyond_words: Number = None
    beyond_words_ci: Interval | None = None
    n: int = 0

    @classmethod
    def of(cls, joint: Row) -> JointCell:
        """From the atlas; fields that an older one lacks are empty."""
        found = {k: joint.get(k) for k in cls.model_fields}
        n = int((joint.get("steps") or {}).get("test", 0))
        return cls.model_validate({**found, "words_by": joint.get("words_by") or "", "n": n})


class HeadsCell(Record):
    """Heads that serve a function by the atlas's default criterion.

    Attributes:
        significant, share, elbow: how many, of all heads, and how many stand before the elbow.
    """

    significant: int
    share: Number
    elbow: int | None = None


class MutingCell(Record):
    """A function's heads muted.

    Attributes:
        k, n, drop_points, ci: heads, questions, points lost on ``test``, interval.
        control_mean, control_max, draws, distinct: the same under random heads.
        layer_matched: whether these have as many heads in every layer; where not, nothing is claimed.
        p, q: of free answers against them; what is claimed goes by, over functions.
        claimed, verdict: whether the heads may be called functional, and why.
    """

    k: int
    n: int
    drop_points: Number
    ci: Interval
    control_mean: Number
    control_max: Number
    draws: int
    distinct: int
    layer_matched: bool | None
    p: Number
    q: Number
    claimed: bool
    verdict: str

    @classmethod
    def of(cls, test: MutingTest) -> MutingCell:
        """The few numbers of a test."""
        effect = ("k", "n", "drop_points", "ci", "control_mean", "control_max", "draws", "layer_matched")
        kept = (*effect, "p", "q", "claimed", "verdict")
        return cls(**{k: getattr(test, k) for k in kept}, distinct=test.sets)


class ClaimCell(Record):
    """A function's heads muted on ``test``, and what may be claimed of them.

    Attributes:
        function, heads, ranking: whose heads, and the ranking that they come from.
        n, pictures: questions, and pictures that they show.
        clean_free, clean_forced: percent right before, of free answers and of forced choice.
        drop_points, ci, forced_drop_points, forced_ci: lost of free answers, and of forced choice.
        elsewhere_points, elsewhere_ci: mean lost by the other functions, by forced choice.
        beyond_points, beyond_ci: own loss of forced choice minus that mean.
        worst, worst_points: the other function that loses most, by forced choice.
        unreadable_share: share of free answers that are none of the choices when muted, 0 to 1.
        kl_neutral, kl_elsewhere: nats by which first tokens move on neutral prompts and on other functions.
        layer_matched, distinct, control_mean, control_max, forced_control_mean, forced_control_max: random
            sets of the same layers, how many differ, and what they cost of free answers and of forced choice.
        p, q: the greatest p against them, and after correction over functions.
        claimed, verdict: whether the heads may be called functional, and why.
    """

    function: str
    heads: tuple[str, ...]
    ranking: str
    n: int
    pictures: int
    clean_free: Number
    clean_forced: Number
    drop_points: Number
    ci: Interval
    forced_drop_points: Number
    forced_ci: Interval
    elsewhere_points: Number
    elsewhere_ci: Interval | None
    beyond_points: Number
    beyond_ci: Interval | None
    worst: str | None
    worst_points: Number
    unreadable_share: Number
    kl_neutral: Number
    kl_elsewhere: Number
    layer_matched: bool | None
    distinct: int
    control_mean: Number
    control_max: Number
    forced_control_mean: Number
    forced_control_max: Number
    p: Number
    q: Number
    claimed: bool
    verdict: str

    @classmethod
    def of(cls, function: str, test: MutingTest) -> ClaimCell:
        """The few numbers of a test."""
        same = (
            *("heads", "ranking", "n", "drop_points", "ci", "forced_drop_points", "forced_ci"),
            *("layer_matched", "control_mean", "control_max", "forced_control_mean", "forced_control_max"),
            *("q", "claimed", "verdict"),
        )
        others, damage = test.elsewhere, test.damage
        return cls(
            **{k: getattr(test, k) for k in same},
            function=function,
            pictures=test.images,
            clean_free=test.accuracy_clean,
            clean_forced=test.forced_clean,
            elsewhere_points=others.points if others else None,
            elsewhere_ci=others.ci if others else None,
            beyond_points=others.beyond_points if others else None,
            beyond_ci=others.beyond_ci if others else None,
            worst=others.worst if others else None,
            worst_points=others.worst_points if others else None,
            unreadable_share=None if test.unreadable is None else test.unreadable / 100,
            kl_neutral=damage.kl_neutral if damage else None,
            kl_elsewhere=damage.kl_elsewhere if damage else None,
            distinct=test.sets,
            p=test.p_claim,
        )


class RandomSetsCell(Record):
    """Random sets of the same layers that were put through the claim's own test, over all functions.

    Attributes:
        share, sets: of them that would be claimed, 0 to 1, and how many were tried.
    """

    share: Number = None
    sets: int = 0

    @classmethod
    def of(cls, tests: Iterable[MutingTest]) -> RandomSetsCell:
        """Added up over functions."""
        found = [t.random_sets for t in tests if t.random_sets]
        sets = sum(r.sets for r in found)
        return cls(share=sum(r.claimed for r in found) / sets if sets else None, sets=sets)


class SpecificityCell(Record):
    """Points lost: [muted][measured].

    Attributes:
        muted, measured, drop_points: functions, and the table.
    """

    muted: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    drop_points: tuple[tuple[Number, ...], ...] = ()


class EmphasisCell(Record):
    """The edit that was most promising on ``select``; null where the stage was not run.

    Attributes:
        testable, reason: whether any function had headroom, and why not.
        function, edit, strength: which.
        n, clean: questions on ``test``, and percent of them right without the edit.
        delta_points, ci: gained.
        random_sets, random_sets_mean, random_sets_max, p, q: distinct random head sets turned up alike.
        claimed, verdict: whether it may be said to help, and why.
        worst_side_effect_points: what it costs elsewhere.
    """

    testable: bool | None = None
    reason: str = ""
    function: str = ""
    edit: str = ""
    strength: float = 0.0
    n: int = 0
    clean: Number = None
    delta_points: Number = None
    ci: Interval | None = None
    random_sets: int = 0
    random_sets_mean: Number = None
    random_sets_max: Number = None
    p: Number = None
    q: Number = None
    claimed: bool = False
    verdict: str = ""
    worst_side_effect_points: Number = None


class WakeCell(Record):
    """Pointing; empty where the stage was not run.

    Attributes:
        both: the style fixed in advance, on the questions whose answer neither boxes nor window tell.
        unread: why nothing could be pointed at.
    """

    both: BothSummary | None = None
    unread: str = ""


class ScarcityCell(Record):
    """Spatial functions against the others; the unit is the function.

    Attributes:
        difference: mean effective number of heads of spatial functions less that of the others.
        relabel_p: two-sided, among all ways to call as many functions spatial.
        effective_heads: function -> effective number of heads.
    """

    difference: Number = None
    relabel_p: Number = None
    effective_heads: dict[str, Number] = Field(default_factory=dict)


class Summary(Artefact):
    """A study in one small record.

    Accuracies and shares run from 0 to 1; what is named ``points``, and the intervals and control figures
    beside it, is in percentage points; intervals are 95 %; all is read on ``test``. Parts of stages that were
    not run are empty, their numbers null.

    Attributes:
        wall_s: seconds of each stage, restarts added up.
        model, cases, steps: what was run on what.
        accuracy: of steps after the true answers to those before; the main question likewise under ``main``.
        accuracy_by_things: number of things in the picture -> share of right steps.
        main_by_context: context -> share of right main questions.
        chain: the same on the same questions, with controls.
        form: how probable the choices are together.
        joint_probe, functional_heads, scarcity: the atlas in a few numbers.
        claims, random_sets_claimed: what may be claimed of which heads, and how often the same test claims
            random heads.
        ablation, specificity, emphasis, wake, pointing: the experiments in a few numbers.
    """

    schema_: Literal["headscope/summary/2"] = Field(default="headscope/summary/2", alias="schema")
    wall_s: dict[str, float]
    model: SummaryModel
    cases: SplitCounts
    steps: int
    accuracy: dict[str, AccuracyCell]
    accuracy_by_things: dict[str, Number]
    main_by_context: dict[str, Number]
    chain: ChainCell
    form: AnswerForm | Row
    joint_probe: JointCell
    functional_heads: dict[str, HeadsCell]
    scarcity: ScarcityCell
    ablation: dict[str, MutingCell]
    claims: tuple[ClaimCell, ...]
    random_sets_claimed: RandomSetsCell
    specificity: SpecificityCell
    emphasis: EmphasisCell
    wake: WakeCell
    pointing: PointingSummary
