"""What every experiment needs, in one object: the model, the questions, the folder, and what is drawn how."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headscope.asking.items import Item
from headscope.data.cases import Cases
from headscope.data.splits import picture_groups
from headscope.engine.engine import SHARED_PREFIX
from headscope.engine.readings import Reader
from headscope.experiments.items import choose_items, mean_on_fit, open_readers
from headscope.functions import DEFAULT, Taxonomy
from headscope.storage import Ledger, Row, plain

if TYPE_CHECKING:
    from headscope.models.vlm import VLM


@dataclass(frozen=True)
class ExperimentContext:
    """One model, one data set, one folder.

    Attributes:
        model: the model, or a function that loads it when it is first needed.
        cases: the data.
        splits: case id -> ``fit``, ``select`` or ``test``.
        folder: gets the artefacts, and the ledgers that a stopped experiment goes on from.
        taxonomy: the functions.
        seed: of everything drawn at random.
        batch_size: questions in one forward.
        announce: gets lines for people, such as how much will be written; None: they are logged.

    Example:
        >>> context = ExperimentContext(vlm, cases, cases.splits, Path("runs/mine"))  # doctest: +SKIP
        >>> ablate(context, atlas, AblationSettings(draws=1000))  # doctest: +SKIP
    """

    model: VLM | Callable[[], VLM]
    cases: Cases
    splits: Mapping[str, str]
    folder: Path
    taxonomy: Taxonomy = DEFAULT
    seed: int = 0
    batch_size: int = 64
    announce: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

    @cached_property
    def vlm(self) -> VLM:
        """The model."""
        return self.model() if callable(self.model) else self.model

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Case id -> its picture, by content: what is resampled."""
        return picture_groups(self.cases)

    def recorded(self, settings: Any) -> Row:
        """An experiment's settings as its artefact holds them, seed and batch size among them."""
        found: Row = plain({**asdict(settings), "seed": self.seed, "batch_size": self.batch_size})
        return found

    def ledger(self, name: str, settings: Any, **more: Any) -> Ledger:
        """Finished work of an experiment; refused where it was made with other settings, model or data."""
        about = {**self.recorded(settings), **identity(self.vlm, self.cases), **more}
        return Ledger(self.folder / name, about)

    def choose(
        self,
        split: str,
        most: int,
        main_contexts: Sequence[str] = (),
        held_out: bool = False,
        contexts: Sequence[str] = ("gold",),
    ) -> dict[str, list[Item]]:
        """See :func:`headscope.experiments.items.choose_items`."""
        asked = self.taxonomy, most, self.seed, main_contexts, held_out, contexts
        return choose_items(self.cases, self.splits, split, *asked)

    def mean_on_fit(self, most: int) -> NDArray[np.float64]:
        """(head, width) mean of z over prompts of ``fit``, at most ``most`` of each function."""
        asked = self.vlm, self.cases, self.splits, self.taxonomy
        return mean_on_fit(*asked, max_items=most, seed=self.seed, batch_size=self.batch_size)

    def readers(
        self,
        items: Mapping[str, list[Item]],
        ledger: Ledger,
        settings: Any,
        strategies: Collection[str] = (SHARED_PREFIX,),
    ) -> dict[str, Reader]:
        """One reader a function; ``settings`` has ``rows`` and ``max_new_tokens``."""
        return open_readers(
            self.vlm,
            self.cases,
            items,
            ledger,
            batch_size=self.batch_size,
            rows=settings.rows,
            max_new_tokens=settings.max_new_tokens,
            strategies=strategies,
        )


def identity(vlm: VLM, cases: Cases) -> dict[str, str]:
    """What any result depends on besides settings: model and data."""
    return {
        "model": vlm.name,
        "revision": vlm.confirmed_revision(),
        "data": cases.fingerprint,
        "dtype": str(vlm.dtype),
    }


def checked(settings: type[Any], given: Mapping[str, Any], what: str) -> None:
    """Refuse an option that a settings class does not have.

    Raises:
        StudyError: names it and those that there are.
    """
    from headscope.errors import StudyError

    known = [f.name for f in fields(settings)]
    other = [name for name in given if name not in known]
    if other:
        raise StudyError(f"{what}: asked for option {other[0]!r}; there are: {', '.join(known)}")
