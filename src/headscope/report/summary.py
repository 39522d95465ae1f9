"""summary.json: the study in one small record, and the same as a table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.asking.form import Form, form_of, warnings_of
from headscope.functions import MAIN
from headscope.report.charts.base import words
from headscope.report.measure import accuracy, select
from headscope.report.run_facts import STAGES
from headscope.report.sources import read_study
from headscope.report.stage_views import Estimate
from headscope.report.theme import number, percent
from headscope.report.views import StudyView
from headscope.storage import write_json

if TYPE_CHECKING:
    from headscope.data.cases import Cases

SCHEMA = "headscope/summary/1"
FILE = "summary.json"
Row = dict[str, Any]


def write_summary(study_folder: str | Path, *, cases: str | Path | Cases | None = None) -> Row:
    """Assemble ``summary.json`` from the stages' files and write it into the study folder.

    Accuracies and shares run from 0 to 1; what is named ``points``, and the intervals and control figures
    beside it, is in percentage points; intervals are 95 %; all is read on test. Parts of stages that were not
    run are empty, their numbers null.

    Args:
        study_folder: folder of the study.
        cases: the cases, or their folder; by default the folder that ``study.json`` names. They say which
            cases share a picture.

    Returns:
        The content of ``summary.json`` (schema ``headscope/summary/1``).

    Raises:
        StoreError: the folder cannot be written.
        StudyError: there is no such folder.
    """
    summary = summarise(read_study(study_folder, cases))
    write_json(Path(study_folder) / FILE, summary)
    return summary


def summarise(study: StudyView) -> Row:
    """The summary of a study that has been read."""
    run = study.run
    seconds = {stage: run.seconds.get(stage, 0.0) for stage in STAGES}
    seconds["total"] = run.seconds.get("total", sum(seconds.values()))
    kept = ("name", "revision", "parameters", "layers", "heads")
    joint = study.atlas.joint if study.atlas else {}
    return {
        "schema": SCHEMA,
        "wall_s": seconds,
        "model": {key: run.model.get(key) for key in kept},
        "cases": {split: run.cases.get(split, 0) for split in ("fit", "select", "test")},
        "steps": run.steps,
        **_accuracies(study),
        "form": _form(study),
        "joint_probe": {key: joint.get(key) for key in ("accuracy", "majority", "shuffled")},
        "functional_heads": _heads(study),
        "ablation": _ablation(study),
        "specificity": _specificity(study),
        "emphasis": _emphasis(study),
        "wake": _wake(study),
    }


def _accuracies(study: StudyView) -> Row:
    """Steps after gold steps; the main question after gold steps under ``main``, and by context."""
    found: Row = {}
    for name in [*study.functions, MAIN]:
        rows = select(study, function=name, context="gold") or select(study, function=name)
        if rows:
            found[name] = _json(accuracy(rows))
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


def _form(study: StudyView) -> Row:
    """How probable the choices are together; empty where they were not scored."""
    found = form_of(study.answers or ())
    return found.to_json() if found is not None else {}


def _mean(rows: list[Row]) -> float | None:
    return sum(bool(r["correct"]) for r in rows) / len(rows) if rows else None


def _json(estimate: Estimate) -> Row:
    return {"value": estimate.value, "n": estimate.n, "ci": [estimate.low, estimate.high]}


def _heads(study: StudyView) -> Row:
    if study.atlas is None:
        return {}
    return {
        s.function: {"significant": s.significant, "share": s.share.value, "elbow": s.elbow}
        for s in study.atlas.by(study.atlas.criterion)
    }


def _ablation(study: StudyView) -> Row:
    return {
        t.function: {
            "k": t.k,
            "drop_points": t.drop.value,
            "ci": [t.drop.low, t.drop.high],
            "control_mean": t.mean,
            "control_max": t.greatest,
            "draws": t.draws,
            "distinct": t.distinct,
            "p": t.p,
            "q": t.q,
        }
        for t in (study.ablation.tests if study.ablation else ())
        if t.function == t.measured
    }


def _specificity(study: StudyView) -> Row:
    matrix = study.ablation.specificity if study.ablation else None
    if matrix is None:
        return {"muted": [], "measured": [], "drop_points": []}
    drops = [[None if e is None else 0.0 - e.value for e in line] for line in matrix.change]
    return {"muted": list(matrix.rows), "measured": list(matrix.columns), "drop_points": drops}


def _emphasis(study: StudyView) -> Row:
    view = study.emphasis
    best = next((e for e in view.items if e.function == view.headline), None) if view else None
    if best is None:
        return {}
    return {
        "function": best.function,
        "edit": best.edit,
        "strength": best.strength,
        "delta_points": best.delta.value,
        "ci": [best.delta.low, best.delta.high],
        "worst_side_effect_points": best.worst[1] if best.worst else None,
    }


def _wake(study: StudyView) -> Row:
    wake = study.wake
    both = wake.delta(wake.style) if wake else None
    if wake is None or both is None:
        return {"unread": wake.unread} if wake and wake.unread else {}
    gain = wake.group()

    def points(variant: str, subset: str | None = None) -> float | None:
        found = wake.delta(variant, subset)
        return found.delta.value if found else None

    name = "delta_points_in_training_range"
    in_range = {name: points(wake.style, "in_training_range")} if wake.trained_things else {}
    return {
        wake.style: {
            "delta_points": both.delta.value,
            "ci": [both.delta.low, both.delta.high],
            "random_box_delta_points": points("random_box"),
            "equal_area_delta_points": points("equal_area"),
            "reverse_mask_delta_points": points("reverse_mask"),
            **in_range,
            "head_gain_spatial": gain.spatial.value if gain else None,
            "head_gain_other": gain.other.value if gain else None,
        }
    }


def summary_table(summary: Row) -> Any:
    """The summary as a rich renderable for the terminal.

    Example:
        >>> from rich.console import Console  # doctest: +SKIP
        >>> Console().print(summary_table(write_summary("runs/demo")))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.text import Text

    model, cases = summary["model"], summary["cases"]
    shape = f"{model['layers'] or '?'} layers, {model['heads'] or '?'} heads"
    counts = " / ".join(str(cases[s]) for s in ("fit", "select", "test"))
    head = Text(f"{model['name'] or 'model'} ({shape}); cases fit / select / test: {counts}", style="bold")
    lines = [Text(line) for line in _lines(summary)]
    return Group(head, _function_table(summary), *lines)


