"""Defaults of the experiments, in one place; every value is written into the artefacts."""

from __future__ import annotations

from dataclasses import dataclass

from headscope.models.types import SCOPES


@dataclass(frozen=True)
class CausalSettings:
    """Defaults of :func:`causal_scores`.

    Attributes:
        max_items: items per function, all on ``split``.
        split: never ``test`` where the scores choose heads.
        scope: positions at which a head is muted.
    """

    max_items: int = 24
    split: str = "select"
    scope: str = "all"
    rows: int = 128
    max_new_tokens: int = 8


@dataclass(frozen=True)
class AblationSettings:
    """Defaults of :func:`ablate`; cost is counted in answers of the model.

    Attributes:
        functions: those that are tested; the others are only measured beside them. Empty: all.
        draws: control head sets per function on ``test`` (functions x draws x test_items).
        random_draws: random head sets of the same layers that may share heads with those under test; each is
            put through the claim's own test too. p is 1 / (1 + random_draws) at least, so that with F
            functions fewer than F / alpha of them can hide what is there.
        layer_rounds, layer_limit: how often each layer's heads are parted at random into quarters that are
            muted on ``select``, and the points of forced choice, averaged over functions and quarters, above
            which a layer's heads are not taken.
        unreadable_limit, divergence_limit: general damage above which nothing is claimed: points more of
            unreadable answers; nats of KL(clean || muted) of first tokens beyond random sets' mean.
        neutral_pictures, divergence_items, damage_draws: pictures shown with neutral prompts, questions of
            each other function, and random sets, that general damage is measured on.
        main_draws: control head sets for the main questions, for functions of the spatial group only, and for
            each function's steps asked alone.
        ks: how many heads are tried.
        rankings: which rankings of the atlas are tried, and ``specific`` (the causal score minus its mean
            over the other functions); those that are not there are left out.
        mutes: names of ``NAMED_EDITS`` (:mod:`headscope.edits.named`), and ``resample`` (z of another case
            asked in the same words); ``small`` is the factor of ``small``.
        scopes: positions for zero muting of the frozen heads.
        select_items, test_items: items per function; mean_items: items per function for the mean;
            resample_items: among which another case is looked for, on ``fit``.
        held_out: whether cases new to the embedded model come in (their results are shown apart otherwise).
        alpha: level of a claim.
    """

    functions: tuple[str, ...] = ()
    draws: int = 200
    random_draws: int = 200
    layer_rounds: int = 2
    layer_limit: float = 5.0
    unreadable_limit: float = 10.0
    divergence_limit: float = 0.5
    neutral_pictures: int = 8
    divergence_items: int = 6
    damage_draws: int = 20
    main_draws: int = 20
    ks: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16)
    rankings: tuple[str, ...] = ("joint", "independent", "causal", "specific", "patching")
    mutes: tuple[str, ...] = ("zero", "small", "mean", "resample")
    small: float = 0.01
    scopes: tuple[str, ...] = SCOPES
    main_contexts: tuple[str, ...] = ("alone", "gold")
    select_items: int = 24
    test_items: int = 100
    mean_items: int = 10
    resample_items: int = 200
    held_out: bool = False
    alpha: float = 0.05
    rows: int = 128
    max_new_tokens: int = 8


@dataclass(frozen=True)
class EmphasisSettings:
    """Defaults of :func:`emphasize`.

    Attributes:
        scales: factors to turn heads up by, at ``scale_scope`` (``all`` can be baked).
        strengths: steering strengths, at ``steer_scope``; 1 adds as much as a head puts out.
        ks: how many of the best heads are tried, beside the heads frozen by the ablation.
        ranking: which ranking of the atlas; empty: the atlas's default one, else its first.
        readout: which captured z the steering direction is taken from.
        headroom: least and greatest accuracy on ``select`` (percent) of a function that is tried: above,
            there is nothing to gain; below, there may be nothing to turn up.
        random_sets: random head sets of the same layers that are turned up alike.
        select_items, test_items: questions of each function that is tried; side_items: of every function and
            of the main questions, for side effects.
        held_out: whether cases new to the embedded model come in.
        alpha: level of a claim.
    """

    scales: tuple[float, ...] = (1.25, 1.5, 2.0, 3.0)
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0)
    ks: tuple[int, ...] = (4, 8)
    ranking: str = ""
    readout: str = "prompt_last"
    scale_scope: str = "all"
    steer_scope: str = "answer"
    main_contexts: tuple[str, ...] = ("alone", "gold")
    headroom: tuple[float, float] = (40.0, 85.0)
    random_sets: int = 60
    select_items: int = 100
    test_items: int = 300
    side_items: int = 100
    held_out: bool = False
    alpha: float = 0.05
    rows: int = 128
    max_new_tokens: int = 8
