"""Image features once per picture: while the block is open, a picture seen before is not encoded again."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.contiguous import gives_contiguous
from headscope.models.vlm import VLM
from headscope.models.ways import PICTURES, Way, decided, note_way, taken

# Largest difference between features kept and features computed anew, relative to the largest.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 5e-3}
# What an output may hold beside the features: what no decoder reads.
_UNREAD = frozenset({"pooler_output", "last_hidden_state", "hidden_states", "attentions"})
PIXELS = "pixel_values"
_INSTEAD = "pictures encoded anew each time"


class PictureFeatures:
    """Features of pictures by their pixels, in the place of a model's ``get_image_features``.

    Only where pixels are one array (picture, channel, row, column) and features come picture by picture;
    other calls, and all calls while a hook sits on the tower (an edit of its heads), go through as ever.

    Attributes:
        computed, replayed: how many pictures were encoded, and how many were not.
    """

    def __init__(self, vlm: VLM, room: int) -> None:
        self.vlm, self.room = vlm, room
        self.computed = self.replayed = 0
        self._kept: dict[bytes, Tensor] = {}
        self._held = 0  # bytes
        self._kind: tuple[type[Any], bool] = (tuple, False)  # of outputs; whether features are one tensor
        model: Any = vlm.model
        inner = model.base_model
        decoder = set(model.get_decoder().modules())
        self._tower: list[nn.Module] = [m for m in inner.modules() if m is not inner and m not in decoder]

    def call(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The model's own output, its features those kept where a picture was seen before."""

        def of(some: Tensor) -> Any:
            named = PIXELS in kwargs
            return compute(*args, **{**kwargs, PIXELS: some}) if named else compute(some, *args[1:], **kwargs)

        pixels: Any = kwargs.get(PIXELS, args[0] if args else None)
        rest = [*args[1:], *(v for k, v in kwargs.items() if k != PIXELS)]
        plain = isinstance(pixels, Tensor) and pixels.ndim == 4 and not any(_holds_inputs(v) for v in rest)
        if not plain:
            self._refuse("a picture is not one array of pixels that says all about it")
        if not plain or not taken(self.vlm, PICTURES) or self._watched():
            return compute(*args, **kwargs)
        keys = [self._key(row) for row in pixels]
        new = {key: i for i, key in enumerate(keys) if key not in self._kept}
        fresh: dict[bytes, Tensor] = {}
        if new:
            output = of(pixels if len(new) == len(keys) else pixels[list(new.values())])
            fresh = dict(zip(new, _features(output, len(new)), strict=False))
            self._kind = type(output), isinstance(getattr(output, "pooler_output", None), Tensor)
            if len(new) == len(keys):
                self._keep(fresh, 0)
                return output
            if not fresh:
                self._refuse("features do not come picture by picture")
                return compute(*args, **kwargs)
        found = {**self._kept, **fresh}
        made = [found[key] for key in keys]
        way = decided(
            self.vlm, PICTURES, lambda: _agreement(made, compute(*args, **kwargs)), instead=_INSTEAD
        )
        if way.refusal:
            return compute(*args, **kwargs)
        self._keep(fresh, len(keys) - len(new))
        kind, stacked = self._kind
        return kind(pooler_output=torch.stack(made) if stacked else made)

    def _refuse(self, why: str) -> None:
        note_way(self.vlm, PICTURES, why, instead=_INSTEAD, usual=True)

    def _key(self, row: Tensor) -> bytes:
        plain = row.detach().to("cpu").contiguous().view(torch.uint8)
        shape = f"{tuple(row.shape)} {row.dtype}".encode()
        return hashlib.blake2b(plain.numpy().tobytes() + shape, digest_size=16).digest()

    def _keep(self, fresh: dict[bytes, Tensor], replayed: int) -> None:
        """Count, and keep features of a call: all of them, or none where there is no room for all.

        So that what is encoded together in a call never hangs on the calls before the first like it: nothing
        that was kept is dropped, and no call is kept in part.
        """
        self.computed, self.replayed = self.computed + len(fresh), self.replayed + replayed
        size = sum(v.numel() * v.element_size() for v in fresh.values())
        if self._held + size <= self.room:
            self._kept.update({key: value.detach() for key, value in fresh.items()})
            self._held += size

    def _watched(self) -> bool:
        """Whether anyone but transformers itself has a hook on the tower."""
        return any(
            not (str(getattr(hook, "__module__", "")).startswith("transformers.") or gives_contiguous(hook))
            for module in self._tower
            if module._forward_pre_hooks or module._forward_hooks
            for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
        )


def _agreement(made: list[Tensor], whole: Any) -> Way:
    """Whether features put together are those of the whole batch, asked once per model."""
    other = _features(whole, len(made))
    tolerance = TOLERANCE.get(made[0].dtype, 3e-2)
    same = len(other) == len(made) and all(
        a.shape == b.shape and float((a - b).abs().max()) <= tolerance * float(b.abs().max())
        for a, b in zip(made, other, strict=True)
    )
    return Way("" if same else "kept features differ")


def _holds_inputs(value: Any) -> bool:
    """Whether an argument may say more about the pictures (sizes, grids), which the key leaves out."""
    parts = value if isinstance(value, list | tuple) else (value,)
    return any(isinstance(part, Tensor) for part in parts)


def _features(output: Any, pictures: int) -> list[Tensor]:
    """One tensor per picture; empty where the output holds anything else."""
    held = {k for k, v in output.items() if v is not None} if hasattr(output, "items") else {""}
    features = getattr(output, "pooler_output", None)
    if not held <= _UNREAD or features is None or len(features) != pictures:
        return []
    return list(features) if all(isinstance(f, Tensor) for f in features) else []


@contextmanager
def shared_features(
    vlm: VLM, room: int = 2**28, memo: PictureFeatures | None = None
) -> Iterator[PictureFeatures | None]:
    """While inside, a picture that the model has seen in this block is not encoded again.

    Serves every question about one picture, and every repetition of a batch, in generation and in plain
    forwards. Pictures new in a batch are encoded together, so that the same calls in the same order give the
    same bytes: open one block per unit of work that is complete or absent (a shard, a reading). The first
    replay is compared with the whole batch; a model that differs, or whose features do not come picture by
    picture, works as ever.

    Args:
        vlm: a :class:`headscope.models.vlm.VLM`.
        room: bytes of features kept at most; pictures that come when it is full are encoded each time.
        memo: one that another block on this model yielded, to go on with; by default a new one.

    Yields:
        The memo with its counts; None where the model has no ``get_image_features``.

    Example:
        >>> with shared_features(vlm) as memo:  # doctest: +SKIP
        ...     first, second = ask(vlm, encoded, items), ask(vlm, encoded, items, edit=change)
        >>> memo.computed, memo.replayed  # doctest: +SKIP
        (8, 8)
    """
    inner: Any = getattr(vlm.model, "base_model", None)
    compute = getattr(inner, "get_image_features", None)
    if compute is None or not hasattr(vlm.model, "get_decoder"):
        yield None
        return
    memo = memo or PictureFeatures(vlm, room)
    held = vars(inner).get("get_image_features")  # an outer block's

    @functools.wraps(compute)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        return memo.call(compute, *args, **kwargs)

    inner.get_image_features = remembered
    try:
        yield memo
    finally:
        if held is None:
            del inner.get_image_features
        else:
            inner.get_image_features = held
