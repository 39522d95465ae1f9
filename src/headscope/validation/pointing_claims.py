"""Are gains from pointing, and heads that wake, claimed where there are any? On planted models that err.

Two models of one plan err on the same two functions, for different reasons. In the ``blunt`` one the heads of
these functions look at every thing nearly as much as at the one asked about, so that other things mix in.
Masking the other things puts that right, through these heads alone. In the ``weak`` one the same heads look
sharply and write too little to prevail against the words of the question: nothing in the picture can help.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headscope.edits.baking import bake
from headscope.edits.edits import scale
from headscope.experiments.context import ExperimentContext
from headscope.experiments.significance import beyond_random
from headscope.experiments.waking.experiment import wake
from headscope.experiments.waking.head_gains import shows_waking
from headscope.experiments.waking.questions import BOTH, WakeSettings
from headscope.experiments.waking.wake_result import Comparison, WakeResult
from headscope.models.geometry import Head, parse_head
from headscope.models.vlm import load_model
from headscope.pointing.look import Look
from headscope.records import Interval, Number, Record
from headscope.statistics.shares import exact_interval
from headscope.storage import read_json
from headscope.validation.claim_cases import ClaimSizes, claim_cases
from headscope.validation.planted.glyphs import KINDS
from headscope.validation.planted.harder_build import build_harder
from headscope.validation.planted.heads import SLOW, WIDTH
from headscope.validation.planted.questions import COLOUR, COUNT, OBJECT, RELATION

LEVEL = "plain"
ERRING = (RELATION, COLOUR)  # functions that pointing tests: neither boxes nor window tell their answers
OTHERS = (OBJECT, COUNT)  # their heads cannot carry the gain
BLUNT, WEAK = "blunt", "weak"
TRUE, OTHER = "true", "other"  # whose heads are named as the spatial ones: those that err, or others
ALIKE = 0.97  # how well another kind of thing matches a query of the blunt model; 1: as well as its own
STRENGTH = 0.2  # what the outputs of the weak model's heads are multiplied with
NOTHING = (0, 0, 0)  # how an empty cell looks: what is masked is gone, and outlines are not seen
OF_HEADS = ("needs_heads", "wakes")  # claims about the heads that are named
CLAIMS = ("helps", "beyond_background", *OF_HEADS)


@dataclass(frozen=True)
class KnownPointingSettings:
    """How much :func:`pointing_on_known_answers` does."""

    sizes: ClaimSizes = field(
        default_factory=lambda: ClaimSizes(test_pictures=60, test_questions=100, select_pictures=30)
    )
    wake: WakeSettings = field(
        default_factory=lambda: WakeSettings(
            max_items=400,
            select_items=60,
            main_contexts=(),
            max_new_tokens=1,
            wrong_names=40,
            styles=(BOTH,),
            controls=("equal_area",),
            attention=False,
            look=Look(colour=NOTHING, fill=NOTHING, pad=0.0),
        )
    )
    batch_size: int = 100


class KnownPointing(Record):
    """What was claimed of pointing on one planted model, and what is true of it.

    Attributes:
        seed, model, named: which; whether the heads that err are named as the spatial ones, or others.
        plain, delta_points, n: percent right on plain pictures, what pointing gained, of how many questions.
        muted_points: what it gained with the named heads muted.
        waking, waking_p: relative change of the named heads' contribution less that of others, p among
            random sets.
        claimed, true: claim -> whether it was made, and whether it holds by construction; left out where
            that is not known.
    """

    seed: int
    model: str
    named: str
    plain: Number
    delta_points: Number
    n: int
    muted_points: Number = None
    waking: Number = None
    waking_p: Number = None
    claimed: dict[str, bool]
    true: dict[str, bool]


class PointingClaim(Record):
    """One claim over all planted models; intervals are exact binomial ones.

    Attributes:
        false_tests, false_claims, false_ci: tests where the claim is false; those where it was made.
        power_tests, power, power_ci: tests where it is true, and the share of them where it was made.
    """

    false_tests: int
    false_claims: int
    false_ci: Interval
    power_tests: int
    power: Number
    power_ci: Interval


@dataclass(frozen=True)
class _Muted:
    heads: tuple[str, ...]


@dataclass(frozen=True)
class _Frozen:
    """Stands for a muting experiment that froze these heads for a spatial function."""

    functions: Mapping[str, _Muted]


def pointing_on_known_answers(
    folder: str | Path, seed: int, settings: KnownPointingSettings = KnownPointingSettings()
) -> list[KnownPointing]:
    """Point on the blunt and the weak model of one plan, with the true heads named and with others.

    Args:
        folder: gets the models, the pictures and the experiments' artefacts.
        seed: of the plan and the pictures.

    Returns:
        One record a model and naming.
    """
    folder = Path(folder)
    sharp = build_harder(folder / "model", LEVEL, seed)
    served = read_json(sharp / "truth.json")["functions"]
    erring = [parse_head(label) for f in ERRING for label in served[f]]
    cases = claim_cases(folder / "data", LEVEL, seed, settings.sizes)
    models = {
        BLUNT: blunted(sharp, erring, ALIKE, folder / BLUNT),
        WEAK: bake(load_model(sharp, prove=False), erring, scale(STRENGTH), folder / WEAK),
    }
    found = []
    for name, place in models.items():
        vlm = load_model(place, prove=False)
        for named, functions in ((TRUE, ERRING), (OTHER, OTHERS)):
            heads = tuple(label for f in functions for label in served[f])
            here = folder / f"{name}-{named}"
            context = ExperimentContext(
                vlm, cases, cases.splits, here, seed=seed, batch_size=settings.batch_size
            )
            result = wake(context, None, _Frozen({RELATION: _Muted(heads)}), settings.wake)
            found.append(_judged(result, seed, name, named))
    return found


def blunted(model: Path, heads: Sequence[Head], alike: float, out: Path) -> Path:
    """A copy of a planted model whose named heads look for any kind of thing, little less than for the asked.

    Args:
        alike: share of a match's attention score that every other kind of thing gets.
    """
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, out)
    path = out / "model.safetensors"
    weights = load_file(path)
    kinds = [*SLOW[: len(KINDS)]]  # the rows that match kinds, in planted heads the first ones
    for head in heads:
        queries = weights[f"language_model.model.layers.{head.layer}.self_attn.q_proj.weight"]
        rows = [head.head * WIDTH + row for row in kinds]
        queries[rows] = (1 - alike) * queries[rows] + alike * queries[rows].sum(dim=0)
    save_file(weights, path, metadata={"format": "pt"})
    return out


def _judged(result: WakeResult, seed: int, model: str, named: str) -> KnownPointing:
    pointed = result.test[BOTH].all
    if pointed is None:
        raise AssertionError("planted questions always test pointing")
    left, woken = result.mediation, result.waking.primary if result.waking else None
    background = result.contrasts[f"{BOTH} - equal_area"]["all"]
    gains, own = model == BLUNT, named == TRUE
    true = {"helps": gains, "beyond_background": gains, "needs_heads": gains and own}
    if not (gains and own):  # heads that look at less need not write more, so that waking is not known there
        true["wakes"] = False
    return KnownPointing(
        seed=seed,
        model=model,
        named=named,
        plain=pointed.accuracy_before,
        delta_points=pointed.delta_points,
        n=pointed.n,
        muted_points=left.muted.delta_points if left.muted else None,
        waking=woken.difference if woken else None,
        waking_p=woken.p if woken else None,
        claimed={
            "helps": _above_zero(pointed),
            "beyond_background": background is not None and _above_zero(background),
            "needs_heads": beyond_random(left.ci[0], left.p),
            "wakes": woken is not None and shows_waking(woken),
        },
        true=true,
    )


def _above_zero(found: Comparison) -> bool:
    return found.ci[0] is not None and found.ci[0] > 0


def summarise_pointing(tests: Sequence[KnownPointing]) -> dict[str, PointingClaim]:
    """Claim -> false claims and power over all models; what does not depend on the named heads counts once.

    Example:
        >>> one = KnownPointing(
        ...     seed=1, model="blunt", named="true", plain=60.0, delta_points=30.0, n=100,
        ...     claimed={"helps": True}, true={"helps": True},
        ... )
        >>> summarise_pointing([one])["helps"].power
        1.0
    """
    found = {}
    for claim in CLAIMS:
        about = [t for t in tests if claim in t.true and (claim in OF_HEADS or t.named == TRUE)]
        if not about:
            continue
        true, false = ([t for t in about if t.true[claim] == is_true] for is_true in (True, False))
        seen, wrong = (sum(t.claimed[claim] for t in some) for some in (true, false))
        found[claim] = PointingClaim(
            false_tests=len(false),
            false_claims=wrong,
            false_ci=exact_interval(wrong, len(false)),
            power_tests=len(true),
            power=seen / len(true) if true else None,
            power_ci=exact_interval(seen, len(true)),
        )
    return found
