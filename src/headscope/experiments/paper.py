"""The protocol of arXiv 2603.20662, run with the stages' own means: for comparison, not for claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headscope.asking.items import Item
from headscope.data.cases import refuse_several_pictures
from headscope.edits.edits import mute
from headscope.engine.readings import Reader, Reading
from headscope.errors import StudyError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.paper_result import (
    PaperMasking,
    PaperPointing,
    PaperResult,
    compared,
)
from headscope.functions import MAIN
from headscope.models.geometry import Head
from headscope.models.ways import kept_ways
from headscope.pointing.boxes import CaseBoxes
from headscope.pointing.styles import point
from headscope.probing.atlas import Atlas
from headscope.statistics.shares import share_difference

FILE = "paper.json"
PROTOCOLS = ("paper",)
PLAIN = "plain"
GROUP = "spatial"
JOINT = "joint"


@dataclass(frozen=True)
class PaperSettings:
    """How the protocol is run.

    Attributes:
        protocol: ``paper``; empty: it is not run.
        factor: what a masked head's output is multiplied by.
        least: importance above which heads are counted.
        draws: random head sets of the same number.
        test_items, main_items: steps of a function, and main questions, on ``test``.
        styles: how things are marked; the paper's mask is ``spotlight``.
        held_out: whether cases new to the embedded model come in.

    Raises:
        StudyError: a protocol that does not exist.
    """

    protocol: str = ""
    factor: float = 0.001
    least: float = 0.001
    draws: int = 20
    test_items: int = 100
    main_items: int = 300
    styles: tuple[str, ...] = ("box", "spotlight", "both")
    held_out: bool = False
    rows: int = 128
    max_new_tokens: int = 8

    def __post_init__(self) -> None:
        if self.protocol not in ("", *PROTOCOLS):
            raise StudyError(f"asked for the protocol {self.protocol!r}; there is: {', '.join(PROTOCOLS)}")


@dataclass(frozen=True)
class _Masked:
    """What a function's questions are answered under its heads, and under each random set."""

    heads: tuple[Head, ...]
    groups: Sequence[str]
    clean: Reading
    masked: Reading
    random: tuple[Reading, ...]


def paper(context: ExperimentContext, atlas: Atlas, settings: PaperSettings) -> PaperResult:
    """Mask the joint probe's elbow heads, and point at things, as arXiv 2603.20662 does.

    Heads and elbow come from ``select`` (the stage ``probe``), answers from ``test``. Writes ``paper.json``;
    resumes. What this does not show, and what headscope asks of a claim instead: docs/paper.md.

    Raises:
        StudyError: the atlas holds no joint ranking.
        DataError: a case with several pictures, which that paper's pointing knows nothing of.
    """
    refuse_several_pictures(context.cases, context.cases.folder)
    if not atlas.elbow.get(JOINT):
        raise StudyError("paper: the atlas holds no joint ranking with an elbow; run the stage probe")
    with kept_ways(context.vlm, context.folder):
        found, left_out = _mask(context, atlas, settings)
        pointing = _point(context, settings)
    group = {f: m for f, m in found.items() if f in context.taxonomy.spatial}
    rows = [_row(f, m.heads, [m]) for f, m in found.items()]
    rows += [_row(GROUP, (), list(group.values()))] if group else []
    made = PaperResult(
        factor=settings.factor,
        least=settings.least,
        probe_accuracy=atlas.joint.get("accuracy"),
        probe_majority=atlas.joint.get("majority"),
        probe_n=int((atlas.joint.get("steps") or {}).get("test", 0)),
        important={f: _share_above(atlas, f, settings.least) for f in atlas.functions},
        masking=tuple(rows),
        left_out=left_out,
        pointing=tuple(pointing),
    )
    made = made.model_copy(update={"table": compared(made)})
    made.save(context.folder / FILE)
    return made


def _share_above(atlas: Atlas, function: str, least: float) -> float:
    return float((np.nan_to_num(atlas.strength(function, JOINT)) > least).mean())


def _mask(
    context: ExperimentContext, atlas: Atlas, settings: PaperSettings
) -> tuple[dict[str, _Masked], dict[str, str]]:
    """Function -> its questions under its heads and under random ones; and why a function is left out."""
    ledger = context.ledger("paper", settings)
    items = context.choose("test", settings.test_items, (), settings.held_out)
    readers = context.readers(items, ledger, settings)
    found: dict[str, _Masked] = {}
    left_out: dict[str, str] = {}
    for name in context.taxonomy.functions:
        count = atlas.elbow[JOINT].get(name, 0)
        if name not in readers or not count:
            left_out[name] = "no questions on test" if name not in readers else "no elbow on select"
            continue
        reader, heads = readers[name], tuple(atlas.top(name, count, JOINT))
        sets = random_sets(context.vlm.geometry.heads, heads, settings.draws, context.seed)
        masked, *random = reader.read_many(
            [heads, *sets], mute(factor=settings.factor), label=f"paper: {name}"
        )
        found[name] = _Masked(heads, reader.groups, reader.clean, masked, tuple(random))
    return found, left_out


