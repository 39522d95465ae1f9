"""Readings of planted models that leave out what is known not to matter, and the check that it does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headscope.asking.batches import Pictures
from headscope.asking.items import Item
from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader, Reading
from headscope.errors import StudyError
from headscope.experiments.context import ExperimentContext
from headscope.models.geometry import Head, parse_head
from headscope.models.vlm import VLM
from headscope.storage import Ledger, Row
from headscope.validation.planted.harder_plan import GROUP
from headscope.validation.planted.questions import PLACE

SAMPLE = 8  # head sets on which the short cut is checked against the model, for each function
CLOSE = 0.005  # share of answers that may differ there: guesses between answers that are as good as tied


@dataclass
class Memory:
    """What one set of items was already read as, by the heads that matter."""

    clean: Row = field(default_factory=dict)
    readings: dict[tuple[Head, ...], Reading] = field(default_factory=dict)


class PassingLedger(Ledger):
    """Keeps nothing on disk: what a planted model was read as stands in :class:`Memory`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return False

    def put(self, key: str, value: Any) -> Any:
        """The value itself."""
        return value


class KnownReader(Reader):
    """A reader that takes a short cut where the answer is known: heads that do not matter are left alone.

    Of the heads that an edit mutes only those that serve the reader's function (or all functions) are muted,
    and equal remainders are read once. What muting the others does to correctness is nothing;
    :func:`check_short_cut` sees to that for every model.

    Attributes:
        matters: heads that serve the function or all functions.
        alike: whether they are interchangeable, so that only their number counts.
        memories: of this model, by the items' name; readers of equal items share one.
    """

    def __init__(
        self,
        vlm: VLM,
        items: Sequence[Item],
        pictures: Pictures,
        ledger: Ledger,
        *,
        batch_size: int,
        rows: int,
        max_new_tokens: int,
        groups: Mapping[str, str],
        matters: Collection[Head],
        alike: bool,
        memories: dict[str, Memory],
    ) -> None:
        super().__init__(
            vlm,
            items,
            pictures,
            ledger,
            batch_size=batch_size,
            rows=rows,
            max_new_tokens=max_new_tokens,
            groups=groups,
            strategies=(),  # few different sets are left: whole runs are quickest
        )
        self.matters, self.alike = frozenset(matters), alike
        self.memory = memories.setdefault(self._name, Memory())

    def remainder(self, edit: Edit) -> tuple[Head, ...]:
        """The heads of an edit that matter here."""
        found = sorted(set(edit.heads) & self.matters)
        return tuple(sorted(self.matters)[: len(found)] if self.alike else found)

    def _run(self, edits: Sequence[Edit]) -> list[Reading]:
        heads, known = [self.remainder(e) for e in edits], self.memory.readings
        missing = [h for h in dict.fromkeys(heads) if h and h not in known]
        if missing:
            read = super()._run([Edit(h, edits[0].what, edits[0].scope) for h in missing])
            known |= dict(zip(missing, read, strict=True))
        return [known[h] if h else self.clean for h in heads]

    def _run_clean(self) -> Row:
        self.memory.clean = self.memory.clean or super()._run_clean()
        return self.memory.clean


@dataclass(frozen=True)
class KnownContext(ExperimentContext):
    """An experiment on a planted model.

    Attributes:
        truth: the content of ``truth.json``.
        memories: see :class:`KnownReader`.
    """

    truth: Mapping[str, Any] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)

    def ledger(self, name: str, settings: Any, **more: Any) -> Ledger:
        """One that writes nothing."""
        return PassingLedger(self.folder / name)

    def readers(
        self,
        items: Mapping[str, list[Item]],
        ledger: Ledger,
        settings: Any,
        strategies: Collection[str] = (),
    ) -> dict[str, Reader]:
        """One reader a function, of whole runs: few different sets are left."""
        short = self.truth["level"] != "leaky"  # there every head matters a little
        plain = super().readers(items, ledger, settings, ())
        return {f: self._known(f, r, settings) if short else r for f, r in plain.items()}

    def _known(self, name: str, plain: Reader, settings: Any) -> Reader:
        function = name.split("@")[0]
        served = [h["label"] for h in self.truth["heads"] if function in h["functions"]]
        return KnownReader(
            self.vlm,
            plain.items,
            lambda item: self.cases.image(item.case),
            plain.ledger,
            batch_size=self.batch_size,
            rows=settings.rows,
            max_new_tokens=settings.max_new_tokens,
            groups=self.groups,
            matters=[parse_head(h) for h in (*served, *self.truth["generalists"])],
            alike=self.truth["level"] == "distributed" and function == PLACE,
            memories=self.memories,
        )


def check_short_cut(readers: Mapping[str, Reader], level: str, seed: int) -> None:
    """See that heads which the readers leave alone change no answer, on random sets of all heads.

    Raises:
        StudyError: more than ``CLOSE`` of a function's answers are others than without the short cut.
    """
    rng = np.random.default_rng([seed, 14])
    heads = next(iter(readers.values())).vlm.geometry.heads
    some = [rng.permutation(len(heads))[: 2 * GROUP].tolist() for _ in range(SAMPLE)]
    edits = [Edit(tuple(heads[i] for i in sorted(one)), mute()) for one in some]
    for function, reader in readers.items():
        if not isinstance(reader, KnownReader):
            continue
        pairs = list(zip(reader.read_edits(edits), Reader._run(reader, edits), strict=True))
        other = max(
            float(np.mean([short.correct != true.correct for short, true in pairs])),
            float(np.mean([short.forced != true.forced for short, true in pairs])),
        )
        if other > CLOSE:
            raise StudyError(
                f"planted model {level} {seed}: muting heads that do not serve {function} "
                f"changes {100 * other:.1f} % of its answers; readings may not leave them out"
            )
