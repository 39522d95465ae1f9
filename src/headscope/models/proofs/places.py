"""z of every site and the logits of one run, beside those of another that should differ by rounding alone.

Differences of rounding grow with depth until they hide a fault, so they are not let grow: in the run that is
compared, each site hands on what the same site had in the first run, once the two have been compared. What a
site then shows is its own layer's doing. Nothing is hidden by that: every z is compared before it is
replaced, and what does not go through a site (a picture's features, layers without heads) is not replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from headscope.models.proofs.rounding import Compared, difference, limit_of, logit_difference
from headscope.models.sites import Site

# Bytes of z that are kept of one run. Where all sites have more, some of them are passed over, evenly.
ROOM = 48 << 20
LOGITS = "the logits"


@dataclass
class Trace:
    """One item's run: path of a site -> z (position, head * width); last logits (position, vocabulary)."""

    z: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.zeros(0, 0))


def compared_sites(sites: Sequence[Site], positions: int, bytes_each: int = 4) -> list[Site]:
    """All sites whose z fits into :data:`ROOM` over so many positions, or as many of them, spread evenly.

    The first of each kind is always among them.
    """
    whole = sum(s.width for s in sites) * positions * bytes_each
    step = max(1, -(-whole // ROOM))
    first: dict[tuple[str, str, int, int], Site] = {}
    for site in sites:
        first.setdefault((site.tower, site.site, site.n_heads, site.head_dim), site)
    kept = {id(s) for s in (*sites[::step], *first.values())}
    return [s for s in sites if id(s) in kept]


def record(sites: Sequence[Site], run: Callable[[], Tensor], last: int | None = None) -> Trace:
    """The trace of a run over one item.

    Args:
        sites: whose z is kept; those that are read in another shape than (1, position, width) are left out.
        run: reads one item; gives (item, position, vocabulary).
        last: how many positions, from the end; all by default.
    """
    trace, start = Trace(), -(last or 0)

    def hook(site: Site) -> Callable[..., None]:
        def keep(_module: Any, args: tuple[Any, ...]) -> None:
            z = args[0]
            if z.ndim == 3 and z.shape[0] == 1 and z.shape[1] >= -start and z.shape[2] == site.width:
                trace.z[site.path] = z[0, start:].clone()

        return keep

    with ExitStack() as stack:
        for site in sites:
            stack.callback(site.projection.register_forward_pre_hook(hook(site)).remove)
        trace.logits = run()[0, start:].clone()
    return trace


@contextmanager
def following(sites: Sequence[Site], traces: Mapping[int, Trace]) -> Iterator[dict[tuple[int, str], float]]:
    """Within, runs over a batch are compared at each site with traces of its items, and go on with their z.

    A run may come in pieces (a prompt, then token by token). A site may read fewer positions of a piece than
    the first one does (layers that only borrow keys and values are read for the last position alone); these
    are then the last.

    Args:
        sites: those that the traces were recorded at, in their order.
        traces: row of the batch -> what it should be.

    Yields:
        (row, path of the site) -> greatest difference so far; infinite where shapes do not fit.
    """
    figures: dict[tuple[int, str], float] = {}
    run = _Progress()

    def hook(number: int, site: Site) -> Callable[..., Any]:
        def follow(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            z = args[0].clone()
            if number == 0:
                run.advance(z.shape[1])
            for row, trace in traces.items():
                key, kept = (row, site.path), trace.z[site.path]
                rows = run.rows(len(kept), z.shape[1])
                if z.ndim != 3 or row >= len(z) or not rows or z.shape[2] != kept.shape[1]:
                    figures[key] = torch.inf
                    continue
                wanted, part = kept[rows.start : rows.stop], z[row, -len(rows) :]
                figures[key] = max(figures.get(key, 0.0), difference(wanted, part, site.n_heads), key=_worse)
                part.copy_(wanted)
            return (z, *args[1:])

        return follow

    with ExitStack() as stack:
        for number, site in enumerate(sites):
            stack.callback(site.projection.register_forward_pre_hook(hook(number, site)).remove)
        yield figures


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
    sites: Sequence[Site], traces: Mapping[int, Trace], run: Callable[[], Tensor]
) -> dict[int, dict[str, float]]:
    """Row of a batch -> place -> difference between the item's trace and one run of the batch."""
    with following(sites, traces) as figures:
        logits = run()
    found: dict[int, dict[str, float]] = {row: {} for row in traces}
    for (row, path), figure in figures.items():
        found[row][path] = figure
    for row, trace in traces.items():
        found[row][LOGITS] = logit_difference(trace.logits, logits[row, -len(trace.logits) :])
    return found


def worst(found: Mapping[str, float], noise: Mapping[str, float], kind: torch.dtype) -> Compared:
    """The place where a difference takes the greatest share of its limit.

    Args:
        found: place -> difference.
        noise: place -> the model's own rounding there.
        kind: number format that the model computes in.
    """
    places = [Compared(figure, limit_of(kind, noise.get(p, 0.0)), p) for p, figure in found.items()]
    return max(places, key=lambda c: c.share)
