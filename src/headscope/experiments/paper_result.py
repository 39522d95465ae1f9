"""What the paper's own protocol found here, beside the figures that it reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headscope.records import Artefact, Interval, Number, Record
from headscope.storage import Row

SOURCE = "arXiv 2603.20662, as reported in digests, unchecked"


class PaperMasking(Record):
    """A function's elbow heads turned down, beside random heads of the same number.

    Attributes:
        function: the function; ``spatial`` for the questions of the whole spatial group, each with its own
            function's heads.
        heads: those before the elbow of the joint probe's importance on ``select``; none of a group.
        n, images: questions of ``test``, and their pictures.
        clean, masked: percent right before and after.
        drop_points, ci: lost, and its 95 % interval by picture.
        random_mean, random_least, random_most: percent right under the random sets, which share no head with
            those under test and lie in any layer, as the paper's do; null where too few heads are left.
        draws: random sets.
        forced, unreadable: percent right by forced choice, and percent of answers that are none of the
            choices, both masked.
    """

    function: str
    heads: tuple[str, ...] = ()
    n: int
    images: int
    clean: float
    masked: float
    drop_points: float
    ci: Interval
    random_mean: Number
    random_least: Number
    random_most: Number
    draws: int
    forced: float
    unreadable: float


class PaperPointing(Record):
    """Main questions, asked alone, on pictures in which the named things are marked.

    Attributes:
        style: ``plain``, ``box``, ``spotlight`` (the paper's mask) or ``both``.
        n, images: questions of ``test`` that name something with a box, and their pictures.
        accuracy: percent right.
        delta_points, ci: more than on the plain picture, and its 95 % interval by picture.
    """

    style: str
    n: int
    images: int
    accuracy: float
    delta_points: float
    ci: Interval


class PaperLine(Record):
    """One line of the comparison.

    Attributes:
        figure: what is compared.
        published: the paper's figure, as reported in digests and not checked.
        measured: the figure here, with its n.
        differs: what is done otherwise here, or is known to mislead.
    """

    figure: str
    published: str
    measured: str
    differs: str


class PaperResult(Artefact):
    """What arXiv 2603.20662 did, done here.

    Attributes:
        source: of the published figures.
        factor, least: what a masked head is multiplied by, and the importance above which heads are counted.
        probe_accuracy, probe_majority, probe_n: the joint probe on ``test``, and the most frequent function.
        important: function -> share of heads whose importance is above ``least``.
        masking: by function, and for the spatial group.
        left_out: function -> why nothing was masked for it.
        pointing: plain and by style.
        table: all of it beside the published figures.
    """

    schema_: Literal["headscope/paper/1"] = Field(default="headscope/paper/1", alias="schema")
    source: str = SOURCE
    factor: float
    least: float
    probe_accuracy: Number
    probe_majority: Number
    probe_n: int
    important: dict[str, float]
    masking: tuple[PaperMasking, ...]
    left_out: dict[str, str]
    pointing: tuple[PaperPointing, ...]
    table: tuple[PaperLine, ...] = ()


def compared(made: PaperResult) -> tuple[PaperLine, ...]:
    """The table: every published figure, whether or not it could be measured."""
    group = next((m for m in made.masking if m.function == "spatial"), None)
    shown = {p.style: p for p in made.pointing}
    return (
        PaperLine(
            figure="joint probe, accuracy",
            published="79 to 90 %",
            measured=_probe(made),
            differs="question's words alone may reach it: see the word baselines of the probes",
        ),
        PaperLine(
            figure=f"heads of importance above {made.least:g}",
            published="under 9 %",
            measured=_important(made),
            differs="gradient x activation has no scale of its own: elsewhere the cut means another thing",
        ),
        PaperLine(
            figure="spatial questions, random -> functional heads masked",
            published="InternVL3-2B 61.4 -> 37.9, Llama-11B 75.0 -> 44.7, Llama-90B 86.2 -> 72.4",
            measured=_masked(group),
            differs="random heads lie in any layer; others in the picked ones' layers may cost as much",
        ),
        PaperLine(
            figure="answers once masked",
            published="VSR 17.9 to 24.1 %, far below the 50 % of guessing true or false",
            measured=_answers(group),
            differs="below guessing means unreadable answers, not lost places: forced choice stands beside",
        ),
        PaperLine(
            figure="activation: plain, box, mask, both",
            published="InternVL3-2B 56.8, 58.9, 59.8, 68.6",
            measured=_pointed(shown),
            differs="a box or window may itself tell the answer; the stage wake leaves such questions out",
        ),
        PaperLine(
            figure="steering",
            published="+1 to +3 points",
            measured="not part of this protocol here: see the stage emphasize",
            differs="needs headroom and random head sets, scaled alike",
        ),
    )


def masking_row(row: PaperMasking) -> Row:
    """A function's line for people."""
    return {
        "function": row.function.replace("_", " "),
        "heads": str(len(row.heads)) if row.heads else "-",
        "n": f"{row.n} ({row.images} pictures)",
        "clean": f"{row.clean:.1f}",
        "masked": f"{row.masked:.1f}",
        "random": "-"
        if row.random_mean is None
        else f"{row.random_mean:.1f} ({row.random_least:.1f} to {row.random_most:.1f})",
        "forced": f"{row.forced:.1f}",
        "unreadable": f"{row.unreadable:.1f}",
    }


def _probe(made: PaperResult) -> str:
    if made.probe_accuracy is None:
        return "not measured"
    most = (
        "" if made.probe_majority is None else f"; most frequent function {100 * made.probe_majority:.1f} %"
    )
    return f"{100 * made.probe_accuracy:.1f} % (n {made.probe_n}{most})"


def _important(made: PaperResult) -> str:
    if not made.important:
        return "not measured"
    shares = [100 * share for share in made.important.values()]
    return f"{min(shares):.1f} to {max(shares):.1f} % by function (n {len(shares)} functions)"


def _masked(group: PaperMasking | None) -> str:
    if group is None:
        return "not measured: no spatial function has elbow heads"
    random = "-" if group.random_mean is None else f"{group.random_mean:.1f}"
    return f"{random} -> {group.masked:.1f} (clean {group.clean:.1f}, n {group.n}, {group.draws} random sets)"


def _answers(group: PaperMasking | None) -> str:
    if group is None:
        return "not measured"
    return (
        f"{group.masked:.1f} % right, {group.unreadable:.1f} % unreadable, {group.forced:.1f} % by forced "
        f"choice (n {group.n})"
    )


def _pointed(shown: dict[str, PaperPointing]) -> str:
    if not shown:
        return "not measured: no main question names a thing with a box"
    values = ", ".join(f"{p.accuracy:.1f}" for p in shown.values())
    return f"{values} ({', '.join(shown)}; n {next(iter(shown.values())).n})"
