"""The table of stages: what a study runs, in which order, with which settings, and what comes out.

A new stage is one file, with its settings, its result and the function that makes it, and one row here: the
commands, ``run``, the progress, ``done/`` and the documents of file formats read this table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.errors import StudyError

if TYPE_CHECKING:
    from headscope.records import Artefact
    from headscope.study.sizes import Size


@dataclass(frozen=True)
class Stage:
    """One row.

    Attributes:
        name: of the stage, its command and its mark in ``done/``.
        text: what it does, for people.
        needs: stages that it rests on; their results are handed to it in this order.
        file: its result, in the study folder.
        home: module of the next three; imported when the stage is used.
        run: name of the function ``(context, *results of needs, settings) -> result``, which also writes it.
        settings: name of its frozen dataclass of settings.
        result: name of its :class:`headscope.records.Artefact`.
        asks: a setting that has to be given; where it is not, ``run`` goes on without the stage.
        again: whether it is made anew whenever it is asked for.
        finish: name of a function ``(context)`` called once the stage's seconds are known.
        keeps: files and folders of the study that are this stage's alone.
        freezes: what it is called in ``choices.json``, if it chooses anything there.
        one_picture: it refuses cases with several pictures; ``run`` goes on without it, and says so.
    """

    name: str
    text: str
    needs: tuple[str, ...]
    file: str
    home: str
    run: str
    settings: str
    result: str
    asks: str = ""
    again: bool = False
    finish: str = ""
    keeps: tuple[str, ...] = ()
    freezes: str = ""
    one_picture: bool = False

    @property
    def work(self) -> Callable[..., Artefact]:
        """The function that makes the result."""
        return self._named(self.run)

    @property
    def result_type(self) -> type[Artefact]:
        """The type of the result."""
        return self._named(self.result)

    @property
    def settings_type(self) -> type[Any]:
        """The type of the settings."""
        return self._named(self.settings)

    def load(self, study_folder: Path) -> Artefact:
        """Read the result.

        Raises:
            StoreError: it is not there, or not as the stage wrote it.
        """
        return self.result_type.load(study_folder / self.file)

    def finished(self) -> Callable[[Any], None]:
        """What is called once the stage's seconds are known."""
        return self._named(self.finish) if self.finish else lambda _: None

    def _named(self, name: str) -> Any:
        return getattr(import_module(self.home), name)


