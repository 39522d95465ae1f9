"""The page's table of contents: which figures stand where, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headscope.report.charts import ablation, accuracy, emphasis, heads, wake
from headscope.report.charts.base import Figure
from headscope.report.views import StudyView


@dataclass(frozen=True)
class Section:
    """One part of the page; ``missing`` names the stage that was not run."""

    id: str
    title: str
    figures: tuple[Figure, ...] = ()
    missing: str | None = None
    lead: str = ""


Chart = Callable[[StudyView], Figure | None]


def sections(study: StudyView) -> list[Section]:
    """All parts in order, with the figures that the study has numbers for."""
    answered, mapped = study.answers is not None, study.atlas is not None
    muted, raised, pointed = study.ablation is not None, study.emphasis is not None, study.wake is not None
    return [
        Section("summary", "Summary"),
        Section("run", "What was run"),
        _section(
            "accuracy",
            "How well the model answers",
            study,
            [accuracy.by_function, accuracy.by_context, accuracy.by_things, accuracy.held_out],
            None if answered else "capture",
        ),
        Section("maps", "Head maps", missing=None if mapped else "probe"),
        _section(
            "sparsity-section",
            "Sparsity and agreement",
            study,
            [heads.scarcity, heads.sparsity, heads.layers, heads.agreement],
            None if mapped else "probe",
        ),
        _section(
            "muting-section",
            "Muting against controls",
            study,
            [ablation.against_controls, ablation.on_main, ablation.dose, ablation.variants],
            None if muted else "ablate",
        ),
        _section(
            "specificity-section",
            "Specificity",
            study,
            [ablation.specificity],
            None if muted else "ablate",
        ),
        _section(
            "emphasis-section",
            "Emphasis",
            study,
            [emphasis.gains, emphasis.side_effects, emphasis.tried],
            None if raised else "emphasize",
        ),
        _section(
            "wake",
            "Pointing at the objects",
            study,
            [
                wake.by_style,
                wake.against_controls,
                wake.by_crowding,
                wake.by_function,
                wake.head_gain,
                wake.on_select,
            ],
            None if pointed else "wake",
        ),
        Section("methods", "Methods and caveats"),
    ]


def _section(
    name: str,
    title: str,
    study: StudyView,
    charts: Sequence[Chart],
    missing: str | None,
) -> Section:
    figures = [] if missing else [figure for chart in charts if (figure := chart(study)) is not None]
    empty = not figures and not missing
    return Section(name, title, tuple(figures), missing, "This stage wrote nothing to show here." if empty else "")

