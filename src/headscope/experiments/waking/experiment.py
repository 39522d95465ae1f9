"""Spatial Head Activation as an experiment: point at what questions name, against controls, paired."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headscope.experiments.choices import freeze
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking.comparison import Readings, tests_pointing, variant_table
from headscope.experiments.waking.controls import CONTROLS, SPARSE
from headscope.experiments.waking.gain_records import Gains
from headscope.experiments.waking.head_gains import QUESTIONS, HeadSums, gains, per_head, waking
from headscope.experiments.waking.measuring import Meter
from headscope.experiments.waking.mediation import FrozenHeads, frozen_heads, mediation
from headscope.experiments.waking.questions import (
    BOTH,
    PLAIN,
    Question,
    WakeSettings,
    bin_name,
    choose,
    counts,
    questions_of,
)
from headscope.experiments.waking.summary import caveats, contrasts, summary
from headscope.experiments.waking.wake_result import (
    Comparison,
    Mediation,
    StyleChoice,
    WakeResult,
    WrongName,
)
from headscope.experiments.waking.wrong_name import wrong_name
from headscope.functions import Taxonomy
from headscope.models.geometry import Head
from headscope.models.training_facts import training_facts
from headscope.models.vlm import VLM
from headscope.models.ways import kept_ways
from headscope.pointing.boxes import BoxSource, CaseBoxes
from headscope.storage import Ledger, Row, fingerprint, plain

FILE = "wake.json"


class Judged(Protocol):
    """What the experiment asks of an atlas."""

    def top(self, function: str, k: int) -> Sequence[Head]:
        """The strongest heads of a function."""


def wake(
    context: ExperimentContext,
    atlas: Judged | None,
    ablation: FrozenHeads | None = None,
    settings: WakeSettings = WakeSettings(),
    *,
    boxes: BoxSource | None = None,
) -> WakeResult:
    """Measure what pointing at the named objects changes, and whether spatial heads wake.

    The style with the best accuracy on ``select`` is frozen in ``choices.json``; then ``test`` is read once
    in the plain picture, in the style ``both`` (fixed in advance), in the chosen style, and in every control
    of ``both``. Steps are asked alone, main questions alone and after true steps. Questions that boxes or
    window answer by themselves (:mod:`headscope.pointing.leaks`) are shown apart. Then places of absent
    things are asked for, and the gain is read again with the spatial heads muted. Writes ``wake.json`` and
    ``wake.parquet`` (docs/file-formats-wake.md), one row per question and picture variant of ``test``; units
    of work go to ``wake/``.

    Args:
        atlas: has ``top(function, k)`` giving heads; None: no head gains.
        ablation: its heads frozen for spatial functions are the spatial heads; None, or without any: the
            atlas's strongest, and no muting.
        boxes: where boxes come from; by default the cases.

    Raises:
        StoreError: the folder holds work made with other settings, or another frozen choice.

    How it is done, and against which controls: docs/visual-prompting.md.
    """
    vlm, seed = context.vlm, context.seed
    settings = _with_training(vlm, settings)
    source = boxes if boxes is not None else CaseBoxes(seed)
    frozen = frozen_heads(ablation, context.taxonomy, vlm.geometry)
    spatial = tuple(map(vlm.geometry.index, frozen)) or spatial_heads(vlm, atlas, context.taxonomy, settings)
    asked = context.cases, context.splits
    found = {s: questions_of(*asked, s, context.taxonomy, source, settings) for s in ("select", "test")}
    select = choose(found["select"], settings.select_items, seed)
    test = choose(found["test"], settings.max_items, seed)
    about = {
        **_about(context, source, spatial, settings),
        "questions": {
            split: {"read": len(read), "found": counts(found[split]), "ids": _key(read)}
            for split, read in (("select", select), ("test", test))
        },
    }
    meter = Meter(context, Ledger(context.folder / "wake", about), spatial, settings)
    rows, heads = {}, {}
    with kept_ways(vlm, context.folder):
        tried, choice = _choose_style(meter, select, settings, seed)
        freeze(context.folder, "wake", choice.content())
        for variant in dict.fromkeys((PLAIN, BOTH, choice.style, *settings.controls)):
            rows[variant], heads[variant] = meter.read("test", variant, test, deep=True)
        named, named_rows = wrong_name(meter, context.cases, found["test"])
        left = mediation(meter, frozen, test, rows)
    result = WakeResult.model_validate(
        {
            **about,
            "select": tried,
            "choice": choice,
            **_judge(rows, heads, context, spatial, settings, named, left),
            "caveats": (
                *caveats(settings.training_things is not None),
                *_unranked(atlas, context.taxonomy),
            ),
        }
    ).with_rows([{**row, "split": "test"} for some in (*rows.values(), named_rows) for row in some])
    result.save(context.folder / FILE)
    return result


def _with_training(vlm: VLM, settings: WakeSettings) -> WakeSettings:
    """The settings with the numbers of things that the model states it was trained on, if it does."""
    if settings.training_things is not None:
        return settings
    return dataclasses.replace(settings, training_things=training_facts(vlm.folder).things)


def spatial_heads(
    vlm: VLM, atlas: Judged | None, taxonomy: Taxonomy, settings: WakeSettings
) -> tuple[int, ...]:
    """Flat indices of the heads called spatial: the atlas's top few of each spatial function, sorted.

    Empty where the data asked no spatial step, as with photographs that come without places.
    """
    if atlas is None:
        return ()
    k = settings.top_heads or max(1, len(vlm.geometry.heads) // 16)
    functions = [f for f in _spatial(atlas, taxonomy) if _ranked(atlas, f)]
    found = {vlm.geometry.index(head) for f in functions for head in atlas.top(f, k)}
    return tuple(sorted(found))


def _spatial(atlas: Judged, taxonomy: Taxonomy) -> list[str]:
    """Spatial functions that the data asked about."""
    judged = getattr(atlas, "functions", taxonomy.functions)
    return [f for f in taxonomy.functions if f in taxonomy.spatial and f in judged]


def _ranked(atlas: Judged, function: str) -> bool:
    """Whether the atlas ranks heads for a function; with few cases its ranking may lack one."""
    has = getattr(atlas, "has", None)
    return has is None or bool(has(getattr(atlas, "default_ranking", ""), function))


def _unranked(atlas: Judged | None, taxonomy: Taxonomy) -> tuple[str, ...]:
    """A caveat naming the spatial functions that no head is ranked for."""
    missing = [f for f in _spatial(atlas, taxonomy) if not _ranked(atlas, f)] if atlas is not None else []
    why = "the data hold too few of its steps to rank heads by; it has no part in the spatial heads."
    return tuple(f"{f}: {why}" for f in missing)


def _about(
    context: ExperimentContext, source: BoxSource, spatial: tuple[int, ...], settings: WakeSettings
) -> Row:
    """What the results depend on besides the questions."""
    vlm, recorded = context.vlm, dataclasses.asdict(settings)
    styles, controls = recorded.pop("styles"), recorded.pop("controls")
    found: Row = plain(
        {
            "model": {
                "name": vlm.name,
                "revision": vlm.confirmed_revision(),
                "dtype": str(vlm.dtype).removeprefix("torch."),
            },
            "data": context.cases.fingerprint,
            "taxonomy": context.taxonomy.name,
            "boxes": _describe(source),
            "spatial_heads": [str(vlm.geometry.heads[i]) for i in spatial],
            "settings": {**recorded, "batch_size": context.batch_size},
            "styles": styles,
            "controls": controls,
            "seed": context.seed,
        }
    )
    return found


def _describe(source: BoxSource) -> Row:
    """Name and fields of a box source; one that is no dataclass is known by its name alone."""
    thing: Any = source
    fields = (
        {f.name: getattr(source, f.name) for f in dataclasses.fields(thing)} if is_dataclass(thing) else {}
    )
    return {"source": type(source).__name__, **fields}


def _key(questions: Sequence[Question]) -> str:
    return fingerprint([q.item.id for q in questions])


def _choose_style(
    meter: Meter, questions: Sequence[Question], settings: WakeSettings, seed: int
) -> tuple[dict[str, Comparison | None], StyleChoice]:
    """Every style on ``select``, and the one to freeze: accuracy first, margin where accuracies are equal."""
    styles = settings.styles
    rows = {v: meter.read("select", v, questions, deep=False)[0] for v in (PLAIN, *styles)}
    readings = Readings(rows, settings.draws, seed)
    tested = readings.mask(tests_pointing)
    tried = {style: readings.compare(style, PLAIN, tested) for style in styles}
    known = {s: t for s, t in tried.items() if t is not None}
    if not known:
        why = "no question of select tests pointing: the style fixed in advance is kept"
        return tried, StyleChoice(style=BOTH, chosen_on=None, reason=why)

    def rank(style: str) -> tuple[float, float, int]:
        found = known[style]
        margin = -np.inf if found.margin_delta is None else found.margin_delta
        return found.accuracy or 0.0, margin, -styles.index(style)

    best = max(known, key=rank)
    return tried, StyleChoice(
        style=best,
        chosen_on="select",
        accuracy=known[best].accuracy,
        n=known[best].n,
        reason="best accuracy on select",
    )


def _judge(
    rows: Mapping[str, list[Row]],
    heads: Mapping[str, list[Row]],
    context: ExperimentContext,
    spatial: Sequence[int],
    settings: WakeSettings,
    named: WrongName,
    left: Mediation,
) -> Row:
    """Tables of the test split, gains of heads, and the summary."""
    readings = Readings(rows, settings.draws, context.seed)
    bins = [bin_name(low, high) for low, high in settings.bins]
    variants = [v for v in rows if v != PLAIN]
    functions = context.taxonomy.functions
    tables = {v: variant_table(readings.on(v), v, bins, functions) for v in variants}
    geometry = context.vlm.geometry
    in_set = np.zeros(len(geometry.heads), dtype=bool)
    in_set[list(spatial)] = True
    found = _gains(heads, in_set, settings, context.seed)
    plain, both = (HeadSums.of(heads[v], len(in_set), lambda e: True) for v in (PLAIN, BOTH))
    drawn = {"sets": settings.head_sets, "draws": settings.draws, "seed": context.seed}
    return {
        "test": tables,
        "contrasts": contrasts(readings, [v for v in rows if v in CONTROLS]),
        "gains": found,
        "heads": per_head([str(head) for head in geometry.heads], plain, both, in_set),
        "waking": waking(heads, geometry, spatial, **drawn),
        "wrong_name": named,
        "mediation": left,
        "summary": summary(tables, found, named, left),
    }


def _gains(
    heads: Mapping[str, list[Row]], in_set: NDArray[np.bool_], settings: WakeSettings, seed: int
) -> dict[str, dict[str, Gains | None]]:
    """Variant -> set of questions -> gains; of variants that were read on all questions."""
    by_range = {
        "in_training_range": lambda e: e["range"] == "trained",
        "beyond": lambda e: e["range"] == "beyond",
    }
    sets = {**QUESTIONS, **(by_range if settings.training_things else {})}
    found: dict[str, dict[str, Gains | None]] = {v: {} for v in heads if v != PLAIN and v not in SPARSE}
    for name, test in sets.items():
        plain = HeadSums.of(heads[PLAIN], len(in_set), test)
        for v, some in found.items():
            woken = HeadSums.of(heads[v], len(in_set), test)
            some[name] = gains(plain, woken, in_set, settings.draws, seed)
    return found
