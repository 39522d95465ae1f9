"""Two studies side by side: one page with what they claim, where they differ, and both maps of heads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.experiments.compare_result import ClaimSide, CompareResult
from headscope.functions import MAIN
from headscope.probing.atlas import Atlas
from headscope.report.charts.base import interval, scaled, words
from headscope.report.charts.heads import HeadScores, domain, rankings
from headscope.report.contents import StudyContents, read_contents
from headscope.report.estimates import Estimate, estimate
from headscope.report.headmap import HeadMap, one_map
from headscope.report.measure import accuracy, select
from headscope.report.theme import number, p_value
from headscope.statistics.measures import difference_interval
from headscope.statistics.shares import share_difference
from headscope.storage import Row, write_atomic

if TYPE_CHECKING:
    from headscope.experiments.comparing import Comparable

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # header, rows
# Settings that have a place of their own on the page, say where things lie, or are said by the stages.
_OWN = (
    *("schema", "data.", "model.name", "model.revision", "model.beside", "load", "asked", "cases.", "steps"),
    *("stage_settings.", "splits"),
)


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: its folder or file.
        atlas: its ranking of heads.
        study: all that its folder holds; None of an atlas alone.
    """

    name: str
    atlas: Atlas
    study: StudyContents | None = None


def write_comparison(found: CompareResult, a: Comparable, b: Comparable, file: str | Path) -> Path:
    """Write what :func:`headscope.experiments.comparing.compare` found as one page that needs no network.

    Args:
        a, b: what was compared, in that order.
        file: of the page.

    Raises:
        StoreError: a result cannot be read, or the page not be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from headscope.report.page import asset

    here, there = _side(a), _side(b)
    environment = Environment(
        loader=PackageLoader("headscope.report"), autoescape=True, undefined=StrictUndefined
    )
    claims = claim_table(found)
    page = environment.get_template("beside.html.j2").render(
        css=Markup(asset("report.css")),
        names=(here.name, there.name),
        found=found,
        about=about_table(found, here, there),
        settings=setting_table(here, there),
        lone=lone_stages(here, there),
        records=all(side.study is not None and side.study.record is not None for side in (here, there)),
        claims=claims,
        ranked=ranking_table(found),
        answered=accuracy_table(here, there),
        maps=map_pairs(found, here.atlas, there.atlas),
        skipped={words(f): why for f, why in found.skipped.items()},
    )
    write_atomic(Path(file), page)
    return Path(file)


def _side(given: Comparable) -> Side:
    from headscope.experiments.comparing import atlas_of, folder_of, named

    folder = folder_of(given)
    study = read_contents(folder) if folder is not None and (folder / "study.json").exists() else None
    return Side(named(given), atlas_of(given), study)


def about_table(found: CompareResult, here: Side, there: Side) -> Table:
    """What each of the two was made from."""
    pair = found.here, found.there
    rows = [
        ("model", *(side.model or "–" for side in pair)),
        ("revision", *(side.revision or "–" for side in pair)),
        ("fingerprint of the data", *(side.data[:16] or "–" for side in pair)),
        ("attention layers", *(str(side.layers) for side in pair)),
        ("heads", *(str(side.heads) for side in pair)),
    ]
    studies = here.study, there.study
    counts = [_counts(study) for study in studies]
    return ("", "A", "B"), [*rows, ("cases (fit, select, test)", counts[0], counts[1])]


def _counts(study: StudyContents | None) -> str:
    record = study.record if study else None
    return "–" if record is None else f"{record.cases.fit}, {record.cases.select}, {record.cases.test}"


def setting_table(here: Side, there: Side) -> Table:
    """Settings that differ, by name: of the studies, and of each stage that both have run."""
    header = ("setting", "A", "B")
    if here.study is None or there.study is None:
        return header, []
    both = set(here.study.results) & set(there.study.results)
    flat = [_settings(study, both) for study in (here.study, there.study)]
    names = sorted({*flat[0], *flat[1]})
    rows = [(name, *(side.get(name, "not given") for side in flat)) for name in names]
    return header, [row for row in rows if row[1] != row[2]]


def _settings(study: StudyContents, stages: Collection[str]) -> dict[str, str]:
    flat = dict(_flat(study.record.content())) if study.record else {}
    for stage, result in study.results.items():
        if stage in stages:
            flat |= {f"{stage}.{name}": text for name, text in _flat(getattr(result, "settings", {}) or {})}
    return {name: text for name, text in flat.items() if not name.startswith(_OWN)}


def lone_stages(here: Side, there: Side) -> list[str]:
    """Stages that one of two studies has run and the other has not, in words."""
    if here.study is None or there.study is None:
        return []
    pairs = (("A", here.study, there.study), ("B", there.study, here.study))
    found = {name: [s for s in one.results if s not in other.results] for name, one, other in pairs}
    return [f"{', '.join(stages)} in {name} alone" for name, stages in found.items() if stages]


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and words."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        key = f"{before}{name}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{key}.")
        elif isinstance(value, list | tuple):
            found.append((key, ", ".join(map(str, value))))
        else:
            found.append((key, str(value)))
    return found


def claim_table(found: CompareResult) -> Table:
    """What both claim of each function, points lost, their difference, and heads in common."""
    header = ("function", "A", "points lost, A", "B", "points lost, B", "A − B", "heads muted in both")
    rows = []
    for name, sides in found.claims.items():
        here, there = sides.here, sides.there
        losses = _loss(here), _loss(there)
        common = _common(here, there) if found.same_heads else "other heads"
        told = [_verdict(here), _with_n(losses[0]), _verdict(there), _with_n(losses[1])]
        rows.append((words(name), *told, interval(difference(*losses), 1, True), common))
    return header, rows


def _loss(side: ClaimSide | None) -> Estimate | None:
    if side is None or side.drop_points is None:
        return None
    return estimate(side.drop_points, side.ci, side.n)


def _verdict(side: ClaimSide | None) -> str:
    if side is None:
        return "not tested"
    return "claimed" if side.claimed else f"no claim: {side.verdict}"


def _with_n(found: Estimate | None) -> str:
    return "–" if found is None else f"{interval(found)} (n = {found.n})"


def _common(here: ClaimSide | None, there: ClaimSide | None) -> str:
    if here is None or there is None:
        return "–"
    both = [label for label in here.heads if label in set(there.heads)]
    count = f"{len(both)} of {len(here.heads)} and {len(there.heads)}"
    return f"{count}: {', '.join(both)}" if both else count


def difference(here: Estimate | None, there: Estimate | None) -> Estimate | None:
    """Here less there, with the interval of two independent figures; None where one is missing."""
    if here is None or there is None:
        return None
    ends = here.low, here.high, there.low, there.high
    if any(end is None for end in ends):
        return Estimate(here.value - there.value)
    low, high, other_low, other_high = (float(end or 0.0) for end in ends)
    ci = difference_interval(here.value, (low, high), there.value, (other_low, other_high))
    return Estimate(here.value - there.value, *ci)


def ranking_table(found: CompareResult) -> Table:
    """How far the two rankings agree, by function."""
    header = ("function", "Spearman over heads", "n", "strongest heads in common", "by chance", "p", "q")
    rows = []
    for name, cell in found.functions.items():
        heads, shared, depth = cell.over_heads, cell.overlap, cell.over_depth
        over = (interval(estimate(heads.rho, heads.ci), 2), str(heads.n)) if heads else ("–", "–")
        if shared is None:
            common: tuple[str, ...] = ("–", "–", "–", "–")
        else:
            which = f": {', '.join(shared.heads)}" if shared.heads else ""
            by_chance = number(shared.k * shared.expected, 1)
            tested = (p_value(shared.p).removeprefix("p = "), number(shared.q, 3))
            common = (f"{shared.shared} of {shared.k}{which}", by_chance, *tested)
        depths = f"{interval(estimate(depth.rho, depth.ci), 2)} ({depth.n} parts)"
        rows.append((words(name), *over, *common, depths))
    return (*header, "Spearman over depth"), rows


def accuracy_table(here: Side, there: Side) -> Table:
    """Per cent right after true steps on test, by function; the difference on the questions of both."""
    rows = []
    sides = [side.study for side in (here, there)]
    for name in dict.fromkeys(f for study in sides if study for f in (*study.functions, MAIN)):
        asked = [select(study, function=name, context="gold") if study else [] for study in sides]
        if any(asked):
            told = [_with_n(_per_cent(rows)) for rows in asked]
            rows.append((words(name), *told, _paired(*asked) or _apart(*map(_per_cent, asked))))
    return ("function", "A, % right", "B, % right", "A − B, points"), rows


def _per_cent(rows: Sequence[Row]) -> Estimate | None:
    return scaled(accuracy(rows)) if rows else None


def _apart(here: Estimate | None, there: Estimate | None) -> str:
    """The difference of figures of other questions."""
    return f"{interval(difference(here, there), 1, True)} (other questions)" if here and there else "–"


def _paired(here: Sequence[Row], there: Sequence[Row]) -> str:
    """The difference on the questions that both were asked, by picture; empty where there are none."""
    other = {(row["item"], row["question"], row["truth"]): row for row in there}
    pairs = [(r, other[key]) for r in here if (key := (r["item"], r["question"], r["truth"])) in other]
    if not pairs:
        return ""
    first, second = ([float(bool(pair[i]["correct"])) for pair in pairs] for i in (0, 1))
    images = [str(row.get("image") or row["case"]) for row, _ in pairs]
    found = share_difference(first, second, images)
    low, high = map(float, found.ci)
    points = scaled(Estimate(float(found.value), low, high, len(pairs)))
    return f"{interval(points, 1, True)} (n = {len(pairs)}, the same questions)"


def map_pairs(found: CompareResult, here: Atlas, there: Atlas) -> list[tuple[str, list[HeadMap]]]:
    """Both maps of each function under the ranking that was compared, in the same colours."""
    pair = [_ranking(atlas, found.ranking) for atlas in (here, there)]
    shown: list[tuple[str, list[HeadMap]]] = []
    for name in found.functions:
        sides = found.claims.get(name)
        muted = [
            side.heads if side else () for side in ((sides.here, sides.there) if sides else (None, None))
        ]
        drawn = [
            (atlas, one, heads)
            for atlas, one, heads in zip((here, there), pair, muted, strict=True)
            if one is not None and name in one.scores
        ]
        if len(drawn) == 2:
            ends = _widest([domain(one, name) for _, one, _ in drawn])
            shown.append(
                (words(name), [one_map(atlas, one, name, heads, ends) for atlas, one, heads in drawn])
            )
    return shown


def _ranking(atlas: Atlas, name: str) -> HeadScores | None:
    wanted = "answer" if name == "decoding" else name
    return next((one for one in rankings(atlas) if one.name == wanted), None)


def _widest(ends: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ends), max(high for _, high in ends)
