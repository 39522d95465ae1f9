"""How much pointing helps as scenes fill up: accuracy of the embedded model, plain and pointed at.

    python examples/crowding.py --out runs/crowding

Draws scenes with 5, 9, 13 and 19 things (seed 4321, that of no other data set here), asks the same number of
questions of each, and prints a table. Nothing is chosen: the style is ``both``, its look the default.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import headscope as hs
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking.experiment import wake
from headscope.experiments.waking.questions import WakeSettings
from headscope.experiments.waking.wake_result import VariantTable
from headscope.models.vlm import VLM

SEED = 4321
CROWDS = (5, 9, 13, 19)
SHOWN = ("spatial_perception", "orientation_perception", "relational_reasoning", "attribute_perception")


def at(things: int, out: Path, questions: int, model: VLM) -> dict[str, VariantTable]:
    """Changes of accuracy on scenes with this many things (counting questions stop at 12)."""
    folder = out / str(things)
    data = folder / "data"
    cases = (
        hs.load_cases(data)
        if (data / "cases.jsonl").exists()
        else hs.draw_scenes(data, 200, SEED, hard=1.0, hard_things=(things, things), held_out=0.0, card=False)
    )
    splits = {case.id: "select" if i < 20 else "test" for i, case in enumerate(cases)}
    settings = WakeSettings(
        max_items=questions, select_items=20, main_contexts=("alone",), attention=False, styles=("both",)
    )
    return wake(ExperimentContext(model, cases, splits, folder), None, settings=settings).test


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--questions", type=int, default=500)
    asked = parser.parse_args()
    model = hs.load_model(asked.model)
    names = " | ".join(f"{name.replace('_', ' ')}" for name in SHOWN)
    print(f"| things | n | plain, % | both | equal area masked | boxes elsewhere | {names} |")
    print("|---" * (6 + len(SHOWN)) + "|")
    for things in CROWDS:
        found = at(things, asked.out, asked.questions, model)
        both = found["both"].all
        low, high = both.ci
        cells = [
            str(things),
            str(both.n),
            f"{both.accuracy_before:.1f}",
            f"{both.delta_points:+.1f} [{low:+.1f}, {high:+.1f}]",
            *(f"{found[name].all.delta_points:+.1f}" for name in ("equal_area", "random_box")),
        ]
        parts = [found["both"].by_function.get(name) for name in SHOWN]
        cells += [f"{p.delta_points:+.1f} (n {p.n})" if p else "–" for p in parts]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
