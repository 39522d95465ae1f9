"""Runs the steps of a thorough check, one after the other, on one checkpoint."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from headscope.acceptance.grid import check_grid
from headscope.acceptance.results import Acceptance, StepFinding, StepResult
from headscope.acceptance.span_step import check_spans
from headscope.acceptance.use import check_asking, check_capture, check_study, make_cases
from headscope.models.placement import LoadOptions
from headscope.models.proofs.proof_steps import REFUSED
from headscope.models.vlm import VLM

_PACKAGES = ("torch", "torchvision", "transformers", "tokenizers", "safetensors", "accelerate", "pillow")
STEPS = ("load", "check", "spans", "grid", "ask", "capture", "study")
"""Names of the steps in order; the first two must hold for the others to be tried."""


def check_thoroughly(
    model: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    *,
    options: LoadOptions | None = None,
    batch_size: int = 8,
    leave_out: Collection[str] = (),
    each: Callable[[StepResult], None] | None = None,
) -> Acceptance:
    """Load a checkpoint and try everything that headscope relies on; whatever it does becomes a result.

    Args:
        model, device, dtype, options: as :func:`headscope.models.vlm.load_model` takes them.
        batch_size: of the study.
        leave_out: names of steps that are not tried.
        each: told of every result as it comes.

    Returns:
        The results; nothing is raised because of the model.
    """
    found = Acceptance(str(model), environment=_environment(dtype))
    loaded: list[VLM] = []

    def step(name: str, run: Callable[[], StepFinding]) -> bool:
        result = found.run(name, run)
        if each is not None:
            each(result)
        return result.status == "held"

    if not step("load", lambda: _load(found, loaded, model, device, dtype, options or {})):
        return found
    vlm = loaded[0]
    step("check", lambda: _prove(found, vlm))
    if not found.proof:
        return found
    with tempfile.TemporaryDirectory(prefix="headscope-check-") as name:
        folder = Path(name)
        cases = make_cases(folder / "cases")
        rest: dict[str, Callable[[], StepFinding]] = {
            "spans": lambda: check_spans(vlm),
            "grid": lambda: check_grid(vlm),
            "ask": lambda: check_asking(vlm, cases),
            "capture": lambda: check_capture(vlm, cases, folder),
            "study": lambda: check_study(vlm, cases, folder / "study", batch_size),
        }
        for kind, run in rest.items():
            if kind not in leave_out:
                step(kind, run)
    return found


def _environment(dtype: str) -> dict[str, str]:
    from headscope.version import __version__

    found = {"headscope": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "number format": dtype}


def _load(
    found: Acceptance,
    loaded: list[VLM],
    model: str | Path,
    device: str,
    dtype: str,
    options: LoadOptions,
) -> StepFinding:
    from headscope.models.vlm import load_model

    vlm = load_model(model, device, dtype, prove=False, **options)
    loaded.append(vlm)
    found.family, found.revision = vlm.family, vlm.revision
    found.environment |= {
        "number format": str(vlm.dtype).removeprefix("torch."),
        "device": _device(vlm),
        "class": type(vlm.model).__name__,
        "processor": f"{type(vlm.processor).__name__}, {type(vlm.processor.image_processor).__name__}",
        "tokenizer": type(vlm.tokenizer).__name__,
        "image backend": vlm.image_backend,
    }
    shown = "files complete, weights fit the configuration, heads found"
    return StepFinding(shown, f"{vlm.parameters / 1e6:,.0f} M weights; {vlm.geometry.summary()}")


def _device(vlm: VLM) -> str:
    import torch

    places = sorted(set(vlm.placement.values()))
    if vlm.device.type == "cuda":
        return f"{', '.join(places)} ({torch.cuda.get_device_name(vlm.device)})"
    return ", ".join(places)


def _prove(found: Acceptance, vlm: VLM) -> StepFinding:
    from headscope.models.proofs.full import prove
    from headscope.models.vlm import proof_or_refusal

    vlm.proof = proof_or_refusal(vlm, prove)
    found.proof = vlm.proof.to_json()
    held = [s for s in vlm.proof.steps if s.status == "held"]
    figure = f"{len(held)} of {len(vlm.proof.steps)} steps held"
    refused = "; ".join(f"{s.name}: {s.reason}" for s in vlm.proof.steps if s.status == REFUSED)
    shown = "the proof of the heads, of edits, batches, caches and spans"
    return StepFinding(shown, figure, "refused" if refused else "held", refused)
