"""How much a study reads: a few named sizes, each a set of stage settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headscope.errors import StudyError


@dataclass(frozen=True)
class Size:
    """How much every stage reads.

    Attributes:
        name: of the size.
        settings: stage -> its settings by name; what is not named keeps the stage's default.
    """

    name: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


DEMO_FUNCTIONS = (
    *("text_reading", "spatial_perception", "orientation_perception", "relational_reasoning", "counting"),
)

SIZES = {
    # whether every stage runs on a model: nothing in it may be read as a finding
    "smoke": Size(
        "smoke",
        {
            "capture": {"max_new_tokens": 3},
            "probe": {"max_steps": 60, "permutations": 3, "controls": 2, "draws": 20, "epochs": 2},
            "causal": {"max_items": 2},
            "attend": {"max_items": 2},
            "overlay": {"cases": 2},
            "ablate": {
                "draws": 2,
                "random_draws": 2,
                "layer_rounds": 1,
                "neutral_pictures": 1,
                "divergence_items": 1,
                "damage_draws": 1,
                "main_draws": 1,
                "ks": (1,),
                "mutes": ("zero",),
                "scopes": ("all",),
                "select_items": 3,
                "test_items": 3,
                "mean_items": 2,
                "max_new_tokens": 3,
            },
            "emphasize": {
                "scales": (1.5,),
                "strengths": (1.0,),
                "ks": (1,),
                "headroom": (0.0, 100.0),
                "random_sets": 2,
                "select_items": 3,
                "test_items": 3,
                "side_items": 3,
                "max_new_tokens": 3,
            },
            "wake": {
                "max_items": 4,
                "select_items": 2,
                "wrong_names": 2,
                "mediation_draws": 1,
                "max_new_tokens": 3,
            },
        },
    ),
    # a look at whether everything runs: too few draws for a claim
    "quick": Size(
        "quick",
        {
            "probe": {"max_steps": 150, "permutations": 20, "draws": 200, "epochs": 10},
            "causal": {"max_items": 10},
            "attend": {"max_items": 20},
            "overlay": {"cases": 6},
            "ablate": {
                "draws": 20,
                "random_draws": 20,
                "layer_rounds": 1,
                "neutral_pictures": 3,
                "divergence_items": 3,
                "damage_draws": 5,
                "main_draws": 5,
                "ks": (4, 8),
                "select_items": 10,
                "test_items": 15,
                "mean_items": 5,
            },
            "emphasize": {
                "scales": (1.5,),
                "strengths": (1.0,),
                "ks": (4,),
                "random_sets": 10,
                "select_items": 20,
                "test_items": 30,
                "side_items": 15,
            },
            "wake": {"max_items": 60, "select_items": 30, "wrong_names": 20, "mediation_draws": 2},
        },
    ),
    # what `make demo` runs
    "demo": Size(
        "demo",
        {
            "probe": {"max_steps": 250, "permutations": 100},
            "causal": {"max_items": 20},
            "ablate": {
                "functions": DEMO_FUNCTIONS,
                "random_draws": 110,
                "layer_rounds": 1,
                "neutral_pictures": 4,
                "divergence_items": 4,
                "damage_draws": 10,
                "main_draws": 10,
                "ks": (4, 6, 8),
                "select_items": 40,
                "test_items": 100,
            },
            "emphasize": {
                "scales": (1.25, 1.5, 2.0),
                "strengths": (1.0,),
                "ks": (4,),
                "random_sets": 50,
                "select_items": 60,
                "side_items": 30,
            },
            "wake": {
                "max_items": 400,
                "select_items": 80,
                "wrong_names": 60,
                "mediation_items": 100,
                "mediation_draws": 20,
            },
        },
    ),
    # for a paper: more items, the same design
    "full": Size(
        "full",
        {
            "probe": {"max_steps": 1000, "permutations": 1000, "logistic_heads": 8},
            "causal": {"max_items": 100},
            "ablate": {
                "draws": 1000,
                "random_draws": 200,
                "main_draws": 200,
                "test_items": 200,
                "select_items": 100,
            },
            "emphasize": {"random_sets": 200, "test_items": 1000, "select_items": 300, "side_items": 200},
            "wake": {
                "max_items": 3000,
                "select_items": 600,
                "wrong_names": 500,
                "mediation_items": 800,
                "mediation_draws": 50,
            },
        },
    ),
}


def size_named(name: str) -> Size:
    """The size of this name.

    Raises:
        StudyError: there is none.
    """
    if name not in SIZES:
        raise StudyError(f"asked for a study of size {name!r}; there are: {', '.join(SIZES)}")
    return SIZES[name]
