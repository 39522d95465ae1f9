"""Spatial Head Activation as an experiment: point at what questions name, against controls, paired."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from headscope.data.cases import Cases
from headscope.errors import StudyError
from headscope.experiments.choices import freeze
from headscope.experiments.waking.comparison import (
    HeadSums,
    Readings,
    gains,
    per_head,
    variant_table,
)
from headscope.experiments.waking.controls import CONTROLS
from headscope.experiments.waking.measuring import Meter
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
from headscope.functions import DEFAULT, Taxonomy
from headscope.models.training_facts import training_facts
from headscope.models.vlm import VLM
from headscope.models.ways import kept_ways
from headscope.pointing.boxes import BoxSource, CaseBoxes
from headscope.pointing.naming import NAMED
from headscope.pointing.styles import STYLES, TRIED
from headscope.storage import Ledger, fingerprint, read_json, write_json, write_table

SCHEMA = "headscope/wake/1"
Row = dict[str, Any]


def wake(
    vlm: VLM,
    cases: Cases,
    splits: Mapping[str, str],
    atlas: Any | None,
    folder: str | Path,
    *,
    taxonomy: Taxonomy = DEFAULT,
    styles: Sequence[str] = TRIED,
    controls: Sequence[str] = tuple(CONTROLS),
    seed: int = 0,
    settings: WakeSettings | None = None,
    boxes: BoxSource | None = None,
) -> Row:
    """Measure what pointing at the named objects changes, and whether spatial heads wake.

    The style with the best accuracy on ``select`` is frozen in ``choices.json``; then ``test`` is read once
    in the plain picture, in the style ``both`` (fixed in advance), in the chosen style, and in every control
    of ``both``. Steps are asked alone, main questions alone and after true steps.

    Args:
        vlm: the model.
        cases, splits: the data, and case id -> ``fit``, ``select`` or ``test``.
        atlas: has ``top(function, k)`` giving heads; None: no head gains.
        folder: the study folder; units of work go to ``folder/wake``.
        taxonomy: which functions are spatial.
        styles, controls: names from ``STYLES`` and ``CONTROLS``.
        seed: of the choice of questions, decoys, controls and intervals.
        settings: how much is read.
        boxes: where boxes come from; by default the cases.

    Returns:
        What was written to ``wake.json`` (docs/file-formats-wake.md); ``wake.parquet`` holds one row per
        question and picture variant of ``test``.

    Raises:
        StudyError: an unknown style or control.
        StoreError: the folder holds work made with other settings, or another frozen choice.

    How it is done, and against which controls: docs/visual-prompting.md.
    """
    settings = _with_training(vlm, settings or WakeSettings())
    source = boxes if boxes is not None else CaseBoxes(seed)
    styles, controls = _known(styles, STYLES, "style"), _known(controls, CONTROLS, "control")
    folder = Path(folder)
    spatial = spatial_heads(vlm, atlas, taxonomy, settings)
    found = {s: questions_of(cases, splits, s, taxonomy, source, settings) for s in ("select", "test")}
    select = choose(found["select"], settings.select_items, seed)
    test = choose(found["test"], settings.max_items, seed)
    about = {
        **_about(vlm, cases, taxonomy, source, spatial, settings),
        "styles": styles,
        "controls": controls,
        "seed": seed,
        "questions": {
            "select": {"read": len(select), "found": counts(found["select"]), "ids": _key(select)},
            "test": {"read": len(test), "found": counts(found["test"]), "ids": _key(test)},
        },
    }
    meter = Meter(vlm, cases, Ledger(folder / "wake", about), taxonomy, spatial, settings, seed)
    rows, heads = {}, {}
    with kept_ways(vlm, folder):
        tried, choice = _choose_style(meter, select, styles, settings, seed)
        choice = freeze(folder, "wake", choice)
        for variant in dict.fromkeys((PLAIN, BOTH, choice["style"], *controls)):
            rows[variant], heads[variant] = meter.read("test", variant, test, deep=True)
    judged = _judge(rows, heads, vlm, taxonomy, spatial, settings, seed)
    known = settings.training_things is not None
    said = (*caveats(known), *_unranked(atlas, taxonomy))
    result = {"schema": SCHEMA, **about, "select": tried, "choice": choice, **judged, "caveats": said}
    write_table(folder / "wake.parquet", [{**row, "split": "test"} for v in rows for row in rows[v]])
    write_json(folder / "wake.json", result)
    return cast(Row, read_json(folder / "wake.json"))


def _with_training(vlm: VLM, settings: WakeSettings) -> WakeSettings:
    """The settings with the numbers of things that the model states it was trained on, if it does."""
    if settings.training_things is not None:
        return settings
    return dataclasses.replace(settings, training_things=training_facts(vlm.folder).things)


def spatial_heads(vlm: VLM, atlas: Any | None, taxonomy: Taxonomy, settings: WakeSettings) -> tuple[int, ...]:
    """Flat indices of the heads called spatial: the atlas's top few of each spatial function, sorted.

    Empty where the data asked no spatial step, as with photographs that come without places.
    """
    if atlas is None:
        return ()
    k = settings.top_heads or max(1, len(vlm.geometry.heads) // 16)
    functions = [f for f in _spatial(atlas, taxonomy) if _ranked(atlas, f)]
    found = {vlm.geometry.index(head) for f in functions for head in atlas.top(f, k)}
    return tuple(sorted(found))


def _spatial(atlas: Any, taxonomy: Taxonomy) -> list[str]:
    """Spatial functions that the data asked about."""
    judged = getattr(atlas, "functions", taxonomy.functions)
    return [f for f in taxonomy.functions if f in taxonomy.spatial and f in judged]


def _ranked(atlas: Any, function: str) -> bool:
    """Whether the atlas ranks heads for a function; with few cases its ranking may lack one."""
    has = getattr(atlas, "has", None)
    return has is None or bool(has(atlas.default_ranking, function))


def _unranked(atlas: Any | None, taxonomy: Taxonomy) -> tuple[str, ...]:
    """A caveat naming the spatial functions that no head is ranked for."""
    missing = [f for f in _spatial(atlas, taxonomy) if not _ranked(atlas, f)] if atlas is not None else []
    why = "the data hold too few of its steps to rank heads by; it has no part in the spatial heads."
    return tuple(f"{f}: {why}" for f in missing)


def _known(names: Sequence[str], table: Mapping[str, Any], what: str) -> tuple[str, ...]:
    unknown = [name for name in names if name not in table]
    if unknown:
        raise StudyError(f"wake: asked for {what} {unknown[0]!r}; there are: {', '.join(table)}")
    return tuple(dict.fromkeys(names))


def _about(
    vlm: VLM,
    cases: Cases,
    taxonomy: Taxonomy,
    source: BoxSource,
    spatial: tuple[int, ...],
    settings: WakeSettings,
) -> Row:
    """What the results depend on besides questions, variants and seed."""
    return {
        "model": {
            "name": vlm.name,
            "revision": vlm.confirmed_revision(),
            "dtype": str(vlm.dtype).removeprefix("torch."),
        },
        "data": cases.fingerprint,
        "taxonomy": taxonomy.name,
        "boxes": _describe(source),
        "spatial_heads": [str(vlm.geometry.heads[i]) for i in spatial],
        "settings": dataclasses.asdict(settings),
    }


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
    meter: Meter, questions: Sequence[Question], styles: Sequence[str], settings: WakeSettings, seed: int
) -> tuple[Row, Row]:
    """Every style on ``select``, and the one to freeze: accuracy first, margin where accuracies are equal."""
    rows = {v: meter.read("select", v, questions, deep=False)[0] for v in (PLAIN, *styles)}
    readings = Readings(rows, settings.draws, seed)
    named = readings.mask(lambda row: row["pointing"] == NAMED)
    tried = {style: readings.compare(style, PLAIN, named) for style in styles}
    known = {s: t for s, t in tried.items() if t is not None}
    if not known:
        why = "no question of select names an object with a known box: the style fixed in advance is kept"
        return tried, {"style": BOTH, "chosen_on": None, "reason": why}

    def rank(style: str) -> tuple[float, float, int]:
        margin = known[style]["margin_delta"]
        return known[style]["accuracy"], margin if np.isfinite(margin) else -np.inf, -styles.index(style)

    best = max(known, key=rank)
    measured = {"accuracy": known[best]["accuracy"], "n": known[best]["n"]}
    return tried, {"style": best, "chosen_on": "select", **measured, "reason": "best accuracy on select"}


def _judge(
    rows: Mapping[str, list[Row]],
    heads: Mapping[str, list[Row]],
    vlm: VLM,
    taxonomy: Taxonomy,
    spatial: Sequence[int],
    settings: WakeSettings,
    seed: int,
) -> Row:
    """Tables of the test split, gains of heads, and the summary."""
    readings = Readings(rows, settings.draws, seed)
    bins = [bin_name(low, high) for low, high in settings.bins]
    variants = [v for v in rows if v != PLAIN]
    tables = {v: variant_table(readings, v, bins, taxonomy.functions) for v in variants}
    n = len(vlm.geometry.heads)
    in_set = np.zeros(n, dtype=bool)
    in_set[list(spatial)] = True
    by_range = {
        "in_training_range": lambda e: e["range"] == "trained",
        "beyond": lambda e: e["range"] == "beyond",
    }
    sets = {
        "all": lambda e: True,
        **(by_range if settings.training_things else {}),
        "spatial_functions": lambda e: e["functions"] == "spatial",
        "other_functions": lambda e: e["functions"] == "other",
    }
    found: Row = {v: {} for v in variants}
    for name, test in sets.items():
        plain = HeadSums.of(heads[PLAIN], n, test)
        for v in variants:
            woken = HeadSums.of(heads[v], n, test)
            found[v][name] = gains(plain, woken, in_set, settings.draws, seed)
    plain, both = (HeadSums.of(heads[v], n, sets["all"]) for v in (PLAIN, BOTH))
    labels = [str(head) for head in vlm.geometry.heads]
    return {
        "test": tables,
        "contrasts": contrasts(readings, [v for v in rows if v in CONTROLS]),
        "gains": found,
        "heads": per_head(labels, plain, both, in_set),
        "summary": summary(tables, found),
    }
