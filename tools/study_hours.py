"""Hours of a study on models of published size, from unit costs that were measured on one of them.

    python tools/study_hours.py            # the table of docs/first-hour.md, written into the page
    python tools/study_hours.py --teraflops 150

What is measured: `benchmarks/unit_costs.json`, seconds that `headscope plan --model FOLDER --data CASES
--dtype bfloat16 --json` found on a model of published shape with random weights
(`benchmarks/bench_real_size.py --keep FOLDER`). What is counted: the questions of a study on VSR's zero-shot
test split, and operations of one prompt of each model. What is assumed: the rate at which a device works
through them. A figure here is as good as that rate; `headscope plan --model ...` on the machine needs none.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "first-hour.md"
UNITS = ROOT / "benchmarks" / "unit_costs.json"
BEGIN, END = "<!-- hours: begin -->", "<!-- hours: end -->"


@dataclass(frozen=True)
class Stack:
    """A stack of transformer layers.

    Attributes:
        layers, hidden, mlp: numbers of layers, their width, and the width inside the MLP.
        heads, kv_heads, head_dim: of the attention.
        gated: whether the MLP has a gate, and so three matrices.
    """

    layers: int
    hidden: int
    mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    gated: bool = True

    def operations(self, tokens: int, window: int | None = None) -> float:
        """Operations of one forward over so many tokens, a multiply-add as two.

        Args:
            tokens: how many.
            window: how many of them each attends to; all by default.
        """
        width = self.heads * self.head_dim
        projections = self.hidden * (2 * width + 2 * self.kv_heads * self.head_dim)
        matrices = projections + (3 if self.gated else 2) * self.hidden * self.mlp
        return self.layers * tokens * (2 * matrices + 4 * (window or tokens) * width)


@dataclass(frozen=True)
class Published:
    """A published model and what a photograph of 640 x 480 becomes in it.

    Attributes:
        model: its hub id.
        text, vision: its stacks.
        vocabulary: how many tokens.
        views: sequences that the vision stack reads, and tokens in each.
        image_tokens: positions of the picture in the prompt (0: read by cross-attention).
        gigabytes: of its weights in bfloat16.
        crossing: operations of keys and values of cross-attention to the picture.
    """

    model: str
    text: Stack
    vision: Stack
    vocabulary: int
    views: tuple[int, int]
    image_tokens: int
    gigabytes: float
    crossing: float = 0.0

    @property
    def seeing(self) -> float:
        """Operations of the vision stack over one picture."""
        count, patches = self.views
        return count * self.vision.operations(patches)

    @property
    def reading(self) -> float:
        """Operations of the decoder over one prompt of 60 words, the last position's logits included."""
        head = 2 * self.text.hidden * self.vocabulary
        return self.text.operations(self.image_tokens + 60) + head + self.crossing

    @property
    def decoder_heads(self) -> int:
        """Heads of the decoder."""
        return self.text.layers * self.text.heads


_INTERN_VIT = Stack(24, 1024, 4096, 16, 16, 64, gated=False)
_QWEN_VIT = Stack(32, 1280, 3420, 16, 16, 80)
_SIGLIP = Stack(27, 1152, 4304, 16, 16, 72, gated=False)
_QWEN_7B = Stack(28, 3584, 18944, 28, 4, 128)

