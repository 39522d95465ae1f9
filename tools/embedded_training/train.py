"""Trains the embedded model: ``python tools/train_embedded.py --out FOLDER``.

Staged as real VLMs are: the vision tower on dense patch labels, then captions, then single questions and
multi-turn step chains. Every batch is a function of (seed, stage, step), so a killed run resumes exactly.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from checkpoint_statements import write_training_facts
from embedded_training import checkpoints
from embedded_training.architecture import build_model, build_processor
from embedded_training.episodes import Mix, episode, plain_scene
from embedded_training.muon import Muon
from embedded_training.packing import DENSE, IGNORE, Packed, Packer, dense_labels, pixels_of
from headscope.errors import HeadscopeError
from headscope.making.scenes.generate import NEW
from headscope.models.training_facts import TrainingFacts

STAGES = (
    # until this share of the language steps -> what is asked
    (0.06, Mix(2, 3, captions=1.0, singles=5, relations=0, lessons=0, chains=0.0, mains=0.0, hard=0.0)),
    (0.25, Mix(2, 4, captions=0.12, singles=8, relations=2, lessons=0, chains=0.35, mains=0.2, hard=0.0)),
    (0.80, Mix(2, 4, captions=0.02, singles=2, relations=3, lessons=4, chains=0.6, mains=0.4, hard=0.4)),
    (1.00, Mix(2, 7, captions=0.03, singles=3, relations=3, lessons=2, chains=0.65, mains=0.7, hard=0.3)),
)


@dataclass
class Recipe:
    """Everything that decides the weights, besides the code.

    ``decay`` is the last share of steps over which the learning rate falls linearly to a fiftieth.
    """

    seed: int = 0
    vision_steps: int = 1500
    vision_pictures: int = 64
    steps: int = 5000
    pictures: int = 32
    text_tokens: int = 132
    lr: float = 2e-3
    tower_lr: float = 5e-4
    warmup: int = 100
    decay: float = 0.2


def rate(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the full learning rate at a step: linear warm-up, constant, linear decay."""
    left = (steps - step) / max(1.0, recipe.decay * steps)
    return min((step + 1) / recipe.warmup, 1.0, max(left, 0.02))


class Optimizers:
    """Muon for the matrices inside layers, AdamW for embeddings, norms, biases and the projector's rest."""

    def __init__(self, groups: list[tuple[nn.Module, float]], dtype: torch.dtype = torch.float32) -> None:
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for module, lr in groups:
            named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
            inner = [p for n, p in named if p.ndim == 2 and "embed" not in n and "head" not in n]
            kept = {id(p) for p in inner}
            matrices.append({"params": inner, "lr": lr, "full": lr})
            others.append({"params": [p for _, p in named if id(p) not in kept], "lr": lr, "full": lr})
        self.all: list[torch.optim.Optimizer] = [
            Muon(matrices, dtype=dtype),
            torch.optim.AdamW(others, weight_decay=0.01, betas=(0.9, 0.98)),
        ]

    def step(self, share: float) -> None:
        """One update at a share of the full learning rate."""
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


