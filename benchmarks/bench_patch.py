"""The patching scan of one run of a pair against a plain run of it: time, and error against whole runs.

    python benchmarks/bench_patch.py      # the shape of the muting scan, about 10 minutes on 2 cores
    python benchmarks/bench_patch.py --layers 4 --heads 4 --no-record # a look

One run takes z from the other in every head alone. Exact, at the three groups of positions that leave the
picture alone, question, a part of it and the last token (`patch_scan_ratio`); exact, by all six groups, three
of which touch the picture, which everything after it reads (`patch_scan_groups_ratio`); and estimated for all
heads and positions at once, two forwards, one backward (`patch_estimate_ratio`). Each is the seconds over
those of one plain run (`use_cache=False`, batch 1).
`patch_max_error`: largest difference of a choice's log-probability from whole runs under the same patch.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from bench_scan import Bench, _whole
from harness import interleaved, random_vlm, record
from headscope.edits.patching import Patch, prompt_z
from headscope.engine.estimate import estimate_patches
from headscope.engine.patched_prompt import PatchedPrompt
from headscope.models.vlm import VLM, load_model


class PatchBench(Bench):
    """Two prompts that line up, and patches of every head of one from the other."""

    def __init__(self, vlm: VLM, pixels: int) -> None:
        super().__init__(vlm, 2, 1, pixels)
        self.target, self.source = self.alone
        self.z = prompt_z(vlm, self.source, vlm.geometry.heads)
        self.prompt = PatchedPrompt(vlm, self.target, self.item.choices)

    def groups(self) -> list[torch.Tensor]:
        """Six groups of positions: all, picture, a quarter of it, question, a part of it, last."""
        image, question = self.target.image, self.target.question
        last = torch.zeros_like(image)
        last[:, -1] = True

        def part(mask: torch.Tensor, share: float) -> torch.Tensor:
            where = mask[0].nonzero()[:, 0]
            found = torch.zeros_like(mask)
            found[0, where[: max(1, int(share * len(where)))]] = True
            return found

        return [torch.ones_like(image), image, part(image, 0.25), question, part(question, 0.2), last]

    def patches(self, groups: list[torch.Tensor]) -> list[Patch]:
        """Every head alone at every group."""
        return [Patch((h,), self.z, g) for g in groups for h in self.vlm.geometry.heads]

    def one_run(self) -> None:
        """A plain run of the target."""
        _whole(self.vlm, self.target)

    def estimated(self) -> None:
        """z of the other run, and the gradient."""
        z = prompt_z(self.vlm, self.source, self.vlm.geometry.heads)
        estimate_patches(self.vlm, self.target, self.item, z)

    def scanned(self, groups: list[torch.Tensor]) -> None:
        """z of the other run, the clean run, and every patch."""
        self.z = prompt_z(self.vlm, self.source, self.vlm.geometry.heads)
        PatchedPrompt(self.vlm, self.target, self.item.choices).scores(self.patches(groups))

    def worst(self, count: int) -> float:
        """Largest difference of a log-probability from whole runs, over random heads and groups."""
        some = self.random.sample(self.patches(self.groups()), count)
        found = self.prompt.scores(some)
        return max(
            abs(a[c] - b[c]) for a, b in zip(found, map(self.prompt._whole, some), strict=True) for c in a
        )


def measure(vlm: VLM, args: argparse.Namespace) -> None:
    keep = (lambda name, value: print(name, value, flush=True)) if args.no_record else record
    bench = PatchBench(vlm, args.pixels)
    about = {"heads": len(vlm.geometry.heads), "positions": bench.target.length}
    keep("patch_max_error", {"n": 24, "median": bench.worst(24)})
    estimate = interleaved(bench.estimated, bench.one_run, args.pairs)
    keep("patch_estimate_ratio", {**estimate.record(), **about})
    late = bench.groups()[3:]
    limited = interleaved(lambda: bench.scanned(late), bench.one_run, args.pairs)
    keep("patch_scan_ratio", {**limited.record(), **about, "groups": len(late)})
    every = interleaved(lambda: bench.scanned(bench.groups()), bench.one_run, args.long_pairs, warmup=0)
    keep("patch_scan_groups_ratio", {**every.record(), **about, "groups": 6})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    sizes = {"layers": 12, "heads": 12, "pairs": 7, "long-pairs": 3, "pixels": 224, "tower-layers": 12}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--no-record", action="store_true", help="print only; leave results.json alone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = random_vlm(
            Path(temporary) / "model",
            layers=args.layers,
            heads=args.heads,
            tower_layers=args.tower_layers,
            pixels=args.pixels,
        )
        measure(load_model(folder, prove=False), args)


if __name__ == "__main__":
    main()
