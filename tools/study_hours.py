"""How long the study of docs/first-hour.md takes by model: unit costs of one model, scaled by operations.

    python tools/study_hours.py measure FOLDER VSR_CASES PHOTOGRAPHED_CASES  # docs/study-hours.json, table
    python tools/study_hours.py table                                     # the table alone

``measure`` counts the work on the first cases, which need no pictures, and times on the second ones, in one
process, a plain forward of a prompt and the three units of `headscope plan`: what counts is their ratio. A
scan's ratio is per head. ``table`` multiplies: units x ratio x operations of one forward of each model.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURES, PAGE = DOCS / "study-hours.json", DOCS / "first-hour.md"
BEGIN, END = "<!-- hours: begin -->", "<!-- hours: end -->"
COUNTS = ("<!-- counts: begin -->", "<!-- counts: end -->")
WORDS = 60  # positions of a step's question and of the dialogue before it, about
SUSTAINED = 100e12  # operations a second that the hours are given for


@dataclass(frozen=True)
class Vision:
    """A vision tower: layers, width, width and number of matrices of its MLP, patches of a picture."""

    layers: int
    width: int
    mlp: int
    patches: int
    matrices: int = 2
    window: int = 0

    def operations(self) -> float:
        """Operations of one picture of 640 x 480; attention within tiles or windows of ``window`` patches."""
        weights = self.layers * (4 * self.width**2 + self.matrices * self.width * self.mlp)
        seen = self.window or self.patches
        return 2.0 * weights * self.patches + 4.0 * self.layers * self.width * self.patches * seen


@dataclass(frozen=True)
class Shape:
    """A published configuration, and how many positions a picture of 640 x 480 takes in the decoder."""

    name: str
    layers: int
    width: int
    heads: int
    key_heads: int
    head_width: int
    mlp: int
    picture: int
    vision: Vision
    crossing: tuple[int, int] = (0, 0)  # layers whose keys are the picture's, and its positions there

    @property
    def all_heads(self) -> int:
        """Heads of the decoder."""
        return self.layers * self.heads

    @property
    def positions(self) -> int:
        """Positions of a prompt."""
        return self.picture + WORDS

    def operations(self) -> float:
        """Operations of one plain forward of a prompt: two for every weight and position, and attention."""
        attention = self.width * self.head_width * (2 * self.heads + 2 * self.key_heads)
        weights = self.layers * (attention + 3 * self.width * self.mlp)
        mixed = 4.0 * self.layers * self.heads * self.head_width * self.positions**2
        layers, seen = self.crossing
        crossed = 2.0 * layers * seen * 2 * self.width * self.key_heads * self.head_width
        return 2.0 * weights * self.positions + mixed + crossed + self.vision.operations()


SIGLIP = {"layers": 27, "width": 1152, "mlp": 4304}
MODELS = (
    Shape("Qwen2.5-VL-7B", 28, 3584, 28, 4, 128, 18944, 391, Vision(32, 1280, 3420, 1564, 3, 64)),
    Shape("InternVL3-8B", 28, 3584, 28, 4, 128, 18944, 3328, Vision(24, 1024, 4096, 13 * 1025, window=1025)),
    Shape("LLaVA-OneVision-7B", 28, 3584, 28, 4, 128, 18944, 2984,
          Vision(**SIGLIP, patches=5 * 729, window=729)),
    Shape("Gemma-3-4B", 34, 2560, 8, 4, 256, 10240, 256, Vision(**SIGLIP, patches=4096)),
    Shape("Llama-3.2-Vision-11B", 40, 4096, 32, 8, 128, 14336, 1,
          Vision(40, 1280, 5120, 4 * 1601), (8, 4 * 1601)),
    Shape("Mistral-Small-3.1-24B", 40, 5120, 32, 8, 128, 32768, 432, Vision(24, 1024, 4096, 1610, 3)),
)  # fmt: skip


def measure(folder: Path, counted: Path, photographed: Path, batch_size: int) -> dict[str, Any]:
    """Seconds of the units on a model, in plain forwards of the same prompts; counts of the study's work."""
    import torch

    from headscope.asking.batches import encode_batch
    from headscope.asking.items import make_items
    from headscope.data.cases import load_cases
    from headscope.data.splits import assign_splits
    from headscope.functions import DEFAULT
    from headscope.models.vlm import load_model
    from headscope.study.planning import stage_work, unit_seconds
    from headscope.study.sizes import size_named

    cases = load_cases(counted, pictures=False)
    splits = {str(k): str(v) for k, v in assign_splits(cases, 0).items()}
    work = {
        s: [asdict(w) for w in stage_work(cases, splits, size_named(s), DEFAULT)] for s in ("demo", "full")
    }
    about, cases = len(cases), load_cases(photographed)
    vlm = load_model(folder, dtype="auto", prove=False)
    items = make_items(cases[:batch_size], DEFAULT, ("gold",), ("gold",))[:batch_size]
    encoded = encode_batch(vlm, items, lambda i: cases.image(i.case))

    def forward() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            vlm.model(**encoded.inputs, use_cache=False, logits_to_keep=1)
        return (time.perf_counter() - start) / len(items)

    forward()
    plain = min(forward() for _ in range(2))
    units = unit_seconds(vlm, cases, DEFAULT, batch_size, edits=4)
    heads = len([h for h in vlm.geometry.heads if h.tower == "decoder"])
    return {
        "schema": "headscope/study-hours/1",
        "model": vlm.name,
        "positions": encoded.length,
        "batch_size": batch_size,
        "threads": torch.get_num_threads(),
        "forward_s": plain,
        "forwards": {
            "answer": units.answer / plain,
            "scan_head": units.scan / heads / plain,
            "edited": units.edited / plain,
        },
        "cases": about,
        "work": work,
    }


