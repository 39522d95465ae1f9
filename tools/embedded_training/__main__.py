"""Train a model on a diet, or say what a diet asks: ``python -m embedded_training train --diet web ...``."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

from embedded_training.architecture import SIZES, build_tokenizer
from embedded_training.blocks import rows_of
from embedded_training.diet_train import DietTrainer, Run
from embedded_training.measuring import Asked, by_function, measure
from embedded_training.paging import Paginator
from embedded_training.recipe import FILE, SPATIAL, Recipe, read_recipe, size_named
from headscope.errors import HeadscopeError
from headscope.storage import write_json

SETS = {
    "few": Asked(200, 7001, (2, 6)),
    "crowds": Asked(200, 7002, (7, 20)),
    "new wordings": Asked(200, 7003, (2, 6), new_wordings=True),
}


def train(options: argparse.Namespace) -> None:
    """Both parts, then the checkpoint folder and ``accuracy.json``; a part that is done is only loaded."""
    recipe = read_recipe(options.recipe)
    run = Run(options.diet, options.seed, options.size, options.device, not options.float32)
    if run.diet not in recipe.diets:
        raise SystemExit(f"error: unknown diet {run.diet!r}; possible are {', '.join(recipe.diets)}")
    out = options.out
    trainer = DietTrainer(run, recipe, out, options.vision or out.parent / f"vision-{run.size}-{run.seed}")
    trainer.see()
    steps = recipe.schedules[run.size].steps
    until = min(options.until or steps, steps)
    trainer.talk(until, watch=options.watch)
    folder = trainer.export()
    accuracy(options, folder.parent, trainer, until)


def accuracy(options: argparse.Namespace, folder: Path, trainer: DietTrainer, step: int) -> None:
    """Measure on all sets and write ``accuracy.json``."""
    found: dict[str, object] = {"steps": step}
    for name, asked in SETS.items():
        asked = replace(asked, cases=options.cases)
        tokenizer = trainer.processor.tokenizer
        cells = measure(trainer.model, tokenizer, trainer.size, asked, options.device)
        print(f"{name}: {by_function(cells)}", flush=True)
        found[name] = cells
    write_json(folder / "accuracy.json", found)


def shares(options: argparse.Namespace) -> None:
    """What each diet's pages hold: tokens a step and shares by group, in percent, over some late steps."""
    recipe = read_recipe(options.recipe)
    for diet in recipe.diets:
        tokens = tokens_by_group(recipe, diet, options.size, options.steps)
        total = sum(tokens.values())
        spatial = sum(tokens[g] for g in SPATIAL)
        said = {g: round(100 * n / total, 1) for g, n in tokens.items()}
        line = {"diet": diet, "tokens": total, "spatial": round(100 * spatial / total, 1), "groups": said}
        print(json.dumps(line))


def tokens_by_group(recipe: Recipe, diet: str, size: str, steps: int) -> Counter[str]:
    """Page tokens of each group over a number of steps of the last stage."""
    schedule = recipe.schedules[size]
    paginator = Paginator(build_tokenizer(), size_named(size), schedule.pages, schedule.page)
    tokens: Counter[str] = Counter()
    for step in range(schedule.steps - steps, schedule.steps):
        tokens.update(rows_of(recipe, diet, 0, step, schedule, paginator)[1])
    return tokens


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m embedded_training", description=__doc__)
    parser.add_argument("--recipe", type=Path, default=FILE, help="recipe file; diets.toml without it")
    tasks = parser.add_subparsers(dest="task", required=True)
    teach = tasks.add_parser("train", help="train a model; the same command resumes")
    teach.add_argument("--diet", required=True)
    teach.add_argument("--seed", type=int, required=True)
    teach.add_argument("--out", type=Path, required=True, help="folder for log, checkpoints and model")
    teach.add_argument("--vision", type=Path, help="folder of the vision part, shared by the diets of a seed")
    teach.add_argument("--until", type=int, help="stop after this many language steps")
    teach.add_argument("--watch", type=int, default=200, help="measure every so many steps; 0: never")
    teach.add_argument("--cases", type=int, default=200, help="cases of each set measured at the end")
    teach.add_argument("--device", default="cpu")
    teach.add_argument("--float32", action="store_true", help="for processors without bfloat16")
    teach.add_argument("--threads", type=int, default=1)
    say = tasks.add_parser("shares", help="tokens of each diet by group")
    say.add_argument("--steps", type=int, default=20)
    for task in (teach, say):
        task.add_argument("--size", choices=sorted(SIZES), default="small")
    options = parser.parse_args(argv)
    try:
        if options.task == "shares":
            shares(options)
            return
        torch.set_num_threads(options.threads)
        train(options)
    except KeyboardInterrupt:
        raise SystemExit(f"interrupted; the same command resumes from {options.out}") from None
    except HeadscopeError as exc:
        raise SystemExit(f"error: {exc}") from None


if __name__ == "__main__":
    main()
