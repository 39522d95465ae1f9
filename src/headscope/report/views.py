"""What the report knows of a study, in one plain form, whatever shape the stages' own files have."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.functions import DEFAULT, Taxonomy
from headscope.models.training_facts import TrainingFacts
from headscope.report.stage_views import AblationView, EmphasisView, Estimate, WakeView

if TYPE_CHECKING:
    from headscope.data.cases import Cases


@dataclass(frozen=True)
class Run:
    """What was run, on what, and with what."""

    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)  # cases per split
    steps: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)  # wall time per stage
    chosen: dict[str, Any] = field(default_factory=dict)  # choices.json
    training: TrainingFacts = field(default_factory=TrainingFacts)  # what the model states of its training


@dataclass(frozen=True)
class HeadScores:
    """One ranking: a score per head (flat order) for each function."""

    name: str  # joint, independent, causal
    unit: str  # what a score is
    signed: bool
    scores: dict[str, list[float | None]]


@dataclass(frozen=True)
class Sparsity:
    """How few heads serve a function, by one criterion."""

    function: str
    criterion: str  # joint, independent, answer, decoding, causal
    significant: int
    share: Estimate  # 0..1
    gini: float | None
    elbow: int | None  # heads before the elbow of the joint probe's importance
    by_layer: tuple[int, ...] = ()  # heads per row of the head map


@dataclass(frozen=True)
class Scarcity:
    """Share of heads for spatial functions minus that for others, by one criterion."""

    criterion: str
    difference: Estimate  # 0..1
    spatial: float | None
    other: float | None
    p: float | None


@dataclass(frozen=True)
class AtlasView:
    """Heads x functions."""

    heads: tuple[str, ...]  # labels in flat order
    rows: tuple[str, ...]  # layer labels
    places: tuple[tuple[int, int], ...]  # (row, column) of each head
    rankings: tuple[HeadScores, ...]
    selected: dict[str, dict[str, list[bool]]]  # criterion -> function -> per head
    sparsity: tuple[Sparsity, ...] = ()
    scarcity: tuple[Scarcity, ...] = ()
    correlations: tuple[dict[str, Any], ...] = ()  # {function, a, b, rho}
    joint: dict[str, float] = field(default_factory=dict)  # accuracy, majority, shuffled (0..1)
    criterion: str = "decoding"  # the default one
    level: float = 0.05
    readout: str = ""
    contexts: tuple[str, ...] = ()

    def by(self, criterion: str) -> list[Sparsity]:
        """Sparsity of every function by one criterion."""
        return [s for s in self.sparsity if s.criterion == criterion]


@dataclass(frozen=True)
class StudyView:
    """All of a study that the page shows; a stage that was not run is None."""

    folder: Path
    run: Run
    answers: tuple[dict[str, Any], ...] | None = None
    atlas: AtlasView | None = None
    ablation: AblationView | None = None
    emphasis: EmphasisView | None = None
    wake: WakeView | None = None
    problems: tuple[str, ...] = ()  # files that could not be read, in words
    taxonomy: Taxonomy = DEFAULT
    cases: Cases | None = None  # for pictures

    @property
    def functions(self) -> list[str]:
        """Functions of the taxonomy that occur, then others found in the answers."""
        known = list(self.taxonomy.functions)
        found = {row["function"] for row in self.answers or ()}
        extra = sorted(found - set(known) - {"main"})
        return [f for f in known if f in found or not found] + extra
