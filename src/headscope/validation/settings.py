"""How much ``validate-method`` does: a quick look for every commit, and the full measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headscope.errors import StudyError
from headscope.validation.planted.harder_plan import HARDER_LEVELS, NEW_LEVELS
from headscope.validation.planted.plan import LEVELS

# Where bystanders leak, every head matters a little, and no reading can be spared: a run would take hours.
CLAIM_LEVELS = tuple(level for level in HARDER_LEVELS if level != "leaky")
PATCH_LEVELS = ("plain", "redundant", "decoy", "distributed", "two_hop", "backup")
READOUTS = ("prompt_last", "answer_mean", "answer_content")


@dataclass(frozen=True)
class ValidateSettings:
    """Defaults of :func:`headscope.validation.run.validate_method` are those of the full measurement.

    Attributes:
        levels: which kinds of planted models; ``seeds``: how many of each.
        cases: pictures per planted model, four questions each.
        causal_items, permutations, draws, epochs: of the chain on each planted model.
        claim_levels, claim_seeds: kinds of planted models on which claims are judged, and how many of each.
        patch_levels, patch_seeds: kinds of planted models that are patched, and how many of each; edge_seeds:
            of how many of ``two_hop`` edges are looked for, those beyond ``patch_seeds`` for these alone;
            patch_pairs: of each function, on each split.
        claim_questions, claim_pictures: questions of each function on ``test``, and the pictures they show.
        emphasis_seeds: planted models with weak heads, on which claims of gains are judged.
        pointing_seeds: planted models that err, on which claims of pointing and waking are judged.
        dependence_seeds: planted models on which readouts and scopes are compared.
        label_permutations: runs of the probes on permuted labels; null_permutations: of each run's own null.
        sets, items, replicates: of the muting test with randomly drawn heads.
        simulations: of the intervals' coverage.
        embedded_cases: scenes on which the embedded model is read.
        probe_seeds, halvings: of the stability.
        level: false discovery rate of the claims.
    """

    levels: tuple[str, ...] = (*LEVELS, *NEW_LEVELS)
    seeds: int = 5
    cases: int = 240
    causal_items: int = 24
    permutations: int = 100
    draws: int = 500
    epochs: int = 40
    claim_levels: tuple[str, ...] = CLAIM_LEVELS
    claim_seeds: int = 4
    claim_questions: int = 100
    claim_pictures: int = 60
    patch_levels: tuple[str, ...] = PATCH_LEVELS
    patch_seeds: int = 2
    edge_seeds: int = 10
    patch_pairs: int = 24
    emphasis_seeds: int = 4
    pointing_seeds: int = 4
    dependence_seeds: int = 2
    label_permutations: int = 300
    null_permutations: int = 60
    sets: int = 240
    items: int = 60
    replicates: int = 2000
    simulations: int = 4000
    embedded_cases: int = 300
    embedded_functions: tuple[str, ...] = ("spatial_perception", "attribute_perception")
    probe_seeds: int = 5
    halvings: int = 3
    level: float = 0.05
    seed: int = 0
    batch_size: int = 64


QUICK = ValidateSettings(
    levels=("plain", "decoy"),
    seeds=1,
    cases=150,
    causal_items=16,
    permutations=30,
    draws=200,
    epochs=15,
    claim_levels=("early_generalist",),
    claim_seeds=1,
    claim_questions=40,
    claim_pictures=30,
    patch_levels=("redundant",),
    patch_seeds=1,
    edge_seeds=0,
    patch_pairs=8,
    emphasis_seeds=0,
    pointing_seeds=0,
    dependence_seeds=0,
    label_permutations=200,
    null_permutations=40,
    sets=60,
    items=24,
    replicates=500,
    simulations=2000,
    embedded_cases=60,
    embedded_functions=("spatial_perception",),
    probe_seeds=2,
    halvings=1,
)


def settings_for(quick: bool = False, seeds: int | None = None) -> ValidateSettings:
    """The settings of a quick or a full run, with another number of planted models of each level.

    Raises:
        StudyError: ``seeds`` is not positive.
    """
    chosen = QUICK if quick else ValidateSettings()
    if seeds is None:
        return chosen
    if seeds < 1:
        raise StudyError(f"asked for {seeds} planted models of each level; expected at least 1")
    return replace(chosen, seeds=seeds)
