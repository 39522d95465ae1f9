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

from headscope.experiments.significance import CLAIM_SETS
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
        "| function | accuracy, % | heads | lost by muting them, points | lost by random heads of the same "
        "layers | q | may be called functional |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, muted in summary["ablation"].items():
        accuracy = summary["accuracy"][name]
        matched = muted["layer_matched"]
        controls = f"{muted['control_mean']:.1f} on average, {muted['control_max']:.1f} at most"
        lines.append(
            f"| {name.replace('_', ' ')} | {100 * accuracy['value']:.1f} (n {accuracy['n']}) | {muted['k']} "
            f"| {_lost(muted)} "
            f"| {controls if matched else 'no matched sets'} | {_q(muted['q'])} | {_verdict(muted)} |"
        )
    lines += ["", _asking(summary), _pointing(summary["pointing"]), _turning_up(summary["emphasis"])]
    lines.append(_scarcity(summary["scarcity"]))
    return "\n".join(lines)


def _lost(muted: dict[str, Any]) -> str:
    """Points lost, with interval and n; where every answer is lost, or none, resampling gives no width."""
    low, high = muted["ci"]
    if low == high:
        return f"{muted['drop_points']:.1f} (every one of {muted['n']})"
    return f"{muted['drop_points']:.1f} [{low:.1f}, {high:.1f}] (n {muted['n']})"


def _q(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _verdict(muted: dict[str, Any]) -> str:
    if muted["claimed"]:
        return "yes"
    if not muted["layer_matched"]:
        return "not testable"
    return f"not testable: {muted['distinct']} sets" if muted["distinct"] < CLAIM_SETS else "no"


def _asking(summary: dict[str, Any]) -> str:
    asked = {c: f"{100 * v:.1f} %" for c, v in summary["main_by_context"].items()}
    return (
        f"- Main questions: {asked['alone']} asked at once, {asked['own']} after the model's own steps, "
        f"{asked['gold']} after true steps."
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
