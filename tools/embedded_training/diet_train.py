"""Trains a model on a diet: the tower on patch labels, the same for every diet, then pages of dialogue.

Every batch is a function of seed, part and step, and a checkpoint holds weights and optimizer state, so that
a run that was stopped ends with the same bytes as one that was not.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from checkpoint_statements import write_training_facts
from embedded_training import checkpoints
from embedded_training.architecture import build_model, build_processor
from embedded_training.blocks import rows_of
from embedded_training.episodes import plain_scene
from embedded_training.measuring import Asked, by_function, measure
from embedded_training.packing import IGNORE, dense_labels, pixels_of
from embedded_training.paging import PAGED, Pages, Paginator
from embedded_training.recipe import Recipe, size_named
from embedded_training.train import DenseHeads, Optimizers
from headscope.making.scenes.generate import NEW
from headscope.models.training_facts import TrainingFacts

WATCHED = {"few": Asked(40, 5001, (2, 6)), "crowds": Asked(40, 5002, (7, 20))}
VISION, LANGUAGE = "vision", "language"


@dataclass(frozen=True)
class Run:
    """One model to be trained: diet, seed, size, and where it is computed."""

    diet: str
    seed: int
    size: str = "small"
    device: str = "cpu"
    bfloat16: bool = True


class DietTrainer:
    """Both parts of a run: log and checkpoints in ``folder``; the tower's, to be shared, in ``vision``."""

    def __init__(self, run: Run, recipe: Recipe, folder: Path, vision: Path, every: int = 50, save: int = 50):
        self.run, self.recipe, self.folder, self.vision = run, recipe, folder, vision
        self.every, self.save, self.watch = every, save, 0
        self.schedule = recipe.schedules[run.size]
        self.size = size_named(run.size)
        self.processor = build_processor(self.size)
        self.model = build_model(self.processor.tokenizer, run.seed, self.size)
        self.model.set_attn_implementation(PAGED)
        self.dense = DenseHeads(self.size.vision_width)
        self.model.to(run.device)
        self.dense.to(run.device)
        self.paginator = Paginator(
            self.processor.tokenizer, self.size, self.schedule.pages, self.schedule.page
        )
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.clock = (time.time(), time.process_time())

    def _count(self, name: str, right: float, number: float) -> None:
        self.sums[name][0] += right
        self.sums[name][1] += number

    def _log(self, folder: Path, step: int, loss: float, share: float) -> None:
        means = {k: round(v[0] / v[1], 3) for k, v in sorted(self.sums.items()) if v[1]}
        now = (time.time(), time.process_time())
        spent = [round(b - a, 1) for a, b in zip(self.clock, now, strict=True)]
        self.clock = now
        self.sums.clear()
        line = {"step": step, "loss": round(loss, 4), "rate": round(share, 3), "accuracy": means}
        line |= {"seconds": spent[0], "processor_seconds": spent[1]}
        with (folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(
            f"{folder.name}: step {step}, loss {loss:.3f}, {spent[0]:.0f} s since the last line", flush=True
        )

    def vision_loss(self, step: int) -> torch.Tensor:
        """Summed cross entropy of the patch labels of a step's pictures."""
        rng = random.Random(f"{self.run.seed}/{VISION}/{step}")
        scenes = [plain_scene(rng, rng.randint(2, 14)) for _ in range(self.schedule.vision_pictures)]
        labels = {k: v.to(self.run.device) for k, v in dense_labels(scenes, self.size.cells).items()}
        pixels = pixels_of(scenes, self.size.side).to(self.run.device)
        with self._autocast():
            features = self.model.model.vision_tower(pixel_values=pixels).last_hidden_state
        loss, accuracy = self.dense.losses(features.float(), labels)
        for name, value in accuracy.items():
            self._count(name, value, 1)
        return loss

    def _measure(self, step: int) -> None:
        found: dict[str, object] = {"step": step}
        for name, asked in WATCHED.items():
            cells = measure(
                self.model, self.processor.tokenizer, self.size, asked, self.run.device, self.run.bfloat16
            )
            found[name] = cells
            print(f"{self.folder.name} {step} {name}: {by_function(cells)}", flush=True)
        with (self.folder / "accuracy.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")

    def _autocast(self) -> Any:
        return torch.autocast(self.run.device.split(":")[0], torch.bfloat16, enabled=self.run.bfloat16)

    def pages_of(self, step: int) -> Pages:
        """The batch of a language step."""
        rows, _ = rows_of(self.recipe, self.run.diet, self.run.seed, step, self.schedule, self.paginator)
        return self.paginator.lay(rows).to(self.run.device)

    def language_loss(self, step: int) -> torch.Tensor:
        """Cross entropy over answer tokens."""
        pages = self.pages_of(step)
        wanted = pages.targets != IGNORE
        with self._autocast():
            hidden = self.model.model(
                input_ids=pages.ids,
                pixel_values=pages.pixels,
                attention_mask=pages.mask(),
                position_ids=pages.positions,
            ).last_hidden_state
            logits = self.model.lm_head(hidden[wanted])
        targets = pages.targets[wanted]
        right = (logits.argmax(-1) == targets).float()
        tags = pages.first[wanted]
        for number, tag in enumerate(pages.tags):
            chosen = tags == number
            self._count(tag, float(right[chosen].sum()), float(chosen.sum()))
        return nn.functional.cross_entropy(logits.float(), targets)

    def _loop(
        self, part: str, folder: Path, steps: int, until: int, groups: list, modules: nn.Module
    ) -> None:
        dtype = torch.bfloat16 if self.run.bfloat16 else torch.float32
        optimizers = Optimizers(groups, dtype)
        first = checkpoints.load(folder, part, modules, optimizers.all)
        loss_of = self.vision_loss if part == VISION else self.language_loss
        for step in range(first, until):
            loss = loss_of(step)
            loss.backward()
            nn.utils.clip_grad_norm_([p for m, _ in groups for p in m.parameters()], 1.0)
            share = self.schedule.rate(step, steps)
            optimizers.step(share)
            done = step + 1
            if done % self.every == 0 or done == until:
                self._log(folder, done, loss.item(), share)
            if done % self.save == 0 or done == until:
                checkpoints.save(folder, part, done, modules, optimizers.all)
            if part == LANGUAGE and self.watch and done % self.watch == 0:
                self._measure(done)

    def see(self, until: int | None = None) -> None:
        """The vision part, from wherever it stopped, or its weights where it is complete."""
        tower, lr = self.model.model.vision_tower, self.schedule.lr
        self.vision.mkdir(parents=True, exist_ok=True)
        groups: list[tuple[nn.Module, float]] = [(tower, lr), (self.dense, lr)]
        steps = self.schedule.vision_steps
        self._loop(VISION, self.vision, steps, until or steps, groups, nn.ModuleList([tower, self.dense]))

    def talk(self, until: int | None = None, watch: int = 0) -> None:
        """The language part, from wherever it stopped; measured every ``watch`` steps, where not 0."""
        self.watch = watch
        inner, schedule = self.model.model, self.schedule
        self.folder.mkdir(parents=True, exist_ok=True)
        groups = [
            (inner.vision_tower, schedule.tower_lr),
            (inner.multi_modal_projector, schedule.lr),
            (inner.language_model, schedule.lr),
        ]
        self._loop(LANGUAGE, self.folder, schedule.steps, until or schedule.steps, groups, self.model)

    def export(self) -> Path:
        """Write the ordinary checkpoint folder; returns where."""
        self.model.set_attn_implementation("sdpa")
        checkpoints.export(self.model.cpu(), self.processor, self.folder / "model")
        self.model.set_attn_implementation(PAGED)
        self.model.to(self.run.device)
        write_training_facts(self.folder / "model", TrainingFacts(self.recipe.things(), tuple(sorted(NEW))))
        return self.folder / "model"