def _function_table(summary: Row) -> Any:
    from rich.table import Table

    table = Table(title=None, header_style="bold", pad_edge=False)
    for column in ("", "accuracy", "heads", "k", "muted: points lost", "random heads", "sets", "q"):
        table.add_column(column, justify="left" if not column else "right")
    for name, cell in summary["accuracy"].items():
        heads, muted = summary["functional_heads"].get(name), summary["ablation"].get(name)
        table.add_row(
            words(name),
            f"{percent(cell['value'])} (n = {cell['n']})",
            str(heads["significant"]) if heads else "–",
            str(muted["k"]) if muted else "–",
            _interval(muted["drop_points"], muted["ci"]) if muted else "–",
            number(muted["control_mean"]) if muted else "–",
            str(muted["distinct"]) if muted else "–",
            number(muted["q"], 3) if muted else "–",
        )
    return table


def _lines(summary: Row) -> list[str]:
    """One line for each of the other findings; stages that were not run are said to be so."""
    contexts = [f"{c} {percent(v)}" for c, v in summary["main_by_context"].items() if v is not None]
    lines = [f"Main questions by context: {', '.join(contexts)}"] if contexts else ["Answers: not captured"]
    form = summary.get("form")
    lines += [f"Warning: {said}" for said in (warnings_of(Form(**form)) if form else ())]
    raised, wake = summary["emphasis"], summary["wake"].get("both")
    if raised:
        lines.append(
            f"Emphasis: {words(raised['function'])}, {raised['edit']} {raised['strength']:g}: "
            f"{_interval(raised['delta_points'], raised['ci'], True)} points; worst side effect "
            f"{number(raised['worst_side_effect_points'], 1, True)}"
        )
    if wake:
        controls = ", ".join(
            f"{name.replace('_', ' ')} {number(wake[f'{name}_delta_points'], 1, True)}"
            for name in ("random_box", "equal_area", "reverse_mask")
        )
        lines.append(
            f"Pointing (both): {_interval(wake['delta_points'], wake['ci'], True)} points; controls: "
            f"{controls}"
        )
    if summary["wake"].get("unread"):
        lines.append(f"Pointing: {summary['wake']['unread']}")
    ran = {"emphasize": raised, "wake": summary["wake"], "ablate": summary["ablation"]}
    missing = [name for name, found in ran.items() if not found]
    lines += [f"Not run: {', '.join(missing)}"] if missing else []
    return [*lines, f"Wall time: {number(summary['wall_s']['total'] / 60, 1)} minutes"]


def _interval(value: float, ci: list[float | None], sign: bool = False) -> str:
    return f"{number(value, 1, sign)} [{number(ci[0], 1, sign)}, {number(ci[1], 1, sign)}]"
