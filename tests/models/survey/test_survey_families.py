"""Every family by itself (``pytest -k idefics3``): its published row, and its heads recomputed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from recompute import recomputed, seen_by

from family_survey.build import family_names
from family_survey.plans import tiny_inputs, tiny_model
from family_survey.recipes import Unbuildable
from family_survey.rows import survey_row
from headscope.errors import GeometryError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Site
from headscope.models.releases import tried
from headscope.models.survey import load

FAMILIES = family_names()

ROWS = {row.family: row for row in load()}
# What the survey found on the installed release of transformers, which may not be the newest one.
FOUND = tried().found(transformers.__version__, {f: (row.status, row.reason) for f, row in ROWS.items()})
# Families whose projection takes the heads times a gate, element by element; bounds of the gate.
GATES = {
    "dots3_note": 1.0, "hy_v4_vl": 1.0, "inkling2": 1.0,
    "lfm3_vl": 1.0, "minicpm_ocr": 1.0, "minicpmv4_6": 1.0,
    "minicpmv4_7": 1.0, "muse_glimmer": 1.0, "muse_spark": 2.0, "qwen3_5": 1.0,
    "qwen3_5_moe": 1.0, "qwen4_exp": 1.0, "step3p7": 1.0,
}  # fmt: skip
NORMS = {"kosmos-2": "inner_attn_ln"}
# Figures of these steps are errors; others are counts or effects.
ERRORS = {
    "hooks": 0.0,
    "restored": 0.0,
    "sum": 1e-4,
    "baked": 1e-5,
    "batch": 1e-4,
    "cached": 1e-4,
}


def families(test: object) -> object:
    """Run a test once a family, named so that ``-k`` finds it."""
    return pytest.mark.parametrize("family", FAMILIES)(test)


@families
def test_a_family_gives_its_published_row(family: str) -> None:
    found, published = survey_row(family), ROWS.get(family)
    assert (found.status, found.reason) == FOUND[family]
    if published is None or FOUND[family] != (published.status, published.reason):
        return  # figures are published for the newest release alone
    assert found.proofs.keys() == published.proofs.keys()
    for step, figure in found.proofs.items():
        if isinstance(figure, str):
            assert figure == published.proofs[step]
        else:
            assert isinstance(published.proofs[step], float)
            assert figure <= ERRORS.get(step, torch.inf), step


@families
def test_a_family_has_the_heads_that_a_recomputation_finds(family: str) -> None:
    try:
        model = tiny_model(family)
        geometry = find_geometry(model)
    except (Unbuildable, GeometryError):
        assert FOUND[family][0] == "REFUSED"
        return
    if FOUND[family][0] == "REFUSED":
        return
    faults = disagreements(family, model, geometry.sites)
    assert not faults, faults


def disagreements(family: str, model: nn.Module, sites: tuple[Site, ...]) -> list[str]:
    """Where heads as claimed and heads as recomputed in float64 differ: number, width, order or values."""
    entered, calls = seen_by([s.projection for s in sites], model, tiny_inputs(family, model))
    faults = []
    for site, zs in zip(sites, entered, strict=True):
        inside = {id(module) for module in site.attention.modules()}
        own = [call for call in calls if id(call.module) in inside]
        if not zs or len(own) != len(zs):
            faults.append(f"{site.path}: {len(own)} attention calls, projection called {len(zs)} times")
            continue
        for call, z in zip(own, zs, strict=True):
            width = call.value.shape[-1]
            if (site.n_heads, site.head_dim) != (call.heads, width):
                faults.append(f"{site.path}: {site.n_heads} x {site.head_dim}, seen {call.heads} x {width}")
                continue
            heads = recomputed(call)
            if not torch.allclose(heads.float(), call.output.reshape(heads.shape), atol=1e-4):
                faults.append(f"{site.path}: heads' outputs differ from those recomputed")
            if not _follows(family, site, heads.reshape(z.shape), z.double()):
                faults.append(f"{site.path}: what the projection takes is not the heads side by side")
    return faults


def _follows(family: str, site: Site, heads: Tensor, z: Tensor) -> bool:
    """Whether z is the heads side by side; for the families named above, gated or normed."""
    if family in NORMS:
        norm = getattr(site.attention, NORMS[family])
        scale, shift = norm.weight.double(), norm.bias.double()
        heads = torch.nn.functional.layer_norm(heads, heads.shape[-1:], scale, shift, norm.eps)
    if family in GATES:
        said = heads.abs() > 1e-3  # where a head says next to nothing its gate cannot be told from rounding
        gate = (z / heads)[said]
        return bool((gate > -1e-3).all() and (gate < GATES[family] + 1e-3).all() and gate.std() > 0.01)
    return torch.allclose(heads, z, atol=1e-4)


@pytest.mark.parametrize("family", ["llava", "gemma4", "qwen3_5", "kosmos-2", "blip", "florence2"])
@pytest.mark.parametrize("fault", ["halves", "pairs", "other layer"])
def test_the_recomputation_finds_a_false_geometry(family: str, fault: str) -> None:
    model = tiny_model(family)
    sites = find_geometry(model).sites
    first, last = sites[0], sites[-1]
    false = {
        "halves": replace(first, n_heads=2 * first.n_heads, head_dim=first.head_dim // 2),
        "pairs": replace(first, n_heads=first.n_heads // 2, head_dim=2 * first.head_dim),
        "other layer": replace(first, attention=last.attention),
    }[fault]
    assert disagreements(family, model, (false, *sites[1:]))
