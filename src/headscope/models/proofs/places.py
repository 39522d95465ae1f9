"""What passes through each layer in one run, beside another run that should differ by rounding alone.

Compared are, at each site, what its layer is given (the residual stream) and z, and the logits at the end.
Differences of rounding grow with depth until they hide a fault, so they are not let grow: in the run that is
compared, each place hands on what the same place had in the first run, once the two have been compared. What
a layer then shows is its own doing, and nothing is hidden: all that is replaced was compared before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.geometry import Site
from headscope.models.proofs.rounding import (
    RoundedDifference,
    difference,
    limit_of,
    logit_difference,
    stream_difference,
)

# Bytes that are kept of runs at a time. Where all layers come to more, some are passed over, evenly.
ROOM = 64 << 20
LOGITS = "the logits"


@dataclass(frozen=True, eq=False)
class Place:
    """Where two runs are compared: the first argument of a module, (item, position, width).

    ``heads`` lie side by side in it; 0 where it is the residual stream.
    """

    name: str
    module: nn.Module
    heads: int

    def compare(self, expected: Tensor, found: Tensor) -> float:
        """The difference of (position, width), relative."""
        return difference(expected, found, self.heads) if self.heads else stream_difference(expected, found)


@dataclass
class Trace:
    """One item's run: name of a place -> (position, width); the last logits (position, vocabulary)."""

    values: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.zeros(0, 0))


