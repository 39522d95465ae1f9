"""The probe stage: captured activations and answers in, ``atlas.json`` out; resumes where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headscope.functions import DEFAULT, Taxonomy
from headscope.probing.answers import answer_probes
from headscope.probing.atlas import AnswerScores, Atlas, AtlasHead, Provenance
from headscope.probing.independent import independent_probes
from headscope.probing.joint import head_widths, importance, joint_probe
from headscope.probing.logistic import logistic_check
from headscope.probing.settings import ProbeSettings
from headscope.probing.significance import fdr, finite_or_none
from headscope.probing.steps import Steps, gather_steps
from headscope.probing.summary import finite_table, head_rows, interval_list, with_causal
from headscope.progress import track
from headscope.statistics.shares import share_estimate
from headscope.storage import Ledger, write_json, write_table

if TYPE_CHECKING:
    import xarray as xr

_CHUNK = 128  # heads in one unit of the independent probes
_FREE = ("level", "default_ranking", "device")  # no unit of work depends on these, but for rounding
_PACKAGES = ("headscope", "torch", "transformers", "numpy", "scipy", "scikit-learn")


def probe(
    activations: xr.Dataset,
    answers: Sequence[Mapping[str, Any]],
    folder: str | Path,
    *,
    taxonomy: Taxonomy = DEFAULT,
    causal: Mapping[str, Any] | None = None,
    blank: xr.Dataset | None = None,
    images: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    settings: ProbeSettings | None = None,
    chosen: bool = False,
) -> Atlas:
    """Probe every head and write ``atlas.json``, ``atlas.parquet`` and ``joint.json`` into ``folder``.

    Independent and answer probes see ``fit`` and ``select``; the joint probe is trained on ``fit``, its
    importance taken on ``select``; ``test`` is read once, for the accuracy of the finished joint probe.

    Args:
        activations: dimensions (item, head, width), one variable per readout, coordinates ``item`` (ids) and
            ``head`` (labels), as :func:`headscope.capturing.store.open_activations` gives.
        answers: answer rows, as ``open_answers`` gives.
        causal: see :func:`headscope.probing.summary.with_causal`; it can also be added later.
        blank: activations of the same items asked on a blank picture.
        images: case id -> image, what intervals resample; None: every case has its own.
        provenance: ``model``, ``revision``, ``data`` and whatever else is to be kept.
        settings: see :class:`ProbeSettings`.
        chosen: ``answers`` are the very steps to probe (:func:`headscope.probing.steps.probed_answers`).

    Raises:
        StudyError: too little to probe, or no such readout or device.
        StoreError: the folder holds work made with other settings.
    """
    settings = settings or ProbeSettings()
    folder, functions = Path(folder), list(taxonomy.functions)
    steps = gather_steps(activations, answers, functions, settings, images, blank, chosen)
    labels = [str(x) for x in activations["head"].values.tolist()]
    given = dict(provenance or {})
    named = {k: v for k, v in asdict(settings).items() if k not in _FREE}
    kept = {k: given.get(k, "") for k in ("model", "revision", "data")}
    ledger = Ledger(
        folder / "units",
        {**named, **kept, "taxonomy": functions, "items": steps.fingerprint, "blank": blank is not None},
    )
    atlas = _atlas(steps, labels, taxonomy, settings, given)
    _independent(atlas, steps, ledger, settings)
    _answers(atlas, steps, ledger, settings)
    details = _joint(atlas, steps, ledger, settings)
    done = with_causal(atlas, causal, settings.default_ranking)
    write_json(folder / "joint.json", details)
    write_table(folder / "atlas.parquet", done.table())
    done.save(folder / "atlas.json")
    return done


def _atlas(
    steps: Steps, labels: Sequence[str], taxonomy: Taxonomy, settings: ProbeSettings, given: dict[str, Any]
) -> Atlas:
    """An atlas without scores."""
    from headscope.models.geometry import parse_head

    heads = [
        AtlasHead(**parse_head(label)._asdict(), label=label, width=width)
        for label, width in zip(labels, head_widths(steps.z), strict=True)
    ]
    names = list(taxonomy.functions)
    present = [f for i, f in enumerate(names) if (steps.labels == i).any()]
    more = {
        "seed": settings.seed,
        "readout": settings.readout,
        "contexts": list(settings.contexts),
        "splits": steps.counts(),
        "versions": _versions(),
        "taxonomy": taxonomy.name,
        "settings": {**asdict(settings), "contexts": list(settings.contexts)},
        "steps_per_function": {f: int((steps.labels == i).sum()) for i, f in enumerate(names)},
        "blank": steps.blank is not None,
    }
    return Atlas(
        heads=heads,
        functions=present,
        spatial=[f for f in present if f in taxonomy.spatial],
        from_picture=[f for f in present if f in taxonomy.from_picture],
        level=settings.level,
        provenance=Provenance.model_validate({**given, **more}),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _codes(atlas: Atlas, steps: Steps) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(item,) number of the function among those that occur."""
    place = {f: i for i, f in enumerate(atlas.functions)}
    return np.array([place[r["function"]] for r in steps.rows], dtype=np.int64)


