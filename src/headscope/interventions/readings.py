"""The engine of all experiments: items encoded once, read many times under different edits, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from headscope.capture.ask import ask
from headscope.capture.batches import encode_batches
from headscope.capture.items import Item
from headscope.interventions.edits import BatchedEdit, Edit, What
from headscope.models.geometry import Head
from headscope.models.types import Encoded
from headscope.progress import track
from headscope.storage import Ledger, fingerprint

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reading:
    """How well items are answered: ``correct`` (item,) 0 or 1, ``margin`` (item,) in nats per token."""

    correct: Floats
    margin: Floats

    @property
    def accuracy(self) -> float:
        """Share of items answered right, in percent."""
        return 100 * float(self.correct.mean())

    def to_json(self) -> dict[str, Any]:
        """What the ledger keeps; margins survive exactly."""
        return {"correct": "".join(str(int(c)) for c in self.correct), "margin": self.margin.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Reading:
        """Inverse of :meth:`to_json`."""
        margin = [np.nan if m is None else m for m in value["margin"]]
        return cls(np.array([float(c) for c in value["correct"]]), np.array(margin, dtype=np.float64))


class Reader:
    """A fixed set of items, encoded once, read as often as wanted.

    Every reading is a unit of ``ledger``, keyed by the items and the edit, so that a killed stage repeats
    nothing. The clean reading may generate ``max_new_tokens``; readings under an edit generate as many tokens
    as the longest clean answer in the same batch, so that a model that answers in one word pays for one word.
    The clean answers are complete within that length, hence both sides of a comparison are read by one rule.

    Attributes:
        groups: picture of each item, (item,): what intervals resample.

    Args:
        vlm: the model.
        items: what to ask; order is kept in every reading.
        pictures: item -> picture.
        ledger: where finished readings are kept.
        batch_size: items encoded together.
        rows: upper bound of rows in one forward when several edits ride in it.
        max_new_tokens: bound for the clean answers.
        groups: case id -> its picture (:func:`headscope.data.splits.picture_groups`); by default its image
            file.
    """

    def __init__(
        self,
        vlm: Any,
        items: Sequence[Item],
        pictures: Callable[[Item], Image.Image],
        ledger: Ledger,
        *,
        batch_size: int = 64,
        rows: int = 128,
        max_new_tokens: int = 8,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self.vlm, self.items, self.ledger = vlm, tuple(items), ledger
        self.rows, self.max_new_tokens = rows, max_new_tokens
        self.groups = [groups[i.case.id] if groups else i.case.image for i in self.items]
        self._pictures, self._batch_size = pictures, batch_size
        self._name = fingerprint([item.id for item in self.items])
        self._batches: list[tuple[Encoded, list[Item], NDArray[np.int64]]] | None = None
        self._clean: tuple[Reading, Floats] | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def clean(self) -> Reading:
        """The reading without any edit."""
        return self._clean_and_tokens()[0]

    def read(self, edit: Edit | None = None) -> Reading:
        """The reading under one edit (None: none)."""
        return self.clean if edit is None else self.read_edits([edit])[0]

    def read_many(
        self, head_sets: Iterable[Sequence[Head]], what: What, scope: str = "all", label: str = ""
    ) -> list[Reading]:
        """One reading per head set, the same change for all; many sets ride in one forward."""
        return self.read_edits([Edit(tuple(heads), what, scope) for heads in head_sets], label)

    def read_edits(self, edits: Sequence[Edit], label: str = "", chunk: int = 25) -> list[Reading]:
        """One reading per edit (all of one scope); ``chunk`` edits are one unit of the ledger."""
        parts = [list(edits[i : i + chunk]) for i in range(0, len(edits), chunk)]
        found: list[Reading] = []
        for part in track(parts, label, unit="unit") if label else parts:
            key = f"{self._name} {fingerprint([e.describe() for e in part])}"
            stored = self.ledger.get_or(key, lambda p=part: [r.to_json() for r in self._run(p)])
            found += [Reading.from_json(value) for value in stored]
        return found

    def _clean_and_tokens(self) -> tuple[Reading, Floats]:
        if self._clean is None:
            stored = self.ledger.get_or(f"{self._name} clean", self._run_clean)
            self._clean = (Reading.from_json(stored), np.array(stored["tokens"], dtype=np.float64))
        return self._clean

    def _encoded(self) -> list[tuple[Encoded, list[Item], NDArray[np.int64]]]:
        if self._batches is None:
            place = {item.id: i for i, item in enumerate(self.items)}
            batches = encode_batches(self.vlm, list(self.items), self._pictures, self._batch_size)
            self._batches = [(e, list(its), np.array([place[i.id] for i in its])) for e, its in batches]
        return self._batches

    def _run_clean(self) -> dict[str, Any]:
        table = np.zeros((3, len(self.items)))
        for encoded, items, where in self._encoded():
            rows = ask(self.vlm, encoded, items, max_new_tokens=self.max_new_tokens).rows
            table[:, where] = _columns(rows)
        return {**Reading(table[0], table[1]).to_json(), "tokens": table[2].astype(int).tolist()}

    def _run(self, edits: Sequence[Edit]) -> list[Reading]:
        tokens = self._clean_and_tokens()[1]
        table = np.zeros((len(edits), 2, len(self.items)))
        for encoded, items, where in self._encoded():
            bound = max(1, int(tokens[where].max()))
            together = max(1, self.rows // len(items))
            for start in range(0, len(edits), together):
                part = edits[start : start + together]
                rows = self._ask(encoded, items, part, bound)
                columns = np.array(_columns(rows)[:2]).reshape(2, len(part), len(items))
                table[start : start + len(part), :, where] = columns.transpose(1, 0, 2)
        return [Reading(one[0], one[1]) for one in table]

    def _ask(self, encoded: Encoded, items: list[Item], part: Sequence[Edit], bound: int) -> list[Any]:
        if len(part) == 1:
            found = ask(self.vlm, encoded, items, edit=part[0], max_new_tokens=bound)
        else:
            every = BatchedEdit(tuple(e for e in part for _ in items))
            tiled = tile(encoded, len(part))
            found = ask(self.vlm, tiled, items * len(part), edit=every, max_new_tokens=bound)
        return list(found.rows)


def _columns(rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Correct, margin and token count of each row."""
    margins = [float("nan") if r["margin"] is None else float(r["margin"]) for r in rows]
    return [[float(r["correct"]) for r in rows], margins, [float(r["tokens"]) for r in rows]]


def tile(encoded: Encoded, times: int) -> Encoded:
    """The whole batch ``times`` times one after another: item i of copy c is row c * items + i.

    Every input is item-major in its first dimension (pictures cut into patches are concatenated item by
    item), so that one rule holds for all of them.
    """

    def repeat(value: Any) -> Any:
        return torch.cat([value] * times) if isinstance(value, torch.Tensor) else value

    return replace(
        encoded,
        inputs={name: repeat(value) for name, value in encoded.inputs.items()},
        image=repeat(encoded.image),
        question=repeat(encoded.question),
        grids=encoded.grids * times,
    )
