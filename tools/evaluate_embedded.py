"""Measures the embedded model on freshly drawn scenes and writes the tables of its model card.

    python tools/evaluate_embedded.py --out src/headscope/models/embedded/weights

Writes evaluation.json and README.md (the model card) into the folder. The seed is not one that training or
the demo uses.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from headscope.capturing.run import capture
from headscope.capturing.store import open_answers
from headscope.data.cases import Cases
from headscope.functions import DEFAULT, MAIN
from headscope.making.scenes.generate import draw_scenes
from headscope.models.vlm import load_model
from headscope.statistics.resampling import wilson_ci
from headscope.storage import read_json, write_json

CONTEXTS = ("alone", "gold", "own")
NEW = ("combination", "wording", "sprite")


def measure(vlm: Any, cases: Cases, folder: Path) -> list[dict[str, Any]]:
    """Answers to every question of the cases, in every context."""
    splits = {c.id: "test" for c in cases}
    capture(vlm, cases, splits, folder, contexts=CONTEXTS, readouts=(), batch_size=64)
    return open_answers(folder)


def share(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy of some answers with its Wilson interval."""
    right = sum(r["correct"] for r in rows)
    if not rows:
        return {"value": None, "n": 0, "ci": [None, None]}
    low, high = wilson_ci(right, len(rows))
    return {"value": right / len(rows), "n": len(rows), "ci": [low, high]}


def by_function(rows: list[dict[str, Any]], context: str) -> dict[str, Any]:
    """Accuracy of every function and of main questions in one context."""
    names = (*DEFAULT.functions, MAIN)
    chosen = [r for r in rows if r["context"] == context]
    return {f: share([r for r in chosen if r["function"] == f]) for f in names}


def evaluate(model: str, seed: int, count: int) -> dict[str, Any]:
    """All tables of the card."""
    vlm = load_model(model)
    out: dict[str, Any] = {"model": vlm.name, "revision": vlm.revision, "seed": seed}
    with tempfile.TemporaryDirectory() as scratch:
        at = Path(scratch)

        def answers(name: str, number: int, **how: Any) -> list[dict[str, Any]]:
            cases = draw_scenes(at / name, number, seed, card=False, **how)
            return measure(vlm, cases, at / f"{name}-answers")

        rows = answers("core", count, things=(2, 3), hard=0.0, held_out=0.0)
        out["two_or_three_things"] = {c: by_function(rows, c) for c in CONTEXTS}
        out["main_kinds_gold"] = {
            k: share([r for r in rows if r["function"] == MAIN and r["context"] == "gold" and r["kind"] == k])
            for k in sorted({r["kind"] for r in rows})
        }
        rows = answers("crowds", count, things=(2, 12), hard=0.0, held_out=0.0)
        out["by_things"] = {
            str(n): {
                "steps_alone": share(
                    [
                        r
                        for r in rows
                        if r["things"] == n and r["function"] != MAIN and r["context"] == "alone"
                    ]
                ),
                **{
                    f"main_{c}": share(
                        [r for r in rows if r["things"] == n and r["function"] == MAIN and r["context"] == c]
                    )
                    for c in CONTEXTS
                },
            }
            for n in sorted({r["things"] for r in rows})
        }
        rows = answers("new", count, things=(2, 5), hard=0.0, held_out=1.0)
        out["held_out"] = {h: by_function([r for r in rows if r["held_out"] == h], "gold") for h in NEW}
    return out


def percent(cell: dict[str, Any]) -> str:
    """``97.1 (n 210)``."""
    return "" if not cell["n"] else f"{100 * cell['value']:.1f} (n {cell['n']})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(found: dict[str, Any]) -> str:
    """The card's tables."""
    core, held = found["two_or_three_things"], found["held_out"]
    names = [*DEFAULT.functions, MAIN]
    first = [[f, *(percent(core[c][f]) for c in CONTEXTS)] for f in names]
    crowd = [
        [n, percent(row["steps_alone"]), *(percent(row[f"main_{c}"]) for c in CONTEXTS)]
        for n, row in found["by_things"].items()
    ]
    new = [[f, *(percent(held[h][f]) for h in NEW)] for f in names]
    kinds = [[k, percent(v)] for k, v in found["main_kinds_gold"].items()]
    return "\n\n".join(
        (
            "### 2 to 3 things, trained-on wordings (accuracy in %, by context)",
            "Before main questions the steps that give their answer are left out.",
            table(["function", *CONTEXTS], first),
            "### By number of things (trained on 2 to 7)",
            table(["things", "steps alone", *(f"main {c}" for c in CONTEXTS)], crowd),
            "### New combinations, wordings and drawings (2 to 5 things, gold context)",
            table(["function", *NEW], new),
            "### Main questions after true steps, by kind (2 to 3 things)",
            table(["kind", "accuracy"], kinds),
        )
    )


def main() -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--seed", type=int, default=424242)
    parser.add_argument("--cases", type=int, default=600)
    parser.add_argument("--template", type=Path, default=Path(__file__).with_name("model_card.md"))
    parser.add_argument("--only-card", action="store_true", help="write the card from evaluation.json again")
    asked = parser.parse_args()
    path = asked.out / "evaluation.json"
    if not asked.only_card:
        write_json(path, evaluate(asked.model, asked.seed, asked.cases))
    card = asked.template.read_text("utf-8").replace("{{tables}}", tables(read_json(path)))
    (asked.out / "README.md").write_text(card, "utf-8")
    print(tables(read_json(path)))


if __name__ == "__main__":
    main()
