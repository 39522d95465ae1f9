"""Assembles ``summary.json`` from the results of a study's stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headscope.asking.form import form_of
from headscope.experiments.emphasis_result import Headline
from headscope.experiments.waking.questions import BOTH
from headscope.experiments.waking.summary_records import PointingSummary
from headscope.functions import MAIN
from headscope.probing.atlas import Atlas
from headscope.report.chain import ChainCell
from headscope.report.charts.wake import unread
from headscope.report.contents import StudyContents, read_contents
from headscope.report.measure import accuracy, select
from headscope.report.run_facts import STAGES
from headscope.report.study_summary import (
    FILE,
    AccuracyCell,
    ClaimCell,
    EmphasisCell,
    HeadsCell,
    JointCell,
    MutingCell,
    RandomSetsCell,
    ScarcityCell,
    SpecificityCell,
    Summary,
    SummaryModel,
    WakeCell,
)
from headscope.storage import Row
from headscope.study.evaluation_result import AnswerForm
from headscope.study.record import SplitCounts

if TYPE_CHECKING:
    from headscope.data.cases import Cases


def write_summary(study_folder: str | Path, *, cases: str | Path | Cases | None = None) -> Summary:
    """Assemble ``summary.json`` from the stages' results and write it into the study folder.

    Args:
        study_folder: folder of the study.
        cases: the cases, or their folder; by default the folder that ``study.json`` names. They say which
            cases share a picture.

    Raises:
        StoreError: the folder cannot be written.
        StudyError: there is no such folder.
    """
    summary = summarise(read_contents(study_folder, cases))
    summary.save(Path(study_folder) / FILE)
    return summary


def summarise(study: StudyContents) -> Summary:
    """The summary of a study that has been read."""
    seconds = {stage: study.seconds.get(stage, 0.0) for stage in STAGES}
    seconds["total"] = study.seconds.get("total", sum(seconds.values()))
    record, atlas = study.record, study.atlas
    tests = study.ablation.functions if study.ablation else {}
    names = ("name", "revision", "parameters", "layers", "heads")
    return Summary(
        wall_s=seconds,
        model=SummaryModel(**{k: getattr(record.model, k) if record else None for k in names}),
        cases=record.cases if record else SplitCounts(fit=0, select=0, test=0),
        steps=record.steps if record else 0,
        **_accuracies(study),
        chain=ChainCell.of(study),
        form=_form(study),
        joint_probe=JointCell.of(atlas.joint if atlas else {}),
        functional_heads=_heads(atlas) if atlas else {},
        scarcity=_scarcity(atlas) if atlas else ScarcityCell(),
        ablation={f: MutingCell.of(test) for f, test in tests.items()},
        claims=tuple(ClaimCell.of(f, test) for f, test in tests.items()),
        random_sets_claimed=RandomSetsCell.of(tests.values()),
        specificity=_specificity(study),
        emphasis=_emphasis(study),
        wake=_wake(study),
        pointing=study.wake.summary.pointing if study.wake else PointingSummary(),
    )


def _accuracies(study: StudyContents) -> Row:
    """Steps after gold steps; the main question after gold steps under ``main``, and by context."""
    found: dict[str, AccuracyCell] = {}
    for name in [*study.functions, MAIN]:
        rows = select(study, function=name, context="gold") or select(study, function=name)
        if rows:
            share = accuracy(rows)
            found[name] = AccuracyCell(value=share.value, n=share.n, ci=(share.low, share.high))
    steps = [
        r for r in select(study, context="gold") if r["function"] != MAIN and r.get("things") is not None
    ]
    counts = sorted({int(r["things"]) for r in steps})
    contexts = {c: select(study, function=MAIN, context=c) for c in ("alone", "gold", "own")}
    return {
        "accuracy": found,
        "accuracy_by_things": {str(n): _mean([r for r in steps if r["things"] == n]) for n in counts},
        "main_by_context": {c: _mean(rows) for c, rows in contexts.items()},
    }


def _form(study: StudyContents) -> AnswerForm | Row:
    """How probable the choices are together; empty where they were not scored."""
    found = form_of(study.answers or ())
    if found is None:
        return {}
    return AnswerForm(
        n=found.n,
        median=found.median,
        below_1_percent=found.below_1_percent,
        thoughts=found.thoughts,
    )


def _mean(rows: list[Row]) -> float | None:
    return sum(bool(r["correct"]) for r in rows) / len(rows) if rows else None


def _heads(atlas: Atlas) -> dict[str, HeadsCell]:
    elbows = atlas.elbow.get("joint", {})
    return {
        f: HeadsCell(significant=found.significant, share=found.share, elbow=elbows.get(f))
        for f, found in atlas.sparsity.get(atlas.default_criterion, {}).items()
    }


def _scarcity(atlas: Atlas) -> ScarcityCell:
    found = atlas.default_scarcity
    few = atlas.sparsity.get(atlas.default_criterion, {})
    return ScarcityCell(
        difference=found.difference if found else None,
        relabel_p=found.relabel_p if found else None,
        effective_heads={f: cell.effective for f, cell in few.items()},
    )


def _specificity(study: StudyContents) -> SpecificityCell:
    table = study.ablation.specificity if study.ablation else None
    names = ("muted", "measured", "drop_points")
    return SpecificityCell(**{k: getattr(table, k) if table else () for k in names})


def _emphasis(study: StudyContents) -> EmphasisCell:
    made = study.emphasis
    if made is None:
        return EmphasisCell()
    best = made.headline
    if best is None:
        return EmphasisCell(testable=False, reason=made.untestable)
    kept = set(EmphasisCell.model_fields) & set(Headline.model_fields)
    values = {name: getattr(best, name) for name in kept}
    return EmphasisCell(testable=True, clean=best.accuracy_clean, **values)


def _wake(study: StudyContents) -> WakeCell:
    wake = study.wake
    if wake is None:
        return WakeCell()
    table = wake.test.get(BOTH)
    if table is None or table.all is None:
        why = unread(wake)
        return WakeCell(unread=why) if why else WakeCell()
    return WakeCell(both=wake.summary.both)
