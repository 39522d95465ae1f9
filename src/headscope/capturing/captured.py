"""A capture as its ``plan.json`` says it is: model, cases, settings, heads, which item in which shard."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headscope.records import Artefact, Record

SCHEMA: Literal["headscope/capture/4"] = "headscope/capture/4"


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
