"""Another edit for each item of a batch, in one forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from headscope.edits.edits import Edit, Operation
from headscope.edits.hooks import Plan, compile_edit, hooked, stack
from headscope.errors import EditError
from headscope.models.geometry import Head, HeadLike, heads_of
from headscope.models.vlm import VLM


@dataclass(frozen=True, eq=False)
class BatchedEdit:
    """Another edit for each item of a batch: item i gets ``edits[i]`` (None: none), in one forward.

    All edits share one scope. This is how many random control draws ride in one forward. A forward over a
    multiple of the batch (scoring of choices) repeats each item, and its edit, that many times in a row.

    Attributes:
        edits: one per item.
        one_prompt: all items are one prompt, a batch of one (:mod:`headscope.engine.shared_prefix`).

    Raises:
        EditError: the edits differ in scope.
    """

    edits: tuple[Edit | None, ...]
    one_prompt: bool = False

    def __post_init__(self) -> None:
        scopes = {e.scope for e in self.edits if e is not None}
        if len(scopes) > 1:
            raise EditError(f"per_item: edits of one batch must share one scope, found {sorted(scopes)}")

    @property
    def scope(self) -> str:
        """The scope that all edits share."""
        return next((e.scope for e in self.edits if e is not None), "all")

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """Hold the edits on ``vlm`` until the block is left; each forward must have one row per edit.

        Raises:
            EditError: as :meth:`Edit.applied`, and where rows cannot be matched to items.
        """
        distinct: list[Edit | None] = []
        which = []
        for item in self.edits:
            found = next((i for i, known in enumerate(distinct) if known is item), None)
            which.append(len(distinct) if found is None else found)
            if found is None:
                distinct.append(item)
        compiled = [compile_edit(vlm.geometry, e) if e is not None else {} for e in distinct]
        plans = [
            Plan(site, *stack(compiled, site), which=torch.tensor(which), one_prompt=self.one_prompt)
            for site in dict.fromkeys(s for one in compiled for s in one)
        ]
        with hooked(vlm, plans, self.scope):
            yield


def per_item(head_sets: Sequence[Iterable[HeadLike]], what: Operation, scope: str = "all") -> BatchedEdit:
    """One head set per item of a batch, the same change for all.

    Example:
        >>> from headscope.edits.edits import mute
        >>> per_item([[Head(0, 1)], [Head(2, 3)]], mute()).scope
        'all'
    """
    made: dict[tuple[Head, ...], Edit] = {}
    keys = [heads_of(heads) for heads in head_sets]
    return BatchedEdit(tuple(made.setdefault(k, Edit(k, what, scope)) for k in keys))