def random_sets(
    every: Sequence[Head], heads: Sequence[Head], draws: int, seed: int
) -> list[tuple[Head, ...]]:
    """Random head sets as the paper draws them: of the same number, from any layer, none under test.

    They are no fair control where layers differ: :mod:`headscope.experiments.controls` draws layer by layer.

    Example:
        >>> every = [Head(0, 0), Head(0, 1), Head(1, 0), Head(1, 1)]
        >>> [str(h) for h in random_sets(every, every[:2], 1, 0)[0]]
        ['L1H0', 'L1H1']
    """
    rest = [h for h in every if h not in set(heads)]
    if len(rest) < len(heads):
        return []
    rng = np.random.default_rng(seed)
    return [
        tuple(rest[i] for i in sorted(rng.choice(len(rest), len(heads), replace=False))) for _ in range(draws)
    ]


def _row(name: str, heads: Sequence[Head], parts: Sequence[_Masked]) -> PaperMasking:
    """One line; the questions of several functions are taken together."""

    def pooled(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.concatenate(list(values))

    clean, masked = pooled([p.clean.correct for p in parts]), pooled([p.masked.correct for p in parts])
    groups = [g for p in parts for g in p.groups]
    draws = min(len(p.random) for p in parts)
    random = [100 * float(pooled([p.random[i].correct for p in parts]).mean()) for i in range(draws)]
    lost = share_difference(clean, masked, groups)
    return PaperMasking(
        function=name,
        heads=tuple(str(h) for h in heads),
        n=len(clean),
        images=len(set(groups)),
        clean=100 * float(clean.mean()),
        masked=100 * float(masked.mean()),
        drop_points=100 * lost.value,
        ci=(100 * lost.ci[0], 100 * lost.ci[1]),
        random_mean=float(np.mean(random)) if random else None,
        random_least=min(random, default=None),
        random_most=max(random, default=None),
        draws=draws,
        forced=100 * float(pooled([p.masked.forced for p in parts]).mean()),
        unreadable=100 * float(1 - pooled([p.masked.readable for p in parts]).mean()),
    )


def _point(context: ExperimentContext, settings: PaperSettings) -> list[PaperPointing]:
    """Main questions asked alone, plain and with what they name marked; empty where none names a box."""
    chosen = context.choose("test", settings.main_items, ("alone",), settings.held_out, ())
    source = CaseBoxes(context.seed)
    boxes = {i.id: tuple(source.boxes(i.case, i.step)) for i in chosen.get(f"{MAIN}@alone", ())}
    items = [i for i in chosen.get(f"{MAIN}@alone", ()) if boxes[i.id]]
    if not items:
        return []
    readings: Mapping[str, tuple[Reading, list[str]]] = {
        style: _read(context, settings, items, style, boxes) for style in (PLAIN, *settings.styles)
    }
    plain = readings[PLAIN][0].correct
    rows = []
    for style, (reading, groups) in readings.items():
        more = share_difference(reading.correct, plain, groups)
        rows.append(
            PaperPointing(
                style=style,
                n=len(groups),
                images=len(set(groups)),
                accuracy=reading.accuracy,
                delta_points=100 * more.value,
                # Of the plain picture less itself nothing is uncertain.
                ci=(0.0, 0.0) if style == PLAIN else (100 * more.ci[0], 100 * more.ci[1]),
            )
        )
    return rows


def _read(
    context: ExperimentContext,
    settings: PaperSettings,
    items: Sequence[Item],
    style: str,
    boxes: Mapping[str, tuple[tuple[float, float, float, float], ...]],
) -> tuple[Reading, list[str]]:
    """Answers on pictures of a style, and the picture of each item."""

    def shown(item: Item) -> Image.Image:
        image = context.cases.image(item.case)
        return image if style == PLAIN else point(style, image, boxes[item.id]).image

    reader = Reader(
        context.vlm,
        items,
        shown,
        context.ledger(f"paper-{style}", settings),
        batch_size=context.batch_size,
        rows=settings.rows,
        max_new_tokens=settings.max_new_tokens,
        groups=context.groups,
    )
    return reader.clean, reader.groups
