"""The few numbers of the wake experiment for the study's summary, and what has to be said beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headscope.experiments.waking.comparison import Readings
from headscope.experiments.waking.gain_records import Gains
from headscope.experiments.waking.questions import BOTH
from headscope.experiments.waking.summary_records import (
    BothSummary,
    PointingControls,
    PointingHeadline,
    PointingLeaky,
    PointingSummary,
    WakeSummary,
)
from headscope.experiments.waking.wake_result import Comparison, Mediation, VariantTable, WrongName

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
    "Questions that a box or window answers by itself (where one thing is, whether it is there) are left out "
    "of the comparison and shown apart.",
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
    found = {}
    for a, b in pairs:
        on = readings.on(b)
        found[f"{a} - {b}"] = {name: on.compare(a, b, on.mask(test)) for name, test in on.populations.items()}
    return found


def summary(
    tables: Mapping[str, VariantTable],
    gains: Mapping[str, Mapping[str, Gains | None]],
    named: WrongName,
    left: Mediation,
) -> WakeSummary:
    """The blocks ``wake`` and ``pointing`` of the study's ``summary.json``.

    All numbers are over all questions of ``test`` that test pointing, but those of ``leaky``.
    """
    both = tables[BOTH]
    ranged = "in_training_range" in both.model_fields_set
    in_range: dict[str, Any] = (
        {"delta_points_in_training_range": _delta(both.in_training_range)} if ranged else {}
    )
    woken = gains[BOTH].get("all")
    part = woken.contribution if woken else None
    return WakeSummary(
        both=BothSummary(
            delta_points=_delta(both.all),
            ci=both.all.ci if both.all else None,
            random_box_delta_points=_control(tables, "random_box"),
            equal_area_delta_points=_control(tables, "equal_area"),
            reverse_mask_delta_points=_control(tables, "reverse_mask"),
            **in_range,
            head_gain_spatial=part.spatial.value if part else None,
            head_gain_other=part.other.value if part else None,
        ),
        pointing=PointingSummary(
            headline=_headline(both.all),
            controls=PointingControls(
                equal_area=_control(tables, "equal_area"),
                other_boxes=_control(tables, "other_boxes"),
                empty_window=_control(tables, "empty_window"),
                wrong_name=named.delta_points,
                wrong_name_share=named.share,
            ),
            leaky=PointingLeaky(n=both.leaky.n if both.leaky else 0, delta_points=_delta(both.leaky)),
            with_spatial_heads_muted=_delta(left.muted),
        ),
    )


def _headline(found: Comparison | None) -> PointingHeadline:
    if found is None:
        return PointingHeadline()
    return PointingHeadline(
        n=found.n,
        pictures=found.images,
        plain=found.accuracy_before,
        delta_points=found.delta_points,
        ci=found.ci,
        forced_delta_points=found.forced_points,
        forced_ci=found.forced_ci,
    )


def _control(tables: Mapping[str, VariantTable], name: str) -> float | None:
    return _delta(tables[name].all) if name in tables else None


def _delta(found: Comparison | None) -> float | None:
    return found.delta_points if found else None
