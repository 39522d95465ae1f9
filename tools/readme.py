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
    random = summary["random_sets_claimed"]
    if random["sets"]:
        lines += [
            "",
            f"- Random sets of the same layers, put through the same test: {100 * random['share']:.1f} % of ",
        ]
        lines[-1] += f"{random['sets']} would be claimed."
    lines += [_asking(summary), _pointing(summary["wake"]["both"]), _turning_up(summary["emphasis"])]
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


def _pointing(both: dict[str, Any]) -> str:
    points = {k: signed(both[f"{k}_delta_points"]) for k in ("random_box", "equal_area", "reverse_mask")}
    return (
        "- Pointing at the named objects (`both`), on pictures more crowded than any in training: "
        f"{signed(both['delta_points'], both['ci'])} points; boxes elsewhere {points['random_box']}, "
        f"equal area masked {points['equal_area']}, reverse mask {points['reverse_mask']}; within the "
        f"training range {signed(both['delta_points_in_training_range'])}."
    )


def _turning_up(found: dict[str, Any]) -> str:
    what = f"{found['function'].replace('_', ' ')}, {found['edit']} {found['strength']:g}"
    return (
        f"- Turning heads up ({what}): {signed(found['delta_points'], found['ci'])} points; worst change "
        f"elsewhere {signed(found['worst_side_effect_points'])}."
    )


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
