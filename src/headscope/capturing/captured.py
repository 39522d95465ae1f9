"""A capture's ``plan.json``: model, cases, settings, heads, which item in which shard."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Literal, cast

from pydantic import Field

from headscope.errors import DamagedError, StoreError
from headscope.records import Artefact, JsonObject, JsonValue, Record
from headscope.seals import sealed
from headscope.storage import fingerprint, read_json, write_atomic

log = logging.getLogger(__name__)

SCHEMA: Literal["headscope/capture/4"] = "headscope/capture/4"
PLAN = "plan.json"
# Parts of a plan that say where something lay or how much it is, not what is computed.
_DESCRIPTIVE = ("bytes", "model_name")
# What holds of a plan that was written before plans said it.
_BEFORE = {"image_backend": "pil"}


class CapturedHeads(Record):
    """Coordinates along the dimension ``head``; every list is in flat order.

    Attributes:
        head: labels.
        layer: layers.
        head_width: widths of z.
    """

    head: tuple[str, ...]
    layer: tuple[int, ...]
    head_width: tuple[int, ...]


class Shard(Record):
    """A part of a capture that is written whole or not at all.

    Attributes:
        name: folder in ``shards/``.
        cases: ids of its cases.
        batches: item ids of each batch, in the order of asking.
    """

    name: str
    cases: tuple[str, ...] = ()
    batches: tuple[tuple[str, ...], ...]


class CapturedSettings(Record):
    """What was asked for, and what else the result depends on.

    Attributes:
        contexts, main_contexts: of steps and of main questions.
        readouts: whose z are kept.
        batch_size, max_new_tokens, shard_items: as in :func:`headscope.capturing.run.capture`.
        score: whether choices were scored.
        taxonomy: its name and fingerprint.
        pictures: what was shown: ``plain``, or the name of other pictures.
        splits: fingerprint of the splits.
    """

    contexts: tuple[str, ...]
    main_contexts: tuple[str, ...]
    readouts: tuple[str, ...]
    batch_size: int
    max_new_tokens: int
    shard_items: int
    score: bool
    taxonomy: str
    pictures: str
    splits: str


class CapturePlan(Artefact):
    """Everything that a capture's result depends on, and the order of its work, fixed before it begins.

    Attributes:
        model, model_name: revision and name of the model.
        dtype, image_backend: as loaded; pictures were read with ``pil`` where it is absent.
        cases: fingerprint of the cases.
        settings: what was asked for.
        heads: coordinates along ``head``.
        width: the greatest width of z.
        items: questions.
        bytes: written at most.
        shards: the work, in order.
    """

    schema_: Literal["headscope/capture/4"] = Field(default=SCHEMA, alias="schema")
    model: str
    model_name: str
    dtype: str
    image_backend: str = "pil"
    cases: str
    settings: CapturedSettings
    heads: CapturedHeads
    width: int
    items: int
    bytes: int = 0
    shards: tuple[Shard, ...]

    @property
    def identity(self) -> str:
        """What tells plans apart: everything that the result depends on."""
        return fingerprint({k: v for k, v in self.model_dump(mode="json").items() if k not in _DESCRIPTIVE})


def write_plan(folder: Path, plan: CapturePlan) -> None:
    """Write the plan, or check that the one that is there is the same; a damaged one is replaced.

    Raises:
        StoreError: the folder holds work made with another plan, or cannot be written.
    """
    path = folder / PLAN
    wanted = plan.model_dump(mode="json", by_alias=True, exclude_unset=True)
    held = _held(path)
    if held is None:
        write_atomic(path, sealed(_text(wanted)))
        return
    found: JsonObject = {**_BEFORE, **held}
    keys = [k for k in {**found, **wanted} if k not in _DESCRIPTIVE and found.get(k) != wanted.get(k)]
    if keys:
        how = "; ".join(_difference(found.get(k), wanted.get(k), k) for k in keys[:4])
        raise StoreError(
            f"{folder}: holds a capture made otherwise ({how}); "
            "use another folder, or delete this one to capture afresh"
        )


def _held(path: Path) -> JsonObject | None:
    """The plan that is there; None where there is none, or one that cannot be read: shards name theirs."""
    try:
        found = read_json(path) if path.exists() else None
    except DamagedError as exc:
        log.warning("%s", exc)
        return None
    return found if isinstance(found, dict) else None


def _text(plan: JsonObject) -> str:
    """JSON with a line a key and a line a shard, since there may be a hundred thousand questions in it."""
    line = partial(json.dumps, ensure_ascii=False)
    parts = [f"{line(k)}: {line(v)}" for k, v in plan.items() if k != "shards"]
    shards = ",\n  ".join(line(shard) for shard in cast(list[JsonValue], plan["shards"]))
    return "{\n " + ",\n ".join([*parts, f'"shards": [\n  {shards}\n ]']) + "\n}\n"


def _difference(there: JsonValue, asked: JsonValue, key: str) -> str:
    if isinstance(there, dict) and isinstance(asked, dict):
        inner = [k for k in {**there, **asked} if there.get(k) != asked.get(k)]
        return "; ".join(f"{k}: there {there.get(k)!r}, asked {asked.get(k)!r}" for k in inner[:4])
    lists = isinstance(there, list) or isinstance(asked, list)
    return f"{key} differ" if lists else f"{key}: there {there!r}, asked {asked!r}"


def read_plan(folder: str | Path) -> CapturePlan:
    """The plan of a capture.

    Raises:
        StoreError: there is none, or it is not a capture's plan.
    """
    return CapturePlan.load(Path(folder) / PLAN)