def _independent(atlas: Atlas, steps: Steps, ledger: Ledger, settings: ProbeSettings) -> None:
    """Fill in the independent ranking, its significance and selectivity."""
    items = steps.where("fit", "select")
    y, images = _codes(atlas, steps)[items], steps.images[items]
    count = len(atlas.functions)
    chunks = [slice(i, i + _CHUNK) for i in range(0, len(atlas.heads), _CHUNK)]
    parts = [
        ledger.get_or(
            f"independent heads {c.start}",
            lambda c=c: _independent_unit(steps, items, y, c, count, settings),
        )
        for c in track(chunks, "probe: independent", unit="unit")
    ]
    names = ("auroc", "low", "high", "control", "selectivity", "p", "null_mean", "null_sd")
    table = {n: np.array([row for part in parts for row in part[n]], dtype=np.float64) for n in names}

    def columns(values: Any) -> dict[str, list[float | None]]:
        return finite_table({f: values[:, i] for i, f in enumerate(atlas.functions)})

    atlas.rankings["independent"] = columns(table["auroc"])
    atlas.intervals["independent"] = {
        f: interval_list(table["low"][:, i], table["high"][:, i]) for i, f in enumerate(atlas.functions)
    }
    atlas.p["independent"] = columns(table["p"])
    atlas.significance["independent"] = columns(fdr(table["p"]))
    atlas.control.update(columns(table["control"]))
    atlas.selectivity.update(columns(table["selectivity"]))
    flat = {
        n: finite_or_none([v for part in parts for v in part[n]]) for n in ("accuracy", "control_accuracy")
    }
    atlas.independent.update(
        flat,
        majority=parts[0]["majority"],
        null_mean=columns(table["null_mean"]),
        null_sd=columns(table["null_sd"]),
    )
    if settings.logistic_heads:
        check = ledger.get_or(
            "logistic", lambda: _logistic(table["auroc"], steps.z[items], y, images, settings)
        )
        atlas.independent["logistic"] = check


def _independent_unit(
    steps: Steps, items: Any, y: Any, heads: slice, functions: int, settings: ProbeSettings
) -> dict[str, Any]:
    found = independent_probes(
        steps.z[items, heads],
        y,
        steps.images[items],
        wordings=[steps.rows[i]["wording"] or steps.rows[i]["question"] for i in items],
        functions=functions,
        folds=settings.folds,
        alpha=settings.alpha,
        permutations=settings.permutations,
        controls=settings.controls,
        seed=settings.seed,
        device=settings.device,
    )
    return {k: v.tolist() if hasattr(v, "tolist") else v for k, v in vars(found).items() if k != "q"}


def _logistic(auroc: Any, z: Any, y: Any, images: Any, settings: ProbeSettings) -> dict[str, Any]:
    """AUROC by a logistic classifier beside the ridge's, for heads from best to worst."""
    order = np.argsort(-np.nanmean(auroc, axis=1), kind="stable")
    spread = np.linspace(0, len(order) - 1, min(settings.logistic_heads, len(order))).round().astype(int)
    heads = [int(h) for h in order[spread]]
    found = logistic_check(
        z, y, images, heads, functions=auroc.shape[1], folds=settings.folds, seed=settings.seed
    )
    gap = np.abs(found - auroc[heads])
    return {"heads": heads, "auroc": finite_or_none(found), "greatest_gap": finite_or_none(np.nanmax(gap))}


