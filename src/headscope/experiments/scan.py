"""The scan: what muting each head alone, or each head set, costs each function; exact, estimated, or both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headscope.asking.batches import encode_batch
from headscope.asking.items import Item
from headscope.data.cases import Cases
from headscope.edits.edits import Edit, What, mute
from headscope.engine.choice import Engine, engine_for
from headscope.engine.estimate import estimate_drops
from headscope.engine.readings import Reader
from headscope.engine.replay import MEMORY, clean_margin, one_token, read_item
from headscope.engine.sharing import clean_runs, plan_prompts
from headscope.errors import EditError, ModelError
from headscope.experiments.context import ExperimentContext, identity
from headscope.experiments.scan_results import ScanResult, collect
from headscope.models.geometry import Head
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.progress import track
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
        estimate: estimate by gradient x activation instead of scanning.
        exact_top: of an estimate, how many heads per function (by size) are scanned exactly.
    """

    scope: str = "all"
    split: str = "select"
    functions: tuple[str, ...] = ()
    max_items: int = 24
    factor: float = 0.0
    estimate: bool = False
    exact_top: int = 0


def scan_heads(
    context: ExperimentContext,
    settings: ScanSettings = ScanSettings(),
    *,
    heads: Sequence[Head] = (),
    what: What | None = None,
    memory: int = MEMORY,
) -> ScanResult:
    """What muting each head alone costs each function: the drop of the margin, with intervals by picture.

    Writes ``scan.json`` and ``scan.parquet``; goes on from ``scan/`` where it was stopped.

    Args:
        heads: by default all of the decoder.
        what: by default :func:`mute` with ``settings.factor``; ``mute(mean=...)`` for the mean.
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
    what: What | None = None,
    memory: int = MEMORY,
) -> ScanResult:
    """The same for head sets, each muted at once; a set is computed again from the lowest layer it touches.

    An estimate of a set is the sum of its heads'.
    """
    what = what or mute(settings.factor)
    edits = [Edit(tuple(s), what, settings.scope) for s in sets]
    items = _chosen(context, settings)
    vlm, recorded = context.vlm, plain({**asdict(settings), "seed": context.seed})
    about = {
        **recorded,
        **identity(vlm, context.cases),
        # Work that was begun before this was noted was read with PIL, and goes on.
        **({"image_backend": vlm.image_backend} if vlm.image_backend != "pil" else {}),
        "edits": fingerprint([e.describe() for e in edits]),
    }
    scan = _Scan(vlm, context.cases, edits, settings, Ledger(context.folder / "scan", about), memory)
    rows = {name: scan.function(name, chosen) for name, chosen in items.items()}
    labels = tuple("+".join(str(h) for h in e.heads) for e in edits)
    result = collect(recorded, context.seed, scan.engine, labels, items, rows, context.groups)
    result.save(context.folder / FILE)
    return result


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
        sums = [abs(sum(r["estimate"][j] for r in found)) for j in range(len(self.edits))]
        best = sorted(range(len(sums)), key=lambda j: -sums[j])[:top]
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
        engine = engine_for(self.vlm, self._encoded(items[0]), self.settings.scope)
        sharing = None if engine.refusal else engine.sharing
        for chunk in plan_prompts(items, self._encoded, sharing, self.memory):
            done = [i.id for i in chunk if f"{i.id}{mark}" in self.ledger]
            yield from ((id_, self.ledger.get(f"{id_}{mark}")) for id_ in done)
            if len(done) < len(chunk):
                for id_, row in self._rows(chunk, done, edits, engine):
                    yield id_, self.ledger.put(f"{id_}{mark}", row)

    def _encoded(self, item: Item) -> Encoded:
        return encode_batch(self.vlm, [item], lambda i: self.cases.image(i.case))

    def _estimate(self, item: Item) -> Row:
        what = self.edits[0].what
        margin, drops = estimate_drops(self.vlm, self._encoded(item), item, self.settings.scope, what)
        index = self.vlm.geometry.index
        sums = [float(sum(drops[index(h)] for h in e.heads)) for e in self.edits]
        return {"clean": margin, "estimate": sums, "engine": "gradient"}

    def _rows(
        self, chunk: Sequence[Item], done: Sequence[str], edits: Sequence[Edit], engine: Engine
    ) -> Iterator[tuple[str, Row]]:
        """Item id and row of what is not done in a chunk: by replay, or by whole runs, and which it was."""
        replayed = []
        for item in chunk:
            fitting = self._fitting(item, engine)
            if not fitting.refusal:
                replayed.append(item)
            elif item.id not in done:
                yield item.id, {**self._whole(item, edits), "engine": fitting.name}
        for item, trace in clean_runs(self.vlm, replayed, self._encoded, engine.sharing, engine.trimmed):
            if item.id in done:
                continue
            try:
                if isinstance(trace, ModelError):
                    raise trace
                found = read_item(self.vlm, trace, item, edits, engine, memory=self.memory)
                clean = clean_margin(self.vlm, trace, item)
                yield item.id, {"clean": clean, "muted": found.margin.tolist(), "engine": engine.name}
            except ModelError as exc:  # seen to be right on another prompt, but not made for this one
                name = Engine(engine.scope, refusal=str(exc)).name
                yield item.id, {**self._whole(item, edits), "engine": name}

    def _fitting(self, item: Item, engine: Engine) -> Engine:
        """The engine, or one that says why it has no replay of this item."""
        if engine.refusal or engine.goes_on or one_token(self.vlm, item):
            return engine
        return Engine(engine.scope, refusal="choices of several tokens, and no plain cache of the prompt")

    def _whole(self, item: Item, edits: Sequence[Edit]) -> Row:
        """By runs of the model; edits share a prompt's lower layers where that was seen to be right."""
        reader = Reader(
            self.vlm, [item], lambda i: self.cases.image(i.case), _NoLedger(), rows=16, max_new_tokens=1
        )
        margins = [float(r.margin[0]) for r in reader.read_edits(edits)]
        return {"clean": float(reader.clean.margin[0]), "muted": margins}


class _NoLedger(Ledger):
    """A ledger that keeps nothing: the scan's own keeps whole items."""

    def __init__(self) -> None:
        """Nothing to open."""

    def get_or(self, key: str, compute: Any) -> Any:
        """What is computed."""
        return compute()
