"""Heads by the structure of a model's modules, never by dividing its hidden size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.geometry import Geometry, LeftOut, Site
from headscope.models.placement import TOWERS

# Names under which transformers keeps the projection that takes the concatenated heads.
PROJECTIONS = ("o_proj", "out_proj", "dense", "wo", "c_proj", "proj", "o", "output", "to_out")
# Names of head counts and of head widths on an attention module or its configuration. The width of the
# value vectors comes first: where it differs from that of q and k, it is the one that z has.
_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
_WIDTHS = ("v_head_dim", "head_dim", "attention_head_size", "d_kv", "key_value_proj_dim")
# Where a wrapper keeps its vision tower.
_VISION = ("vision_tower", "visual", "vision_model", "vision_encoder", "image_encoder", "image_tower")
# What mixes positions without attention heads, by its class name, and what it is called.
_OTHER_MIXERS = (
    ("linear attention", re.compile(r"LinearAttention|DeltaNet|LightningAttention|Retention|GatedLinear")),
    ("state space", re.compile(r"Mamba|SSM|StateSpace|RecurrentBlock|RgLru")),
    ("convolution", re.compile(r"ShortConv\b|ShortConv$|ConvMixer|ConvBlock")),
)


class _Found(NamedTuple):
    """An attention module: its path, its list of layers (owner's depth, name), its number there."""

    path: str
    module: nn.Module
    depth: int
    listed: str
    layer: int


def by_structure(model: nn.Module, tower: str) -> Geometry:
    """The heads of a tower, from the names and sizes of the model's modules.

    Raises:
        GeometryError: no attention layer was found, or one of them is ambiguous.
    """
    root, prefix = _tower(model, tower)
    found = _attentions(root)
    sites = [_site(f, _join(prefix, f.path), tower) for f in found]
    if not sites:
        raise GeometryError(
            f"asked for the attention heads of the {tower} of {type(model).__name__}; found no attention "
            f"module with an output projection named one of {', '.join(PROJECTIONS)}; not supported"
        )
    refuse_doubles(type(model).__name__, sites)
    without = left_out(root, [(f.listed, f.layer) for f in found]) if tower == "decoder" else []
    return Geometry(in_order(sites), tuple(without))


def in_order(sites: Sequence[Site]) -> tuple[Site, ...]:
    """Sites of a tower by layer, self-attention first."""
    return tuple(sorted(sites, key=lambda s: (s.layer, s.site != "self")))


def refuse_doubles(name: str, sites: Sequence[Site]) -> None:
    """Refuse two sites that claim one place.

    Raises:
        GeometryError: there are such.
    """
    seen: dict[tuple[str, int, str], Site] = {}
    for site in sites:
        key = (site.tower, site.layer, site.site)
        if key in seen:
            raise GeometryError(
                f"{name}: {seen[key].path} and {site.path} both claim to be the {site.site}-attention of "
                f"layer {site.layer} of the {site.tower}; ambiguous"
            )
        seen[key] = site


def _join(*parts: str) -> str:
    return ".".join(p for p in parts if p)


def _tower(model: nn.Module, tower: str) -> tuple[nn.Module, str]:
    """The module that holds a tower's layers, and its path inside the model."""
    names = {id(module): name for name, module in model.named_modules()}
    if tower == "decoder":
        root = _decoder(model)
        return root, names.get(id(root), "")
    if tower == "vision":
        found = [(n, m) for n, m in model.named_modules() if n.rsplit(".", 1)[-1] in _VISION]
        outer = [(n, m) for n, m in found if not any(n.startswith(f"{o}.") for o, _ in found)]
        holding = [(m, n) for n, m in outer if _attentions(m)]
        if len(holding) > 1:
            paths = " and ".join(n for _, n in holding)
            raise GeometryError(
                f"asked for the vision tower of {type(model).__name__}; found {paths}; ambiguous"
            )
        if holding or outer:
            return holding[0] if holding else (outer[0][1], outer[0][0])
        raise GeometryError(f"asked for the vision tower of {type(model).__name__}; found none")
    raise GeometryError(f"asked for tower {tower!r}; there are: {', '.join(TOWERS)}")


def _decoder(model: nn.Module) -> nn.Module:
    """The text decoder: what the model calls so, and inside an encoder-decoder its decoder."""
    root = model
    for _ in range(8):  # wrappers in wrappers; real ones nest three deep
        lookup: Any = getattr(root, "get_decoder", None)
        inner = lookup() if lookup is not None else root
        if inner is root and isinstance(getattr(root, "encoder", None), nn.Module):
            inner = getattr(root, "decoder", root)
        if inner is root or not isinstance(inner, nn.Module):
            break
        root = inner
    return root


def _foreign(module: nn.Module, root: nn.Module) -> bool:
    """Whether a module below ``root`` is a model of its own with another kind of configuration."""
    own, config = getattr(module, "config", None), getattr(root, "config", None)
    is_model = hasattr(module, "main_input_name") and module is not root
    return is_model and own is not None and config is not None and type(own) is not type(config)


def _attentions(root: nn.Module) -> list[_Found]:
    """Attention modules with an output projection in the root's own lists of layers.

    Models of their own inside it (a vision encoder, a tokenizer of pictures) are passed by, and so are lists
    of layers that lie deeper than the shallowest one that holds attention (a resampler, a vision encoder).
    """
    found = list(_walk(root, root, "", None, 0))
    listed = [f for f in found if f.listed] or found
    least = min((f.depth for f in listed), default=0)
    return [f for f in listed if f.depth == least]


def _walk(
    root: nn.Module, module: nn.Module, path: str, place: tuple[int, str, int] | None, depth: int
) -> Iterator[_Found]:
    for order, (name, child) in enumerate(module.named_children()):
        if _foreign(child, root) or name in _VISION:
            continue
        inside = _join(path, name)
        here = place
        if here is None and isinstance(module, nn.ModuleList):
            here = (depth - 1, path, order)
        if _mixer(child):
            continue
        if "attention" in type(child).__name__.lower() and _projections(child):
            at = here or (depth, "", order)
            yield _Found(inside, child, *at)
        else:
            yield from _walk(root, child, inside, here, depth + 1)


def _mixer(module: nn.Module) -> str:
    """What kind of mixing without heads a module does; empty if none is known."""
    name = type(module).__name__
    return next((kind for kind, pattern in _OTHER_MIXERS if pattern.search(name)), "")


def left_out(root: nn.Module, places: Iterable[tuple[str, int]]) -> list[LeftOut]:
    """Layers of the lists that hold self-attention in which there is none, with what they hold instead.

    Args:
        root: what the lists are named from.
        places: list and number of each layer that holds heads; an empty name stands for no list.
    """
    result = []
    modules = dict(root.named_modules())
    holding: dict[str, set[int]] = {}
    for listed, layer in places:
        holding.setdefault(listed, set()).add(layer)
    holding.pop("", None)
    for listed, held in holding.items():
        for number, layer in enumerate(modules[listed].children()):
            if number in held:
                continue
            kinds = [(_mixer(m), type(m).__name__) for m in layer.modules() if _mixer(m)]
            if kinds:
                kind, name = kinds[0]
                reason = f"{name} has no attention heads whose outputs lie side by side before a projection"
            else:
                names = [n for n, m in layer.named_modules() if "attention" in type(m).__name__.lower()]
                kind = "unknown attention" if names else "no attention"
                reason = f"{type(layer).__name__} holds " + (
                    f"{names[0]}, which has no output projection that is known" if names else "none"
                )
            result.append(LeftOut(number, kind, reason))
    return result


def _projections(attention: nn.Module) -> dict[str, nn.Module]:
    """Children that could take the heads side by side, by name."""
    children = dict(attention.named_children())
    found = {n: children[n] for n in PROJECTIONS if n in children and in_features(children[n]) is not None}
    return found or _wrapped(children)


def _wrapped(children: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """A projection inside a module of the usual name: BERT's ``output.dense``, or one with its gate."""
    inside = {
        f"{name}.{inner}": module
        for name in PROJECTIONS
        if name in children
        for inner, module in children[name].named_children()
        if in_features(module) is not None and "gate" not in inner
    }
    return inside if len(inside) == 1 else {}


def in_features(module: nn.Module) -> int | None:
    """Width of what a linear module takes; None of other modules."""
    value = getattr(module, "in_features", None)
    if value is None and type(module).__name__ == "Conv1D":  # weight stored as (in, out)
        weight = getattr(module, "weight", None)
        value = weight.shape[0] if isinstance(weight, Tensor) else None
    return int(value) if value is not None else None


def _site(found: _Found, path: str, tower: str) -> Site:
    attention = found.module
    projections = _projections(attention)
    if len(projections) > 1:
        raise GeometryError(
            f"{path}: {', '.join(projections)} could each be the output projection; ambiguous"
        )
    name, projection = next(iter(projections.items()))
    width = in_features(projection) or 0
    counts, widths = _named(attention, _COUNTS), _named(attention, _WIDTHS)
    pairs = {(n, w) for n in counts.values() for w in widths.values() if n * w == width}
    if not widths:  # the module states its head count alone
        pairs = {(n, width // n) for n in counts.values() if width % n == 0}
    if len(pairs) != 1:
        fit = "none fit" if not pairs else f"{sorted(pairs)} all fit"
        raise GeometryError(
            f"{path}.{name}: takes {width} inputs; head counts {counts or 'not stated'} and widths "
            f"{widths or 'not stated'}: {fit}; the heads of this layer cannot be told apart, so the model "
            "is refused"
        )
    (n_heads, head_dim) = pairs.pop()
    return Site(tower, found.layer, kind_of(attention, path), n_heads, head_dim, projection, attention, path)


_CROSS = re.compile(r"cross|encoder_attn|encdec|encoder_decoder|x_attn", re.IGNORECASE)


def kind_of(attention: nn.Module, path: str) -> str:
    """``cross`` if the keys come from elsewhere than the layer's own input, else ``self``."""
    said = getattr(attention, "is_cross_attention", None)
    if isinstance(said, bool) and said:
        return "cross"
    names = re.split(r"\.\d+\.", f".{path}")[-1]
    return "cross" if _CROSS.search(names) or "Cross" in type(attention).__name__ else "self"


def _named(attention: nn.Module, names: Sequence[str]) -> dict[str, int]:
    """Whole numbers under any of these names: the module's own first, then the inner module that holds the
    heads (BERT's ``self``), then its configuration's."""
    inner = getattr(attention, "self", None)
    owners = [attention, inner, getattr(attention, "config", None), getattr(inner, "config", None)]
    for owner in owners:
        found = {n: getattr(owner, n, None) for n in names} if owner is not None else {}
        numbers = {n: v for n, v in found.items() if isinstance(v, int) and not isinstance(v, bool) and v > 0}
        if numbers:
            return numbers
    return {}
