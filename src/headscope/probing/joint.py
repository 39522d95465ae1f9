"""The joint probe: all heads at once tell the function; gradient x activation says which were used."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headscope.errors import StudyError
from headscope.statistics.resampling import bootstrap_weights, group_codes, tail_share

Floats = NDArray[np.float64]
SHARED, HIDDEN = 64, 512
GAIN = 1e-3  # nats of held-out loss; an epoch that gains less counts as none
_HEADS = 16  # heads standardised at a time


class JointProbe(nn.Module):
    """Each head's z beside its layer's mean -> 64 shared by heads of equal width -> hidden layer ->
    functions.

    Args:
        widths: (head,) width of each head's z.
        layers: (head,) which attention layer (site) each head belongs to; heads of a layer have equal width.
        functions: number of classes.
        shared, hidden: sizes of the shared projection and of the hidden layer.

    Inputs are (item, head, width), NaN beyond a head's own width; they are standardised with the mean and
    spread that :meth:`standardise` stores.
    """

    def __init__(
        self,
        widths: Sequence[int],
        layers: Sequence[int],
        functions: int,
        shared: int = SHARED,
        hidden: int = HIDDEN,
    ) -> None:
        super().__init__()
        self.widths, self.layers, self.functions = tuple(widths), tuple(layers), functions
        self.project = nn.ModuleDict({str(w): nn.Linear(2 * w, shared) for w in sorted(set(widths))})
        self.hidden = nn.Linear(len(widths) * shared, hidden)
        self.out = nn.Linear(hidden, functions)
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(len(widths), max(widths)))
        self.register_buffer("spread", torch.ones(len(widths), max(widths)))
        sites = {
            layer: [h for h, own in enumerate(layers) if own == layer] for layer in dict.fromkeys(layers)
        }
        self._sites = {layer: torch.tensor(heads) for layer, heads in sites.items()}

    def standardise(self, z: NDArray[Any], rows: NDArray[np.int64] | None = None) -> None:
        """Take mean and spread of every component from ``z`` (item, head, width), or from ``rows`` of it."""
        for start in range(0, len(self.widths), _HEADS):
            heads = slice(start, start + _HEADS)
            part = z[:, heads] if rows is None else z[rows, heads]
            found = torch.nan_to_num(_tensor(part))
            self.mean[heads] = found.mean(0)
            spread = found.std(0, correction=min(1, len(found) - 1))  # of one item: none
            self.spread[heads] = torch.where(spread > 1e-8, spread, torch.ones_like(spread))

    def features(self, z: Tensor) -> Tensor:
        """The projected features, (item, head, shared)."""
        level = (torch.nan_to_num(z) - self.mean) / self.spread
        parts: list[tuple[Tensor, Tensor]] = []
        for heads in self._sites.values():
            width = self.widths[int(heads[0])]
            mine = level[:, heads, :width]
            around = mine.mean(1, keepdim=True).expand_as(mine)
            parts.append((heads, self.project[str(width)](torch.cat([mine, around], -1))))
        order = torch.argsort(torch.cat([heads for heads, _ in parts]))
        return torch.cat([part for _, part in parts], 1)[:, order]

    def logits(self, features: Tensor) -> Tensor:
        """(item, function) from the projected features."""
        found: Tensor = self.out(nn.functional.gelu(self.hidden(features.flatten(1))))
        return found

    def forward(self, z: Tensor) -> Tensor:
        """(item, function) logits of z (item, head, width)."""
        return self.logits(self.features(z))

    def predict(self, z: NDArray[Any], batch: int = 512) -> NDArray[np.int64]:
        """(item,) the most likely function of each step."""
        with torch.no_grad():
            found = [self(part).argmax(-1) for part in self._batches(z, batch)]
        return torch.cat(found).numpy() if found else np.empty(0, dtype=np.int64)

    def accuracy(self, z: NDArray[Any], y: NDArray[Any]) -> float:
        """Share of steps whose function is told right, 0..1."""
        return float((self.predict(z) == np.asarray(y)).mean()) if len(y) else float("nan")

    def contributions(self, z: NDArray[Any], y: NDArray[Any], batch: int = 256) -> Floats:
        """Gradient x activation of the true function's logit, summed over the features, (item, head)."""
        labels = torch.as_tensor(np.asarray(y, dtype=np.int64))
        found, start = [], 0
        for part in self._batches(z, batch):
            with torch.no_grad():
                features = self.features(part)
            features.requires_grad_()
            own = labels[start : start + len(part), None]
            start += len(part)
            (slope,) = torch.autograd.grad(self.logits(features).gather(1, own).sum(), features)
            found.append((slope * features.detach()).sum(-1).double().numpy())
        return np.concatenate(found) if found else np.empty((0, len(self.widths)))

    def _batches(self, z: NDArray[Any], batch: int) -> Iterator[Tensor]:
        for i in range(0, len(z), batch):
            yield _tensor(z[i : i + batch])


