"""The steps ``ask``, ``capture`` and ``study``: the model at work on a few scenes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headscope.acceptance.results import StepFinding
from headscope.data.cases import Cases
from headscope.data.schema import Case
from headscope.models.vlm import VLM

CASES = 6
"""Scenes of the study: few, and yet some in ``fit``, ``select`` and ``test`` each."""
_FUNCTION = "spatial_perception"
_CAPTURED = 4
_BATCH = 8
# How far z may differ between a question alone and in a batch, as a share of what its head puts out: rounding
# in float32; a wrong head or position differs by about 1.
_LIMITS = {torch.float64: 1e-8, torch.float32: 1e-3}
_HALF = 0.25
_ASKED = "an answer, choices weighed; boxes on the picture and muted heads move them; the edit leaves nothing"
_CAPTURE = f"batch size 1 and {_BATCH}: the same answers, and z of every head the same"
_STUDY = "capture, probe, ablate, emphasize, wake, report on a few scenes"


def make_cases(folder: Path) -> Cases:
    """The scenes that the steps use, each with its first spatial step and its main question."""
    from headscope.data.cases import save_cases
    from headscope.making.scenes.generate import draw_scenes

    drawn = draw_scenes(folder / "drawn", 2 * CASES, seed=4, things=(2, 4), hard=0.1, card=False)
    short = [_shortened(case) for case in drawn if _FUNCTION in {s.function for s in case.steps}]
    return save_cases(short[:CASES], folder)


def _shortened(drawn: Case) -> Case:
    first = next(s for s in drawn.steps if s.function == _FUNCTION).model_copy(update={"depends_on": ()})
    return drawn.model_copy(update={"steps": (first,), "image": f"drawn/{drawn.image}"})


def check_asking(vlm: VLM, cases: Cases) -> StepFinding:
    """Ask a case's main question plainly, with boxes drawn, with heads muted, and plainly again."""
    from headscope.edits.edits import edit, mute
    from headscope.pointing.styles import point

    case = next(c for c in cases if c.choices and _boxes(c))
    picture = cases.image(case)
    boxed = point("both", picture, _boxes(case)).image

    def weighed(image: Any) -> dict[str, float]:
        return dict(vlm.answer(image, case.question, choices=case.choices).logprobs)

    plain = weighed(picture)
    if not all(math.isfinite(v) and v <= 0 for v in plain.values()):
        return StepFinding(_ASKED, status="failed", reason=f"log-probabilities are {plain}")
    pointed = weighed(boxed)
    layer = [h for h in vlm.geometry.heads if h.tower == "decoder"]
    with edit(vlm, [h for h in layer if h.layer == layer[-1].layer], mute()):
        muted = weighed(picture)
    again = weighed(picture)
    moved = {name: _largest(plain, other) for name, other in (("boxes", pointed), ("muting", muted))}
    still = next((name for name, change in moved.items() if not change > 0), None)
    if still:
        return StepFinding(
            _ASKED, status="failed", reason=f"{still} left every choice's probability as it was"
        )
    if again != plain:
        return StepFinding(
            _ASKED, status="failed", reason="after the edit the plain answer does not come back"
        )
    said = vlm.answer(picture, case.question).text
    figure = f"said {said[:40]!r}; boxes move log-probabilities by {moved['boxes']:.2g}, "
    return StepFinding(_ASKED, figure + f"muting the last layer by {moved['muting']:.2g}")


def _boxes(case: Case) -> list[tuple[float, float, float, float]]:
    named = [o for o in case.objects if o.id in case.named]
    return [o.box for o in named if o.box is not None]


def _largest(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one[k] - other[k]) for k in one)


def check_capture(vlm: VLM, cases: Cases, folder: Path) -> StepFinding:
    """Capture the same cases in batches of one and of eight, and compare answers and z."""
    from headscope.capturing.run import capture
    from headscope.capturing.store import open_activations, open_answers

    few = [c.id for c in list(cases)[:_CAPTURED]]
    some = cases.subset(few)
    found = []
    for size in (1, _BATCH):
        where = folder / f"batch-{size}"
        capture(
            vlm, some, dict.fromkeys(few, "fit"), where, batch_size=size, max_new_tokens=4, announce=_silent
        )
        rows = {row["item"]: row for row in open_answers(where)}
        z = open_activations(where, "prompt_last")
        found.append((rows, dict(zip(z["item"].values.tolist(), z["prompt_last"].values, strict=True))))
    (alone, z_alone), (batched, z_batched) = found
    names = sorted(alone)
    one, other = (np.stack([z[n] for n in names]).astype(np.float64) for z in (z_alone, z_batched))
    usual = np.nanmean(np.nanmax(np.abs(one), axis=-1), axis=0)  # (head,)
    gap = float(np.nanmax(np.nanmax(np.abs(one - other), axis=-1) / np.maximum(usual, 1e-30)))
    same = sum(alone[n]["text"] == batched[n]["text"] for n in names)
    limit = _LIMITS.get(vlm.dtype, _HALF)
    figure = f"{same} of {len(names)} answers the same; z differs by {gap:.2g} at most (limit {limit:g})"
    if not gap <= limit or (vlm.dtype in _LIMITS and same < len(names)):
        return StepFinding(_CAPTURE, figure, "failed", figure)
    return StepFinding(_CAPTURE, figure)


def check_study(vlm: VLM, cases: Cases, folder: Path, batch_size: int) -> StepFinding:
    """Run every stage of a study of size ``smoke``."""
    from headscope.study.study import Study

    study = Study.create(folder, model=vlm, data=cases, size="smoke", batch_size=batch_size)
    page = study.run()
    stages = sorted(p.stem for p in (folder / "done").iterdir())
    return StepFinding(
        _STUDY, f"{len(cases)} cases, {', '.join(stages)} complete; report {page.stat().st_size} bytes"
    )


def _silent(_text: str) -> None:
    return None
