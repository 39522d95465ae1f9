"""Writes the report: one HTML file that needs no network, and the same charts as files for papers."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from headscope.experiments.attention_maps import AttentionMaps
from headscope.report import findings as says
from headscope.report import unanswered
from headscope.report.attention import shown_attention
from headscope.report.case_explorer import explored
from headscope.report.charts import heads
from headscope.report.charts.base import Figure, words
from headscope.report.charts.heads import rankings
from headscope.report.contents import StudyContents, read_contents
from headscope.report.failures import all_failures
from headscope.report.figures import write_figures
from headscope.report.glance import STEPS, glance
from headscope.report.headmap import HeadMap, head_maps, hover_table, top_heads
from headscope.report.method_errors import method_errors
from headscope.report.methods import methods
from headscope.report.paragraph import paragraph
from headscope.report.pictures import WalkedCase, before_after, followed_pairs, walked_case
from headscope.report.run_facts import chosen, commands, facts
from headscope.report.sections import Section, sections
from headscope.report.svg import draw, inline
from headscope.report.theme import number
from headscope.storage import Row, write_atomic

if TYPE_CHECKING:
    from markupsafe import Markup

    from headscope.data.cases import Cases

FILE = "report.html"
_SCRIPTS = ("report.js", "shared.js", "cases.js", "attention.js", "failures.js")
_TAGS = {
    says.HOLDS: "holds",
    says.OPPOSITE: "opposite",
    says.UNCLEAR: "open",
    says.NOT_RUN: "none",
    says.UNTESTABLE: "none",
}


@dataclass(frozen=True)
class Drawn:
    """A figure with its number and its picture."""

    number: int
    figure: Figure
    svg: Markup


def write_report(study_folder: str | Path, *, cases: str | Path | Cases | None = None) -> Path:
    """Turn a study folder into ``report.html`` and ``figures/*.svg|png``.

    Reads only what the stages wrote; a stage that was not run, or a file that cannot be read, is named on the
    page and never an error.

    Args:
        study_folder: folder of the study.
        cases: the cases, or their folder, for example pictures; by default the folder that ``study.json``
            names.

    Returns:
        Path of the page.

    Raises:
        StoreError: the folder cannot be written.
        StudyError: there is no such folder.

    Example:
        >>> write_report("runs/demo")  # doctest: +SKIP
        PosixPath('runs/demo/report.html')
    """
    folder = Path(study_folder)
    study = read_contents(folder, cases)
    parts = sections(study)
    documents = {f.name: draw(f.spec()) for s in parts for f in s.figures}
    page = render(study, parts, documents)
    maps = {f.name: draw(f.spec()) for f in heads.head_maps(study)}
    write_figures(folder / "figures", documents | maps)
    write_atomic(folder / FILE, page)
    return folder / FILE


def render(study: StudyContents, parts: list[Section], documents: dict[str, str]) -> str:
    """The page as text; ``documents`` holds the SVG of every figure by name."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("headscope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = lambda value, digits=1: number(value, digits, sign=True)
    script = "\n".join(asset(name) for name in _SCRIPTS)
    walked = walked_case(study)
    return environment.get_template("report.html.j2").render(
        **_texts(study),
        **_maps(study),
        words=words,
        errors=method_errors(),
        css=Markup(asset("report.css")),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        sections=_drawn(parts, documents),
        anchors={figure.name for part in parts for figure in part.figures},
        walked=walked,
        walked_rows=_walked_rows(walked),
        glance=glance(study),
        glance_steps=_walked_rows(walked)[-STEPS:],
        walked_note=unanswered.WHY if walked and not all(s.answered for s in walked.case.steps) else "",
        explored=explored(study),
        muted_unknown=study.ablation is not None,
        attention=shown_attention(study),
        maps_kept=study.of(AttentionMaps),
        failed=all_failures(study),
        pairs=before_after(study),
        followed=followed_pairs(study),
    )


def _model(name: str, study: StudyContents) -> str:
    """Which model was studied, and how many heads it has."""
    if study.atlas is None:
        return f"The attention heads of the model {name}."
    heads = study.atlas.heads
    layers = {(head.tower, head.layer, head.site) for head in heads}
    return f"The model {name} has {len(heads):,} attention heads in {len(layers)} layers."


def _texts(study: StudyContents) -> Row:
    name = study.model_name or "a vision-language model"
    data = study.record.data.path if study.record else "its cases"
    return {
        "title": f"Attention heads and spatial reasoning: {Path(name).name or name}",
        "model": _model(Path(name).name or name, study),
        "banner": says.banner(study),
        "problems": [*study.problems, *unanswered.note(study)],
        "paragraph": paragraph(study) or "Nothing has been measured on test yet.",
        "findings": says.findings(study),
        "tags": _TAGS,
        "facts": facts(study),
        "chosen": chosen(study),
        "commands": commands(study),
        "methods": methods(study),
        "version": _version(),
        "source": f"{study.folder.name} ({data})",
        "no_pairs": "pointing changed no answer of test."
        if study.cases is not None
        else "the folder of the cases was not found; name it with --data.",
    }


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("headscope")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return ""


def _maps(study: StudyContents) -> Row:
    atlas = study.atlas
    if atlas is None:
        return {"maps": [], "hover": {}, "dotted": False, "boxed": False}
    muted = {f: test.heads for f, test in (study.ablation.functions if study.ablation else {}).items()}
    drawn = rankings(atlas)
    functions = list(dict.fromkeys(f for r in drawn for f in r.scores))
    found: list[tuple[str, list[HeadMap], list[tuple[str, str]]]] = []
    for function in functions:
        best = [
            (r.name, ", ".join(f"{h} {number(v, 3)}" for h, v in top_heads(atlas, r, function, 8)))
            for r in drawn
            if function in r.scores
        ]
        found.append((words(function), head_maps(atlas, function, muted.get(function, ())), best))
    return {
        "maps": found,
        "hover": hover_table(atlas),
        "dotted": any(m.dots for _, row, _ in found for m in row),
        "boxed": any(m.boxes for _, row, _ in found for m in row),
    }


def _drawn(parts: list[Section], documents: dict[str, str]) -> list[Row]:
    from markupsafe import Markup

    count = 0
    found = []
    for part in parts:
        drawn = []
        for figure in part.figures:
            count += 1
            svg = inline(documents[figure.name], figure.name, figure.alt)
            drawn.append(Drawn(count, figure, Markup(svg)))
        found.append(
            {"id": part.id, "title": part.title, "missing": part.missing, "lead": part.lead, "figures": drawn}
        )
    return found


def _walked_rows(walked: WalkedCase | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for row in walked.rows if walked else ():
        if row["truth"] is None:
            rows.append((words(row["function"]), row["question"], "unanswered", "not asked", "–"))
            continue
        answer = "–" if row["answer"] is None else str(row["answer"]).strip() or "(nothing)"
        mark = {True: " ✓", False: " ✗"}.get(row["correct"], "")
        rows.append(
            (
                words(row["function"]),
                row["question"],
                row["truth"],
                answer + mark,
                number(row["margin"], 2, True),
            )
        )
    return rows


def asset(name: str) -> str:
    """The text of a file beside the templates."""
    return resources.files("headscope.report").joinpath("templates", name).read_text("utf-8")