STAGES = (
    Stage(
        "capture",
        "Ask every question; keep answers and what every head put out.",
        needs=(),
        file="capture/plan.json",
        home="headscope.study.first_stages",
        run="capture",
        settings="CaptureSettings",
        result="CapturePlan",
        keeps=("capture", "capture-blank"),
    ),
    Stage(
        "causal",
        "Mute every head alone; what that costs each function is its causal score.",
        needs=(),
        file="causal.json",
        home="headscope.experiments.causal",
        run="causal_scores",
        settings="CausalSettings",
        result="CausalScores",
        keeps=("causal.json", "causal"),
    ),
    Stage(
        "attend",
        "See how much of each head's attention falls on what questions name.",
        needs=(),
        file="attention.json",
        home="headscope.experiments.named_attention",
        run="attention_scores",
        settings="AttentionSettings",
        result="AttentionScores",
        keeps=("attention.json", "attend"),
    ),
    Stage(
        "patch",
        "Carry heads' output between two pictures that differ in one fact (--set patch.pairs=FOLDER).",
        needs=(),
        file="patch.json",
        home="headscope.experiments.patching.experiment",
        run="patch",
        settings="PatchSettings",
        result="PatchResult",
        asks="pairs",
        keeps=("patch.json", "patch.parquet", "patch"),
    ),
    Stage(
        "probe",
        "Rank all heads by function: probes, and beside them causal score and attention.",
        needs=("capture", "causal"),
        file="probe/atlas.json",
        home="headscope.study.first_stages",
        run="probe",
        settings="ProbeSettings",
        result="Atlas",
        keeps=("probe",),
    ),
    Stage(
        "ablate",
        "Mute each function's heads against random controls.",
        needs=("probe",),
        file="ablation.json",
        home="headscope.experiments.ablation",
        run="ablate",
        settings="AblationSettings",
        result="AblationResult",
        keeps=(
            *("ablation.json", "ablation.parquet", "ablate"),
            *("ablation-answers.json", "ablation-answers.parquet"),
        ),
        freezes="ablation",
    ),
    Stage(
        "emphasize",
        "Turn each function's heads up, or steer them.",
        needs=("probe", "ablate"),
        file="emphasis.json",
        home="headscope.experiments.emphasis",
        run="emphasize",
        settings="EmphasisSettings",
        result="EmphasisResult",
        keeps=("emphasis.json", "emphasis.parquet", "emphasize"),
        freezes="emphasis",
    ),
    Stage(
        "wake",
        "Point at the named objects in the picture; see which heads wake.",
        needs=("probe", "ablate"),
        file="wake.json",
        home="headscope.experiments.waking.experiment",
        run="wake",
        settings="WakeSettings",
        result="WakeResult",
        keeps=("wake.json", "wake.parquet", "wake"),
        freezes="wake",
        one_picture=True,
    ),
    Stage(
        "circuit",
        "Which head reads what which other wrote, among those that `patch` found (--function NAME).",
        needs=("patch",),
        file="circuit.json",
        home="headscope.experiments.patching.circuit",
        run="circuit",
        settings="CircuitSettings",
        result="CircuitResult",
        asks="function",
        keeps=("circuit.json", "circuit"),
    ),
    Stage(
        "compare",
        "Hold the ranking of heads against that of another study (--set compare.other=FOLDER).",
        needs=("probe",),
        file="compare.json",
        home="headscope.experiments.compare",
        run="compare_stage",
        settings="CompareSettings",
        result="CompareResult",
        keeps=("compare.json",),
        asks="other",
    ),
    Stage(
        "paper",
        "Do what arXiv 2603.20662 did, beside its figures (headscope run --protocol paper).",
        needs=("probe",),
        file="paper.json",
        home="headscope.experiments.paper",
        run="paper",
        settings="PaperSettings",
        result="PaperResult",
        keeps=("paper.json", "paper"),
        asks="protocol",
        one_picture=True,
    ),
    Stage(
        "overlay",
        "Keep where in the picture every head attends, for a few cases of test.",
        needs=("capture",),
        file="overlay.json",
        home="headscope.experiments.attention_maps",
        run="attention_maps",
        settings="OverlaySettings",
        result="AttentionMaps",
        keeps=("overlay.json", "overlay.parquet", "overlay"),
    ),
    Stage(
        "report",
        "Write summary.json, report.html and the figures.",
        needs=(),
        file="summary.json",
        home="headscope.report.stage",
        run="report",
        settings="ReportSettings",
        result="Summary",
        keeps=("summary.json", "report.html", "figures"),
        again=True,
        finish="write_seconds",
    ),
)
NAMES = tuple(stage.name for stage in STAGES)


def stage_named(name: str) -> Stage:
    """The row of this name.

    Raises:
        StudyError: there is none.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise StudyError(f"asked for the stage {name!r}; there are: {', '.join(NAMES)}")


def stage_settings(name: str, size: Size, given: Mapping[str, Any] | None = None) -> Any:
    """Settings of a stage: its defaults, what the size says, what was given.

    Raises:
        StudyError: an option that the stage does not have, or a value that is not of its kind.
    """
    from pydantic import TypeAdapter, ValidationError

    from headscope.experiments.context import checked

    kind = stage_named(name).settings_type
    values = {**size.settings.get(name, {}), **(given or {})}
    checked(kind, values, name)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        hint = _as_list(f"{name}.{where}", first["input"]) if first["type"] == "tuple_type" else ""
        raise StudyError(f"{name}.{where}: {first['msg'].lower()}, found {first['input']!r}{hint}") from exc


def _as_list(option: str, given: object) -> str:
    """How a list is said on the command line, with what was given for it."""
    parts = [part.strip() for part in given.split(",")] if isinstance(given, str) else [given]
    return f"; say --set {option}='{json.dumps(parts)}'"
