"""What every peer is measured by: same model folder, same inputs, the same three pieces of work.

Run by a peer's own interpreter: ``python nnsight_peer.py FOLDER INPUTS PAIRS``. The last line printed is
JSON: work -> ratio to the bare model in this process and greatest difference from plain hooks; or ``cannot``,
the first line of the error.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load_file

NEW = 8
LAYER, HEAD = 1, 2  # the head that is muted
TOLERANCE = 1e-3


class Bench:
    """The plain model, the inputs, what plain hooks give, and the clock."""

    def __init__(self) -> None:
        from transformers import AutoModelForImageTextToText

        self.folder, inputs, pairs = sys.argv[1:4]
        self.pairs = int(pairs)
        self.inputs = load_file(inputs)
        torch.set_grad_enabled(False)
        self.model = AutoModelForImageTextToText.from_pretrained(self.folder, local_files_only=True).eval()
        text = self.model.config.text_config
        self.layers, self.width = text.num_hidden_layers, text.head_dim
        self.block = slice(HEAD * self.width, (HEAD + 1) * self.width)
        self.options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False}
        self.results: dict[str, Any] = {}

    def projections(self, model: Any = None) -> list[Any]:
        """The output projections, first layer first."""
        layers = (model or self.model).model.language_model.layers
        return [layer.self_attn.o_proj for layer in layers]

    @contextmanager
    def hooked(self, hook: Callable[[int, torch.Tensor], Any], only: int | None = None) -> Any:
        """Plain forward pre-hooks on the output projections."""
        handles = [
            p.register_forward_pre_hook(lambda _m, args, i=i: hook(i, args[0]))
            for i, p in enumerate(self.projections())
            if only is None or i == only
        ]
        yield
        for handle in handles:
            handle.remove()

    def capture(self) -> torch.Tensor:
        """(layer, item, width of all heads) z at the last position, by plain hooks."""
        kept: dict[int, torch.Tensor] = {}
        with self.hooked(lambda i, z: kept.update({i: z[:, -1].clone()})):
            self.model(**self.inputs)
        return torch.stack([kept[i] for i in range(self.layers)])

    def mute(self) -> torch.Tensor:
        """(item, vocabulary) logits at the last position with one head muted, by a plain hook."""

        def zero(_i: int, z: torch.Tensor) -> tuple[torch.Tensor]:
            z = z.clone()
            z[..., self.block] = 0
            return (z,)

        with self.hooked(zero, only=LAYER):
            return self.model(**self.inputs).logits[:, -1]

    def forward(self) -> Any:
        """The bare forward."""
        return self.model(**self.inputs)

    def generate(self) -> torch.Tensor:
        """The bare generation: new tokens (item, step)."""
        return self.model.generate(**self.inputs, **self.options)[:, -NEW:]

    def measure(self, name: str, work: Callable[[], torch.Tensor]) -> None:
        """Check what a piece of work gives, then time it in turns with the bare run."""
        bare = self.generate if name == "generate" else self.forward
        wanted = {"capture": self.capture, "mute": self.mute, "generate": self.generate}[name]()
        try:
            work()  # first calls compile, allocate, resolve names
            got = torch.as_tensor(work())
            gap = float((got.float() - wanted.float()).abs().max())
            effect = 1.0 if name != "mute" else float((wanted - self.forward().logits[:, -1]).abs().max())
            times: tuple[list[float], list[float]] = ([], [])
            for pair in range(self.pairs):
                for side in (0, 1) if pair % 2 == 0 else (1, 0):
                    start = time.perf_counter()
                    (work, bare)[side]()
                    times[side].append(time.perf_counter() - start)
        except Exception as exc:
            traceback.print_exc()
            first = next(iter(str(exc).strip().splitlines()), "")
            self.results[name] = {"cannot": f"{type(exc).__name__}: {first}"[:300]}
            return
        ratios = sorted(a / b for a, b in zip(*times, strict=True))
        quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
        self.results[name] = {
            "n": len(ratios),
            "median": statistics.median(ratios),
            "spread": [quartiles[0], quartiles[2]],
            "difference": gap,
            "agrees": gap <= min(TOLERANCE, effect / 10),  # a mute that does nothing must not pass
            "seconds": [statistics.median(t) for t in times],
        }

    def done(self) -> None:
        """Print what was found."""
        print(json.dumps(self.results))


def run(prepare: Callable[[Bench], dict[str, Callable[[], torch.Tensor]]]) -> None:
    """Measure the three pieces of work of one peer; one that it cannot even load is said of all three."""
    bench = Bench()
    try:
        works = prepare(bench)
    except Exception as exc:
        traceback.print_exc()
        first = next(iter(str(exc).strip().splitlines()), "")
        for name in ("capture", "mute", "generate"):
            bench.results[name] = {"cannot": f"loading: {type(exc).__name__}: {first}"[:300]}
        works = {}
    for name, work in works.items():
        bench.measure(name, work)
    bench.done()
