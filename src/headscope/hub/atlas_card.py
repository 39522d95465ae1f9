"""The card of an atlas on the Hub: README.md with what was asked, of which model, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np

from headscope.data.markdown import escaped, markdown_table
from headscope.experiments.ablation_result import AblationResult
from headscope.hub.atlas_source import AtlasSource
from headscope.hub.repository import FILE, is_repository
from headscope.probing.atlas import Atlas
from headscope.statistics.ranking import strongest

TOP = 5  # heads of a function that the card lists
TAGS = ("headscope", "headscope-atlas", "interpretability", "attention-heads", "spatial-reasoning")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:-\w+)?")  # a checkpoint folder's revision is shorter
_SCORES = {
    "causal": "nats per token of the margin lost when the head alone is muted",
    "independent": "AUROC of the function from this head alone, on `fit` and `select`",
    "joint": "importance in the joint probe, on `select`",
    "attention": "share of attention on what questions name",
    "patching": "share of the answer that the head carries between two pictures",
}


def atlas_card(source: AtlasSource, name: str, *, licence: str = "", datasets: Sequence[str] = ()) -> str:
    """The card as Markdown with a YAML header; the same atlas gives the same card.

    Args:
        source: the atlas and what a study knows beside it.
        name: repository on the Hub, ``NAME/REPO``.
        licence: a licence id of the Hub; empty: none is stated.
        datasets: names of data sets on the Hub.
    """
    atlas = source.atlas
    model = escaped(atlas.provenance.model or "a model")
    layers = len({(h.tower, h.layer, h.site) for h in atlas.heads})
    parts = [
        _header(atlas, licence, datasets),
        f"# Attention heads of {model} by function",
        f"`{FILE}` (schema `{atlas.schema_name()}`, made with headscope) scores {len(atlas.heads)} attention "
        f"heads in {layers} layers for {len(atlas.functions)} cognitive functions. A ranking is no finding: "
        "what may be claimed of heads stands under Claims.",
        "## How to load it",
        _loading(atlas, name),
        "## Model and data",
        _provenance(atlas, datasets),
        "## Functions",
        _functions(atlas),
        "## Strongest heads",
        _heads(source),
        "## Claims",
        _claims(source.ablation),
        "## Licence",
        escaped(licence) if licence else "Not stated by whoever pushed this.",
    ]
    return "\n\n".join(parts) + "\n"


def base_model(atlas: Atlas) -> str:
    """The model's repository on the Hub; empty where it was a folder, or one in memory.

    Only the Hub's models have a commit as their revision.
    """
    found = atlas.provenance
    return found.model if is_repository(found.model) and _COMMIT.fullmatch(found.revision) else ""


def _header(atlas: Atlas, licence: str, datasets: Sequence[str]) -> str:
    lines = ["library_name: headscope"]
    if licence:
        lines.append(f"license: {json.dumps(licence)}")  # a JSON string is a YAML string
    if base := base_model(atlas):
        lines.append(f"base_model: {json.dumps(base)}")
    if datasets:
        lines += ["datasets:", *(f"- {json.dumps(one)}" for one in datasets)]
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in TAGS), "---"])


def _loading(atlas: Atlas, name: str) -> str:
    function = next((f for f in atlas.functions if re.fullmatch(r"\w+", f)), "")
    top = [f'print(atlas.top("{function}", {TOP}))'] if function else []
    return "\n".join([
        *("```", "pip install headscope", f"headscope atlas pull {name} --out {FILE}", "```", ""),
        *("```python", "import headscope as hs", "", f'atlas = hs.Atlas.load("{FILE}")', *top, "```"),
    ])  # fmt: skip


def _provenance(atlas: Atlas, datasets: Sequence[str]) -> str:
    found = atlas.provenance
    splits = (
        f"{split} {n.get('steps', '?')} steps, {n.get('images', '?')} pictures"
        for split, n in found.splits.items()
    )
    versions = (f"{package} {version}" for package, version in found.versions.items())
    rows = [
        ("Model", found.model),
        ("Revision", found.revision),
        ("Data", ", ".join(datasets)),
        ("Fingerprint of the data", found.data),
        ("Splits", "; ".join(splits)),
        ("Functions of", (found.model_extra or {}).get("taxonomy", "")),
        ("Read at", found.readout),
        ("Context", ", ".join(found.contexts)),
        ("Seed", found.seed),
        ("False discovery rate", f"{atlas.level:g}"),
        ("Made with", ", ".join(versions)),
    ]
    return markdown_table(["", ""], [(label, "not recorded" if v in ("", None) else v) for label, v in rows])


def _functions(atlas: Atlas) -> str:
    steps = (atlas.provenance.model_extra or {}).get("steps_per_function", {})
    chosen = atlas.selected.get(atlas.default_criterion) or {}
    rows = []
    for name in atlas.functions:
        passed = chosen.get(name)
        group = "yes" if name in atlas.spatial else "no"
        count = "-" if passed is None else f"{sum(passed)} of {len(passed)}"
        rows.append((name, group, steps.get(name, "-"), count))
    head = ["Function", "Spatial", "Steps probed", f"Heads selected ({escaped(atlas.default_criterion)})"]
    return markdown_table(head, rows)


def _heads(source: AtlasSource) -> str:
    """The strongest heads of each function by the default ranking, with interval, q and n."""
    atlas, way = source.atlas, source.atlas.default_ranking
    rows = []
    for name in atlas.functions:
        if not atlas.has(way, name):
            rows.append((name, "-", "not ranked", "-", "-", "-"))
            continue
        scores = atlas.scores(name, way)
        intervals = atlas.intervals.get(way, {}).get(name)
        if way == "answer":
            intervals = atlas.answers[name].interval
        q = atlas.significance.get(way, {}).get(name)
        for i in strongest(atlas.strength(name, way), TOP):
            ends = intervals[i] if intervals else None
            rows.append((
                *(name, atlas.heads[i].label, _number(float(scores[i]))),
                f"{_number(ends[0])} to {_number(ends[1])}" if ends else "-",
                _number(q[i]) if q else "-",
                _read_from(source, way, name),
            ))  # fmt: skip
    meaning = _SCORES.get(way, "as the atlas has it")
    said = f"By the {escaped(way)} ranking: {meaning}. Intervals are 95 %, by picture."
    return f"{said}\n\n{markdown_table(['Function', 'Head', 'Score', '95 % interval', 'q', 'n'], rows)}"


def _read_from(source: AtlasSource, way: str, function: str) -> str:
    """Questions that a score is from; independent and joint probes see those of all functions at once."""
    atlas = source.atlas
    splits = {"independent": ("fit", "select"), "joint": ("select",)}.get(way, ())
    if splits and all(s in atlas.provenance.splits for s in splits):
        return str(sum(atlas.provenance.splits[s].get("steps", 0) for s in splits))
    if way == "answer" and function in atlas.answers:
        return str(atlas.answers[function].n)
    n = source.read.get(way, {}).get(function)
    return "not recorded here" if n is None else str(n)


def _claims(ablation: AblationResult | None) -> str:
    """What muting found, function by function; and that nothing is claimed where nothing was muted."""
    if ablation is None:
        return "None: these heads were not muted against matched controls, so nothing is claimed of them."
    rows: list[Sequence[object]] = [
        (
            *(name, "yes" if test.claimed else "no", test.verdict or test.not_testable, " ".join(test.heads)),
            f"{_number(test.drop_points)} ({_number(test.ci[0])} to {_number(test.ci[1])})",
            *(_number(test.q), test.n, test.sets),
        )
        for name, test in ablation.functions.items()
    ]
    rows += [(name, "no", f"not tested: {why}", *("-",) * 5) for name, why in ablation.skipped.items()]
    said = (
        "Each function's heads, chosen on `select`, were muted on `test` and held against random sets with "
        "as many heads in every layer. What a claim needs beyond a loss: docs/concepts.md of headscope."
    )
    head = [
        "Function",
        "Claimed",
        "Verdict",
        "Heads",
        "Points lost (95 % interval)",
        "q",
        "n",
        "Control sets",
    ]
    return f"{said}\n\n{markdown_table(head, rows)}"


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.3g}"
