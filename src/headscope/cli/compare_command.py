"""``headscope compare A B``: two studies or atlases side by side, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from headscope.cli.output import say, tell
from headscope.cli.text_tables import check_format, text_table
from headscope.errors import StudyError

if TYPE_CHECKING:
    from headscope.experiments.compare_result import ClaimSide, CompareResult, FunctionComparison
    from headscope.records import JsonObject

_TAKES = {"study", "settings", "form", "page"}  # what `headscope compare` has of its own, with or without A B


def is_pair(context: typer.Context, study: Path | None, form: str | None, page: Path | None = None) -> bool:
    """Whether two studies are named rather than one whose stage is to be run.

    Raises:
        StudyError: neither, or both.
    """
    named, how = context.args, "`headscope compare A B`"
    if not named and study is None:
        raise StudyError(
            f"compare: name two studies, {how}, or one whose report is to show the other: "
            "`headscope compare --study A --set compare.other=B`"
        )
    if not named:
        if form is not None:
            raise StudyError(f"--format is for {how}; a study's stage writes compare.json")
        if page is not None:
            raise StudyError(f"--html is for {how}; a study's stage writes compare.json, its report the page")
        return False
    if len(named) != 2:
        raise StudyError(f"compare: found {' '.join(named)}; expected two studies or atlases: {how}")
    given = [
        name
        for name in context.params
        if str(getattr(context.get_parameter_source(name), "name", "")) == "COMMANDLINE"
    ]
    other = [name for name in given if name not in _TAKES]
    if study is not None or other:
        option = "study" if study is not None else other[0].replace("_", "-")
        raise StudyError(f"{how}: takes --format, --html and --set compare.NAME=VALUE; found --{option}")
    return True


def compare_two(
    named: Sequence[str], settings: Mapping[str, JsonObject], form: str, page: Path | None = None
) -> None:
    """Print the table of functions, and write the page where one is asked for.

    Raises:
        StudyError: what cannot be compared; a setting that a comparison does not have.
    """
    from headscope.experiments.comparing import compare
    from headscope.study.sizes import size_named
    from headscope.study.stages import stage_settings

    check_format(form)
    other = sorted(set(settings) - {"compare"})
    if other or "other" in settings.get("compare", {}):
        name = f"{other[0]}." if other else "compare.other="
        raise StudyError(
            f"--set {name}...: `headscope compare A B` takes compare.ranking, heads, bins, draws"
        )
    asked = stage_settings("compare", size_named("demo"), settings.get("compare", {}))
    a, b = (Path(name) for name in named)
    found = compare(a, b, ranking=asked.ranking, heads=asked.heads, bins=asked.bins, draws=asked.draws)
    tell(text_table(rows_of(found), form))
    say(f"here: {a}, {_about(found, 'here')}; there: {b}, {_about(found, 'there')}; by {found.ranking}")
    for name, why in found.skipped.items():
        say(f"{name}: left out, {why}")
    if not found.same_heads:
        say("the models have not the same heads, so that they are compared over relative depth alone")
    if page is not None:
        from headscope.report.beside import write_comparison

        say(f"page: {write_comparison(found, a, b, page)}")


def rows_of(found: CompareResult) -> list[list[str]]:
    """The table, its head first."""
    head = ["function", "rho over heads", "n", "heads in common", "by chance", "p", "which"]
    head += ["rho over depth", "parts", "claimed here", "claimed there", "points lost here", "there"]
    rows = [head]
    for name in dict.fromkeys([*found.functions, *found.claims]):
        sides = found.claims.get(name)
        here, there = (sides.here, sides.there) if sides else (None, None)
        claims = [_claimed(here), _claimed(there), _points(here), _points(there)]
        rows.append([name.replace("_", " "), *_ranked(found.functions.get(name)), *claims])
    return rows


def _ranked(found: FunctionComparison | None) -> list[str]:
    if found is None:
        return ["–"] * 8
    heads, shared, depth = found.over_heads, found.overlap, found.over_depth
    over_depth = [_interval(depth.rho, depth.ci), str(depth.n)]
    if heads is None or shared is None:
        return [*["–"] * 6, *over_depth]
    common = [f"{shared.shared} of {shared.k}", f"{shared.k * shared.expected:.1f}", _number(shared.p, 3)]
    return [
        *(_interval(heads.rho, heads.ci), str(heads.n)),
        *common,
        " ".join(shared.heads) or "none",
        *over_depth,
    ]


def _claimed(side: ClaimSide | None) -> str:
    if side is None:
        return "–"
    return "yes" if side.claimed else side.verdict.split(":")[0]


def _points(side: ClaimSide | None) -> str:
    return "–" if side is None else f"{_interval(side.drop_points, side.ci, 1)} (n = {side.n})"


def _interval(value: float | None, ci: tuple[float | None, float | None], digits: int = 2) -> str:
    return f"{_number(value, digits)} [{_number(ci[0], digits)}, {_number(ci[1], digits)}]"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _about(found: CompareResult, side: str) -> str:
    atlas = found.here if side == "here" else found.there
    return f"{atlas.model or 'a model'} with {atlas.heads} heads"
