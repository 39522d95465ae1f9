"""The generated blocks of docs/method.md: figures from measured.json and training-seeds.json."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from headscope.errors import StoreError
from headscope.storage import read_json, write_atomic
from headscope.validation.coverage import cautious

METHOD, TRAINING, MEASURED = "method.md", "training-seeds.json", "measured.json"
WAYS = ("causal", "joint", "decoding", "answer", "independent", "attention")
Row = dict[str, Any]
NOT_YET = "**Not measured yet.** This table is filled by"
RUN = "`headscope validate-method` and `python tools/method_figures.py runs/validate-method`."


def refresh(docs: str | Path) -> None:
    """Write method.md's blocks afresh from the figures that the package and ``docs`` carry."""
    path = Path(docs) / METHOD
    write_atomic(path, filled(path.read_text("utf-8"), *figures(docs)))


def figures(docs: str | Path) -> tuple[Row, Row | None]:
    """The content of measured.json, and of training-seeds.json where there is one."""
    measured = read_json(Path(str(resources.files("headscope.validation").joinpath(MEASURED))))
    training = Path(docs) / TRAINING
    return measured, read_json(training) if training.is_file() else None


def filled(page: str, measured: Row, training: Row | None) -> str:
    """The page with each block between its marks made afresh.

    Raises:
        StoreError: a block has no place in the page.
    """
    for name, text in blocks(measured, training).items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin not in page or end not in page:
            raise StoreError(
                f"{METHOD}: asked to fill the block {name}; its marks {begin} {end} are not there"
            )
        before, rest = page.split(begin, 1)
        page = f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}"
    return page


