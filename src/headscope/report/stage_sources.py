"""How ablation and emphasis write their files, as views."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headscope.functions import MAIN
from headscope.report.stage_views import (
    AblationView,
    DosePoint,
    Emphasis,
    EmphasisView,
    Estimate,
    Matrix,
    MuteTest,
    OptionPoint,
    Variant,
)
from headscope.storage import read_json, read_table

Row = dict[str, Any]


def read_record(path: Path, schema: str) -> Row:
    """A stage's JSON.

    Raises:
        ValueError: it is of another schema, such as one of a later version.
    """
    content = read_json(path)
    found = content.get("schema") if isinstance(content, dict) else type(content).__name__
    if found != schema:
        raise ValueError(f"expected schema {schema}, found {found!r}")
    return dict(content)


def estimate(cell: Any, value: str, ci: str = "ci", sign: float = 1.0) -> Estimate | None:
    """An estimate from a record; ``sign`` -1 turns losses into changes. None where there is no value."""
    if not isinstance(cell, dict) or cell.get(value) is None:
        return None
    low, high = cell.get(ci) or (None, None)
    if low is None or high is None:
        return Estimate(sign * cell[value], None, None, int(cell.get("n") or 0))
    low, high = sorted((sign * low, sign * high))
    return Estimate(sign * cell[value], low, high, int(cell.get("n") or 0))


# ablation ------------------------------------------------------------


def read_ablation(path: Path) -> AblationView:
    """``ablation.json`` (headscope/ablation/1), with the control draws from ``ablation.parquet``."""
    content = read_record(path, "headscope/ablation/1")
    table = path.with_suffix(".parquet")
    draws: dict[str, list[float]] = {}
    for row in read_table(table) if table.exists() else ():
        if row["phase"] == "control" and row["muted"] == row["measured"]:
            draws.setdefault(row["muted"], []).append(row["drop_points"])
    tests, variants = [], []
    for name, result in content["functions"].items():
        tests.append(_mute_test(name, name, result, result, draws.get(name, [])))
        if result.get("alone"):
            tests.append(_mute_test(name, f"{name}@alone", result, result["alone"], []))
        for context, cell in (result.get("main") or {}).items():
            tests.append(_mute_test(name, f"{MAIN}@{context}", result, cell, []))
        variants += [(name, kind, "all", cell) for kind, cell in (result.get("mutes") or {}).items()]
        scopes = (result.get("scopes") or {}).items()
        variants += [(name, "zero", scope, cell) for scope, cell in scopes if scope != "all"]
    found = [(name, kind, scope, estimate(cell, "drop_points")) for name, kind, scope, cell in variants]
    return AblationView(
        tests=tuple(tests),
        dose=tuple(_doses(content)),
        variants=tuple(Variant(n, _KINDS.get(k, k), s, drop) for n, k, s, drop in found if drop is not None),
        specificity=_matrix(content.get("specificity")),
        rule=str(content.get("rule") or ""),
        skipped={str(k): str(v) for k, v in (content.get("skipped") or {}).items()},
        held_out=(content.get("settings") or {}).get("held_out"),
    )


_KINDS = {"zero": "zero", "small": "small factor", "mean": "mean over fit"}


def _mute_test(name: str, measured: str, result: Row, cell: Row, draws: list[float]) -> MuteTest:
    drop = estimate(cell, "drop_points")
    if drop is None:
        raise ValueError(f"{name}: no drop_points")
    mean = cell.get("control_mean")
    drawn = len(draws) or int(cell.get("draws") or 0)
    return MuteTest(
        function=name,
        measured=measured,
        k=int(result.get("k") or len(result.get("heads") or ())),
        heads=tuple(result.get("heads") or ()),
        ranking=str(result.get("ranking") or ""),
        drop=drop,
        margin=estimate(cell, "margin_drop", "margin_ci"),
        before=share(cell.get("accuracy_clean")),
        after=share(cell.get("accuracy")),
        controls=tuple(draws),
        draws=drawn,
        distinct=int(cell.get("distinct", drawn)),
        mean=mean if mean is not None else sum(draws) / len(draws) if draws else None,
        greatest=cell.get("control_max") if cell.get("control_max") is not None else max(draws, default=None),
        layer_matched=cell.get("layer_matched"),
        p=cell.get("p"),
        p_signflip=cell.get("p_paired"),
        reason=str(cell.get("reason") or ""),
        q=cell.get("q"),
        claimed=cell.get("claimed"),
        verdict=str(cell.get("verdict") or ""),
    )


def share(percent: float | None) -> float | None:
    """A percentage as a share, 0..1."""
    return None if percent is None else percent / 100


def _doses(content: Row) -> Iterable[DosePoint]:
    for name, dose in (content.get("dose") or {}).items():
        frozen = content["functions"].get(name, {})
        for c in dose["candidates"]:
            yield DosePoint(
                function=name,
                ranking=c["ranking"],
                k=int(c["k"]),
                drop=c["drop_points"],
                control=c.get("control_points"),
                chosen=(c["ranking"], c["k"]) == (frozen.get("ranking"), frozen.get("k")),
            )


def _matrix(cell: Any) -> Matrix | None:
    """Losses as the stage writes them, turned into changes."""
    if not cell or not cell.get("muted"):
        return None
    lines = []
    for i in range(len(cell["muted"])):
        line = []
        for j in range(len(cell["measured"])):
            values = {k: cell[k][i][j] for k in ("drop_points", "ci", "n") if cell.get(k)}
            line.append(estimate(values, "drop_points", sign=-1.0))
        lines.append(tuple(line))
    return Matrix(tuple(cell["muted"]), tuple(cell["measured"]), tuple(lines))


# emphasis ------------------------------------------------------------


def read_emphasis(path: Path) -> EmphasisView:
    """``emphasis.json`` (headscope/emphasis/1)."""
    content = read_record(path, "headscope/emphasis/1")
    functions = content["functions"]
    return EmphasisView(
        headline=content["headline"]["function"],
        items=tuple(_emphasis(name, result) for name, result in functions.items()),
        tried=tuple(p for name, result in functions.items() for p in _options(name, result)),
        rule=str(content.get("rule") or ""),
        held_out=(content.get("settings") or {}).get("held_out"),
    )


def _emphasis(name: str, result: Row) -> Emphasis:
    delta = estimate(result, "delta_points")
    if delta is None:
        raise ValueError(f"{name}: no delta_points")
    cells = {**(result.get("side_effects") or {})}
    cells |= {f"{MAIN}@{context}": cell for context, cell in (result.get("main") or {}).items()}
    others = {measured: estimate(cell, "delta_points") for measured, cell in cells.items()}
    return Emphasis(
        function=name,
        edit=result["edit"],
        strength=float(result["strength"]),
        heads=tuple(result.get("heads") or ()),
        scope=str(result.get("scope") or ""),
        source=str(result.get("source") or ""),
        delta=delta,
        margin=estimate(result, "margin_delta", "margin_ci"),
        before=share(result.get("accuracy_clean")),
        after=share(result.get("accuracy")),
        p=result.get("p_paired"),
        others={measured: e for measured, e in others.items() if e is not None},
    )


def _options(name: str, result: Row) -> Iterable[OptionPoint]:
    picked = tuple(result.get(k) for k in ("edit", "strength", "k", "source"))
    for o in result.get("tried") or ():
        said = tuple(o.get(k) for k in ("edit", "strength", "k", "source"))
        yield OptionPoint(
            name,
            o["edit"],
            float(o["strength"]),
            int(o["k"]),
            str(o["source"]),
            o["gain_points"],
            said == picked,
        )
