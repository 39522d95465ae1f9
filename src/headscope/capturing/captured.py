"""A capture as its ``plan.json`` says it is: model, cases, settings, heads, which item in which shard."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headscope.records import Artefact, JsonValue, Record


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


class CapturePlan(Artefact):
    """Everything that a capture's result depends on, and the order of its work, fixed before it begins.

    Attributes:
        model, model_name: revision and name of the model.
        dtype, image_backend: as loaded; pictures were read with ``pil`` where it is absent.
        cases: fingerprint of the cases.
        settings: all of them.
        heads: coordinates along ``head``.
        width: the greatest width of z.
        items: questions.
        bytes: written at most.
        shards: the work, in order.
    """

    schema_: Literal["headscope/capture/4"] = Field(default="headscope/capture/4", alias="schema")
    model: str
    model_name: str
    dtype: str
    image_backend: str = "pil"
    cases: str
    settings: dict[str, JsonValue]
    heads: CapturedHeads
    width: int
    items: int
    bytes: int = 0
    shards: tuple[Shard, ...]
