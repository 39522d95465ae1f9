"""Are claims right? The muting experiment end to end on models whose heads are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader
from headscope.experiments.ablation import Rankings, ablate
from headscope.experiments.ablation_result import MutingTest
from headscope.experiments.causal import causal_scores
from headscope.experiments.settings import AblationSettings, CausalSettings
from headscope.models.geometry import parse_head
from headscope.models.vlm import load_model
from headscope.records import Record
from headscope.storage import read_json
from headscope.validation.claim_cases import ClaimSizes, claim_cases
from headscope.validation.known_readings import KnownContext, check_short_cut
from headscope.validation.planted.harder_build import build_harder

POINTS = 20.0  # of the planted effect by which power is measured
OWN, OTHER = "own", "other"  # whose causal scores a function's heads are chosen by
WHOLE, PART = "whole", "part"  # muting costs the whole function, or ``POINTS``
MAX_TOKENS = 1  # every answer of the planted world is one word


@dataclass(frozen=True)
class ClaimSettings:
    """How much :func:`claims_on_known_answers` does.

    Attributes:
        sizes: pictures and questions of each function.
        ablation: of the muting experiment; as in studies, but for what a claim does not rest on.
        runs: arm and effect of each run of the experiment; arm ``other`` gives each function the scores of
            another.
    """

    sizes: ClaimSizes = field(default_factory=ClaimSizes)
    ablation: AblationSettings = AblationSettings(
        random_draws=200,
        main_draws=0,
        damage_draws=2,
        neutral_pictures=2,
        divergence_items=3,
        rankings=("causal", "specific"),
        mutes=("zero",),
        scopes=(),
        main_contexts=(),
        select_items=40,
        test_items=100,
        max_new_tokens=MAX_TOKENS,
        rows=512,
    )
    runs: tuple[tuple[str, str], ...] = ((OWN, PART), (OTHER, WHOLE))
    batch_size: int = 100


class KnownClaim(Record):
    """What was claimed of one function of one planted model, and whether it is right.

    Attributes:
        level, seed, function: which.
        arm: ``own`` or ``other`` scores chose the heads. effect: ``part`` or ``whole``.
        planted, true_points: how many heads serve the function, and the points that muting them all costs on
            the very questions of the test.
        heads, true_heads: those tested, and those among them that serve the function.
        drop_points, due_points: points lost under the tested heads, and under ``true_heads`` alone.
        claimed, verdict: of the experiment.
        right: whether the tested heads may be called specialists: none is a generalist, and those that serve
            the function account for at least half of the loss.
        random_sets, random_claimed: random sets of the same layers, and those that would be claimed.
    """

    level: str
    seed: int
    function: str
    arm: str
    effect: str
    planted: int
    true_points: float
    heads: tuple[str, ...] = ()
    true_heads: tuple[str, ...] = ()
    drop_points: float = 0.0
    due_points: float = 0.0
    claimed: bool = False
    verdict: str = ""
    right: bool = False
    random_sets: int = 0
    random_claimed: int = 0


@dataclass(frozen=True)
class Ranked:
    """Causal scores in the form of an atlas."""

    rankings: Rankings
    default_ranking: str = "causal"


def claims_on_known_answers(
    folder: str | Path, level: str, seed: int, settings: ClaimSettings = ClaimSettings()
) -> list[KnownClaim]:
    """Run the causal scan and the muting experiment on one planted model, and judge every claim.

    1. A model of the second version (:func:`build_harder`); questions that all need its heads (``whole``).
    2. The same with questions of which so many need the heads that muting them costs ``POINTS`` (``part``).
    3. The causal scan on ``select``, and :func:`ablate`: on ``part`` with each function's own scores
       (``own``), on ``whole`` with those of another function (``other``).

    Args:
        folder: gets the model, the pictures and every experiment's artefacts.
        level: one of ``HARDER_LEVELS``.
        seed: of the model and the pictures.

    Returns:
        One record a function, arm and effect.

    Raises:
        StudyError: an unknown level; or muting a head that does not matter changed an answer.
    """
    folder = Path(folder)
    model = build_harder(folder / "model", level, seed)
    vlm, truth = load_model(model, prove=False), read_json(model / "truth.json")

    def context(effect: str, shares: Mapping[str, float]) -> KnownContext:
        cases = claim_cases(folder / effect / "data", level, seed, settings.sizes, shares)
        return KnownContext(
            vlm,
            cases,
            cases.splits,
            folder / effect,
            seed=seed,
            batch_size=settings.batch_size,
            truth=truth,
        )

    whole = context(WHOLE, {})
    check_short_cut(_readers(whole, settings, "select"), level, seed)
    shares = shares_for(whole, settings)
    made = {WHOLE: whole, PART: context(PART, shares)}
    return [claim for arm, effect in settings.runs for claim in _judged(made[effect], arm, effect, settings)]


def _judged(context: KnownContext, arm: str, effect: str, settings: ClaimSettings) -> list[KnownClaim]:
    """The claims of one run of the experiment."""
    s = settings.ablation
    scan = CausalSettings(max_items=s.select_items, rows=s.rows, max_new_tokens=s.max_new_tokens)
    scores = {f: list(c.margin_drop) for f, c in causal_scores(context, scan).functions.items()}
    if arm == OTHER:
        names = list(scores)
        scores = {f: scores[names[i - 1]] for i, f in enumerate(names)}
    asked = replace(context, folder=context.folder / arm)
    result = ablate(asked, Ranked({"causal": scores}), s)
    return [
        _claim(asked, reader, f, result.functions.get(f), result.skipped.get(f, ""), arm, effect)
        for f, reader in _readers(asked, settings, "test").items()
    ]


def _readers(context: KnownContext, settings: ClaimSettings, split: str) -> dict[str, Reader]:
    most = settings.ablation.test_items if split == "test" else settings.ablation.select_items
    ledger = context.ledger("truth", settings)
    return context.readers(context.choose(split, most), ledger, settings.ablation)


def _lost(reader: Reader, heads: Sequence[str]) -> float:
    """Points of free answers lost without these heads."""
    if not heads:
        return 0.0
    edited = reader.read(Edit(tuple(parse_head(h) for h in heads), mute()))
    return reader.clean.accuracy - edited.accuracy


def _claim(
    context: KnownContext,
    reader: Reader,
    function: str,
    test: MutingTest | None,
    why: str,
    arm: str,
    effect: str,
) -> KnownClaim:
    """The experiment's verdict on one function beside the truth."""
    serving: Sequence[str] = context.truth["functions"][function]
    about = {"level": context.truth["level"], "seed": context.seed, "function": function, "arm": arm}
    claim = KnownClaim(
        **about, effect=effect, planted=len(serving), true_points=_lost(reader, serving), verdict=why
    )
    if test is None:
        return claim
    mine = tuple(h for h in test.heads if h in serving)
    lost, due = _lost(reader, test.heads), _lost(reader, mine)
    general = bool(set(test.heads) & set(context.truth["generalists"]))
    random = test.random_sets
    return claim.model_copy(
        update={
            "heads": test.heads,
            "true_heads": mine,
            "drop_points": lost,
            "due_points": due,
            "claimed": test.claimed,
            "verdict": test.verdict,
            "right": is_right(general, due, lost),
            "random_sets": random.sets if random else 0,
            "random_claimed": random.claimed if random else 0,
        }
    )


def is_right(general: bool, due: float, lost: float) -> bool:
    """Whether heads may be called a function's specialists.

    Args:
        general: whether a head that all functions need is among them.
        due, lost: points lost under those of them that serve the function, and under all of them.

    Example:
        >>> is_right(False, 12.0, 20.0), is_right(False, 9.0, 20.0), is_right(True, 20.0, 20.0)
        (True, False, False)
    """
    return not general and due > 0 and due >= lost / 2


def shares_for(context: KnownContext, settings: ClaimSettings) -> dict[str, float]:
    """Function -> share of its questions that has to need its heads for muting them to cost ``POINTS``.

    From what muting them all costs where every question needs them, on ``select``.
    """
    found = {}
    for function, reader in _readers(context, settings, "select").items():
        lost = _lost(reader, context.truth["functions"][function])
        if lost:
            found[function] = min(1.0, POINTS / lost)
    return found
