"""Are gains from turning heads up claimed where there are any? On planted models with one head made weak.

A model of level ``suppressor`` has, for two functions, heads that take half of the evidence back. One of the
heads that give the evidence is made too weak to prevail, by baking a factor into its weights: about a third
of the function's questions go wrong, and turning that head up again, and no other, puts them right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from headscope.edits.baking import bake
from headscope.edits.edits import scale
from headscope.experiments.causal import causal_scores
from headscope.experiments.context import ExperimentContext
from headscope.experiments.emphasis import emphasize
from headscope.experiments.emphasis_result import EmphasisResult
from headscope.experiments.settings import CausalSettings, EmphasisSettings
from headscope.models.geometry import parse_head
from headscope.models.vlm import load_model
from headscope.records import Interval, Number, Record
from headscope.statistics.shares import exact_interval
from headscope.storage import read_json
from headscope.validation.claim_cases import ClaimSizes, claim_cases
from headscope.validation.claims import OTHER, OWN, Ranked
from headscope.validation.planted.harder_build import build_harder
from headscope.validation.planted.questions import COLOUR, PLACE

LEVEL = "suppressor"
WEAKENED = (PLACE, COLOUR)  # the functions that have suppressors
TRUE = "true"  # the planted heads themselves are turned up, whatever a ranking says
FACTOR = 0.3  # of the weak head; its suppressor writes half of what it wrote before


@dataclass(frozen=True)
class KnownEmphasisSettings:
    """How much :func:`emphasis_on_known_answers` does: as studies do, where a claim rests on it."""

    sizes: ClaimSizes = field(
        default_factory=lambda: ClaimSizes(test_pictures=150, test_questions=300, select_pictures=60)
    )
    emphasis: EmphasisSettings = field(
        default_factory=lambda: EmphasisSettings(
            scales=(1.5, 2.0, 3.0),
            strengths=(),
            ks=(3, 4),
            ranking="causal",
            main_contexts=(),
            random_sets=60,
            select_items=60,
            test_items=300,
            side_items=20,
            max_new_tokens=1,
            rows=512,
        )
    )
    causal_items: int = 40
    batch_size: int = 100


class KnownEmphasis(Record):
    """What was claimed of turning up heads for one function of one weakened model, and whether it is right.

    Attributes:
        seed, function, arm: which; the ``true`` heads, or those that ``own`` or ``other`` scores choose.
        weak: the head that was made weak.
        clean: percent right on ``select``; testable, reason: whether the function was tried, and why not.
        heads, gain_points: those turned up, and what was gained on ``test``.
        claimed, verdict: of the experiment.
        right: whether the weak head is among them: nothing else can help.
    """

    seed: int
    function: str
    arm: str
    weak: str
    clean: Number
    testable: bool
    reason: str = ""
    heads: tuple[str, ...] = ()
    gain_points: Number = None
    claimed: bool = False
    verdict: str = ""
    right: bool = False


class EmphasisClaims(Record):
    """Claims of gains against the truth; intervals are exact binomial ones, over tests.

    Attributes:
        models, tested: weakened models, and tests of a function that was tried.
        false_claims, false_ci: gains claimed of heads among which the weak one is not.
        power_tests, power, power_ci: tests of the true heads, and the share rightly claimed.
        gain_points: what was gained in them, mean.
        ranked_tests, ranked_found: tests by the function's own causal scores, and those among whose heads the
            weak one is: it costs nothing when muted where it decides nothing.
    """

    models: int
    tested: int
    false_claims: int
    false_ci: Interval
    power_tests: int
    power: Number
    power_ci: Interval
    gain_points: Number
    ranked_tests: int
    ranked_found: int


def emphasis_on_known_answers(
    folder: str | Path, seed: int, settings: KnownEmphasisSettings = KnownEmphasisSettings()
) -> list[KnownEmphasis]:
    """Weaken a planted model, scan it, and turn up the true heads, and those of own and of others' scores.

    Args:
        folder: gets the models, the pictures and the experiments' artefacts.
        seed: of the model and the pictures.

    Returns:
        One record a function and arm.
    """
    folder = Path(folder)
    model = build_harder(folder / "model", LEVEL, seed)
    truth = read_json(model / "truth.json")
    weak = {f: truth["functions"][f][0] for f in WEAKENED}
    strong = load_model(model, prove=False)
    vlm = load_model(
        bake(strong, [parse_head(h) for h in weak.values()], scale(FACTOR), folder / "weak"), prove=False
    )
    cases = claim_cases(folder / "data", LEVEL, seed, settings.sizes)
    context = ExperimentContext(
        vlm, cases, cases.splits, folder / "study", seed=seed, batch_size=settings.batch_size
    )
    scan = CausalSettings(max_items=settings.causal_items, max_new_tokens=1, rows=512)
    scores = {f: list(c.margin_drop) for f, c in causal_scores(context, scan).functions.items()}
    names = list(scores)
    turned = {f: scores[names[i - 1]] for i, f in enumerate(names)}
    labels = [str(h) for h in vlm.geometry.heads]
    true = {f: [float(label in truth["functions"][f]) for label in labels] for f in names}
    found = []
    for arm, used in ((TRUE, true), (OWN, scores), (OTHER, turned)):
        here = replace(context, folder=folder / arm)
        result = emphasize(here, Ranked({"causal": used}), None, settings.emphasis)
        found += [_judged(result, f, weak[f], arm, seed) for f in WEAKENED]
    return found


def _judged(result: EmphasisResult, function: str, weak: str, arm: str, seed: int) -> KnownEmphasis:
    room, test = result.headroom[function], result.functions.get(function)
    about = KnownEmphasis(
        seed=seed,
        function=function,
        arm=arm,
        weak=weak,
        clean=room.clean,
        testable=room.testable,
        reason=room.reason,
    )
    if test is None:
        return about
    return about.model_copy(
        update={
            "heads": test.heads,
            "gain_points": test.delta_points,
            "claimed": test.claimed,
            "verdict": test.verdict,
            "right": weak in test.heads,
        }
    )


def summarise_emphasis(claims: Sequence[KnownEmphasis]) -> EmphasisClaims | None:
    """False claims and power over all weakened models; None where there are none.

    Example:
        >>> one = KnownEmphasis(
        ...     seed=1, function="a", arm="true", weak="L0H0", clean=66.0, testable=True, heads=("L0H0",),
        ...     gain_points=33.0, claimed=True, right=True,
        ... )
        >>> summarise_emphasis([one]).power
        1.0
    """
    if not claims:
        return None
    tested = [c for c in claims if c.testable]
    wrong = sum(c.claimed and not c.right for c in tested)
    true, ranked = ([c for c in tested if c.arm == arm] for arm in (TRUE, OWN))
    seen = sum(c.claimed and c.right for c in true)
    gains = [c.gain_points for c in true if c.gain_points is not None]
    return EmphasisClaims(
        models=len({c.seed for c in claims}),
        tested=len(tested),
        false_claims=wrong,
        false_ci=exact_interval(wrong, len(tested)),
        power_tests=len(true),
        power=seen / len(true) if true else None,
        power_ci=exact_interval(seen, len(true)),
        gain_points=sum(gains) / len(gains) if gains else None,
        ranked_tests=len(ranked),
        ranked_found=sum(c.right for c in ranked),
    )
