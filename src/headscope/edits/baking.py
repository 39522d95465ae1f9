"""Baking: an edit of all tokens written into the weights, an ordinary checkpoint that any engine serves."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from headscope.edits.edits import Edit, Operation, change_of, scale
from headscope.edits.hooks import Pair, compile_edit
from headscope.edits.patching import PatchSource
from headscope.edits.reference import FromReference
from headscope.errors import EditError
from headscope.models.geometry import Head, Heads, Site, has_plain_matrix, heads_of
from headscope.models.library_messages import quiet
from headscope.models.saving import is_free, write_checkpoint
from headscope.models.vlm import VLM, need_vlm
from headscope.models.weights import is_quantized


def bake(
    vlm: VLM,
    heads: Heads,
    what: Operation | FromReference | PatchSource | float,
    out: str | Path,
    scope: str = "all",
) -> Path:
    """Write a checkpoint folder whose outputs equal those of the model under ``edit(vlm, heads, what)``.

    ``z' = f z + o`` before the projection ``W z + b`` is ``(W diag f) z + (b + W o)``: columns of W are
    multiplied, and what is added goes to the bias, where there is one. Products are taken in float64 and
    rounded once to the weights' type: equal to 1e-5 on logits in float32; in bfloat16 weights and z are
    rounded to 8 bits each, and logits agree to about 1 % of their range (exact where s is a power of two).
    The model in memory is not touched.

    Args:
        vlm: the model, unquantised.
        heads: heads to change, as :func:`edit` takes them.
        what: a number s (short for ``scale(s)``), or what :func:`edit` takes.
        out: folder to write; must be empty or absent. It appears complete or not at all.
        scope: only ``all`` can be baked.

    Returns:
        The folder: safetensors, configuration, processor files and ``headscope-bake.json`` (what was done).

    Raises:
        EditError: a scope other than ``all``; a patch or resampling; something to add where the projection
            has no bias; a quantised or shared projection; a model with an adapter; an output folder that
            holds files.
        ModelError: the model was changed since it was loaded or wrapped.

    Example:
        >>> import headscope as hs
        >>> folder = hs.bake(hs.load_model("embedded"), [hs.Head(3, 5)], 1.5, "baked")
        >>> hs.load_model(folder).proof.status
        'PROVED'
    """
    if isinstance(what, PatchSource):
        raise EditError(
            "bake: a patch takes z of one run, which no weights hold for every prompt; use `with edit(...)`"
        )
    if isinstance(what, FromReference) and what.mode == "resample":
        raise EditError(
            "bake: resampling takes z of a drawn prompt, which no weights hold for every prompt; use "
            "`with edit(...)`, or mute('mean', reference=...)"
        )
    need_vlm(vlm, "bake")
    out = Path(out)
    if scope != "all":
        raise EditError(
            f"bake: scope {scope!r} depends on the position, and weights do not; only 'all' can be baked, "
            "use `with edit(...)` instead"
        )
    if not is_free(out):
        raise EditError(f"bake: {out} already exists and is not empty; name a new folder")
    revision = vlm.confirmed_revision()
    _refuse_model(vlm)
    change = _edit_of(vlm, heads_of(heads), what, scope)
    vlm.require("baked", "an edit baked into the weights")
    replaced: dict[int, Tensor] = {}
    for site, pair in compile_edit(vlm.geometry, change).items():
        _refuse(vlm.model, site, pair)
        replaced.update(_baked(site.projection, pair))
    _write(vlm, revision, replaced, change, out)
    return out


def _edit_of(vlm: VLM, heads: tuple[Head, ...], what: Operation | FromReference | float, scope: str) -> Edit:
    """The edit that is baked; the mean over a reference is taken here."""
    known = what if isinstance(what, Operation | FromReference) else scale(float(what))
    change = change_of(vlm, heads, known, scope)
    assert isinstance(change, Edit)
    return change


def _refuse_model(vlm: VLM) -> None:
    """Raise where the model as a whole cannot be written as an ordinary checkpoint."""
    if is_quantized(vlm.model):
        raise EditError(
            f"bake: the weights of {vlm.name} are quantised, and rounding them again changes what it says; "
            "load the original checkpoint in float32 or bfloat16 and bake that"
        )
    if vlm.folder is None and (strange := _not_of_its_kind(vlm.model)):
        raise EditError(
            f"bake: {vlm.name} is not what its configuration builds ({strange}), so no ordinary checkpoint "
            "holds it; merge the adapter (model = model.merge_and_unload()), wrap the result and bake that"
        )
    away = next((n for n, p in vlm.model.named_parameters() if p.is_meta), None)
    if away is not None:
        raise EditError(
            f"bake: {away} is offloaded, not in memory; load the model without offloading (on the CPU, say)"
        )


def _not_of_its_kind(model: nn.Module) -> str:
    """The first weight that a model in memory has beyond its kind, or lacks; empty if it has just these."""
    with quiet(), torch.device("meta"):
        plain = type(model)(copy.deepcopy(model.config)).state_dict()
    other = sorted(plain.keys() ^ model.state_dict().keys())
    return other[0] if other else ""


def _refuse(model: nn.Module, site: Site, pair: Pair) -> None:
    """Raise where the weights of this site cannot carry the edit."""
    projection = site.projection
    name = f"bake: the output projection of layer {site.layer} ({type(projection).__name__})"
    weight = getattr(projection, "weight", None)
    if not isinstance(weight, Tensor) or not has_plain_matrix(projection):
        raise EditError(
            f"{name} has no plain weight matrix; bake the model before it is quantised or wrapped"
        )
    if not weight.is_floating_point() or weight.element_size() < 2 or weight.is_meta:
        raise EditError(
            f"{name} is quantised or not in memory (weights are {weight.dtype} on {weight.device}); load the "
            "original checkpoint in float32 or bfloat16 and bake that"
        )
    users = [
        n for n, p in model.named_parameters(remove_duplicate=False) if p.data_ptr() == weight.data_ptr()
    ]
    modules = [n for n, m in model.named_modules(remove_duplicate=False) if m is projection]
    if len(users) > 1 or len(modules) > 1:
        raise EditError(
            f"{name} is shared by {', '.join(users)}: baking would change all of them; use edit()"
        )
    if pair[1] is not None and getattr(projection, "bias", None) is None:
        raise EditError(
            f"{name} has no bias to hold what is added to z (a direction, or the mean); only factors can be "
            "baked into this model"
        )


def _baked(projection: nn.Module, pair: Pair) -> dict[int, Tensor]:
    """New tensors for the projection's weight and, where something is added, bias, by id of the old ones."""
    factor, offset = pair
    weight: Tensor = projection.weight  # type: ignore[assignment]
    old = weight.detach().to("cpu", torch.float64)
    by_rows = type(projection).__name__ == "Conv1D"  # stored (in, out)
    columns = torch.from_numpy(factor.astype(np.float64))
    new = old * (columns[:, None] if by_rows else columns[None, :])
    made = {id(weight): new.to(weight.dtype)}
    if offset is not None:
        bias: Tensor = projection.bias  # type: ignore[assignment]
        added = torch.from_numpy(offset.astype(np.float64))
        shift = added @ old if by_rows else old @ added
        made[id(bias)] = (bias.detach().to("cpu", torch.float64) + shift).to(bias.dtype)
    return made


def _write(vlm: VLM, revision: str, replaced: dict[int, Tensor], change: Edit, out: Path) -> None:
    """Save the model with some weights replaced, and a note of what was done."""
    # id() of parameters is taken from named_parameters: state_dict() hands out detached aliases of them
    names = {n: replaced[id(p)] for n, p in vlm.model.named_parameters() if id(p) in replaced}
    state = {n: names.get(n, t) for n, t in vlm.model.state_dict().items()}
    note = {"schema": "headscope/bake/1", "source": vlm.name, "revision": revision, **change.describe()}
    beside = [vlm.folder] if vlm.folder is not None else vlm.processor
    write_checkpoint(out, vlm.model, beside, state, {"headscope-bake.json": note})
