"""How the probe stage writes its atlas, as a view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headscope.report.stage_sources import estimate, read_record
from headscope.report.views import AtlasView, HeadScores, Scarcity, Sparsity

Row = dict[str, Any]
UNITS = {
    "joint": "importance",
    "independent": "AUROC",
    "answer": "accuracy beyond question",
    "causal": "margin lost, nats",
}
_SIGNED = {"joint": True, "independent": False, "answer": False, "causal": True}


def read_atlas(path: Path) -> AtlasView:
    """``probe/atlas.json`` (headscope/atlas/1)."""
    content = read_record(path, "headscope/atlas/1")
    heads = content["heads"]
    names, places = _places(heads)
    provenance = content.get("provenance") or {}
    return AtlasView(
        heads=tuple(str(h["label"]) for h in heads),
        rows=names,
        places=places,
        rankings=tuple(_rankings(content)),
        selected={
            criterion: {f: flags for f, flags in table.items() if flags is not None}
            for criterion, table in (content.get("selected") or {}).items()
        },
        sparsity=tuple(_sparsity(content)),
        scarcity=tuple(_scarcity(content)),
        correlations=tuple(c for c in content.get("correlations") or () if c.get("rho") is not None),
        joint=_joint(content.get("joint") or {}),
        criterion=str(content.get("default_criterion") or "decoding"),
        level=float(content.get("level") or 0.05),
        readout=str(provenance.get("readout") or ""),
        contexts=tuple(provenance.get("contexts") or ()),
    )


def _places(heads: list[Row]) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of the rows (attention layers in flat order), and where in the map each head lies."""
    sites = [(h.get("tower", "decoder"), int(h["layer"]), h.get("site", "self")) for h in heads]
    rows = {site: i for i, site in enumerate(dict.fromkeys(sites))}
    plain = len({(tower, site) for tower, _, site in rows}) == 1
    names = tuple(f"L{n}" if plain else f"{tower} {site} L{n}" for tower, n, site in rows)
    return names, tuple((rows[site], int(h["head"])) for site, h in zip(sites, heads, strict=True))


def _rankings(content: Row) -> list[HeadScores]:
    """The rankings that hold anything, the decoding of answers among them."""
    tables = dict(content.get("rankings") or {})
    answers = {f: cell["score"] for f, cell in (content.get("answers") or {}).items()}
    tables["answer"] = answers or None
    found = []
    for name in UNITS:
        scores = {f: values for f, values in (tables.get(name) or {}).items() if values is not None}
        if scores:
            found.append(HeadScores(name, UNITS[name], _SIGNED[name], scores))
    return found


def _sparsity(content: Row) -> list[Sparsity]:
    elbows = (content.get("elbow") or {}).get("joint") or {}
    found = []
    for criterion, table in (content.get("sparsity") or {}).items():
        for function, cell in table.items():
            share = estimate({**cell, "n": len(content["heads"])}, "share")
            if share is not None:
                layers = tuple(int(n) for n in cell.get("by_layer") or ())
                count, elbow = int(cell["significant"]), elbows.get(function)
                found.append(Sparsity(function, criterion, count, share, cell.get("gini"), elbow, layers))
    return found


def _scarcity(content: Row) -> list[Scarcity]:
    found = []
    for criterion, cell in (content.get("scarcity") or {}).items():
        difference = estimate({**cell, "n": len(content["heads"])}, "difference")
        if difference is not None:
            found.append(
                Scarcity(criterion, difference, cell.get("spatial"), cell.get("other"), cell.get("p"))
            )
    return found


def _joint(cell: Row) -> dict[str, float]:
    """Accuracies of the joint probe, wherever the stage nests them."""
    names = ("accuracy", "majority", "shuffled")
    return {k: float(cell[k]) for k in names if isinstance(cell.get(k), int | float)}
