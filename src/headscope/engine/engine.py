"""The engine: these items under these edits, by the quickest strategy that gives what whole runs give.

``replay``: from a clean run the decoder's layers are run again from the lowest one that an edit touches.
``shared prefix``: a prompt is one row up to the first edited projection, and a row per edit behind it.
``whole runs``: batches of prompts, repeated for as many edits as fit, pictures encoded once.

The first two are tried on the model before they are used, and what the trials find is recorded
(:mod:`headscope.models.ways`). An item that a strategy is not made for is read by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headscope.asking.answers import AnswerRow
from headscope.asking.ask import ask, scored_choices
from headscope.asking.batches import Pictures, encode_batch, length_key, plan_batches, tile
from headscope.asking.items import Item
from headscope.asking.picture_features import PictureFeatures, shared_features
from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit
from headscope.engine.replay import ItemReading, clean_margin, one_token, read_item
from headscope.engine.replay_trial import Replay, replay_of
from headscope.engine.shared_prefix import SharedPrefix, read_sharing_prefix, shared_prefix_of
from headscope.engine.sharing import clean_runs, plan_prompts
from headscope.engine.trace import Trace
from headscope.errors import ModelError
from headscope.models.memory import is_out_of_memory
from headscope.models.types import Encoded
from headscope.models.vlm import VLM

log = logging.getLogger(__name__)
REPLAY, SHARED_PREFIX, WHOLE_RUNS = "replay", "shared prefix", "whole runs"
FEWEST = 6  # edits from which on one prompt under all of them beats all prompts under each
MEMORY = 2 * 2**30
CACHE = 2**22  # bytes of a layer's widest activation up to which a processor works from its cache, about
COLUMNS = ("margin", "correct", "readable")  # of a reading, as ItemReading has them
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Engine:
    """A fixed set of items, read under as many edits as wanted.

    Args:
        vlm: the model.
        items: what to ask.
        pictures: item -> picture.
        strategies: which may be used before whole runs.
        batch_size: items encoded together for whole runs.
        rows: upper bound of rows in one forward.
        memory: bytes that a replay may take, about.
        max_new_tokens: bound for the clean answers, and at the trials.
        keep: whether prompts stay encoded for the next reading.

    Example:
        >>> engine = Engine(vlm, items, pictures)  # doctest: +SKIP
        >>> limits = engine.limits(engine.clean()[3])  # doctest: +SKIP
        >>> for i, reading in engine.read(edits, limits):  # doctest: +SKIP
        ...     print(items[i].id, reading.margin)
    """

    def __init__(
        self,
        vlm: VLM,
        items: Sequence[Item],
        pictures: Pictures,
        *,
        strategies: Collection[str] = (SHARED_PREFIX,),
        batch_size: int = 64,
        rows: int = 128,
        memory: int = MEMORY,
        max_new_tokens: int = 8,
        keep: bool = True,
    ) -> None:
        self.vlm, self.items, self.strategies = vlm, tuple(items), tuple(strategies)
        self.batch_size, self.rows, self.memory = batch_size, rows, memory
        self.max_new_tokens = max_new_tokens
        self._pictures, self._keep = pictures, keep
        self._place = {item.id: i for i, item in enumerate(self.items)}
        self._alone: dict[int, Encoded] = {}
        self._batches: dict[tuple[int, ...], list[tuple[Encoded, Ints]]] = {}
        self._memo: PictureFeatures | None = None

    def clean(self) -> Floats:
        """(4, item) margin, correct, readable and number of tokens of each answer without an edit."""
        table = np.zeros((4, len(self.items)))
        for encoded, where in self._encoded_batches(range(len(self.items))):
            asked = [self.items[i] for i in where]
            rows = ask(self.vlm, encoded, asked, max_new_tokens=self.max_new_tokens).rows
            table[:, where] = [*_judged(rows), [float(row["tokens"]) for row in rows]]
        return table

    def limits(self, tokens: Floats) -> Ints:
        """(item,) how long an edited answer may be: as long as the longest clean one of the item's batch."""
        found = np.ones(len(self.items), dtype=np.int64)
        for batch in plan_batches(self.items, self.batch_size):
            where = [self._place[item.id] for item in batch]
            found[where] = max(1, int(tokens[where].max()))
        return found

    def read(
        self, edits: Sequence[Edit], limits: Ints, skip: Collection[int] = (), clean_margins: bool = False
    ) -> Iterator[tuple[int, ItemReading]]:
        """Number and reading of each item, as they are done.

        Args:
            edits: all of one scope.
            limits: (item,) longest answer under an edit, its end token included.
            skip: numbers of items that are not read; what is computed for the others is the same without it.
            clean_margins: whether readings hold the margin without an edit too.
        """
        left = dict.fromkeys((i for i in range(len(self.items)) if i not in skip), WHOLE_RUNS)
        if REPLAY in self.strategies and left and all(e.heads for e in edits):
            for i, found in self._by_replay(edits, limits, left, clean_margins):
                if isinstance(found, ItemReading):
                    del left[i]
                    yield i, found
                else:
                    left[i] = f"{WHOLE_RUNS}: {found}"
        if not left:
            return
        prefix = self._shared_prefix(edits, next(iter(left)))
        others = self._by_whole_runs if prefix is None else self._by_shared_prefix
        for i, reading in others(edits, limits, list(left), prefix):
            margin = self._clean_margin(i) if clean_margins else None
            yield i, replace(reading, strategy=left[i], clean_margin=margin)

    def _clean_margin(self, i: int) -> float:
        (row,) = ask(self.vlm, self._encoded_alone(i), [self.items[i]], max_new_tokens=1).rows
        return row["margin"]

    # replay -----------------------------------------------------------------------------------------------

    def _by_replay(
        self, edits: Sequence[Edit], limits: Ints, wanted: Collection[int], clean_margins: bool
    ) -> Iterator[tuple[int, ItemReading | str]]:
        """Readings, or why an item is not replayed."""
        wanted = tuple(wanted)
        replay = replay_of(self.vlm, self._encoded_alone(0), edits[0].scope)
        if replay.refusal:
            yield from ((i, replay.refusal) for i in wanted)
            return
        encode = self._encoded_item
        for chunk in plan_prompts(self.items, encode, replay.sharing, self.memory):
            if not any(self._place[item.id] in wanted for item in chunk):
                continue
            fitting = [item for item in chunk if self._may_go_on(replay, limits, item)]
            for item in chunk:
                if item not in fitting and self._place[item.id] in wanted:
                    yield self._place[item.id], "choices of several tokens, and no plain cache of the prompt"
            for item, trace in clean_runs(self.vlm, fitting, encode, replay.sharing, replay.trimmed):
                i = self._place[item.id]
                if i not in wanted:
                    continue
                found = self._replayed(item, trace, edits, replay, int(limits[i]))
                if clean_margins and isinstance(found, ItemReading) and not isinstance(trace, ModelError):
                    found = replace(found, clean_margin=clean_margin(self.vlm, trace, item))
                yield i, found

    def _replayed(
        self, item: Item, trace: Trace | ModelError, edits: Sequence[Edit], replay: Replay, most: int
    ) -> ItemReading | str:
        try:
            if isinstance(trace, ModelError):
                raise trace
            return read_item(self.vlm, trace, item, edits, replay, memory=self.memory, most=most)
        except ModelError as exc:  # seen to be right on another prompt, but not made for this one
            if is_out_of_memory(exc):
                raise
            log.warning("%s: %s is read by whole runs: %s", self.vlm.name, item.id, exc)
            return str(exc)

    def _may_go_on(self, replay: Replay, limits: Ints, item: Item) -> bool:
        short = limits[self._place[item.id]] == 1 and one_token(self.vlm, scored_choices(item))
        return replay.goes_on or short

    # shared prefix ----------------------------------------------------------------------------------------

    def _shared_prefix(self, edits: Sequence[Edit], first: int) -> SharedPrefix | None:
        few = len(edits) < FEWEST or not all(e.heads for e in edits)
        if SHARED_PREFIX not in self.strategies or few:
            return None
        asked = self._encoded_alone(first), self.items[first]
        found = shared_prefix_of(self.vlm, *asked, edits, self.max_new_tokens)
        return None if found.refusal else found

    def _by_shared_prefix(
        self, edits: Sequence[Edit], limits: Ints, which: Sequence[int], how: SharedPrefix | None
    ) -> Iterator[tuple[int, ItemReading]]:
        """Prompt by prompt, as many edits as fit into ``rows`` at once."""
        assert how is not None
        rows = self._rows_at_once()
        parts = [BatchedEdit(tuple(edits[k : k + rows]), one_prompt=True) for k in range(0, len(edits), rows)]
        for i in which:
            made = []
            for part in parts:
                with part.applied(self.vlm):
                    asked = self._encoded_alone(i), self.items[i], len(part.edits), int(limits[i])
                    made.append(read_sharing_prefix(self.vlm, *asked, how))
            columns = (np.array([v for one in made for v in getattr(one, name)]) for name in COLUMNS)
            yield i, ItemReading.of(columns, SHARED_PREFIX)

    def _rows_at_once(self) -> int:
        """``rows``; on a processor no more than its cache holds, which is up to a third faster."""
        if self.vlm.device.type != "cpu":
            return self.rows
        text = self.vlm.config.get_text_config(decoder=True)
        wide = getattr(text, "intermediate_size", None)  # one family has a list of them
        wide = wide if isinstance(wide, int) else 4 * text.hidden_size
        # What is not kept is not encoded once more for its length.
        measured = self.items if self._keep else [max(self.items, key=length_key)]
        longest = max(self._encoded_item(item).length for item in measured)
        return min(self.rows, max(8, CACHE // (self.vlm.dtype.itemsize * longest * wide)))

    # whole runs -------------------------------------------------------------------------------------------

    def _by_whole_runs(
        self, edits: Sequence[Edit], limits: Ints, which: Sequence[int], _how: SharedPrefix | None
    ) -> Iterator[tuple[int, ItemReading]]:
        """Batch by batch, the batch repeated for as many edits as fit into ``rows``."""
        every = len(which) == len(self.items)
        with shared_features(self.vlm, memo=self._memo if every else None) as memo:
            self._memo = memo if every else self._memo
            for encoded, where in self._encoded_batches(which):
                table = self._whole(encoded, where, edits, int(limits[where].max()))
                for column, i in enumerate(where.tolist()):
                    yield i, ItemReading.of(table[:, :, column].T, WHOLE_RUNS)

    def _whole(self, encoded: Encoded, where: Ints, edits: Sequence[Edit], most: int) -> Floats:
        """(edit, 3, item) margin, correct and readable of one batch."""
        items = [self.items[i] for i in where]
        table = np.zeros((len(edits), len(COLUMNS), len(items)))
        together = max(1, self.rows // len(items))
        for start in range(0, len(edits), together):
            part = edits[start : start + together]
            if len(part) == 1:
                found = ask(self.vlm, encoded, items, edit=part[0], max_new_tokens=most)
            else:
                every = BatchedEdit(tuple(e for e in part for _ in items))
                tiled = tile(encoded, len(part))
                found = ask(self.vlm, tiled, items * len(part), edit=every, max_new_tokens=most)
            shaped = np.array(_judged(found.rows)).reshape(len(COLUMNS), len(part), len(items))
            table[start : start + len(part)] = shaped.transpose(1, 0, 2)
        return table

    # prompts ----------------------------------------------------------------------------------------------

    def _encoded_alone(self, i: int) -> Encoded:
        if i in self._alone:
            return self._alone[i]
        encoded = encode_batch(self.vlm, [self.items[i]], self._pictures)
        if self._keep:
            self._alone[i] = encoded
        return encoded

    def _encoded_item(self, item: Item) -> Encoded:
        return self._encoded_alone(self._place[item.id])

    def _encoded_batches(self, which: Sequence[int]) -> Iterator[tuple[Encoded, Ints]]:
        """Batches in plan order, each with the numbers of its items."""
        key = tuple(which)
        if key in self._batches:
            yield from self._batches[key]
            return
        made = []
        for batch in plan_batches([self.items[i] for i in key], self.batch_size):
            encoded = encode_batch(self.vlm, batch, self._pictures)
            made.append((encoded, np.array([self._place[item.id] for item in batch])))
            yield made[-1]
        if self._keep:
            self._batches[key] = made


def _judged(rows: Sequence[AnswerRow]) -> list[list[float]]:
    """(3, row) as :data:`COLUMNS`."""
    margins = [row["margin"] for row in rows]
    correct = [float(row["correct"]) for row in rows]
    return [margins, correct, [float(row["answer"] is not None) for row in rows]]
