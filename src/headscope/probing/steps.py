"""Which captured steps are probed, and their arrays in one order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headscope.data.schema import SPLITS
from headscope.errors import StudyError
from headscope.probing.settings import ProbeSettings
from headscope.storage import fingerprint

if TYPE_CHECKING:
    import xarray as xr

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Steps:
    """The probed steps: ``z`` (item, head, width), ``rows`` their answers, and what probes need of them."""

    z: NDArray[np.float32]
    blank: NDArray[np.float32] | None
    rows: list[Row]
    labels: NDArray[np.int64]  # (item,) function number
    images: NDArray[np.str_]  # (item,)
    splits: NDArray[np.str_]  # (item,)

    def where(self, *splits: str) -> NDArray[np.int64]:
        """Numbers of the steps in these splits."""
        return np.flatnonzero(np.isin(self.splits, splits))

    def column(self, name: str, items: NDArray[np.int64]) -> list[Any]:
        """A column of the answer rows for these steps."""
        return [self.rows[i][name] for i in items]

    @property
    def fingerprint(self) -> str:
        """Of the items probed, in order."""
        return fingerprint([r["item"] for r in self.rows])

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> steps and images."""
        found = {s: self.where(s) for s in SPLITS}
        return {s: {"steps": len(i), "images": len(set(self.images[i].tolist()))} for s, i in found.items()}


def choose_rows(
    rows: Sequence[Row],
    functions: Sequence[str],
    images: Sequence[str],
    contexts: Sequence[str],
    max_steps: int,
    seed: int,
) -> list[int]:
    """Numbers of the rows to probe: whole images in random order until a function has enough in a split.

    Taking images whole keeps the functions of an image together, within which the null permutes labels. The
    most per function is ``max_steps`` in ``fit`` and a third of it in ``select`` and in ``test``. The order
    of the rows does not matter.
    """
    wanted = [
        i
        for i, r in enumerate(rows)
        if r["context"] in contexts and r["function"] in functions and r["split"] in SPLITS
    ]
    keys = [(rows[i]["split"], rows[i]["function"], images[i], str(rows[i]["item"])) for i in wanted]
    return [wanted[k] for k in _within_caps(keys, max_steps, seed)]