class DenseHeads(nn.Module):
    """Linear read-outs of the patch labels from the tower's features; thrown away after the vision stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outs = nn.ModuleDict({name: nn.Linear(width, size) for name, size in DENSE.items()})

    def losses(self, features: torch.Tensor, labels: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict]:
        """Summed cross entropy of (item, patch, width) features, and accuracy by label."""
        total = features.new_zeros(())
        accuracy = {}
        for name, out in self.outs.items():
            known = labels[name] != IGNORE
            logits, wanted = out(features[known]), labels[name][known]
            total = total + nn.functional.cross_entropy(logits, wanted)
            present = wanted > 0 if name == "kind" else wanted >= 0
            accuracy[f"dense/{name}"] = (logits.argmax(-1) == wanted)[present].float().mean().item()
        return total, accuracy


class Batches(Dataset):
    """The batch of every step of a part: a function of seed, part and step."""

    def __init__(self, part: str, recipe: Recipe, packer: Packer) -> None:
        self.part, self.recipe, self.packer = part, recipe, packer

    def __getitem__(self, step: int) -> Any:
        rng = random.Random(f"{self.recipe.seed}/{self.part}/{step}")
        if self.part == "vision":
            scenes = [plain_scene(rng, rng.randint(2, 9)) for _ in range(self.recipe.vision_pictures)]
            return pixels_of(scenes), dense_labels(scenes)
        share = step / self.recipe.steps
        mix = next(m for until, m in STAGES if share < until or until == 1.0)
        return self.packer.pack([episode(rng, mix) for _ in range(self.recipe.pictures)])


class Trainer:
    """The two parts of training, with a log and checkpoints in ``folder``."""

    def __init__(self, folder: Path, recipe: Recipe, compiled: bool = False, workers: bool = False) -> None:
        self.folder = folder
        self.workers = workers
        self.recipe = recipe
        self.processor = build_processor()
        self.model = build_model(self.processor.tokenizer, recipe.seed)
        self.model.set_attn_implementation("sdpa")
        self.packer = Packer(self.processor.tokenizer, recipe.text_tokens)
        self.dense = DenseHeads(self.model.config.vision_config.hidden_size)
        self.compiled = compiled
        self.started = time.time()
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def log(self, part: str, step: int, loss: float, share: float) -> None:
        """One line of the log: means since the last line."""
        means = {k: round(v[0] / v[1], 4) for k, v in sorted(self.sums.items()) if v[1]}
        line = {
            "part": part,
            "step": step,
            "loss": round(loss, 4),
            "rate": round(share, 4),
            "accuracy": means,
        }
        line["seconds"] = round(time.time() - self.started, 1)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.sums.clear()

    def _count(self, name: str, right: float, number: float) -> None:
        self.sums[name][0] += right
        self.sums[name][1] += number

    def vision_loss(self, pixels: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
        """Summed cross entropy of the patch labels."""
        features = self.model.model.vision_tower(pixel_values=pixels).last_hidden_state
        loss, accuracy = self.dense.losses(features, labels)
        for name, value in accuracy.items():
            self._count(name, value, 1)
        return loss

    def language_loss(self, packed: Packed) -> torch.Tensor:
        """Cross entropy over answer tokens only."""
        hidden = self.model.model(
            input_ids=packed.ids,
            pixel_values=packed.pixels,
            attention_mask=packed.mask(),
            position_ids=packed.positions,
        ).last_hidden_state
        wanted = packed.targets != IGNORE
        logits = self.model.lm_head(hidden[wanted])
        targets = packed.targets[wanted]
        with torch.no_grad():
            right = (logits.argmax(-1) == targets).float()
            tags = packed.first[wanted]
            for number, tag in enumerate(packed.tags):
                chosen = tags == number
                self._count(tag, float(right[chosen].sum()), float(chosen.sum()))
        return nn.functional.cross_entropy(logits, targets)

    def _loop(self, part: str, steps: int, groups: list[tuple[nn.Module, float]], modules: nn.Module) -> None:
        optimizers = Optimizers(groups)
        first = checkpoints.load(self.folder, part, modules, optimizers.all)
        batches = Batches(part, self.recipe, self.packer)
        ahead: dict[str, Any] = {"num_workers": 1, "prefetch_factor": 4} if self.workers else {}
        loader = DataLoader(batches, batch_size=None, sampler=range(first, steps), **ahead)
        for step, batch in enumerate(loader, first):
            loss = self.vision_loss(*batch) if part == "vision" else self.language_loss(batch)
            loss.backward()
            nn.utils.clip_grad_norm_([p for m, _ in groups for p in m.parameters()], 1.0)
            share = rate(step, steps, self.recipe)
            optimizers.step(share)
            if (step + 1) % 50 == 0 or step + 1 == steps:
                self.log(part, step + 1, loss.item(), share)
            if (step + 1) % 250 == 0 or step + 1 == steps:
                checkpoints.save(self.folder, part, step + 1, modules, optimizers.all)

    def run(self) -> None:
        """Both parts, from wherever an earlier run stopped, then the checkpoint folder."""
        inner = self.model.model
        tower = inner.vision_tower
        if checkpoints.steps_done(self.folder, "language") == 0:
            both = nn.ModuleList([tower, self.dense])
            groups: list[tuple[nn.Module, float]] = [(tower, self.recipe.lr), (self.dense, self.recipe.lr)]
            self._loop("vision", self.recipe.vision_steps, groups, both)
        if self.compiled:
            inner.language_model.compile()
        groups = [
            (tower, self.recipe.tower_lr),
            (inner.multi_modal_projector, self.recipe.lr),
            (inner.language_model, self.recipe.lr),
        ]
        self._loop("language", self.recipe.steps, groups, self.model)
        checkpoints.export(self.model, self.processor, self.folder / "model")
        things = min(mix.fewest for _, mix in STAGES), max(mix.most for _, mix in STAGES)
        write_training_facts(self.folder / "model", TrainingFacts(things, tuple(sorted(NEW))))


def main(argv: list[str] | None = None) -> None:
    """Command line of the training module."""
    parser = argparse.ArgumentParser(prog="python tools/train_embedded.py", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for log, checkpoints and model")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the decoder (needs a C++ compiler)"
    )
    parser.add_argument("--worker", action="store_true", help="draw scenes in a second process")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: torch's own choice")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args(argv))
    out, compiled, threads, worker = (options.pop(o) for o in ("out", "compile", "threads", "worker"))
    if threads:
        torch.set_num_threads(threads)
    recipe = Recipe(**options)
    try:
        checkpoints.claim(out, asdict(recipe))
        Trainer(out, recipe, compiled, worker).run()
    except KeyboardInterrupt:
        raise SystemExit(f"interrupted; the same command resumes from the last checkpoint in {out}") from None
    except HeadscopeError as exc:
        raise SystemExit(f"error: {exc}") from None


if __name__ == "__main__":
    main()
