"""Makes the README's pictures and its table of results: ``python tools/readme.py``, after ``make demo``.

docs/img/scenes.png: scenes as ``headscope data generate`` draws them. The charts are copies of those that the
demo's report wrote to runs/demo/figures; docs/demo-summary.json is a copy of its summary, and the table in
README.md is made from it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from headscope.making.scenes.generate import one_case

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "img"
SUMMARY = ROOT / "docs" / "demo-summary.json"
FIGURES = ("heads-causal", "muting", "specificity", "wake-styles")
KINDS = ("sign", "count_side", "nearer", "knowledge")
BEGIN, END = "<!-- demo: begin -->", "<!-- demo: end -->"
GAP = 12


def scenes() -> Image.Image:
    """A row of scenes, the explaining example first."""
    stories = [one_case(0, 1)[1]]
    stories += [one_case(41 + i, 1, kind=k, hard=0.3)[1] for i, k in enumerate(KINDS)]
    pictures = [Image.fromarray(s.scene.render()) for s in stories if s.scene]
    side = pictures[0].width
    sheet = Image.new("RGB", (len(pictures) * (side + GAP) - GAP, side), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i * (side + GAP), 0))
    return sheet


def signed(value: float | None, ci: list[float | None] | None = None) -> str:
    """``+4.2 [1.0, 7.5]``."""
    if value is None:
        return "-"
    interval = f" [{ci[0]:.1f}, {ci[1]:.1f}]" if ci and ci[0] is not None and ci[1] is not None else ""
    return f"{value:+.1f}{interval}"


def results(summary: dict[str, Any]) -> str:
    """The README's table, from a summary."""
    lines = [
        "| function | clean, %: free, forced | heads | lost by muting them, points: free | forced choice "
        "| under random heads of the same layers | by other functions | q | may be called functional |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for claim in summary["claims"]:
        n = f"n {claim['n']}, {claim['pictures']} pictures"
        lines.append(
            f"| {claim['function'].replace('_', ' ')} ({n}) "
            f"| {claim['clean_free']:.1f}, {claim['clean_forced']:.1f} | {len(claim['heads'])} "
            f"| {_lost(claim['drop_points'], claim['ci'])} "
            f"| {_lost(claim['forced_drop_points'], claim['forced_ci'])} | {_controls(claim)} "
            f"| {_lost(claim['elsewhere_points'], claim['elsewhere_ci'])} | {_q(claim['q'])} "
            f"| {_verdict(claim)} |"
        )
    random, lines = summary["random_sets_claimed"], [*lines, ""]
    if random["sets"]:
        lines.append(
            f"- Random sets of the same layers, put through the same test: {100 * random['share']:.1f} % of "
            f"{random['sets']} would be claimed."
        )
    lines += [_asking(summary), _pointing(summary["pointing"]), _turning_up(summary["emphasis"])]
    lines.append(_scarcity(summary["scarcity"]))
    return "\n".join(lines)


def _lost(value: float | None, ci: list[float | None] | None) -> str:
    if value is None:
        return "-"
    low, high = ci or (None, None)
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None and high is not None else "")


def _controls(claim: dict[str, Any]) -> str:
    if not claim["layer_matched"]:
        return "no matched sets"
    means = f"{claim['control_mean']:.1f}, {claim['forced_control_mean']:.1f}"
    return f"{means} on average, {claim['control_max']:.1f} at most ({claim['distinct']} sets)"


def _q(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _verdict(claim: dict[str, Any]) -> str:
    return "yes" if claim["claimed"] else str(claim["verdict"])


def _asking(summary: dict[str, Any]) -> str:
    found = summary["chain"]
    asked = {c: "-" if v is None else f"{v:.1f} %" for c, v in found.items() if c != "n"}
    return (
        f"- Main questions (n {found['n']}): {asked['alone']} asked at once, {asked['own']} after its "
        f"own steps, {asked['gold_without_verdict']} after true ones, those left out that give the answer; "
        f"controls: {asked['wrong']} with one wrong, {asked['other']} after the steps of another case."
    )


def _pointing(found: dict[str, Any]) -> str:
    headline, controls, leaky = found["headline"], found["controls"], found["leaky"]
    if headline["delta_points"] is None:
        return "- Pointing at the named objects: no question to test it on."
    points = ", ".join(
        f"{name} {signed(controls[key])}"
        for name, key in (
            ("background masked instead", "equal_area"),
            ("other things boxed", "other_boxes"),
            ("an empty window", "empty_window"),
        )
    )
    return (
        f"- Pointing at the named objects (`both`) where neither box nor window tells the answer: "
        f"{signed(headline['delta_points'], headline['ci'])} points (n {headline['n']}, "
        f"{headline['pictures']} pictures, plain {headline['plain']:.1f} %); {points}; with the spatial "
        f"heads muted {signed(found['with_spatial_heads_muted'])}. Where box or window tell it: "
        f"{signed(leaky['delta_points'])} (n {leaky['n']}); asked for a thing that is not there, the model "
        f"gives the box's place {_or_dash(controls['wrong_name_share'])} % of the time, "
        f"{signed(controls['wrong_name'])} points more than without a box."
    )


def _turning_up(found: dict[str, Any]) -> str:
    if not found["testable"]:
        return f"- Turning heads up: not testable ({found['reason']})."
    what = f"{found['function'].replace('_', ' ')}, {found['edit']} {found['strength']:g}"
    return (
        f"- Turning heads up ({what}; {found['clean']:.1f} % right before, n {found['n']}): "
        f"{signed(found['delta_points'], found['ci'])} points; {found['random_sets']} random head sets of "
        f"the same layers turned up alike {signed(found['random_sets_mean'])} on average, "
        f"{signed(found['random_sets_max'])} at most (p {_q(found['p'])}); worst change elsewhere "
        f"{signed(found['worst_side_effect_points'])}."
    )


def _scarcity(found: dict[str, Any]) -> str:
    few = found["effective_heads"]
    told = ", ".join(f"{f.replace('_', ' ')} {n:.1f}" for f, n in few.items() if n is not None)
    return (
        f"- Effective number of heads: {told}. Spatial functions less the others: "
        f"{signed(found['difference'])} (relabelling functions: p {_q(found['relabel_p'])})."
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def filled(readme: str, summary: dict[str, Any]) -> str:
    """The README with its table made afresh."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{results(summary)}\n{END}{after}"


def main() -> None:
    """Write docs/img, docs/demo-summary.json and the README's table."""
    OUT.mkdir(parents=True, exist_ok=True)
    scenes().save(OUT / "scenes.png", optimize=True)
    demo = ROOT / "runs" / "demo"
    for name in FIGURES:
        shutil.copyfile(demo / "figures" / f"{name}.png", OUT / f"{name}.png")
    shutil.copyfile(demo / "summary.json", SUMMARY)
    readme = ROOT / "README.md"
    summary = json.loads(SUMMARY.read_text("utf-8"))
    readme.write_text(filled(readme.read_text("utf-8"), summary), "utf-8")


if __name__ == "__main__":
    main()