def _within_caps(keys: Sequence[tuple[str, str, str, str]], max_steps: int, seed: int) -> list[int]:
    """Which of these (split, function, image, item) are taken, in the order of taking."""
    caps = {"fit": max_steps, "select": max(1, max_steps // 3), "test": max(1, max_steps // 3)}
    names = sorted({image for _, _, image, _ in keys})
    turn = dict(zip(names, np.random.default_rng(seed).permutation(len(names)).tolist(), strict=True))
    taken: dict[tuple[str, str], int] = {}
    kept = []
    for i in sorted(range(len(keys)), key=lambda i: (turn[keys[i][2]], keys[i][3])):
        split, function = keys[i][:2]
        if taken.get((split, function), 0) < caps[split]:
            taken[split, function] = taken.get((split, function), 0) + 1
            kept.append(i)
    return kept


def probed_answers(
    read: Callable[[], Iterable[Row]],
    functions: Sequence[str],
    settings: ProbeSettings,
    images: Mapping[str, str] | None = None,
) -> list[Row]:
    """The answer rows that are probed, in their order, of a capture that need not fit into memory.

    Args:
        read: gives all answer rows from the start, such as ``lambda: iter_answers(folder)``; called twice.

    Returns:
        At most ``settings.max_steps`` rows a function in ``fit`` and a third of it in the other splits. Give
        them to :func:`gather_steps` with ``chosen=True``, and their items alone to ``open_activations``.
    """
    keys = [
        (sys.intern(r["split"]), sys.intern(r["function"]), sys.intern(_image(r, images)), str(r["item"]))
        for r in read()
        if r["context"] in settings.contexts and r["function"] in functions and r["split"] in SPLITS
    ]
    order = [keys[i][3] for i in _within_caps(keys, settings.max_steps, settings.seed)]
    del keys
    wanted = set(order)
    found = {str(r["item"]): r for r in read() if str(r["item"]) in wanted}
    return [found[item] for item in order]


def gather_steps(
    activations: xr.Dataset,
    answers: Sequence[Row],
    functions: Sequence[str],
    settings: ProbeSettings,
    images: Mapping[str, str] | None = None,
    blank: xr.Dataset | None = None,
    chosen: bool = False,
) -> Steps:
    """Choose the steps to probe and load their z; all of ``answers`` in their order if they are ``chosen``.

    Steps whose readout is empty (such as ``answer_content`` where no answer could be parsed) are left out.

    Raises:
        StudyError: no such readout, no steps in ``fit`` or ``select``, or blank activations that lack a step.
    """
    if settings.readout not in activations:
        raise StudyError(
            f"asked to probe the readout {settings.readout}, found "
            f"{sorted(map(str, activations.data_vars))}; name one of these, or capture again with it"
        )
    place = _places(activations)
    rows = [r for r in answers if str(r["item"]) in place]
    names = [_image(r, images) for r in rows]
    taken = list(range(len(rows)))
    if not chosen:
        taken = choose_rows(rows, functions, names, settings.contexts, settings.max_steps, settings.seed)
    z = _load(activations, settings.readout, [place[str(rows[i]["item"])] for i in taken])
    full = np.flatnonzero(~np.isnan(z[:, :, 0]).all(1)) if len(z) else np.empty(0, dtype=np.int64)
    kept = [taken[i] for i in full]
    found = Steps(
        z if len(full) == len(z) else z[full],
        _blank(blank, settings.readout, [rows[i] for i in kept]),
        [rows[i] for i in kept],
        np.array([list(functions).index(rows[i]["function"]) for i in kept], dtype=np.int64),
        np.array([names[i] for i in kept], dtype=str),
        np.array([rows[i]["split"] for i in kept], dtype=str),
    )
    for split in ("fit", "select"):
        if not len(found.where(split)):
            raise StudyError(
                f"asked to probe steps in the contexts {list(settings.contexts)} of {len(answers)} answers, "
                f"found none in the split {split}; capture more cases or name other contexts"
            )
    return found


def _places(activations: xr.Dataset) -> dict[str, int]:
    return {str(name): i for i, name in enumerate(activations["item"].values.tolist())}


def _load(activations: xr.Dataset, readout: str, items: Sequence[int]) -> NDArray[np.float32]:
    values = activations[readout].transpose("item", "head", "width").isel(item=list(items)).values
    return np.asarray(values, dtype=np.float32)


def _blank(blank: xr.Dataset | None, readout: str, rows: Sequence[Row]) -> NDArray[np.float32] | None:
    """z on a blank picture, 0 where there is none; needed for the splits that answer probes see."""
    if blank is None:
        return None
    place = _places(blank)
    items = [str(r["item"]) for r in rows if r["split"] != "test"]
    missing = [item for item in items if item not in place]
    if missing or readout not in blank:
        raise StudyError(
            f"asked to compare {len(items)} steps with a blank picture, found {len(missing)} of them "
            f"missing there (first {missing[:1]}), readouts {sorted(map(str, blank.data_vars))}; "
            "capture the same steps blank"
        )
    where = [i for i, r in enumerate(rows) if str(r["item"]) in place]
    found = _load(blank, readout, [place[str(rows[i]["item"])] for i in where])
    values = np.zeros((len(rows), *found.shape[1:]), dtype=np.float32)
    values[where] = np.nan_to_num(found, copy=False, nan=0.0)
    return values


def _image(row: Row, images: Mapping[str, str] | None) -> str:
    case = str(row["case"])
    return images.get(case, case) if images else str(row.get("image") or case)
