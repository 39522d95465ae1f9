"""The few numbers of the wake experiment for the study's summary, and what has to be said beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headscope.experiments.waking.comparison import Readings
from headscope.experiments.waking.questions import BOTH
from headscope.experiments.waking.wake_result import (
    BothSummary,
    Comparison,
    Gains,
    Population,
    VariantTable,
    WakeSummary,
)

_BOXES = "Boxes come from the cases, not from a detector; a detector would miss some objects."
_KNOWN_RANGE = (
    "Masking can help because it brings a crowded picture back to the number of things that the model was "
    "trained on; compare the ranges, and equal_area, which keeps all things and masks background."
)
_UNKNOWN_RANGE = (
    "Masking can help because fewer things are left to confuse; compare equal_area, which keeps all things "
    "and masks background."
)
_CAVEATS = (
    "No mask of the spotlight's area other than the spotlight itself leaves the named objects visible; "
    "equal_area masks the background alone, share_of_spotlight_area says how much that is, and "
    "equal_area_pair masks just as much, distractors first.",
    "Questions that also need things they do not name (counts, 'what is left of the cup') are left out of "
    "the comparison, because masking hides their answer; by_pointing shows them.",
    "A named object that is absent gets a decoy box, so that a box does not tell presence.",
    "A longer contribution or more attention says that a head does more, not that the answer rests on it.",
)


def caveats(range_known: bool) -> tuple[str, ...]:
    """What has to be said beside the numbers.

    Args:
        range_known: whether it is known how many things the model was trained on.
    """
    return (_BOXES, _KNOWN_RANGE if range_known else _UNKNOWN_RANGE, *_CAVEATS)


def contrasts(readings: Readings, controls: Sequence[str]) -> dict[str, dict[str, Comparison | None]]:
    """``both`` minus each control on the same questions, by population; and within the pair of equal area."""
    pairs = [(BOTH, control) for control in controls]
    if {"equal_area", "equal_area_pair"} <= set(controls):
        pairs.append(("equal_area_pair", "equal_area"))
    masks = {name: readings.mask(test) for name, test in readings.populations.items()}
    return {
        f"{a} - {b}": {name: readings.compare(a, b, mask) for name, mask in masks.items()} for a, b in pairs
    }


def summary(
    tables: Mapping[str, VariantTable], gains: Mapping[str, Mapping[str, Gains | None]]
) -> WakeSummary:
    """The block ``wake`` of the study's ``summary.json``.

    All numbers of ``both`` are over one population: questions on pictures with more things than the model was
    trained on, where that is known and the data has any, else all. ``population`` says which.
    """
    population: Population = "beyond" if tables[BOTH].beyond else "all"

    def delta(variant: str, name: str = population) -> float | None:
        found = tables[variant].population(name) if variant in tables else None
        return found.delta_points if found else None

    ranged = "in_training_range" in tables[BOTH].model_fields_set
    in_range: dict[str, Any] = (
        {"delta_points_in_training_range": delta(BOTH, "in_training_range")} if ranged else {}
    )
    both = tables[BOTH].population(population)
    woken = gains[BOTH].get(population)
    part = woken.contribution if woken else None
    return WakeSummary(
        population=population,
        n=both.n if both else 0,
        both=BothSummary(
            delta_points=delta(BOTH),
            ci=both.ci if both else None,
            random_box_delta_points=delta("random_box"),
            equal_area_delta_points=delta("equal_area"),
            reverse_mask_delta_points=delta("reverse_mask"),
            **in_range,
            head_gain_spatial=part.spatial.value if part else None,
            head_gain_other=part.other.value if part else None,
        ),
    )
