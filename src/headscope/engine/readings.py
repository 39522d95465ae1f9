"""The engine of all experiments: items encoded once, read many times under different edits, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch, encode_batches, plan_batches
from headscope.asking.items import Item
from headscope.data.splits import picture_groups
from headscope.edits.edits import BatchedEdit, Edit, What
from headscope.engine.shared_prefix import Fan, fan_of, fan_out
from headscope.models.geometry import Head
from headscope.models.picture_memo import PictureMemo, shared_features
from headscope.models.types import Encoded
from headscope.progress import track
from headscope.storage import Ledger, fingerprint

Floats = NDArray[np.float64]
FEWEST = 6  # edits from which on one prompt under all of them beats all prompts under each
UNIT = 2_000  # answers in one unit of the ledger, about
CACHE = 2**22  # bytes of a layer's widest activation up to which a processor works from its cache, about


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

    Many edits are read prompt by prompt: the picture, the layers below the lowest edited head and that
    layer's attention once for all edits, nothing padded (:mod:`headscope.engine.shared_prefix`). A model that
    cannot be read so (it is tried out first, and the log says why), and a few edits, are read batch by batch,
    pictures encoded once (:mod:`headscope.models.picture_memo`).

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
        groups: case id -> its picture; by default the :func:`headscope.data.splits.picture_groups` of plain
            cases.
        fan: whether many edits may share what they have in common; both ways give the same within rounding.
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
        fan: bool = True,
    ) -> None:
        self.vlm, self.items, self.ledger = vlm, tuple(items), ledger
        self.rows, self.max_new_tokens, self.fan = rows, max_new_tokens, fan
        groups = groups or picture_groups([i.case for i in self.items])
        self.groups = [groups[i.case.id] for i in self.items]
        self._pictures, self._batch_size = pictures, batch_size
        self._name = fingerprint([item.id for item in self.items])
        self._alone: dict[int, Encoded] = {}
        self._memo: PictureMemo | None = None
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

    def read_each(self, edits: Sequence[Edit]) -> None:
        """Read several edits of one scope together, each a unit of the ledger of its own.

        So :meth:`read` finds them done; equal edits, and those that are there, are left out. What is read
        together is written together first: a run killed between two units has them all, and reads none in
        other company.
        """
        keys = {f"{self._name} {fingerprint([e.describe()])}": e for e in edits}
        every = f"{self._name} each {fingerprint(sorted(keys))}"
        missing = {key: e for key, e in keys.items() if key not in self.ledger}
        if every not in self.ledger and len(missing) < 2:
            return

        def compute() -> dict[str, Any]:
            return {k: r.to_json() for k, r in zip(missing, self._run(list(missing.values())), strict=True)}

        for key, reading in self.ledger.get_or(every, compute).items():
            if key not in self.ledger:
                self.ledger.put(key, [reading])

    def read_edits(self, edits: Sequence[Edit], label: str = "") -> list[Reading]:
        """One reading per edit, all of one scope; edits with near lowest layers form a unit of the ledger."""
        chunk = max(25, min(self.rows, UNIT // max(1, len(self.items))))
        order = sorted(range(len(edits)), key=lambda i: self._depth(edits[i]))
        parts = [order[i : i + chunk] for i in range(0, len(order), chunk)]
        found: dict[int, Reading] = {}
        for part in track(parts, label, unit="unit") if label else parts:
            some = [edits[i] for i in part]
            key = f"{self._name} {fingerprint([e.describe() for e in some])}"
            stored = self.ledger.get_or(key, lambda s=some: [r.to_json() for r in self._run(s)])
            found.update(zip(part, map(Reading.from_json, stored), strict=True))
        return [found[i] for i in range(len(edits))]

    def _depth(self, edit: Edit) -> int:
        """Where the edit's first head stands in the flat order of heads."""
        known = self.vlm.geometry
        return min((known.index(h) for h in edit.heads if h in known.heads), default=-1)

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
        fan = self._fan(edits)
        if fan is None:
            self._run_tiled(edits, tokens, table)
        else:
            self._run_fanned(edits, tokens, table, fan)
        return [Reading(one[0], one[1]) for one in table]

    def _fan(self, edits: Sequence[Edit]) -> Fan | None:
        if not self.fan or len(edits) < FEWEST or not all(e.heads for e in edits):
            return None
        found = fan_of(self.vlm, self._encoded_alone(0), self.items[0], edits, self.max_new_tokens)
        return None if found.refusal else found

    def _encoded_alone(self, i: int) -> Encoded:
        if i not in self._alone:
            self._alone[i] = encode_batch(self.vlm, [self.items[i]], self._pictures)
        return self._alone[i]

    def _bounds(self, tokens: Floats) -> NDArray[np.int64]:
        """(item,) longest clean answer of each item's batch."""
        place = {item.id: i for i, item in enumerate(self.items)}
        bounds = np.ones(len(self.items), dtype=np.int64)
        for batch in plan_batches(self.items, self._batch_size):
            where = [place[item.id] for item in batch]
            bounds[where] = max(1, int(tokens[where].max()))
        return bounds

    def _rows_at_once(self) -> int:
        """``rows``; on a processor no more than its cache holds, which is up to a third faster."""
        if self.vlm.device.type != "cpu":
            return self.rows
        text = self.vlm.config.get_text_config(decoder=True)
        wide = getattr(text, "intermediate_size", None)  # one family has a list of them
        wide = wide if isinstance(wide, int) else 4 * text.hidden_size
        longest = max(self._encoded_alone(i).length for i in range(len(self.items)))
        return min(self.rows, max(8, CACHE // (self.vlm.dtype.itemsize * longest * wide)))

    def _run_fanned(self, edits: Sequence[Edit], tokens: Floats, table: Floats, how: Fan) -> None:
        """Prompt by prompt, as many edits as fit into ``rows`` at once."""
        bounds, rows = self._bounds(tokens), self._rows_at_once()
        for start in range(0, len(edits), rows):
            part = edits[start : start + rows]
            with BatchedEdit(tuple(part), fan=True).applied(self.vlm):
                for i, item in enumerate(self.items):
                    alone, most = self._encoded_alone(i), int(bounds[i])
                    found = fan_out(self.vlm, alone, item, len(part), most, how)
                    table[start : start + len(part), :, i] = np.array([found.correct, found.margin]).T

    def _run_tiled(self, edits: Sequence[Edit], tokens: Floats, table: Floats) -> None:
        """Batch by batch, the batch repeated for as many edits as fit into ``rows``."""
        with shared_features(self.vlm, memo=self._memo) as self._memo:
            self._run_batches(edits, tokens, table)

    def _run_batches(self, edits: Sequence[Edit], tokens: Floats, table: Floats) -> None:
        for encoded, items, where in self._encoded():
            bound = max(1, int(tokens[where].max()))
            together = max(1, self.rows // len(items))
            for start in range(0, len(edits), together):
                part = edits[start : start + together]
                rows = self._ask(encoded, items, part, bound)
                columns = np.array(_columns(rows)[:2]).reshape(2, len(part), len(items))
                table[start : start + len(part), :, where] = columns.transpose(1, 0, 2)

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
