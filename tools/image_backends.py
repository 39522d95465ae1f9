"""Measures how far pixels, logits and answers differ between PIL and torchvision, and writes the tables of
docs/environments.md. Runs where torchvision is installed:

.venv-vision/bin/python tools/image_backends.py [--folders ../shared/skeletons] [--photographs FOLDER]

Without folders of published models, or without photographs, the table of published settings is left as it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the folders of tiny models

PAGE = ROOT / "docs" / "environments.md"
HEAD = (
    "| family | image processor | scenes: largest | mean | noise: largest | mean | logits |\n"
    + "|---" * 7
    + "|\n"
)
PUBLISHED = "| settings of | filter | pictures | largest | mean | pixels that differ |\n" + "|---" * 6 + "|\n"
FILTERS = {0: "nearest", 1: "Lanczos", 2: "bilinear", 3: "bicubic"}
EXAMPLES = 300  # drawn scenes that the embedded model is asked about


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folders", type=Path, default=ROOT.parent / "shared" / "skeletons")
    parser.add_argument("--photographs", type=Path, default=ROOT.parent / "shared" / "data" / "tiny_coco")
    asked = parser.parse_args()
    import transformers

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    replace("families", HEAD + "".join(family_rows()))
    replace("embedded", embedded())
    photographs = [Image.open(p).convert("RGB") for p in sorted(asked.photographs.rglob("*.jpg"))]
    if photographs and asked.folders.is_dir():
        replace("published", PUBLISHED + "".join(published_rows(asked.folders, photographs)))


def family_rows() -> list[str]:
    """A row for each family that has both forms, on its tiny random model."""
    from models.families import backends
    from models.families.backends import both_forms
    from models.families.folders import family_folder

    rows, scenes, noise = [], backends.scenes(), backends.noise()
    with tempfile.TemporaryDirectory() as place:
        for family in both_forms():
            one, other = backends.both(family_folder(family, Path(place) / family))
            logits = backends.logit_gap(one, other, scenes)
            images = [backends.plain(vlm.processor.image_processor) for vlm in (one, other)]
            drawn, random = (
                backends.pixel_gap(*(backends.pixels(i, pictures) for i in images))
                for pictures in (scenes, noise)
            )
            name = type(images[1]).__name__
            rows.append(
                f"| {family} | {name}, {FILTERS[int(images[1].resample)]} "
                f"| {drawn.largest:.0f} | {drawn.mean:.4f} | {random.largest:.0f} | {random.mean:.4f} "
                f"| {logits:.4f} |\n"
            )
            print(rows[-1], end="", flush=True)
    return rows


def published_rows(folders: Path, photographs: Sequence[Image.Image]) -> list[str]:
    """A row for each folder with an image processor that has both forms, on photographs."""
    from transformers import AutoImageProcessor

    from models.families import backends

    rows = []
    published = sorted(p.parent for p in folders.glob("*/preprocessor_config.json"))
    for folder in (p for p in published if not p.name.startswith("refuse")):
        images: list[Any] = []
        for form in ("pil", "torchvision"):
            made = AutoImageProcessor.from_pretrained(folder, backend=form, local_files_only=True)
            images.append(backends.plain(made))
        gaps = [
            (a - b).abs()
            for picture in photographs
            for a, b in zip(*(backends.pixels(i, [picture]) for i in images), strict=True)
        ]
        total = sum(g.numel() for g in gaps)
        largest, mean = max(float(g.max()) for g in gaps), sum(float(g.sum()) for g in gaps) / total
        share = sum(int((g > 0.5).sum()) for g in gaps) / total
        rows.append(
            f"| {folder.name} | {FILTERS[int(images[1].resample)]} | {len(photographs)} photographs "
            f"| {largest:.0f} | {mean:.4f} | {100 * share:.2f} % |\n"
        )
        print(rows[-1], end="", flush=True)
    return rows


def embedded() -> str:
    """What torchvision would change in the embedded model's answers, in one sentence."""
    from headscope.asking.ask import ask
    from headscope.asking.items import Item
    from headscope.data.cases import load_cases
    from headscope.making.scenes.generate import draw_scenes
    from headscope.models.types import Prompt
    from headscope.models.vlm import load_model

    models = [load_model("embedded", prove=False, image_backend=form) for form in ("pil", "torchvision")]
    with tempfile.TemporaryDirectory() as place:
        draw_scenes(Path(place) / "cases", EXAMPLES, seed=77)
        cases = load_cases(Path(place) / "cases")
        items = [Item(f"{c.id}/{s.id}/alone", c, s, "alone") for c in cases for s in c.steps]
        said, chose, moved, scored, largest = 0, 0, 0.0, 0, 0.0
        for start in range(0, len(items), 64):
            some = items[start : start + 64]
            prompts = [Prompt(cases.image(i.case), i.step.question) for i in some]
            encoded = [vlm.encode(prompts) for vlm in models]
            one, other = (e.inputs["pixel_values"] for e in encoded)
            largest = max(largest, float((one - other).abs().max()) * 255 / 2)  # pixels lie in -1 ... 1
            answers = [ask(v, e, some, max_new_tokens=6) for v, e in zip(models, encoded, strict=True)]
            for a, b in zip(*(x.tokens for x in answers), strict=True):
                said += a != b
            for a, b in zip(*(x.logprobs for x in answers), strict=True):
                if a:
                    scored += 1
                    chose += max(a, key=lambda c: a[c]) != max(b, key=lambda c: b[c])
                    moved = max(moved, *(abs(a[c] - b[c]) for c in a))
    return (
        f"Over {len(items):,} questions on {EXAMPLES} drawn scenes, torchvision would change the words of "
        f"{said} of the embedded model's answers and, of the {scored:,} with choices, the choice of {chose}; "
        f"pixels differ by at most {largest:.0f}/255, a choice's log-probability by at most {moved:.3f}.\n"
    )


def replace(name: str, text: str) -> None:
    """Write a part of the page between its marks."""
    page = PAGE.read_text("utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE}: has no marks for {name}")
    PAGE.write_text(before + begin + text + end + after, "utf-8")


if __name__ == "__main__":
    main()
