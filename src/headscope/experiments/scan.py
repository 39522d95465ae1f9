"""The scan: what muting each head alone, or each head set, costs each function; exact, estimated, or both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from headscope.asking.batches import encode_batch
from headscope.asking.items import Item
from headscope.data.cases import Cases
from headscope.edits.edits import Edit, Operation, mute
from headscope.edits.named import Reference, named_edits, need_mean
from headscope.engine.engine import MEMORY, REPLAY, SHARED_PREFIX, Engine
from headscope.engine.estimate import estimate_drops
from headscope.errors import EditError
from headscope.experiments.context import ExperimentContext, identity
from headscope.experiments.scan_results import ScanResult, collect
from headscope.models.geometry import Head
from headscope.models.vlm import VLM
from headscope.models.ways import kept_ways
from headscope.progress import track
from headscope.statistics.ranking import strongest
from headscope.storage import Ledger, Row, fingerprint, plain

FILE = "scan.json"


@dataclass(frozen=True)
class ScanSettings:
    """What a scan asks.

    Attributes:
        scope: ``all``, ``last`` or ``answer``.
        split: ``select`` or ``fit``; ``test`` only where it is named, which makes it no test any more.
        functions: names; none: all.
        max_items: questions per function.
        factor: what z is multiplied by; 0 mutes.
        edit: a name of ``NAMED_EDITS`` (:mod:`headscope.edits.named`) instead of the factor, if not ``zero``;
            the mean of z is taken over as many prompts of ``fit``.
        estimate: estimate by gradient x activation instead of scanning.
        exact_top: of an estimate, how many heads per function (by size) are scanned exactly.
    """

    scope: str = "all"
    split: str = "select"
    functions: tuple[str, ...] = ()
    max_items: int = 24
    factor: float = 0.0
    edit: str = "zero"
    estimate: bool = False
    exact_top: int = 0


def scan_heads(
    context: ExperimentContext,
    settings: ScanSettings = ScanSettings(),
    *,
    heads: Sequence[Head] = (),
    what: Operation | None = None,
    memory: int = MEMORY,
) -> ScanResult:
    """What muting each head alone costs each function: the drop of the margin, with intervals by picture.

    Writes ``scan.json`` and ``scan.parquet``; goes on from ``scan/`` where it was stopped.

    Args:
        heads: by default all of the decoder.
        what: by default :func:`mute` with ``settings.factor``, or the edit that ``settings.edit`` names.
        memory: bytes that heads in one pass may take, about.

    Raises:
        EditError: an unknown scope or function, or heads that the model does not have.
        StoreError: the folder holds a scan with other settings.
    """
    every = [(h,) for h in context.vlm.geometry.heads if h.tower == "decoder"]
    return scan_sets(context, [(h,) for h in heads] or every, settings, what=what, memory=memory)


def scan_sets(
    context: ExperimentContext,
    sets: Sequence[Sequence[Head]],
    settings: ScanSettings = ScanSettings(),
    *,
    what: Operation | None = None,
    memory: int = MEMORY,
) -> ScanResult:
    """The same for head sets, each muted at once; a set is computed again from the lowest layer it touches.

    An estimate of a set is the sum of its heads'.
    """
    what = what or _named(context, settings)
    edits = [Edit(tuple(s), what, settings.scope) for s in sets]
    items = _chosen(context, settings)
    vlm, recorded = context.vlm, plain({**asdict(settings), "seed": context.seed})
    about = {
        # Scans that were begun before edits had names were read so, and go on.
        **{k: v for k, v in recorded.items() if (k, v) != ("edit", "zero")},
        **identity(vlm, context.cases),
        # Work that was begun before this was noted was read with PIL, and goes on.
        **({"image_backend": vlm.image_backend} if vlm.image_backend != "pil" else {}),
        # It decides how many heads stand in one forward, and so the last bits of what comes out.
        **({"memory": memory} if memory != MEMORY else {}),
        "edits": fingerprint([e.describe() for e in edits]),
    }
    scan = _Scan(vlm, context.cases, edits, settings, Ledger(context.folder / "scan", about), memory)
    with kept_ways(vlm, context.folder):
        rows = {name: scan.function(name, chosen) for name, chosen in items.items()}
    labels = tuple("+".join(str(h) for h in e.heads) for e in edits)
    result = collect(recorded, context.seed, scan.engine, labels, items, rows, context.groups)
    result.save(context.folder / FILE)
    return result


def _named(context: ExperimentContext, settings: ScanSettings) -> Operation:
    """The edit that the settings name."""
    if settings.edit == "zero":
        return mute(settings.factor)
    mean = context.mean_on_fit(settings.max_items) if need_mean([settings.edit]) else None
    return named_edits([settings.edit], Reference(mean=mean))[settings.edit]


def _chosen(context: ExperimentContext, settings: ScanSettings) -> dict[str, list[Item]]:
    items = context.choose(settings.split, settings.max_items)
    unknown = [f for f in settings.functions if f not in items]
    if unknown:
        raise EditError(
            f"scan: asked for {', '.join(unknown)}; split {settings.split} holds "
            f"{', '.join(items) or 'nothing'}"
        )
    return {name: own for name, own in items.items() if not settings.functions or name in settings.functions}


class _Scan:
    """One scan under way; each item is a unit of the ledger."""

    def __init__(
        self,
        vlm: VLM,
        cases: Cases,
        edits: Sequence[Edit],
        settings: ScanSettings,
        ledger: Ledger,
        memory: int,
    ) -> None:
        self.vlm, self.cases, self.edits, self.settings = vlm, cases, list(edits), settings
        self.ledger, self.memory = ledger, memory
        self._engines: dict[str, None] = {}  # in the order in which they were first used

    @property
    def engine(self) -> str:
        """The engines used, in words."""
        return "; ".join(self._engines)

    def function(self, name: str, items: Sequence[Item]) -> list[Row]:
        """Per item ``clean`` and, per edit, ``muted`` and ``estimate`` margins (None where not read)."""
        rows = self._estimates(items) if self.settings.estimate else self._scanned(items, "")
        made = dict(track(rows, name, total=len(items), unit="question"))
        found = [made[item.id] for item in items]
        self._note(found)
        top = self.settings.exact_top if self.settings.estimate else 0
        if not top:
            return found
        sums = [sum(r["estimate"][j] for r in found) for j in range(len(self.edits))]
        best = strongest(sums, top, by_size=True)
        rows = self._scanned(items, f" exact {fingerprint(best)}", best)
        again = dict(track(rows, f"{name}: exact", total=len(items), unit="question"))
        for item, row in zip(items, found, strict=True):
            exact = again[item.id]
            row["muted"] = [None] * len(self.edits)
            for j, value in zip(best, exact["muted"], strict=True):
                row["muted"][j] = value
            row["clean"] = exact["clean"]
        self._note(list(again.values()))
        return found

    def _note(self, found: Sequence[Mapping[str, Any]]) -> None:
        self._engines |= dict.fromkeys(r["engine"] for r in found)

    def _estimates(self, items: Sequence[Item]) -> Iterator[tuple[str, Row]]:
        for item in items:
            yield item.id, self.ledger.get_or(f"{item.id} estimate", lambda i=item: self._estimate(i))

    def _scanned(
        self, items: Sequence[Item], mark: str, which: Sequence[int] | None = None
    ) -> Iterator[tuple[str, Row]]:
        """Item id and row, exact for the edits ``which`` (all); ``mark`` tells their unit of the ledger."""
        edits = self.edits if which is None else [self.edits[j] for j in which]
        if all(f"{i.id}{mark}" in self.ledger for i in items):
            yield from ((i.id, self.ledger.get(f"{i.id}{mark}")) for i in items)
            return
        engine = Engine(
            self.vlm,
            items,
            self._picture,
            strategies=(REPLAY, SHARED_PREFIX),
            batch_size=1,
            rows=16,
            memory=self.memory,
            max_new_tokens=1,
            keep=False,
        )
        done = [i for i, item in enumerate(items) if f"{item.id}{mark}" in self.ledger]
        yield from ((items[i].id, self.ledger.get(f"{items[i].id}{mark}")) for i in done)
        first = np.ones(len(items), dtype=np.int64)
        for i, found in engine.read(edits, first, done, clean_margins=True):
            row = {
                "clean": found.clean_margin,
                "muted": found.margin.tolist(),
                "engine": found.strategy,
            }
            yield items[i].id, self.ledger.put(f"{items[i].id}{mark}", row)

    def _picture(self, item: Item) -> Image.Image | list[Image.Image]:
        return self.cases.shown(item.case)

    def _estimate(self, item: Item) -> Row:
        what = self.edits[0].what
        encoded = encode_batch(self.vlm, [item], self._picture)
        margin, drops = estimate_drops(self.vlm, encoded, item, self.settings.scope, what)
        index = self.vlm.geometry.index
        sums = [float(sum(drops[index(h)] for h in e.heads)) for e in self.edits]
        return {"clean": margin, "estimate": sums, "engine": "gradient"}