# Configurations as published; tiles and tokens of a 640 x 480 photograph by each family's own processor.
MEASURED = Published(
    "Qwen2-VL-2B (measured)", Stack(28, 1536, 8960, 12, 2, 128), Stack(32, 1280, 5120, 16, 16, 80, False),
    151936, (1, 1564), 391, 4.4,
)  # fmt: skip
PUBLISHED = (
    Published("Qwen/Qwen2.5-VL-7B-Instruct", _QWEN_7B, _QWEN_VIT, 152064, (1, 1564), 391, 16.6),
    Published("OpenGVLab/InternVL3-8B-hf", _QWEN_7B, _INTERN_VIT, 151674, (13, 1025), 3328, 15.9),
    Published(
        "llava-hf/llava-onevision-qwen2-7b-ov-hf", _QWEN_7B, _SIGLIP, 152128, (5, 729), 2929, 16.1
    ),
    Published(
        "google/gemma-3-4b-it", Stack(34, 2560, 10240, 8, 4, 256), _SIGLIP, 262208, (1, 4096), 256, 8.6
    ),
    Published(
        "meta-llama/Llama-3.2-11B-Vision-Instruct", Stack(40, 4096, 14336, 32, 8, 128),
        Stack(40, 1280, 5120, 16, 16, 80, False), 128256, (4, 1601), 0, 21.3,
        crossing=8 * 4 * 1601 * 2 * 4096 * 2 * 1024,  # 8 layers
    ),
    Published(
        "mistralai/Mistral-Small-3.1-24B-Instruct-2503", Stack(40, 5120, 32768, 32, 8, 128),
        Stack(24, 1024, 4096, 16, 16, 64), 131072, (1, 1610), 414, 48.0,
    ),
)  # fmt: skip
# A study on the 1,222 cases of VSR's zero-shot test split, steps by rules; `headscope plan --data CASES`:
# answers, scanned prompts, edited readings.
WORK = {"demo": (18_161, 63, 28_700), "full": (20_336, 233, 1_117_431)}


def hours(model: Published, size: str, units: dict[str, float], teraflops: float) -> float:
    """Hours of a study, from seconds measured on :data:`MEASURED` and the ratio of operations.

    Args:
        model: which.
        size: ``demo`` or ``full``.
        units: seconds of an ``answer``, of an ``edited`` reading, of a ``scan`` of one prompt's heads.
        teraflops: 10^12 operations a second that the device is taken to sustain.
    """
    answers, scans, edited = WORK[size]
    whole = (model.seeing + model.reading) / (MEASURED.seeing + MEASURED.reading)
    decoder = model.reading / MEASURED.reading  # a picture is seen once for all edits of a prompt
    heads = model.decoder_heads / MEASURED.decoder_heads
    seconds = answers * units["answer"] * whole
    seconds += (edited * units["edited"] + scans * units["scan"] * heads) * decoder
    return seconds * sustained(units) / teraflops / 3600


def sustained(units: dict[str, float]) -> float:
    """10^12 operations a second over an answer where the units were measured, all costs included."""
    return (MEASURED.seeing + MEASURED.reading) / units["answer"] / 1e12


def table(units: dict[str, float], teraflops: float) -> str:
    """The rows, in Markdown."""
    lines = [
        "| model | weights, bf16 | heads | operations a prompt | `demo` | `full` |",
        "|---|---|---|---|---|---|",
    ]
    for one in PUBLISHED:
        found = (f"{hours(one, size, units, teraflops):.2g} h" for size in WORK)
        prompt = (one.seeing + one.reading) / 1e12
        lines.append(
            f"| {one.model} | {one.gigabytes:g} GB | {one.decoder_heads} | {prompt:.2g} x 10^12 | "
            f"{' | '.join(found)} |"
        )
    measured = (
        f"Measured on {units['threads']:g} threads of a processor, bfloat16, Qwen2-VL-2B's shape "
        f"({MEASURED.decoder_heads} heads): {units['answer']:.3g} s an answer, {units['edited']:.3g} s an "
        f"edited reading, {units['scan']:.3g} s a scan of one prompt; {sustained(units):.2g} x 10^12 "
        "operations a second."
    )
    assumed = f"Assumed: a device that sustains {teraflops:g} x 10^12. No GPU was measured."
    return "\n".join([*lines, "", measured, assumed])


def page(text: str, rows: str) -> str:
    """The page with its table replaced."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{rows}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the table into the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teraflops", type=float, default=150.0)
    asked = parser.parse_args()
    units = json.loads(UNITS.read_text("utf-8"))
    PAGE.write_text(page(PAGE.read_text("utf-8"), table(units, asked.teraflops)), "utf-8")


if __name__ == "__main__":
    main()
