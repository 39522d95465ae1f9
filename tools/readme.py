"""Makes the README's pictures and its table: ``python tools/readme.py STUDY``, after ``tools/demo_seeds.py``.

docs/img/scenes.png: scenes as ``headscope data generate`` draws them. The charts are copies of those of the
report of one of the studies; the table holds medians over the studies of docs/demo-seeds.json.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from demo_seeds import COUNT, STUDIES, median_of
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


def results(studies: Sequence[dict[str, Any]]) -> str:
    """The README's table and lines: medians over the summaries of studies."""
    lines = [
        f"From {len(studies)} of {COUNT} studies:" if len(studies) < COUNT else f"From {COUNT} studies:",
        "",
        "| function | clean, %: free, forced | heads | lost by muting them, points: free | forced choice "
        "| under random heads of the same layers | by other functions, mean | q | may be called functional |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_claim_line(cells) for cells in _by_function(studies).values()),
        "",
    ]
    sets = [s["random_sets_claimed"] for s in studies]
    tried = sum(r["sets"] for r in sets)
    if tried:
        claimed = round(sum(r["share"] * r["sets"] for r in sets if r["sets"]))
        lines.append(
            f"- Random sets of the same layers, put through the same test: {claimed} of {tried} would be "
            f"claimed ({100 * claimed / tried:.1f} %)."
        )
    middle = {part: median_of([s[part] for s in studies]) for part in ("chain", "pointing", "scarcity")}
    lines += [_asking(middle), _pointing(middle["pointing"]), _turning_up([s["emphasis"] for s in studies])]
    lines.append(_scarcity(middle["scarcity"]))
    return "\n".join(lines)


def _by_function(studies: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Function -> its claim in each study."""
    found: dict[str, list[dict[str, Any]]] = {}
    for study in studies:
        for claim in study["claims"]:
            found.setdefault(claim["function"], []).append(claim)
    return found


def _claim_line(cells: list[dict[str, Any]]) -> str:
    counts = [{**c, "heads": len(c["heads"])} for c in cells]
    m = median_of([{k: v for k, v in c.items() if k not in ("verdict", "ranking")} for c in counts])
    testable = sum(not c["verdict"].startswith("not testable") for c in cells)
    verdict = f"in {sum(c['claimed'] for c in cells)} of {len(cells)} studies"
    if testable < len(cells):
        verdict += f" (testable in {testable})"
    return (
        f"| {m['function'].replace('_', ' ')} (n {m['n']:.0f}, {m['pictures']:.0f} pictures) "
        f"| {m['clean_free']:.1f}, {m['clean_forced']:.1f} | {m['heads']:.0f} "
        f"| {_lost(m['drop_points'], m['ci'])} | {_lost(m['forced_drop_points'], m['forced_ci'])} "
        f"| {_controls(m)} | {_lost(m['elsewhere_points'], m['elsewhere_ci'])}, most: "
        f"{m['worst'].replace('_', ' ')} {m['worst_points']:.1f} | {_q(m['q'])} | {verdict} |"
    )


def _lost(value: float | None, ci: list[float | None] | None) -> str:
    if value is None:
        return "-"
    low, high = ci or (None, None)
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None and high is not None else "")


def _controls(claim: dict[str, Any]) -> str:
    if not claim["layer_matched"]:
        return "no matched sets in some study"
    means = f"{claim['control_mean']:.1f}, {claim['forced_control_mean']:.1f}"
    return f"{means} on average, {claim['control_max']:.1f} at most ({claim['distinct']:.0f} sets)"


def _q(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _asking(summary: dict[str, Any]) -> str:
    found = summary["chain"]
    asked = {c: "-" if v is None else f"{v:.1f} %" for c, v in found.items() if c != "n"}
    return (
        f"- Main questions (n {found['n']:.0f}): {asked['alone']} asked at once, {asked['own']} after its "
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
        f"{signed(headline['delta_points'], headline['ci'])} points (n {headline['n']:.0f}, "
        f"{headline['pictures']:.0f} pictures, plain {headline['plain']:.1f} %); {points}; with the spatial "
        f"heads muted {signed(found['with_spatial_heads_muted'])}. Where box or window tell it: "
        f"{signed(leaky['delta_points'])} (n {leaky['n']:.0f}); asked for a thing that is not there, the "
        f"model gives the box's place {_or_dash(controls['wrong_name_share'])} % of the time, "
        f"{signed(controls['wrong_name'])} points more than without a box."
    )


def _turning_up(studies: Sequence[dict[str, Any]]) -> str:
    tested = [s for s in studies if s["testable"]]
    if not tested:
        reasons = "; ".join(dict.fromkeys(s["reason"] for s in studies))
        return f"- Turning heads up: not testable ({reasons})."
    found = median_of(tested)
    what = f"{found['function'].replace('_', ' ')}, {found['edit']}"
    return (
        f"- Turning heads up ({what}; testable in {len(tested)} of {len(studies)} studies, "
        f"{found['clean']:.1f} % right before, n {found['n']:.0f}): "
        f"{signed(found['delta_points'], found['ci'])} points; {found['random_sets']:.0f} random head sets "
        f"of the same layers turned up alike {signed(found['random_sets_mean'])} on average, "
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


def filled(readme: str, studies: Sequence[dict[str, Any]]) -> str:
    """The README with its table made afresh, from the summaries of studies."""
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{results(studies)}\n{END}{after}"


def summaries() -> list[dict[str, Any]]:
    """Those of docs/demo-seeds.json."""
    return [study["summary"] for study in json.loads(STUDIES.read_text("utf-8"))["studies"]]


def main(folder: Path) -> None:
    """Write docs/img and docs/demo-summary.json from ``folder``, README's table from docs/demo-seeds.json."""
    OUT.mkdir(parents=True, exist_ok=True)
    scenes().save(OUT / "scenes.png", optimize=True)
    for name in FIGURES:
        shutil.copyfile(folder / "figures" / f"{name}.png", OUT / f"{name}.png")
    shutil.copyfile(folder / "summary.json", SUMMARY)
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text("utf-8"), summaries()), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