def places_of(model: nn.Module, sites: Sequence[Site], positions: int) -> list[Place]:
    """The places of sites in the order of their layers; each layer's input once, where it is a module.

    Args:
        model: what the sites are in.
        sites: in their order.
        positions: how many are kept of all items together. Where this comes to more than :data:`ROOM`, sites
            are passed over, but never the first of a kind.
    """
    modules = dict(model.named_modules())
    bytes_each = max((p.element_size() for p in model.parameters() if p.is_floating_point()), default=4)
    whole = 2 * sum(s.width for s in sites) * positions * bytes_each
    step = max(1, -(-whole // ROOM))
    first: dict[tuple[str, str, int, int], Site] = {}
    for site in sites:
        first.setdefault((site.tower, site.site, site.n_heads, site.head_dim), site)
    kept = {id(s) for s in (*sites[::step], *first.values())}
    found: dict[str, Place] = {}
    for site in (s for s in sites if id(s) in kept):
        layer = re.match(r"(.*\.\d+)\.", site.path)
        if layer and layer[1] in modules:
            found.setdefault(layer[1], Place(layer[1], modules[layer[1]], 0))
        found[site.path] = Place(site.path, site.projection, site.n_heads)
    return list(found.values())


def record(places: Sequence[Place], run: Callable[[], Tensor], last: int | None = None) -> Trace:
    """The trace of a run over one item.

    Args:
        places: what is kept; those that are given another shape than (1, position, width) are left out.
        run: reads one item; gives (item, position, vocabulary).
        last: how many positions, from the end; all by default.
    """
    trace, start = Trace(), -(last or 0)

    def hook(place: Place) -> Callable[..., None]:
        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            value = _given(args, kwargs)
            if value is not None and value.ndim == 3 and value.shape[0] == 1 and value.shape[1] >= -start:
                trace.values[place.name] = value[0, start:].clone()

        return keep

    with ExitStack() as stack:
        for place in places:
            handle = place.module.register_forward_pre_hook(hook(place), with_kwargs=True)
            stack.callback(handle.remove)
        trace.logits = run()[0, start:].clone()
    return trace


def recorded(places: Sequence[Place], traces: Mapping[int, Trace]) -> list[Place]:
    """The places that all traces hold, in the order in which a run comes by them."""
    named, (first, *others) = {p.name: p for p in places}, traces.values()
    return [named[name] for name in first.values if all(name in trace.values for trace in others)]


@contextmanager
def following(places: Sequence[Place], traces: Mapping[int, Trace]) -> Iterator[dict[tuple[int, str], float]]:
    """Within, runs over a batch are compared at each place with traces of its items, and go on with these.

    A run may come in pieces (a prompt, then token by token). A place may be given fewer positions of a piece
    than the first one is (layers that only borrow keys and values are read for the last position alone);
    these are then the last.

    Args:
        places: what :func:`recorded` gives.
        traces: row of the batch -> what it should be.

    Yields:
        (row, name of the place) -> greatest difference so far; infinite where shapes do not fit.
    """
    figures: dict[tuple[int, str], float] = {}
    progress = _Progress()

    def hook(number: int, place: Place) -> Callable[..., Any]:
        def follow(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
            given = _given(args, kwargs)
            if given is None or given.ndim != 3:
                figures.update({(row, place.name): torch.inf for row in traces})
                return args, kwargs
            value = given.clone()
            if number == 0:
                progress.advance(value.shape[1])
            for row, trace in traces.items():
                key, kept = (row, place.name), trace.values[place.name]
                rows = progress.rows(len(kept), value.shape[1])
                if row >= len(value) or not rows or value.shape[2] != kept.shape[1]:
                    figures[key] = torch.inf
                    continue
                wanted, part = kept[rows.start : rows.stop], value[row, -len(rows) :]
                figures[key] = max(figures.get(key, 0.0), place.compare(wanted, part), key=_worse)
                part.copy_(wanted)
            return (value, *args[1:]) if args else args, kwargs if args else {**kwargs, _NAME: value}

        return follow

    # As they ran, which need not be the order of the layers' numbers: Idefics keeps cross-attention apart.
    ran = {name: number for trace in traces.values() for number, name in enumerate(trace.values)}
    with ExitStack() as stack:
        for number, place in enumerate(sorted(places, key=lambda place: ran[place.name])):
            handle = place.module.register_forward_pre_hook(hook(number, place), with_kwargs=True)
            stack.callback(handle.remove)
        yield figures


_NAME = "hidden_states"  # of a layer's first argument, where it is given by name


def _given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    value = args[0] if args else kwargs.get(_NAME)
    return value if isinstance(value, Tensor) and value.is_floating_point() else None


@dataclass
class _Progress:
    """How far a run has come."""

    end: int = 0
    first: int = 0

    def advance(self, positions: int) -> None:
        """Another piece begins."""
        self.first = self.first or positions
        self.end += positions

    def rows(self, kept: int, positions: int) -> range:
        """Which rows of a trace are the last ``positions`` of the piece; empty where it holds none of them.

        A trace that holds fewer positions than the first piece has (padding, a picture in front) ends where
        that piece ends.
        """
        end = self.end - max(0, self.first - kept)
        return range(max(0, end - positions), end) if end <= kept else range(0)


def _worse(figure: float) -> float:
    """An order in which what is no number is the worst."""
    return figure if figure == figure else torch.inf


def compare(
    places: Sequence[Place], traces: Mapping[int, Trace], run: Callable[[], Tensor]
) -> dict[int, dict[str, float]]:
    """Row of a batch -> place -> difference between the item's trace and one run of the batch."""
    with following(places, traces) as figures:
        logits = run()
    found: dict[int, dict[str, float]] = {row: {} for row in traces}
    for (row, name), figure in figures.items():
        found[row][name] = figure
    for row, trace in traces.items():
        found[row][LOGITS] = logit_difference(trace.logits, logits[row, -len(trace.logits) :])
    return found


def worst(found: Mapping[str, float], noise: Mapping[str, float], kind: torch.dtype) -> RoundedDifference:
    """The place where a difference takes the greatest share of its limit.

    Args:
        found: place -> difference.
        noise: place -> the model's own rounding there.
        kind: number format that the model computes in.
    """
    compared = [
        RoundedDifference(figure, limit_of(kind, noise.get(p, 0.0)), p) for p, figure in found.items()
    ]
    return max(compared, key=lambda c: c.share)