def blocks(measured: Row, training: Row | None) -> dict[str, str]:
    """Name of each block -> its text."""
    return {
        "planted": _planted(measured),
        "patching": _patching(measured),
        "emphasis": _emphasis(measured.get("emphasis")),
        "pointing": _pointing(measured.get("pointing")),
        "claims": _claims(measured.get("claims")),
        "dependence": _dependence(measured.get("dependence")),
        "nulls": _nulls(measured),
        "power": _power(measured),
        "stability": _stability(measured.get("stability")),
        "training seeds": _training(training),
    }


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _f(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _shares(cell: Row) -> str:
    return " / ".join(_f(cell[k]) for k in ("precision", "recall", "f1"))


def _planted(m: Row) -> str:
    source = m["provenance"]
    counts = ", ".join(f"{n} {level.replace('_', ' ')}" for level, n in source["models"].items())
    rows = [
        [lv.replace("_", " "), *(_shares(c[w]) if w in c else "–" for w in WAYS)]
        for lv, c in m["planted"].items()
    ]
    rejected = ", ".join(f"{w} {_percent(v)}" for w, v in m["decoy_rejection"].items())
    return (
        f"From `{source['command']}` ({counts}; {source['wall_s'] / 60:.0f} min of work). "
        "Precision / recall / F1, pooled over (head, function) pairs:\n\n"
        f"{_table(['level', *WAYS], rows)}\n\n"
        f"Decoys rejected: {rejected}. Best F1 on plain models: **{m['default_ranking']}**."
    )


def _claims(levels: Row | None) -> str:
    """Claims at each level: how often false, and how often an effect of 20 points is claimed."""
    if not levels:
        return f"{NOT_YET} {RUN}"
    rows = [
        [
            level.replace("_", " "),
            f"{c['false_claims']} of {c['replicates']} {_between(c['false_ci'])}",
            f"{_percent(c['power_20_points'])} {_between(c['power_ci'])}, n {c['power_replicates']}",
            _f(c["true_points"], 1),
            _percent(c["random_claimed_share"]),
        ]
        for level, c in levels.items()
    ]
    header = [
        "level",
        "false claims (95 %)",
        "planted effect claimed (95 %)",
        "its points",
        "random sets claimed",
    ]
    return _table(header, rows)


def _patching(m: Row) -> str:
    """What patching names at each level, and what path patching finds of two hops."""
    levels, edges = m.get("patched"), m.get("edges")
    if not levels:
        return f"{NOT_YET} {RUN}"
    rows = [
        [level.replace("_", " "), str(c["models"]), _shares(m["planted"][level]["patching"]), _shares(c)]
        for level, c in levels.items()
    ]
    text = _table(["level", "models", "single heads", "sets"], rows)
    if edges:
        text += (
            f"\n\nEdges: {edges['found']} of {edges['wanted']} functions of two hops "
            f"{_between(edges['found_ci'])} have an edge from a head that moves the "
            f"fact to one that fetches it; "
            f"{edges['false']} of {edges['others']} other edges are named ({edges['models']} models)."
        )
    return text


def _emphasis(m: Row | None) -> str:
    """Claims of gains on models with a weak head: how often false, how often right."""
    if not m:
        return f"{NOT_YET} {RUN}"
    return (
        f"{m['models']} models, {m['tested']} tests: {m['false_claims']} false claims "
        f"{_between(m['false_ci'])}; "
        f"{_percent(m['power'])} {_between(m['power_ci'])} of {m['power_tests']} true sets rightly claimed "
        f"(gain {_f(m['gain_points'], 1)} points on average); of {m['ranked_tests']} tests by causal scores "
        f"{m['ranked_found']} name the weak head at all."
    )


_POINTING = {
    "helps": "pointing improves answers",
    "beyond_background": "... more than masking background alone",
    "needs_heads": "the gain needs the heads that are named",
    "wakes": "the heads that are named wake",
}


def _pointing(claims: Row | None) -> str:
    """Claims of pointing on models that err: how often false, how often right."""
    if not claims:
        return f"{NOT_YET} {RUN}"
    rows = [
        [
            _POINTING[claim],
            f"{c['false_claims']} of {c['false_tests']} {_between(c['false_ci'])}",
            f"{_percent(c['power'])} {_between(c['power_ci'])}, n {c['power_tests']}"
            if c["power_tests"]
            else "-",
        ]
        for claim, c in claims.items()
    ]
    return _table(["claim", "false claims (95 %)", "true ones claimed (95 %)"], rows)


def _between(ci: list[float | None] | None) -> str:
    return "" if not ci else f"[{', '.join(_percent(v) for v in ci)}]"


def _dependence(cells: Row | None) -> str:
    rows = [
        [kind, name.replace("_", " "), way, _shares(cell)]
        for kind, table in (cells or {}).items()
        for name, ways in table.items()
        for way, cell in ways.items()
    ]
    if not rows:
        return f"{NOT_YET} {RUN}"
    return _table(["by", "value", "ranking", "precision / recall / F1"], rows)


def _nulls(m: Row) -> str:
    null = m["null"]
    names = {"independent": "functions shuffled within images", "answer": "answers exchanged between images"}
    names["causal"] = "signs flipped by image, no least effect"
    rows = [
        [f"{w} probe: {names[w]}" if w != "causal" else f"causal test: {names[w]}", _percent(v), "5 %"]
        for w, v in null["claimed_share"].items()
    ]
    rows.append(["muting random heads (`p_random`), 0.05", _percent(null["reject_at_05"]), "5 %"])
    rows.append(["muting random heads (`p_random`), 0.01", _percent(null["reject_at_01"]), "1 %"])
    rows.append(["muting random heads, disjoint controls, 0.05", _percent(null["disjoint_at_05"]), "5 %"])
    bound = {True: "93 % or more", False: "93 to 97 %"}
    rows += [
        [f"95 % intervals cover: {k}", _percent(v), bound[cautious(k)]] for k, v in m["coverage"].items()
    ]
    head = f"From `{m['provenance']['command']}` ({null['replicates']} replicates of the muting test):"
    untrained = ", ".join(f"{way} {_percent(share)}" for way, share in null["random_weights"].items())
    return (
        f"{head}\n\n{_table(['where there is nothing', 'measured', 'bound'], rows)}\n\n"
        f"Named on an untrained model of the same shape, of all (head, function) pairs: {untrained}."
    )


def _power(m: Row) -> str:
    """Where there is something: how often each of the two muting tests sees it."""
    rows = []
    for function, by_cases in m["null"]["power"].items():
        tested = m["null"]["tested"][function]
        what = f"{function.replace('_', ' ')}: {len(tested['heads'])} heads, {_f(tested['drop_points'], 0)} "
        what += f"points lost, random sets {_f(tested['random_points'], 0)}"
        rows += [[what, n, _percent(c["disjoint"]), _percent(c["random"])] for n, c in by_cases.items()]
    if not rows:
        return f"{NOT_YET} {RUN}"
    return _table(["embedded model", "questions", "disjoint controls", "`p_random`"], rows)


def _stability(cells: Row | None) -> str:
    if not cells:
        return f"{NOT_YET} {RUN}"
    rows = [
        [kind, way, _f(value)]
        for kind in ("seeds", "halves", "wordings")
        for way, value in cells.get(kind, {}).items()
        if way != "steps"
    ]
    for way, table in cells["top"].items():
        always, some = (sum(len(c[k]) for c in table.values()) for k in ("always", "sometimes"))
        rows.append(["top five, all functions", way, f"{always} always there, {some} come and go"])
    return _table(["between", "ranking", "Spearman correlation over heads"], rows)


def _training(content: Row | None) -> str:
    command = (
        "`headscope demo --model FOLDER --study runs/demo-seedN` for each, then `tools/training_seeds.py`."
    )
    if not content or len(content["models"]) < 2:
        return f"{NOT_YET} {command}"
    models, repeats = content["models"], content["repeats"]
    header = [
        "model",
        "main, true steps",
        "heads, spatial",
        "heads, other",
        "difference (relabelling functions)",
        "muted functions hit",
    ]
    first = _table([*header, "pointing, points"], [_training_row(r) for r in models])
    functions = list(dict.fromkeys(f for r in models for f in r["muting"]))
    rows = [
        [f.replace("_", " "), *(_of_function(r, f) for r in models), _held(repeats["muting"][f])]
        for f in functions
    ]
    second = _table(["function", *(r["name"] for r in models), "muting hits"], rows)
    over = repeats["over_models"]
    if over:
        mean = _heads(over["difference"], over["unit"])
        first += f"\n\nDifference over models: {mean} ({over['unit']}), sign-flip p {over['p']:.3f} with "
        first += f"{over['models']} models."
    return (
        f"{first}\n\nEach function: accuracy with true steps; share of heads found (causal criterion); "
        f"points lost by muting, and by muting random heads.\n\n{second}"
    )


def _heads(value: float, unit: str) -> str:
    return _percent(value) if unit == "share of heads" else f"{value:.1f}"


def _held(cell: Row) -> str:
    return f"{cell['holds']} of {cell['of']}"


def _of_function(r: Row, function: str) -> str:
    cell = r["muting"].get(function)
    told = [_percent(r["accuracy"].get(function)), _percent(r["head_share"].get(function))]
    told.append(
        f"{cell['drop_points']:.0f} against {cell['control_mean']:.0f} (p {cell['p']:.3f})" if cell else "–"
    )
    return "; ".join(told)


def _training_row(r: Row) -> list[str]:
    c, wake = r["spatial_vs_other"], r["wake"]
    hit = sum(m["p"] <= 0.05 and m["drop_points"] > m["control_mean"] for m in r["muting"].values())
    shares = ["–"] * 3
    if c:
        shares = [_heads(c[k], c["unit"]) for k in ("spatial", "other", "difference")]
        shares[-1] += f" (p {c['relabel_p']:.3f})"
    gain = _f(wake["delta_points"], 1)
    if wake.get("ci"):
        gain += f" [{', '.join(_f(v, 1) for v in wake['ci'])}]"
    return [r["name"], _percent(r["accuracy"].get("main")), *shares, f"{hit} of {len(r['muting'])}", gain]
