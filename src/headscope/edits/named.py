"""Edits that settings and the command line name, one row each: a new one is a file and its row here.

Light to import: the command line lists the names in its help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from headscope.errors import EditError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from headscope.edits.edits import Operation


@dataclass(frozen=True, eq=False)
class Reference:
    """What edits are made from.

    Attributes:
        small: the factor of ``small``.
        mean: (head, width) mean of z (:func:`headscope.edits.means.head_means`); None where it is not known.
    """

    small: float = 0.01
    mean: NDArray[np.float64] | None = None

    def known_mean(self) -> NDArray[np.float64]:
        """The mean.

        Raises:
            EditError: it is not known.
        """
        if self.mean is None:
            raise EditError("this edit needs the mean of z; give head_means(vlm, batches) over fit")
        return self.mean


@dataclass(frozen=True)
class NamedEdit:
    """One row.

    Attributes:
        maker: module and function that make the edit; imported when first used.
        arguments: of the function, from what edits are made from.
        says: what it does, in words.
        needs_mean: whether the mean of z is needed for it.
    """

    maker: str
    arguments: Callable[[Reference], Mapping[str, float | NDArray[np.float64]]]
    says: str
    needs_mean: bool = False

    def make(self, reference: Reference) -> Operation:
        """The edit."""
        module, _, name = self.maker.rpartition(".")
        made: Operation = getattr(import_module(module), name)(**self.arguments(reference))
        return made


NAMED_EDITS: dict[str, NamedEdit] = {
    "zero": NamedEdit("headscope.edits.edits.mute", lambda _: {}, "z becomes zero"),
    "small": NamedEdit(
        "headscope.edits.edits.mute", lambda r: {"factor": r.small}, "z becomes a small part of itself"
    ),
    "mean": NamedEdit(
        "headscope.edits.edits.mute",
        lambda r: {"mean": r.known_mean()},
        "z becomes its mean over prompts of `fit`",
        needs_mean=True,
    ),
    "clamp": NamedEdit(
        "headscope.edits.clamp.clamp",
        lambda r: {"to": r.known_mean(), "strength": 0.5},
        "z goes half way to that mean",
        needs_mean=True,
    ),
}


def named_edits(names: Iterable[str], reference: Reference) -> dict[str, Operation]:
    """Edits by name, in the order given.

    Raises:
        EditError: an unknown name, or an edit that needs a mean that is not there.
    """
    return {name: _row(name).make(reference) for name in names}


def need_mean(names: Iterable[str]) -> bool:
    """Whether any of these edits needs the mean of z.

    Example:
        >>> need_mean(["zero", "small"]), need_mean(["zero", "clamp"])
        (False, True)
    """
    return any(_row(name).needs_mean for name in names)


def _row(name: str) -> NamedEdit:
    if name not in NAMED_EDITS:
        raise EditError(f"asked for edit {name!r}; there are: {', '.join(NAMED_EDITS)}")
    return NAMED_EDITS[name]
