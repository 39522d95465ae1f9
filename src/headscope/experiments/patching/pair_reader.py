"""Pairs of a data set as a model reads them: encoded once, every reading a unit of a ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from headscope.edits.patching import Patch, prompt_z
from headscope.engine.patched_prompt import PatchedPrompt
from headscope.errors import DataError
from headscope.experiments.patching.asked_pair import AskedPair, open_pair
from headscope.experiments.patching.readings import HeadSet, PairReading, Place, read_pair
from headscope.making.pairs.schema import Pair, Pairs
from headscope.models.geometry import Head
from headscope.models.vlm import VLM
from headscope.storage import Ledger, fingerprint
from headscope.workers import share_out

KEPT = 2**28  # bytes of encoded prompts


@dataclass
class PairReadings:
    """Pairs of one function on one split.

    Attributes:
        asked, readings: those that line up, and what was read of each.
        refused: reason -> how many do not.
    """

    asked: list[Pair] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    readings: list[PairReading] = field(default_factory=list)

    def right(self) -> list[int]:
        """Numbers of the pairs answered right both ways."""
        return [i for i, r in enumerate(self.readings) if r.right.all()]


class PairReader:
    """Reads pairs under patches; nothing is read twice, and the first prompts stay encoded.

    Args:
        vlm: the model.
        pairs: the data set.
        ledger: where finished readings are kept.
        seed: of which pairs are taken.
    """

    def __init__(self, vlm: VLM, pairs: Pairs, ledger: Ledger, seed: int) -> None:
        self.vlm, self.pairs, self.ledger, self.seed = vlm, pairs, ledger, seed
        self._opened: dict[str, AskedPair] = {}
        self._room = KEPT

    def chosen(self, name: str, split: str, most: int, control: bool = False) -> list[Pair]:
        """At most so many pairs of a function on a split, in the order of their ids' hashes."""
        splits = self.pairs.cases.splits
        found = [
            p for p in self.pairs if p.function == name and p.control == control and splits[p.first] == split
        ]
        order = sorted(found, key=lambda p: fingerprint([self.seed, p.id]))
        return order[:most]

    def scanned(
        self, name: str, split: str, most: int, places: Sequence[Place], control: bool = False
    ) -> PairReadings:
        """Pairs of a function read at every place; those whose tokens do not line up are counted."""
        found = PairReadings()
        chosen = self.chosen(name, split, most, control)
        self.read_ahead(chosen, places, label=f"{name}: {split}")
        for pair in chosen:
            try:
                reading = self.read(pair, places)
            except DataError as exc:
                found.refused[str(exc).split(": ", 2)[-1]] += 1
                continue
            found.asked.append(pair)
            found.readings.append(reading)
        return found

    def read(self, pair: Pair, places: Sequence[Place], muted: HeadSet = ()) -> PairReading:
        key = self._key(pair, places, muted)
        if key not in self.ledger:
            reading = read_pair(self.vlm, self.open(pair), places, muted=muted)
            self.ledger.put(key, reading.to_json())
        return PairReading.from_json(self.ledger.get(key))

    def open(self, pair: Pair) -> AskedPair:
        """Both prompts of a pair; the first ones stay encoded, as many as fit into ``KEPT`` bytes."""
        if pair.id in self._opened:
            return self._opened[pair.id]
        asked = open_pair(self.vlm, self.pairs, pair)
        self._room -= sum(t.nbytes for e in asked.encoded for t in e.inputs.values())
        if self._room > 0:
            self._opened[pair.id] = asked
        return asked

    def _key(self, pair: Pair, places: Sequence[Place], muted: HeadSet) -> str:
        key = f"{pair.id} {fingerprint([[[str(h) for h in heads], group] for heads, group in places])}"
        return key + (f" without {fingerprint([str(h) for h in muted])}" if muted else "")

    def read_ahead(
        self, pairs: Sequence[Pair], places: Sequence[Place], muted: HeadSet = (), label: str = ""
    ) -> None:
        """Read pairs so that :meth:`read` finds them done; those that do not line up are left."""

        def read(pair: Pair) -> None:
            with suppress(DataError):
                self.read(pair, places, muted)

        missing = [p for p in pairs if self._key(p, places, muted) not in self.ledger]
        share_out(missing, read, lambda p: self._key(p, places, muted) in self.ledger, label, "pair")

    def strategy(self, head: Head) -> str:
        """How patched runs are read."""

        def found() -> str:
            vlm = self.vlm
            for pair in self.pairs:
                with suppress(DataError):
                    asked = self.open(pair)
                    tried = Patch((head,), prompt_z(vlm, asked.encoded[1], (head,)))
                    return PatchedPrompt(vlm, asked.encoded[0], asked.choices).strategy("all", tried)
            return "none: no pair lines up token by token"

        strategy: str = self.ledger.get_or("strategy", found)
        return strategy
