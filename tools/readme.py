"""Makes the pictures and the table of results in the README: ``python tools/readme.py`` (after ``make demo``).

docs/img/scenes.png: scenes as ``headscope data generate`` draws them. The charts are copies of those that the demo's
report wrote to runs/demo/figures; docs/demo-summary.json is a copy of its summary, and the table between the marks
in README.md is made from it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from headscope.data.scenes.generate import one_case

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
        "| function | accuracy, % | heads muted | lost by muting them | lost by random heads | p |",
        "|---|---|---|---|---|---|",
    ]
    for name, muted in summary["ablation"].items():
        accuracy = summary["accuracy"][name]
        lines.append(
            f"| {name.replace('_', ' ')} | {100 * accuracy['value']:.1f} (n {accuracy['n']}) | {muted['k']} "
            f"| {muted['drop_points']:.1f} [{muted['ci'][0]:.1f}, {muted['ci'][1]:.1f}] "
            f"| {muted['control_mean']:.1f} on average, {muted['control_max']:.1f} at most | {muted['p']:.3f} |"
        )
    main, both, emphasis = summary["main_by_context"], summary["wake"]["both"], summary["emphasis"]
    lines += [
        "",
        f"- Main questions: {100 * main['alone']:.1f} % asked at once, {100 * main['own']:.1f} % after the model's "
        f"own steps, {100 * main['gold']:.1f} % after true steps.",
        f"- Pointing at the named objects (`both`), on pictures more crowded than any in training: "
        f"{signed(both['delta_points'], both['ci'])} points; boxes elsewhere "
        f"{signed(both['random_box_delta_points'])}, equal area masked {signed(both['equal_area_delta_points'])}, "
        f"reverse mask {signed(both['reverse_mask_delta_points'])}; within the training range "
        f"{signed(both['delta_points_in_training_range'])}.",
        f"- Turning heads up: {emphasis['function'].replace('_', ' ')}, {emphasis['edit']} {emphasis['strength']:g}: "
        f"{signed(emphasis['delta_points'], emphasis['ci'])} points; worst change elsewhere "
        f"{signed(emphasis['worst_side_effect_points'])}.",
    ]
    return "\n".join(lines)


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
