"""What all experiments read: items encoded once, read many times under different edits, resumable."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.asking.batches import Pictures
from headscope.asking.items import Item
from headscope.data.splits import picture_groups
from headscope.edits.edits import Edit, Operation
from headscope.engine.engine import FEWEST, SHARED_PREFIX, Engine
from headscope.models.geometry import Head
from headscope.models.vlm import VLM
from headscope.models.ways import FAN, is_decided, kept_ways
from headscope.storage import Ledger, fingerprint
from headscope.workers import share_out

Floats = NDArray[np.float64]
UNIT = 1_000  # answers in one unit of the ledger, about


@dataclass(frozen=True, eq=False)
class Reading:
    """How well items are answered; all (item,).

    Attributes:
        correct: 1 where the free answer is the true one, else 0.
        margin: truth minus the best wrong choice, nats per token.
        readable: 1 where the free answer is any of the choices, right or wrong, else 0.
    """

    correct: Floats
    margin: Floats
    readable: Floats

    @property
    def forced(self) -> Floats:
        """(item,) 1 where the truth is the likeliest of the choices (forced choice), else 0."""
        return (self.margin > 0).astype(np.float64)

    @property
    def accuracy(self) -> float:
        """Share of items answered right, in percent."""
        return 100 * float(self.correct.mean())

    def part(self, which: Sequence[int]) -> Reading:
        """Of some items alone, by their numbers."""
        return Reading(self.correct[which], self.margin[which], self.readable[which])

    def to_json(self) -> dict[str, Any]:
        """What the ledger keeps; margins survive exactly."""
        bits = {name: "".join(str(int(c)) for c in getattr(self, name)) for name in ("correct", "readable")}
        return {**bits, "margin": self.margin.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Reading:
        """Inverse of :meth:`to_json`."""
        margin = [np.nan if m is None else m for m in value["margin"]]
        correct, readable = (np.array([float(c) for c in value[k]]) for k in ("correct", "readable"))
        return cls(correct, np.array(margin, dtype=np.float64), readable)


class Reader:
    """A fixed set of items, encoded once, read as often as wanted.

    Every reading is a unit of ``ledger``, keyed by the items and the edit, so that a killed stage repeats
    nothing. The clean reading may generate ``max_new_tokens``; readings under an edit generate as many tokens
    as the longest clean answer in the same batch, so that a model that answers in one word pays for one word.
    The clean answers are complete within that length, hence both sides of a comparison are read by one rule.

    How edits are read is the engine's choice (:mod:`headscope.engine.engine`), among ``strategies``.

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
        strategies: which may be used before whole runs; all give the same within rounding.
    """

    def __init__(
        self,
        vlm: VLM,
        items: Sequence[Item],
        pictures: Pictures,
        ledger: Ledger,
        *,
        batch_size: int = 64,
        rows: int = 128,
        max_new_tokens: int = 8,
        groups: Mapping[str, str] | None = None,
        strategies: Collection[str] = (SHARED_PREFIX,),
    ) -> None:
        self.vlm, self.items, self.ledger, self.rows = vlm, tuple(items), ledger, rows
        self.engine = Engine(
            vlm,
            items,
            pictures,
            strategies=strategies,
            batch_size=batch_size,
            rows=rows,
            max_new_tokens=max_new_tokens,
        )
        groups = groups or picture_groups([i.case for i in self.items])
        self.groups = [groups[i.case.id] for i in self.items]
        self._name = fingerprint(["readable", *(item.id for item in self.items)])
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
        self, head_sets: Iterable[Sequence[Head]], what: Operation, scope: str = "all", label: str = ""
    ) -> list[Reading]:
        """One reading per head set, the same change for all; many sets ride in one forward."""
        return self.read_edits([Edit(tuple(heads), what, scope) for heads in head_sets], label)

    def read_each(self, edits: Sequence[Edit]) -> None:
        """Read several edits of one scope together, each a unit of the ledger of its own.

        So :meth:`read` finds them done; equal edits, and those that are there, are left out. What is read
        together is written together first: a run killed between two units has them all, and reads none in
        other company.
        """
        keys = self._single_keys(edits)
        every = f"{self._name} each {fingerprint(sorted(keys))}"
        missing = {key: e for key, e in keys.items() if key not in self.ledger}
        if every not in self.ledger and len(missing) < 2:
            return

        def compute() -> dict[str, Any]:
            return {k: r.to_json() for k, r in zip(missing, self._run(list(missing.values())), strict=True)}

        for key, reading in self.ledger.get_or(every, compute).items():
            if key not in self.ledger:
                self.ledger.put(key, [reading])

    def has_read(self, edits: Sequence[Edit]) -> bool:
        """Whether :meth:`read` finds the readings of all these edits done."""
        return all(key in self.ledger for key in self._single_keys(edits))

    def _single_keys(self, edits: Sequence[Edit]) -> dict[str, Edit]:
        return {f"{self._name} {fingerprint([e.describe()])}": e for e in edits}

    def read_edits(self, edits: Sequence[Edit], label: str = "") -> list[Reading]:
        """One reading per edit, all of one scope; edits with near lowest layers form a unit of the ledger."""
        chunk = max(25, min(self.rows, UNIT // max(1, len(self.items))))
        order = sorted(range(len(edits)), key=lambda i: self._depth(edits[i]))
        count = -(-len(order) // chunk)
        count += count % 2 if len(order) >= 2 * FEWEST else 0  # two workers end together
        parts = [order[i * len(order) // count : (i + 1) * len(order) // count] for i in range(count)]
        keys = [f"{self._name} {fingerprint([edits[i].describe() for i in part])}" for part in parts]
        missing = {key: part for key, part in zip(keys, parts, strict=True) if key not in self.ledger}

        here: dict[str, Any] = {}  # a ledger may keep nothing

        def read(key: str) -> None:
            readings = self._run([edits[i] for i in missing[key]])
            here[key] = self.ledger.put(key, [r.to_json() for r in readings])

        if missing:
            self._clean_and_tokens()
        way = f"{FAN}, scope {edits[0].scope}" if edits else ""
        with self._kept_ways():
            known = bool(edits) and is_decided(self.vlm, way)
            done = lambda key: key in here or key in self.ledger  # noqa: E731
            share_out(list(missing), read, done, label, alone_first=not known)
        found: dict[int, Reading] = {}
        for key, part in zip(keys, parts, strict=True):
            stored = here[key] if key in here else self.ledger.get(key)
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

    def _kept_ways(self) -> AbstractContextManager[None]:
        """What is found out about the model stands beside the readings, or in the record that is open."""
        return kept_ways(self.vlm, self.ledger.folder)

    def _run_clean(self) -> dict[str, Any]:
        with self._kept_ways():
            table = self.engine.clean()
        margin, correct, readable, tokens = table
        return {**Reading(correct, margin, readable).to_json(), "tokens": tokens.astype(int).tolist()}

    def _run(self, edits: Sequence[Edit]) -> list[Reading]:
        limits = self.engine.limits(self._clean_and_tokens()[1])
        table = np.zeros((3, len(edits), len(self.items)))
        with self._kept_ways():
            for i, found in self.engine.read(edits, limits):
                table[:, :, i] = found.correct, found.margin, found.readable
        return [Reading(*one) for one in table.swapaxes(0, 1)]