def forwards_of(shape: Shape, figures: Mapping[str, Any], size: str) -> float:
    """How many plain forwards of a prompt the work of a study amounts to on a model."""
    ratio = figures["forwards"]
    return sum(
        w["answers"] * ratio["answer"]
        + w["scans"] * shape.all_heads * ratio["scan_head"]
        + w["edited"] * ratio["edited"]
        for w in figures["work"][size]
    )


def table(figures: Mapping[str, Any]) -> str:
    """The table of docs/first-hour.md."""
    rows = [
        "| model | heads | positions | TFLOP a forward | `demo`: PFLOP | hours | `full`: PFLOP | hours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for shape in MODELS:
        one = shape.operations()
        parts = []
        for size in ("demo", "full"):
            total = forwards_of(shape, figures, size) * one
            parts.append(f"{total / 1e15:,.0f} | {total / SUSTAINED / 3600:,.1f}")
        about = [shape.name, f"{shape.all_heads:,}", f"{shape.positions:,}", f"{one / 1e12:.1f}"]
        rows.append(f"| {' | '.join([*about, *parts])} |")
    return "\n".join(rows)


def counts(figures: Mapping[str, Any]) -> str:
    """The table of what the two sizes ask."""
    rows = [
        "| size | answers | prompts scanned under every head | edited readings, at most |",
        "|---|---|---|---|",
    ]
    for size, work in figures["work"].items():
        sums = [f"{sum(w[kind] for w in work):,}" for kind in ("answers", "scans", "edited")]
        rows.append(f"| `{size}` | {' | '.join(sums)} |")
    return "\n".join(rows)


def page_with(text: str, figures: Mapping[str, Any]) -> str:
    """The page with its tables and the sentence of measured ratios made anew."""
    ratio = figures["forwards"]
    said = (
        f"Measured on {figures['model']} ({figures['threads']} CPU threads, {figures['positions']:,} "
        f"positions, batches of {figures['batch_size']}, {figures['forward_s']:.1f} s a forward): an answer "
        f"takes {ratio['answer']:.2f} plain forwards, a head of a scanned prompt {ratio['scan_head']:.2f}, "
        f"an edited reading {ratio['edited']:.2f}."
    )
    before, rest = text.split(COUNTS[0])
    text = f"{before}{COUNTS[0]}\n{counts(figures)}\n{COUNTS[1]}{rest.split(COUNTS[1])[1]}"
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{said}\n\n{table(figures)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["measure", "table"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("counted", type=Path, nargs="?")
    parser.add_argument("photographed", type=Path, nargs="?")
    parser.add_argument("--batch-size", type=int, default=4)
    asked = parser.parse_args()
    if asked.what == "measure":
        if asked.folder is None or asked.counted is None or asked.photographed is None:
            parser.error("measure FOLDER VSR_CASES PHOTOGRAPHED_CASES")
        figures = measure(asked.folder, asked.counted, asked.photographed, asked.batch_size)
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    PAGE.write_text(page_with(PAGE.read_text("utf-8"), json.loads(FIGURES.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