def _tensor(z: NDArray[Any]) -> Tensor:
    """float32 of its own memory: what is mapped from disk cannot be written to, and torch warns of that."""
    return torch.from_numpy(np.array(z, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Importance:
    """Mean contribution of each head to the logit of each function, sign kept, with intervals by image.

    All (function, head); NaN where a function has no steps.
    """

    mean: Floats
    low: Floats
    high: Floats


def importance(
    probe: JointProbe,
    z: NDArray[Any],
    y: NDArray[Any],
    groups: Sequence[Any] | NDArray[Any],
    draws: int = 1000,
    seed: int = 0,
) -> Importance:
    """Importance of head h for function f: mean over the steps of f of :meth:`JointProbe.contributions`.

    docs/concepts.md. The interval resamples images and holds the trained probe fixed.

    Args:
        z: (item, head, width) of the ``select`` steps. y: (item,) function. groups: (item,) image.
    """
    given, labels = probe.contributions(z, y), np.asarray(y)
    codes = group_codes(groups, len(labels))[0]
    shape = (probe.functions, given.shape[1])
    mean, low, high = (np.full(shape, np.nan) for _ in range(3))
    for f in range(probe.functions):
        mine = labels == f
        if not mine.any():
            continue
        mean[f] = given[mine].mean(0)
        images, count = group_codes(codes[mine], int(mine.sum()))
        if count < 2:
            continue
        sums = np.zeros((count, shape[1]))
        np.add.at(sums, images, given[mine])
        weights = bootstrap_weights(count, draws, seed)
        drawn = (weights @ sums) / (weights @ np.bincount(images))[:, None]
        tail = tail_share(count)
        low[f], high[f] = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return Importance(mean, low, high)


@dataclass(frozen=True, eq=False)
class Training:
    """A trained joint probe and how its training went."""

    probe: JointProbe
    epochs: int
    loss: list[float] = field(default_factory=list)  # held-out cross-entropy after each epoch


def joint_probe(
    z: NDArray[Any],
    y: NDArray[Any],
    groups: Sequence[Any] | NDArray[Any],
    *,
    layers: Sequence[int],
    functions: int,
    shared: int = SHARED,
    hidden: int = HIDDEN,
    epochs: int = 60,
    patience: int = 4,
    batch: int = 128,
    rate: float = 1e-3,
    decay: float = 1e-2,
    held_out: float = 0.15,
    seed: int = 0,
) -> Training:
    """Train the joint probe on ``fit``, stopped early on images of ``fit`` that it does not train on.

    The papers' method (arXiv 2603.20662, 2512.10978). AdamW; the weights of the epoch with the least held-out
    loss are kept. ``select`` and ``test`` are never looked at here.

    Args:
        z: (item, head, width), NaN beyond a head's own width; read a batch of items or a few heads at a time,
            so that it may be mapped from disk. y: (item,) function. groups: (item,) image.
        layers: (head,) attention layer of each head.
        functions: number of classes.
        epochs, patience: most epochs, and how many in a row may bring less than ``GAIN``.
        batch: greatest batch size; at least 24 batches make an epoch where there are enough steps.
        held_out: share of the images kept for stopping.
        seed: of the weights, the order of batches and the images held out.

    Raises:
        StudyError: fewer than two images.
    """
    codes, images = group_codes(groups, len(y))
    if images < 2:
        raise StudyError(
            f"asked to train the joint probe, found steps of {images} image; it needs at least 2"
        )
    rng = np.random.default_rng(seed)
    aside = rng.permutation(images)[: max(1, round(held_out * images))]
    stop = np.isin(codes, aside)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = JointProbe(head_widths(z), layers, functions, shared, hidden)
    labels = np.asarray(y, dtype=np.int64)
    learn, judge = np.flatnonzero(~stop), np.flatnonzero(stop)
    probe.standardise(z, learn)
    return _train(probe, _Items(z, labels), learn, judge, rng, epochs, patience, batch, (rate, decay))


@dataclass(frozen=True, eq=False)
class _Items:
    """Steps that are fetched a batch at a time."""

    z: NDArray[Any]
    labels: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """z and labels of these steps."""
        return _tensor(self.z[rows]), torch.as_tensor(self.labels[rows])

    def loss(self, probe: JointProbe, rows: NDArray[np.int64], batch: int = 512) -> float:
        """Mean cross-entropy of these steps, in nats."""
        total = 0.0
        with torch.no_grad():
            for i in range(0, len(rows), batch):
                z, labels = self.take(rows[i : i + batch])
                total += float(nn.functional.cross_entropy(probe(z), labels, reduction="sum"))
        return total / max(1, len(rows))


def _train(
    probe: JointProbe,
    items: _Items,
    learn: NDArray[np.int64],
    judge: NDArray[np.int64],
    rng: np.random.Generator,
    epochs: int,
    patience: int,
    batch: int,
    settings: tuple[float, float],
) -> Training:
    optimiser = torch.optim.AdamW(probe.parameters(), lr=settings[0], weight_decay=settings[1])
    best, kept, losses = float("inf"), copy.deepcopy(probe.state_dict()), []
    since, mark = 0, float("inf")
    batch = max(16, min(batch, len(learn) // 24))  # few steps to train on make smaller batches
    for _ in range(epochs):
        probe.train()
        order = rng.permutation(len(learn))
        for i in range(0, len(order), batch):
            z, labels = items.take(learn[order[i : i + batch]])
            optimiser.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(probe(z), labels).backward()
            optimiser.step()
        losses.append(items.loss(probe, judge))
        if losses[-1] < best:
            best, kept = losses[-1], copy.deepcopy(probe.state_dict())
        since, mark = (0, losses[-1]) if losses[-1] < mark - GAIN else (since + 1, mark)
        if since >= patience:
            break
    probe.load_state_dict(kept)
    probe.eval()
    return Training(probe, int(np.argmin(losses)) + 1 if losses else 0, losses)


def head_widths(z: NDArray[Any]) -> list[int]:
    """(head,) own width of each head in an array padded with NaN."""
    return [int((~np.isnan(z[:, h, :]).all(0)).sum()) for h in range(z.shape[1])]
