"""Reading questions in one picture variant, in units that a killed run does not repeat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headscope.asking.ask import ask
from headscope.asking.batches import iter_batches
from headscope.asking.items import Item
from headscope.asking.picture_cache import case_pictures
from headscope.asking.picture_features import shared_features
from headscope.edits.edits import Edit
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking.awakening import ContributionNorms, attention_to, token_positions
from headscope.experiments.waking.questions import Question, Shown, WakeSettings, show
from headscope.functions import MAIN
from headscope.models.types import Encoded
from headscope.pointing.naming import NAMED
from headscope.progress import track
from headscope.storage import Ledger, Row, fingerprint

READOUT = "prompt_last"
Floats = NDArray[np.float64]


class Meter:
    """Reads questions in picture variants: answers, margins, and (``deep``) what the heads do.

    Args:
        context: the model, and where pictures come from.
        ledger: where finished units are kept.
        spatial: flat indices of the spatial heads; may be empty.
        settings: see :func:`headscope.experiments.waking.experiment.wake`.
    """

    def __init__(
        self, context: ExperimentContext, ledger: Ledger, spatial: Sequence[int], settings: WakeSettings
    ) -> None:
        self.vlm, self.cases, self.taxonomy = context.vlm, context.cases, context.taxonomy
        self.ledger, self.settings = ledger, settings
        self.seed, self.batch_size, self.groups = context.seed, context.batch_size, context.groups
        self.in_set = np.zeros(len(self.vlm.geometry.heads), dtype=bool)
        self.in_set[list(spatial)] = True

    @cached_property
    def norms(self) -> ContributionNorms:
        """What measures contributions; made when the first unit needs it."""
        return ContributionNorms(self.vlm.geometry)

    def read(
        self,
        split: str,
        variant: str,
        questions: Sequence[Question],
        deep: bool = False,
        edit: Edit | None = None,
    ) -> tuple[list[Row], list[Row]]:
        """Rows in the order of ``questions``, and per-image head sums (empty unless ``deep``).

        Questions whose picture has no room for the variant are left out. ``edit``: held meanwhile.
        """
        step = self.settings.unit_items
        parts = [questions[i : i + step] for i in range(0, len(questions), step)]
        held = f" {fingerprint(edit.describe())}" if edit else ""
        rows: list[Row] = []
        heads: list[Row] = []
        for part in track(parts, f"wake: {split}, {variant}", unit="unit"):
            key = f"{split} {variant}{held} {fingerprint([[q.item.id, q.target.boxes] for q in part])}"
            unit = self.ledger.get_or(key, lambda p=part: self._unit(variant, p, deep, edit))
            rows += unit["rows"]
            heads += unit["heads"]
        return rows, heads

    def _unit(self, variant: str, questions: Sequence[Question], deep: bool, edit: Edit | None) -> Row:
        shown = self._pictures(variant, questions)
        by_id = {q.item.id: q for q in questions if q.item.id in shown}

        def picture(item: Item) -> Image.Image:
            return shown[item.id].image

        rows: dict[str, Row] = {}
        sums: dict[tuple[str | None, ...], Row] = {}
        asked = [q.item for q in by_id.values()]
        with shared_features(self.vlm):
            for encoded, items in iter_batches(self.vlm, asked, picture, self.batch_size):
                answers, norms, masses = self._ask(encoded, items, shown, deep, edit)
                for i, (item, answer) in enumerate(zip(items, answers, strict=True)):
                    image = self.groups[item.case.id]
                    row = _row(by_id[item.id], answer, variant, shown[item.id], image)
                    rows[item.id] = {**row, **self._means(norms, masses, i)}
                    if norms is not None and masses is not None:
                        self._add(sums, by_id[item.id], norms[i], masses[i])
        for entry in sums.values():
            entry["norm"] = [_short(x) for x in entry["norm"]]
            entry["mass"] = [_short(x) for x in entry["mass"]]
        ordered = [sums[key] for key in sorted(sums)]
        return {"rows": [rows[name] for name in by_id], "heads": ordered}

    def _pictures(self, variant: str, questions: Sequence[Question]) -> dict[str, Shown]:
        picture = case_pictures(self.cases)
        look, seed = self.settings.look, self.seed

        def one(question: Question) -> Image.Image:
            shown = picture(question.item)
            assert isinstance(shown, Image.Image)  # cases with several pictures are refused before
            return shown

        made = {q.item.id: show(variant, one(q), q, look, seed) for q in questions}
        return {name: shown for name, shown in made.items() if shown is not None}

    def _ask(
        self,
        encoded: Encoded,
        items: Sequence[Item],
        shown: dict[str, Shown],
        deep: bool,
        edit: Edit | None,
    ) -> tuple[Sequence[Mapping[str, object]], Floats | None, Floats | None]:
        """Answers; contribution norms and attention mass, each (item, head)."""
        limit = self.settings.max_new_tokens
        if not deep:
            return ask(self.vlm, encoded, items, edit=edit, max_new_tokens=limit).rows, None, None
        encoded = encoded.to(self.vlm.device)
        boxes = [shown[item.id].boxes for item in items]
        mapped = self.settings.attention and all(grid.boxes is not None for grid in encoded.grids)
        with ExitStack() as stack:
            if mapped:
                targets = {"objects": token_positions(encoded, boxes)}
                mass = stack.enter_context(attention_to(self.vlm, encoded, targets))
            outcome = ask(self.vlm, encoded, items, edit=edit, readouts=(READOUT,), max_new_tokens=limit)
        norms = self.norms(outcome.z[READOUT])
        masses = mass.sums["objects"] if mapped else np.full(norms.shape, np.nan)
        masses[[not b for b in boxes]] = np.nan  # decoys alone: nothing there to attend to
        return outcome.rows, norms, masses

    def _means(self, norms: Floats | None, masses: Floats | None, i: int) -> Row:
        found: Row = {}
        for name, values in (("norm", norms), ("mass", masses)):
            for group, heads in (("spatial", self.in_set), ("other", ~self.in_set)):
                known = values is not None and heads.any()
                found[f"{name}_{group}"] = _short(float(values[i, heads].mean())) if known else None  # type: ignore[index]
        return found

    def _add(self, sums: dict[tuple[str | None, ...], Row], q: Question, norm: Floats, mass: Floats) -> None:
        """Add one question's heads to the sums of its image, kind of function and range."""
        if q.target.pointing != NAMED:
            return
        spatial = q.item.function == MAIN or q.item.function in self.taxonomy.spatial
        group = "spatial" if spatial else "other"
        key = (self.groups[q.item.case.id], group, q.range)
        zero = np.zeros(len(norm))
        empty = {"image": key[0], "functions": group, "range": q.range, "n": 0, "n_mass": 0}
        entry = sums.setdefault(key, {**empty, "norm": zero, "mass": zero})
        entry["n"] += 1
        entry["norm"] = entry["norm"] + norm
        if np.isfinite(mass).all():
            entry["n_mass"] += 1
            entry["mass"] = entry["mass"] + mass


def _row(q: Question, answer: Mapping[str, object], variant: str, shown: Shown, image: str) -> Row:
    kept = (
        "item",
        "case",
        "step",
        "context",
        "function",
        "kind",
        "things",
        "held_out",
        "wording",
        "question",
    )
    said = ("truth", "text", "answer", "correct", "margin", "logprob")
    return {
        "variant": variant,
        **{name: answer[name] for name in kept},
        "image": image,
        "crowding": q.crowding,
        "range": q.range,
        "pointing": q.target.pointing,
        "leak": q.leak,
        **{name: answer[name] for name in said},
        "boxes": json.dumps(shown.drawn),
        "masked": shown.masked,
        "share": shown.share,
    }


def _short(value: float) -> float | None:
    """Six significant digits; NaN as None."""
    return None if value != value else float(f"{value:.6g}")