def _answers(atlas: Atlas, steps: Steps, ledger: Ledger, settings: ProbeSettings) -> None:
    """Fill in the answer scores of every function that has answers to tell apart."""
    y = _codes(atlas, steps)
    pool = steps.where("fit", "select")
    for i, function in enumerate(track(atlas.functions, "probe: answers", unit="function")):
        items = pool[y[pool] == i]
        found = ledger.get_or(f"answers {function}", lambda it=items: _answer_unit(steps, it, settings))
        if not found["n"]:
            continue
        p = np.array(found.pop("p"), dtype=np.float64)
        low, high = found.pop("low"), found.pop("high")
        atlas.answers[function] = AnswerScores.model_validate({**found, "interval": interval_list(low, high)})
        atlas.p.setdefault("answer", {})[function] = finite_or_none(p)
        atlas.significance.setdefault("answer", {})[function] = finite_or_none(fdr(p[:, None])[:, 0])


def _answer_unit(steps: Steps, items: Any, settings: ProbeSettings) -> dict[str, Any]:
    if len(set(steps.images[items].tolist())) < 2:
        return {"n": 0}
    found = answer_probes(
        steps.z[items],
        [str(a) for a in steps.column("truth", items)],
        steps.column("question", items),
        steps.images[items],
        domains=[c or () for c in steps.column("choices", items)],
        wordings=[str(w) for w in steps.column("wording", items)],
        z_blank=None if steps.blank is None else steps.blank[items],
        folds=settings.folds,
        alpha=settings.alpha,
        permutations=settings.permutations,
        draws=settings.draws,
        min_class=settings.min_class,
        seed=settings.seed,
    )
    return {k: v.tolist() if hasattr(v, "tolist") else v for k, v in vars(found).items()}


def _joint(atlas: Atlas, steps: Steps, ledger: Ledger, settings: ProbeSettings) -> dict[str, Any]:
    """Fill in the joint ranking; what is known of the joint probe itself comes back."""
    found: dict[str, Any] = ledger.get_or("joint", lambda: _joint_unit(atlas, steps, settings, shuffle=False))
    null = ledger.get_or("joint shuffled", lambda: _joint_unit(atlas, steps, settings, shuffle=True))
    atlas.rankings["joint"] = {f: found["importance"][i] for i, f in enumerate(atlas.functions)}
    atlas.intervals["joint"] = {
        f: interval_list(*np.array([found[side][i] for side in ("low", "high")], dtype=np.float64))
        for i, f in enumerate(atlas.functions)
    }
    facts = ("accuracy", "accuracy_ci", "accuracy_select", "majority", "epochs", "loss", "steps")
    details = {k: found[k] for k in facts}
    details |= {"shuffled": null["accuracy"], "shuffled_select": null["accuracy_select"]}
    details |= {"shared": settings.shared, "hidden": settings.hidden, "seed": settings.seed}
    atlas.joint.update({k: v for k, v in details.items() if k != "loss"})
    return details


def _joint_unit(atlas: Atlas, steps: Steps, settings: ProbeSettings, shuffle: bool) -> dict[str, Any]:
    y = _codes(atlas, steps)
    fit, select, test = (steps.where(s) for s in ("fit", "select", "test"))
    shown = np.random.default_rng(settings.seed + 7).permutation(y[fit]) if shuffle else y[fit]
    trained = joint_probe(
        steps.z[fit],
        shown,
        steps.images[fit],
        layers=head_rows(atlas),
        functions=len(atlas.functions),
        shared=settings.shared,
        hidden=settings.hidden,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    weight = importance(
        trained.probe, steps.z[select], y[select], steps.images[select], settings.draws, settings.seed
    )
    right = trained.probe.predict(steps.z[test]) == y[test]
    judged = share_estimate(right.astype(float), steps.images[test])
    commonest = int(np.bincount(y[fit]).argmax())
    return {
        "importance": finite_or_none(weight.mean),
        "low": finite_or_none(weight.low),
        "high": finite_or_none(weight.high),
        "accuracy": judged.value,
        "accuracy_ci": list(judged.ci),
        "accuracy_select": trained.probe.accuracy(steps.z[select], y[select]),
        "majority": float((y[test] == commonest).mean()) if len(test) else None,
        "epochs": trained.epochs,
        "loss": trained.loss,
        "steps": {"fit": len(fit), "select": len(select), "test": len(test)},
    }
