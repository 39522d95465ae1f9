"""Run in a process of its own by test_two_devices.py: a model on two devices against the same model on one.

Prints one JSON object of figures. Attention is eager, so that both take the same path bit for bit.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from PIL import Image

from headscope.asking.ask import ask
from headscope.asking.items import Item
from headscope.asking.readouts import READOUTS, Reader
from headscope.data.schema import Case, Step
from headscope.edits.batched import per_item
from headscope.edits.edits import Edit, add, mute, scale
from headscope.edits.means import head_means
from headscope.experiments.waking.awakening import ContributionNorms, attention_to
from headscope.models.answering.generation import generate
from headscope.models.geometry import Head
from headscope.models.proofs.full import prove_geometry
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM, load_model
from headscope.models.weights import HashedWeights
from two_devices import SECOND, Devices, seen, split

HEADS = (Head(0, 1), Head(1, 0), Head(2, 3))  # on both devices
QUESTIONS = ("Where is the dog?", "How many sheep are there in the picture, and which way do they look?")


def models(folder: str) -> tuple[VLM, VLM]:
    """The same model on one device and on two."""
    found = []
    for _ in range(2):
        vlm = load_model(folder, prove=False)
        vlm.model.set_attn_implementation("eager")
        found.append(vlm)
    split(found[1].model, found[1].model.get_decoder().layers)
    return found[0], found[1]


def prompts() -> list[Prompt]:
    """Two prompts of different lengths, so that the batch is padded."""
    rng = np.random.default_rng(3)
    pictures = [Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)) for _ in QUESTIONS]
    return [Prompt(p, q) for p, q in zip(pictures, QUESTIONS, strict=True)]


def items() -> list[Item]:
    """The prompts as items with choices of one and of several tokens."""
    found = []
    for number, question in enumerate(QUESTIONS):
        step = Step(
            id="s1",
            question=question,
            answer="left",
            function="spatial_perception",
            choices=("left", "right", "top left"),
            wording="w",
        )
        case = Case(
            id=f"c{number}", image="p", width=32, height=24, question=question, answer="left", steps=(step,)
        )
        found.append(Item(f"c{number}/s1/alone", case, step, "alone"))
    return found


def directions(vlm: VLM) -> Any:
    rng = np.random.default_rng(0)
    return rng.normal(size=(len(vlm.geometry.heads), vlm.geometry.max_width)).astype(np.float32)


def edits(vlm: VLM) -> dict[str, Any]:
    """One edit of each kind and scope."""
    return {
        "none": None,
        "mute all": Edit(HEADS, mute()),
        "scale image": Edit(HEADS, scale(2.0), "image"),
        "add question": Edit(HEADS, add(directions(vlm)), "question"),
        "mute answer": Edit(HEADS, mute(), "answer"),
        "mean last": Edit(HEADS, mute(mean=directions(vlm)), "last"),
        "one an item": per_item([HEADS[:2], HEADS[1:]], add(directions(vlm), 0.5), "image"),
    }


def readings(vlm: VLM) -> dict[str, Any]:
    """Everything that reads or edits heads, as plain values."""
    encoded = vlm.encode(prompts())
    found: dict[str, Any] = {}
    for name, change in edits(vlm).items():
        outcome = ask(vlm, encoded, items(), edit=change, readouts=READOUTS, max_new_tokens=4)
        found[name] = [outcome.rows, outcome.logprobs, {k: v.tobytes() for k, v in outcome.z.items()}]
        if name == "none":
            found["norms"] = ContributionNorms(vlm.geometry)(outcome.z["prompt_last"]).tobytes()
    found["means"] = head_means(vlm, [encoded]).tobytes()
    with torch.no_grad(), attention_to(vlm, encoded, {"image": encoded.image}) as mass:
        vlm.model(**encoded.inputs)
    found["attention"] = mass.sums["image"].tobytes()
    return found


def counted(run: Callable[[], Any]) -> dict[str, int]:
    """Copies between devices and waits of one run."""
    seen.clear()
    run()
    return {k: v for k, v in Counter(seen).items() if v}


def costs(vlm: VLM) -> dict[str, dict[str, int]]:
    """Copies and waits of a generation, bare and with everything that rides on it."""
    encoded: Encoded = vlm.encode(prompts())
    reader = Reader(vlm.geometry, READOUTS)
    every = list(vlm.geometry.heads)
    edited = {
        "edit": Edit(every, scale(2.0), "image"),
        "one an item": per_item([every, every[:3]], scale(2.0), "image"),
    }
    found = {"bare": counted(lambda: generate(vlm, encoded, 4))}
    with reader.attached():
        found["reader"] = counted(lambda: generate(vlm, encoded, 4))
    for name, change in edited.items():
        with vlm.reading(encoded), change.applied(vlm):
            generate(vlm, encoded, 4)  # what the edit needs goes to its device once
            found[name] = counted(lambda: generate(vlm, encoded, 4))
    with attention_to(vlm, encoded, {"image": encoded.image}):
        found["attention"] = counted(lambda: generate(vlm, encoded, 4))
    return found


def careless(vlm: VLM) -> dict[str, int]:
    """What is counted where each layer's hook takes z to the host and waits for a number of it."""
    encoded: Encoded = vlm.encode(prompts())

    def look(_module: Any, args: tuple[Any, ...]) -> None:
        args[0].cpu()
        args[0].sum().item()

    handles = [s.projection.register_forward_pre_hook(look) for s in vlm.geometry.sites]
    try:
        return counted(lambda: vlm.model(**encoded.inputs))
    finally:
        for handle in handles:
            handle.remove()


def misplaced(vlm: VLM) -> str:
    """What the devices say when a hook hands a tensor of the wrong device to a layer's projection."""
    site = vlm.geometry.sites[0]
    handle = site.projection.register_forward_pre_hook(lambda _m, args: (args[0].to(SECOND),))
    try:
        vlm.model(**vlm.encode(prompts()).inputs)
    except RuntimeError as exc:
        return str(exc)
    finally:
        handle.remove()
    return ""


def main(folder: str) -> None:
    torch.set_num_threads(1)
    one, two = models(folder)
    expected = readings(one)
    with Devices(), torch.no_grad():
        found = readings(two)
        result = {
            "devices": sorted({str(p.device) for p in two.model.parameters()}),
            "inputs": str(two.device),
            "same": {name: found[name] == expected[name] for name in expected},
            "moved": {name: expected[name] != expected["none"] for name in edits(one)},
            "costs": costs(two),
            "careless": careless(two),
            "sites": len(two.geometry.sites),
            "proof": str(prove_geometry(two)),
            "misplaced": misplaced(two),
            "identities": [HashedWeights(vlm.model).revision for vlm in (one, two)],
            "moved weights": two.weights.change(two.model),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
