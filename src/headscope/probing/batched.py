"""The ridge probes of many heads at once on a torch device: what a GPU wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.errors import ModelError, StudyError
from headscope.models.placement import device_named
from headscope.probing.ridge import Folds, one_hot

Floats = NDArray[np.float64]
_SETS = 48  # label sets solved together
MEMORY = 2**30  # bytes


def ridge_device(name: str) -> str:
    """The full name of a device that can solve the ridge; "auto" is the first GPU, or "cpu".

    Raises:
        StudyError: no such device here, or one without 64-bit numbers (``mps``) or without any (``meta``).
    """
    try:
        place = device_named(name)
    except ModelError as exc:
        raise StudyError(f"asked to probe on another device: {exc}") from exc
    try:
        torch.ones(1, dtype=torch.float64, device=place).item()
    except (RuntimeError, TypeError, NotImplementedError) as exc:
        raise StudyError(
            f"asked to probe on device {name!r}, which cannot compute with 64-bit numbers "
            f"({str(exc).splitlines()[0]}); name cpu or a cuda device"
        ) from exc
    return str(place)


class BatchedRidge:
    """:class:`headscope.probing.ridge.FoldedRidge` (``scale=True``) of heads of equal width, batched.

    Args:
        x: (head, item, feature) in fold order.
        folds, alpha: as :class:`~headscope.probing.ridge.FoldedRidge` takes them.
        device: torch device that has float64: ``cpu``, ``cuda``.
    """

    def __init__(self, x: NDArray[Any], folds: Folds, alpha: float = 1.0, device: str = "cpu") -> None:
        wide = torch.as_tensor(np.asarray(x), device=device).to(torch.float64)
        wide = wide - wide.mean(1, keepdim=True)
        spread = wide.std(1, correction=0, keepdim=True)
        wide /= torch.where(spread > 0, spread, 1.0)
        self.folds = folds
        self._x = wide.float()
        blocks = folds.blocks
        grams = [wide[:, b].mT @ wide[:, b] for b in blocks]
        sums = [wide[:, b].sum(1) for b in blocks]
        gram, total = torch.stack(grams).sum(0), torch.stack(sums).sum(0)
        self._parts = [
            self._factorise(gram - own, total - own_sum, wide.shape[1] - (b.stop - b.start), alpha)
            for b, own, own_sum in zip(blocks, grams, sums, strict=True)
        ]

    @staticmethod
    def _factorise(gram: Tensor, total: Tensor, n: int, alpha: float) -> tuple[Tensor, Tensor]:
        """Mean of the training items (head, 1, feature), inverse of their normal matrix."""
        mean = total / n
        normal = gram - n * mean[:, :, None] * mean[:, None, :]
        variance = normal.diagonal(dim1=1, dim2=2) / n
        penalty = alpha * torch.where(variance > 1e-12, variance, 1.0)
        inverse = torch.linalg.inv(normal + torch.diag_embed(penalty))
        return mean[:, None].float(), inverse.float()

    def predict(self, targets: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """For each fold its place and its scores by the fit on the others, without the intercept.

        Args:
            targets: (column, item) in fold order, on the device.

        Yields:
            place, scores (head, column, item of the fold).
        """
        blocks = self.folds.blocks
        crosses = [targets[:, b] @ self._x[:, b] for b in blocks]
        sums = [targets[:, b].sum(1) for b in blocks]
        cross, total = torch.stack(crosses).sum(0), torch.stack(sums).sum(0)
        for block, own, own_sum, (mean, inverse) in zip(blocks, crosses, sums, self._parts, strict=True):
            training = cross - own - (total - own_sum)[:, None] * mean
            yield block, (training @ inverse) @ (self._x[:, block] - mean).mT


def auroc_tensor(scores: Tensor, labels: Tensor) -> Tensor:
    """:func:`headscope.probing.ridge.auroc_columns` on a device.

    Args:
        scores: (..., column, item) float32.
        labels: (column, item) int32, 0 or 1.

    Returns:
        (..., column) float64; NaN where all labels are equal.

    Example:
        >>> auroc_tensor(torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([[0, 1, 0, 1]])).tolist()
        [0.75]
    """
    bits = labels.to(torch.int32)
    keys = (scores.float() + 0.0).contiguous().view(torch.int32)  # + 0: no -0.0
    keys = keys ^ ((keys >> 31) & 0x7FFFFFFF)
    keys = (keys & ~1) | bits
    keys = keys.sort(dim=-1).values
    positive = bits.sum(-1).double()
    wins = _wins(keys) - positive * (positive + 1) / 2
    tied = ((keys[..., 1:] ^ keys[..., :-1]) == 1).any(-1)
    if bool(tied.any()):
        turned = (keys[tied] ^ 1).sort(dim=-1).values ^ 1
        shift = (positive * (positive + 1) / 2).expand(wins.shape)[tied]
        wins[tied] = (wins[tied] + _wins(turned) - shift) / 2
    return wins / (positive * (bits.shape[-1] - positive))


def _wins(keys: Tensor) -> Tensor:
    """Sum of the ranks of positives, from sorted keys (label in the last bit)."""
    ranks = torch.arange(1, keys.shape[-1] + 1, dtype=torch.int64, device=keys.device)
    return ((keys & 1) * ranks).sum(-1).double()


def areas_on(
    device: str,
    heads: Sequence[NDArray[Any]],
    cut: Folds,
    sets: NDArray[np.int64],
    count: int,
    alpha: float = 1.0,
    memory: int = MEMORY,
) -> Floats:
    """AUROC of every head under every label set, (set, head, function), mean over folds.

    Args:
        heads: (item, width) of each head in fold order; those of equal width go together.
        sets: (set, item) labels in fold order.
        count: number of functions.
        memory: bytes on the device, about; heads are taken as many at a time as it allows.

    Returns:
        (set, head, function) float64; NaN where no fold has both labels.

    Raises:
        StudyError: the device has less memory free than that.
    """
    found = np.full((len(sets), len(heads), count), np.nan)
    if not len(sets):
        return found
    items, columns = len(cut.order), min(_SETS, len(sets)) * count
    widths = np.array([h.shape[1] for h in heads])
    for width in np.unique(widths):
        # float64 and float32 features, normal matrices; scores, keys, sorted keys and their places, ranks
        each = items * width * 20 + cut.count * width**2 * 20 + columns * int(np.diff(cut.bounds).max()) * 40
        size = max(1, int(memory // each))
        mine = np.flatnonzero(widths == width)
        for i in range(0, len(mine), size):
            part = mine[i : i + size]
            with _whole_precision(), _memory_told(device, memory):
                ridge = BatchedRidge(np.stack([heads[h] for h in part]), cut, alpha, device)
                for start in range(0, len(sets), _SETS):
                    some = slice(start, start + _SETS)
                    found[some, part] = _areas(ridge, sets[some], count, device)
    return found


@contextmanager
def _whole_precision() -> Iterator[None]:
    """Products of float32 in float32, whatever the process allows for its models (TF32, bfloat16)."""
    given = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(given)


@contextmanager
def _memory_told(device: str, memory: int) -> Iterator[None]:
    """A full device as one message."""
    try:
        yield
    except torch.OutOfMemoryError as exc:
        raise StudyError(
            f"asked to probe on {device} with about {memory / 2**20:.0f} MiB, found no room for it "
            f"({str(exc).splitlines()[0]}); free memory there, or probe on cpu"
        ) from exc


def _areas(ridge: BatchedRidge, sets: NDArray[np.int64], count: int, device: str) -> Floats:
    """(set, head, function) of the heads of one batch."""
    targets = torch.as_tensor(one_hot(sets, count), device=device)
    bits = targets.to(torch.int32)
    areas = torch.stack([auroc_tensor(s, bits[:, block]) for block, s in ridge.predict(targets)])
    mean = areas.nanmean(0)  # (head, set * function)
    return mean.reshape(len(mean), len(sets), count).transpose(0, 1).cpu().numpy()
