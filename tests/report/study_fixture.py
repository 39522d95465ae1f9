"""Makes up a small finished study: cases with pictures, and every stage's files in their real formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from made_up_effects import LOSSES, ablation, emphasis, wake
from made_up_maps import overlay
from PIL import Image

from headscope.capturing.captured import SCHEMA, CapturePlan, write_plan
from headscope.capturing.store import write_shard
from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Case, Object, Step
from headscope.functions import DEFAULT
from headscope.making.scenes.sprites import paste, sprite
from headscope.models.training_facts import TrainingFacts
from headscope.probing.atlas import Atlas, AtlasHead
from headscope.probing.settings import ProbeSettings
from headscope.probing.summary import derive, with_causal
from headscope.storage import write_json
from headscope.study.record import (
    SplitCounts,
    StudyData,
    StudyModel,
    StudyRecord,
    TaxonomyRecord,
    TrainingRecord,
)

HOSTILE = 'Is "<script>alert(1)</script>" & </script> <b>bold</b>?'
KINDS = ("dog", "horse", "cat", "cow", "pig", "duck", "car", "tree", "cup", "clock", "apple", "guitar")
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange")
SIDE = 192
LAYERS, HEADS = 8, 8
HARDER = {"alone": 0.12, "own": 0.05, "gold": 0.0, "wrong": 0.3, "other": 0.2}


def build_study(
    folder: Path,
    *,
    count: int = 60,
    stages: Sequence[str] = ("capture", "probe", "ablate", "emphasize", "wake", "overlay"),
    skill: float = 1.0,
    shape: tuple[int, int] = (LAYERS, HEADS),
    functions: Sequence[str] = DEFAULT.functions,
    stated: bool = True,
) -> Path:
    """Write a study folder, and its cases in ``folder.parent / "cases"``.

    Args:
        count: cases.
        stages: which stages were run.
        skill: 1: answers well; 0: guesses.
        shape: layers and heads per layer.
        functions: which functions have steps.
        stated: whether the model states what it was trained on.
    """
    rng = np.random.default_rng(7)
    cases = _cases(folder.parent / "cases", count, rng, functions)
    splits = {c.id: ("test", "select", "fit", "fit", "fit")[i % 5] for i, c in enumerate(cases)}
    folder.mkdir(parents=True, exist_ok=True)
    facts = TrainingFacts((2, 7), ("combination", "sprite", "wording")) if stated else TrainingFacts()
    _about(cases, splits, facts).save(folder / "study.json")
    write_json(folder / "splits.json", splits)
    seconds = {"data": 3.1, "capture": 190.2, "probe": 71.4, "ablate": 240.8, "emphasize": 66.0, "wake": 83.9}
    write_json(folder / "timings.json", {**seconds, "report": 9.7, "total": 665.1})
    rows = answers(cases, splits, rng, skill)
    labels = [f"L{i}H{j}" for i in range(shape[0]) for j in range(shape[1])]
    if "capture" in stages:
        _capture(folder / "capture", rows, labels, shape, cases)
    if "probe" in stages:
        atlas(functions, shape, rng).save(folder / "probe" / "atlas.json")
    if "ablate" in stages:
        ablation(folder, functions, labels, rng)
    if "emphasize" in stages:
        emphasis(folder, functions, labels, rng)
    if "wake" in stages:
        wake(folder, cases, splits, labels, rng, stated)
    if "overlay" in stages:
        overlay(folder, cases, splits, labels, rng)
    return folder


def _about(cases: Cases, splits: dict[str, str], facts: TrainingFacts) -> StudyRecord:
    return StudyRecord(
        load="embedded",
        model=StudyModel(
            name="embedded",
            revision="3f1c9a70be52d184",
            parameters=5_812_345,
            layers=LAYERS,
            heads=LAYERS * HEADS,
        ),
        image_backend="pil",
        training=TrainingRecord(things=facts.things, held_out=facts.held_out),
        data=StudyData(path=str(cases.folder), fingerprint=cases.fingerprint),
        cases=SplitCounts(**Counter(splits.values())),
        steps=sum(len(c.steps) for c in cases),
        taxonomy=TaxonomyRecord.of(DEFAULT),
        versions={"headscope": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        size="demo",
        seed=1,
        batch_size=64,
        device="cpu",
        dtype="float32",
    )


def _cases(folder: Path, count: int, rng: np.random.Generator, functions: Sequence[str]) -> Cases:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    found = []
    for i in range(count):
        things = 3 if i == 0 else int(rng.integers(2, 13))
        canvas = np.full((SIDE, SIDE, 3), (214, 232, 208), dtype=np.uint8)
        objects = []
        for j, cell in enumerate(rng.permutation(16)[:things]):
            kind, colour = KINDS[(i + j) % len(KINDS)], COLOURS[int(rng.integers(6))]
            drawn = sprite(kind, colour, "small", "left" if kind in KINDS[:6] else None)
            x, y = 8 + 46 * (int(cell) % 4), 8 + 46 * (int(cell) // 4)
            paste(canvas, drawn, x, y)
            box = (x, y, x + drawn.shape[1], y + drawn.shape[0])
            objects.append(Object(id=f"o{j}", name=kind, box=box, attributes={"colour": colour}))
        Image.fromarray(canvas).save(folder / "images" / f"{i:04d}.png")
        found.append(_case(i, objects, functions))
    return save_cases(found, folder)


def _case(i: int, objects: list[Object], functions: Sequence[str]) -> Case:
    first, second = objects[0].name, objects[1].name
    asked = {
        "object_recognition": (
            f"Is there a {first if i % 2 else 'zebra'}?",
            ("no", "yes")[i % 2],
            ("yes", "no"),
        ),
        "attribute_perception": (f"What colour is the {first}?", objects[0].attributes["colour"], COLOURS),
        "text_reading": ("Which letter is on the sign?", "ACE"[i % 3], tuple("ACE")),
        "spatial_perception": (f"Where is the {first}?", ("left", "right")[i % 2], ("left", "right")),
        "orientation_perception": (
            f"Which way does the {first} look?",
            ("left", "right")[i % 2],
            ("left", "right"),
        ),
        "relational_reasoning": (f"Is the {first} above the {second}?", ("yes", "no")[i % 2], ("yes", "no")),
        "counting": (f"How many things like the {first} are there?", str(1 + i % 3), ("1", "2", "3")),
        "knowledge_recall": ("What is it?", ("dog", "cat", "cow")[i % 3], ("dog", "cat", "cow")),
        "decision_making": ("So, is it true?", ("true", "false")[i % 2], ("true", "false")),
    }
    steps = []
    for j, name in enumerate(functions):
        question, answer, choices = asked.get(name, (f"{name}?", ("yes", "no")[i % 2], ("yes", "no")))
        steps.append(
            Step(
                id=f"s{j}", question=question, answer=answer, choices=choices, function=name, objects=("o0",)
            )
        )
    return Case(
        id=f"case-{i:04d}",
        image=f"images/{i:04d}.png",
        width=SIDE,
        height=SIDE,
        question=HOSTILE if i == 0 else f"Is the {first} facing the {second}?",
        answer=("true", "false")[i % 2],
        choices=("true", "false"),
        kind="facing",
        objects=tuple(objects),
        named=("o0", "o1"),
        steps=tuple(steps),
        held_out=((), ("combination",), (), ("wording", "sprite"))[i % 4],
    )


def answers(
    cases: Cases, splits: dict[str, str], rng: np.random.Generator, skill: float
) -> list[dict[str, Any]]:
    """Answer rows of every step and main question; ``skill`` 0 guesses among the choices."""
    rows = []
    for case in cases:
        for step in [*case.steps, case.main_step()]:
            main = step.function == "main"
            for context in HARDER if main else ("alone", "gold", "own"):
                if step.function == "decision_making" and context == "alone":
                    continue
                if context == "other" and case.id.endswith("0"):  # no case is like it
                    continue
                hard = 0.05 * max(0, case.things - 6) + HARDER[context]
                hard += 0.08 * (step.function in DEFAULT.spatial) + 0.06 * bool(case.held_out)
                right = rng.random() < skill * (0.97 - hard) + (1 - skill) / len(step.choices)
                wrong = [c for c in step.choices if c != step.answer]
                said = step.answer if right else wrong[int(rng.integers(len(wrong)))]
                rows.append(_row(case, step, context, splits[case.id], said, rng))
    return rows


def _row(
    case: Case, step: Step, context: str, split: str, said: str, rng: np.random.Generator
) -> dict[str, Any]:
    right = said == step.answer
    return {
        "item": f"{case.id}/{step.id}/{context}",
        "case": case.id,
        "step": step.id,
        "context": context,
        "function": step.function,
        "split": split,
        "kind": case.kind,
        "things": case.things,
        "held_out": ",".join(case.held_out),
        "wording": step.wording,
        "question": step.question,
        "truth": step.answer,
        "choices": list(step.choices),
        "text": said,
        "answer": said,
        "correct": right,
        "margin": float(rng.gamma(2, 1.2)) * (1 if right else -0.6),
        "logprob": -0.1 if right else -1.7,
        "total": 0.9,
        "tokens": 1,
        "content_found": True,
    }


def _capture(
    folder: Path, rows: list[dict[str, Any]], labels: list[str], shape: tuple[int, int], cases: Cases
) -> None:
    plan = CapturePlan.model_validate(
        {
            "schema": SCHEMA,
            "model": "3f1c9a70be52d184",
            "model_name": "embedded",
            "dtype": "float32",
            "cases": cases.fingerprint,
            "settings": {
                **{"contexts": ["gold"], "main_contexts": ["gold"], "readouts": [], "batch_size": 8},
                **{"max_new_tokens": 8, "shard_items": 512, "score": True, "taxonomy": "default"},
                **{"pictures": "plain", "splits": ""},
            },
            "heads": {
                "head": labels,
                "layer": [i for i in range(shape[0]) for _ in range(shape[1])],
                "head_width": [4] * len(labels),
            },
            "width": 4,
            "items": len(rows),
            "shards": [{"name": "00000", "batches": [[r["item"] for r in rows]]}],
        }
    )
    write_plan(folder, plan)
    write_shard(folder, "00000", rows, {}, plan.heads, {})


def atlas(functions: Sequence[str], shape: tuple[int, int], rng: np.random.Generator) -> Atlas:
    """An atlas whose scores peak in a few heads, one set a function."""
    size = shape[0] * shape[1]
    rankings: dict[str, dict[str, list[float | None]]] = {"joint": {}, "independent": {}, "causal": {}}
    causal, q, answers_, control = {}, {}, {}, {}
    for i, name in enumerate(functions):
        peak = np.zeros(size)
        best = rng.choice(size, 5 if name in DEFAULT.spatial else 9, replace=False)
        peak[best] = rng.uniform(0.4, 1.0, len(best))
        rankings["joint"][name] = (
            0.02 * rng.normal(size=size) + 0.2 * peak * rng.choice([1, -1], size)
        ).tolist()
        auroc = np.clip(0.55 + 0.05 * rng.normal(size=size) + 0.35 * peak, 0, 1)
        rankings["independent"][name] = auroc.tolist()
        q[name] = np.where(auroc > 0.66, 0.001, 0.4).tolist()
        control[name] = [0.52] * size
        score = 0.02 * rng.normal(size=size) + 1.4 * peak * (rng.random(size) < 0.7)
        causal[name] = {
            "margin_drop": score.tolist(),
            "margin_ci": np.stack([score - 0.2, score + 0.2], 1).tolist(),
        }
        gain = (0.01 * rng.normal(size=size) + 0.3 * peak).tolist()
        answers_[name] = {
            "score": gain,
            "interval": [(g - 0.05, g + 0.05) for g in gain],
            "accuracy": [0.5 + g for g in gain],
            "question": 0.5,
            "blank": None,
            "chance": 0.5,
            "n": 100 + i,
            "images": 90,
            "domains": [],
        }
    made = Atlas(
        heads=[
            AtlasHead(layer=a, head=b, label=f"L{a}H{b}", width=4)
            for a in range(shape[0])
            for b in range(shape[1])
        ],
        functions=list(functions),
        spatial=[f for f in functions if f in DEFAULT.spatial],
        rankings=rankings,
        significance={"independent": q, "answer": q},
        selectivity={f: [a - 0.52 for a in rankings["independent"][f]] for f in functions},  # type: ignore[operator]
        control=control,
        answers=answers_,
        independent={"from_picture": [f for f in functions if f in DEFAULT.from_picture]},
        joint={
            "accuracy": 0.94,
            "majority": 0.17,
            "shuffled": 0.14,
            "words_alone": 0.95,
            "words_by": "bag of words",
            "beyond_words": -0.01,
            "beyond_words_ci": [-0.03, 0.01],
            "steps": {"fit": 300, "select": 100, "test": 90},
        },
        provenance={"model": "embedded", **asdict(ProbeSettings()), "contexts": ["gold"]},
    )
    return with_causal(derive(made), causal)


__all__ = ["HOSTILE", "LOSSES", "answers", "build_study"]
