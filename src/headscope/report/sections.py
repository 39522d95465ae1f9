"""The page's table of contents: which figures stand where, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headscope.report.charts import (
    ablation,
    accuracy,
    circuit,
    compare,
    emphasis,
    heads,
    patching,
    wake,
    waking,
)
from headscope.report.charts.base import Figure
from headscope.report.contents import StudyContents
from headscope.study.stages import stage_named


@dataclass(frozen=True)
class Section:
    """One part of the page; ``missing`` names the stage that was not run."""

    id: str
    title: str
    figures: tuple[Figure, ...] = ()
    missing: str | None = None
    lead: str = ""


Chart = Callable[[StudyContents], Figure | None]


# Anchor, title, the stage that it needs, its charts. Anchors of sections differ from names of figures.
_CHARTED: tuple[tuple[str, str, str, tuple[Chart, ...]], ...] = (
    (
        "accuracy",
        "How well the model answers",
        "capture",
        (accuracy.by_function, accuracy.by_context, accuracy.by_things, accuracy.held_out),
    ),
    ("maps", "Head maps", "probe", ()),
    (
        "sparsity-section",
        "Sparsity and agreement",
        "probe",
        (heads.scarcity, heads.sparsity, heads.layers, heads.agreement),
    ),
    (
        "muting-section",
        "Muting against controls",
        "ablate",
        (ablation.against_controls, ablation.on_main, ablation.dose, ablation.variants),
    ),
    ("specificity-section", "Specificity", "ablate", (ablation.specificity,)),
    (
        "emphasis-section",
        "Emphasis",
        "emphasize",
        (emphasis.headroom, emphasis.gains, emphasis.side_effects, emphasis.tried),
    ),
    (
        "wake",
        "Pointing at the objects",
        "wake",
        (
            wake.by_style,
            wake.against_controls,
            wake.apart,
            wake.by_crowding,
            wake.by_function,
            waking.head_gain,
            wake.on_select,
        ),
    ),
    (
        "patch",
        "What heads carry",
        "patch",
        (patching.by_position, patching.sets, patching.stand_ins, patching.mirror),
    ),
    ("circuit", "Circuit", "circuit", (circuit.graph,)),
    ("compare", "Another study", "compare", (compare.overlap, compare.over_depth)),
    ("attention", "Attention over the picture", "overlay", ()),
)


def sections(study: StudyContents) -> list[Section]:
    """All parts in order, with the figures that the study has numbers for."""
    found = [Section("glance", "At a glance"), Section("summary", "Summary"), Section("run", "What was run")]
    for name, title, stage, charts in _CHARTED:
        if stage_named(stage).asks and not study.ran(stage):
            continue
        drawn = [chart(study) for chart in charts] if study.ran(stage) else []
        figures = tuple(figure for figure in drawn if figure is not None)
        empty = study.ran(stage) and charts and not figures
        lead = "This stage wrote nothing to show here." if empty else ""
        found.append(Section(name, title, figures, None if study.ran(stage) else stage, lead))
    if study.cases is not None and study.answers:
        found.append(Section("cases", "Case by case"))
    if study.answers:
        found.append(Section("failures", "All failures"))
    return [*found, Section("methods", "Methods and caveats")]
