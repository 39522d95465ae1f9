"""Nothing to find: permuted labels, flipped signs, random weights; how often the method claims something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.capturing.store import open_activations, open_answers
from headscope.edits.edits import mute
from headscope.experiments.context import identity
from headscope.experiments.items import choose_items, open_readers
from headscope.experiments.significance import hurt_p
from headscope.functions import DEFAULT
from headscope.probing.answers import answer_probes
from headscope.probing.domains import exchanged_answers
from headscope.probing.independent import independent_probes, permuted_within
from headscope.probing.settings import ProbeSettings
from headscope.probing.significance import fdr
from headscope.probing.steps import Steps, gather_steps
from headscope.progress import track
from headscope.statistics.resampling import benjamini_hochberg, group_codes, wilson_ci
from headscope.storage import Ledger
from headscope.validation.chain import READOUT, PlantedStudy
from headscope.validation.planted.questions import FUNCTIONS, PLACE
from headscope.validation.settings import ValidateSettings

Row = dict[str, Any]
_STEPS = 50  # steps per function in each run on permuted labels


def share(claims: NDArray[np.bool_], level: float) -> Row:
    """Share of families with any claim, against its bound.

    Args:
        claims: (run, family) whether any head was claimed. A family is one function: what one false discovery
            rate is controlled over.

    Returns:
        ``claimed_share`` with its Wilson interval over runs, ``bound``, and whether the share is no more than
        1.96 binomial standard errors (of independent runs) above the bound.
    """
    runs = len(claims)
    found = float(claims.mean())
    error = float(np.sqrt(level * (1 - level) / runs))
    return {
        "claimed_share": found,
        "ci": list(wilson_ci(round(found * runs), runs)),
        "bound": level,
        "within": bool(found <= level + 1.96 * error),
        "runs": runs,
        "families": int(claims.size),
    }


def label_nulls(folder: Path, settings: ValidateSettings) -> Row:
    """Probes on the activations of a plain planted model, with labels that mean nothing."""
    study = PlantedStudy(folder, "plain", 0, settings)
    study.capture()
    steps = _steps(study, settings)
    items = steps.where("fit", "select")
    return {
        "independent": share(_function_claims(steps, items, settings), settings.level),
        "answer": share(_answer_claims(steps, items, settings), settings.level),
        "causal": share(_causal_claims(study, settings), settings.level),
    }


def _steps(study: PlantedStudy, settings: ValidateSettings) -> Steps:
    return gather_steps(
        open_activations(study.folder / "capture", READOUT, context="gold"),
        open_answers(study.folder / "capture"),
        FUNCTIONS,
        ProbeSettings(readout=READOUT, max_steps=_STEPS, seed=settings.seed),
    )


def _function_claims(steps: Steps, items: NDArray[np.int64], settings: ValidateSettings) -> Any:
    """(run, function) claims of the independent probes when functions are shuffled within each image."""
    codes, _ = group_codes(steps.images[items], len(items))
    rng = np.random.default_rng([settings.seed, 11])
    sets = permuted_within(steps.labels[items], codes, settings.label_permutations, rng)
    words = steps.column("wording", items)
    found = []
    for run, labels in enumerate(track(sets, "null: functions", unit="run")):
        probes = independent_probes(
            steps.z[items],
            labels,
            codes,
            wordings=words,
            functions=len(FUNCTIONS),
            permutations=settings.null_permutations,
            controls=2,
            seed=run,
        )
        found.append(((probes.q <= settings.level) & (probes.selectivity > 0)).any(axis=0))
    return np.array(found)


def _answer_claims(steps: Steps, items: NDArray[np.int64], settings: ValidateSettings) -> Any:
    """(run, 1) claims of the answer probes when answers change places between images."""
    mine = items[steps.labels[items] == FUNCTIONS.index(PLACE)]
    truth = np.array([str(a) for a in steps.column("truth", mine)])
    names, codes = np.unique(truth, return_inverse=True)
    images, _ = group_codes(steps.images[mine], len(mine))
    rng = np.random.default_rng([settings.seed, 12])
    sets = exchanged_answers(codes, images, np.zeros(len(mine)), settings.label_permutations, rng)
    found = []
    for run, labels in enumerate(track(sets, "null: answers", unit="run")):
        probes = answer_probes(
            steps.z[mine],
            names[labels].tolist(),
            steps.column("question", mine),
            images,
            permutations=settings.null_permutations,
            draws=10,
            seed=run,
        )
        q = fdr(probes.p[:, None])[:, 0]
        found.append([bool(((q <= settings.level) & (probes.score > 0)).any())])
    return np.array(found)


def _causal_claims(study: PlantedStudy, settings: ValidateSettings) -> Any:
    """(run, 1) claims of the causal test alone, without a least effect, signs flipped by image."""
    ledger = Ledger(study.folder / "null", {"seed": settings.seed, **identity(study.vlm, study.cases)})
    size = settings.causal_items
    items = choose_items(study.cases, study.splits, "select", DEFAULT, size, settings.seed, ())
    reader = open_readers(study.vlm, study.cases, {PLACE: items[PLACE]}, ledger, max_new_tokens=4)[PLACE]
    readings = reader.read_many([(h,) for h in study.vlm.geometry.heads], mute())
    lost = np.array([reader.clean.margin - r.margin for r in readings])
    right = np.array([reader.clean.correct - r.correct for r in readings])
    codes, count = group_codes(reader.groups, len(reader))
    rng = np.random.default_rng([settings.seed, 13])
    found = []
    for run in track(range(settings.label_permutations), "null: causal", unit="run"):
        signs = rng.choice([-1.0, 1.0], size=count)[codes]
        p = [hurt_p(a * signs, b * signs, codes, run) for a, b in zip(lost, right, strict=True)]
        found.append([bool((benjamini_hochberg(p) <= settings.level).any())])
    return np.array(found)


def random_weights(folder: Path, settings: ValidateSettings) -> Row:
    """The chain on random weights: words and picture reach every head, and no head is for anything."""
    study = PlantedStudy(folder, "random", 0, settings)
    study.capture()
    atlas = study.probe(study.causal())
    flags = {
        way: [yes for function in table.values() for yes in function or ()]
        for way, table in atlas.selected.items()
    }
    auroc = [a for scores in (atlas.rankings["independent"] or {}).values() for a in scores if a is not None]
    return {
        "accuracy": float(np.mean(list(study.accuracy().values()))),
        "function_auroc_median": float(np.median(auroc)),
        "claimed": {way: float(np.mean(found)) for way, found in flags.items() if found},
        "pairs": {way: len(found) for way, found in flags.items()},
    }
