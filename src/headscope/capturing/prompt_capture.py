"""Capture of a few thousand prompts in memory; a data set goes to disk by :mod:`headscope.capturing.run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from headscope.asking.ask import BatchReading, read_batch
from headscope.asking.read import head_coordinates
from headscope.asking.readouts import READOUTS, check_readouts
from headscope.data.pictures import AnyPictures
from headscope.errors import DataError, StudyError
from headscope.models.answers import parser_of
from headscope.models.library_messages import quiet
from headscope.models.types import Prompt, choices_of
from headscope.models.vlm import VLM, need_vlm

if TYPE_CHECKING:
    import xarray as xr


def capture(
    vlm: VLM,
    prompts: Iterable[tuple[AnyPictures, str]],
    choices: Sequence[str] = (),
    *,
    readouts: str | Sequence[str] = ("prompt_last",),
    batch_size: int = 16,
    max_new_tokens: int = 16,
) -> xr.Dataset:
    """Ask many questions and keep in memory what every head put out; edits that are active apply.

    Prompts are asked in batches in the order given, so that they may be made one by one. A readout needs
    4 bytes times prompts, heads and width. For a data set of cases, with splits, on disk, resumed after a
    kill: ``Study.capture``.

    Args:
        prompts: (picture, question) each, pictures as :func:`headscope.read` takes them.
        choices: of every question: the text then amounts to one of them, or to none.
        readouts: any of ``prompt_last``, ``answer_mean``, ``answer_content``: see :func:`headscope.read`.
        batch_size: prompts in one forward; 1 for models that are refused batches.
        max_new_tokens: length limit of an answer, its end token included.

    Returns:
        One variable a readout, (prompt, head, width) float32, NaN beyond a head's own width; coordinates
        ``question``, ``text``, ``answer`` (empty where the text amounts to none) along ``prompt``; ``head``
        (label), ``layer``, ``head_width`` along ``head``.

    Raises:
        DataError: no prompts, or ``batch_size`` below 1.
        ModelError: the processor cannot take a prompt, or the model refuses what is asked of it.
        StudyError: an unknown readout, or none.

    Example:
        >>> import headscope as hs
        >>> vlm = hs.load_model("embedded")
        >>> cases = hs.draw_scenes("data", 3)
        >>> found = hs.capture(vlm, [(cases.image(c), c.question) for c in cases])
        >>> found.prompt_last.dims, found.prompt_last.shape
        (('prompt', 'head', 'width'), (3, 64, 24))
        >>> found.prompt_last.sel(head="L3H5").mean("prompt").shape
        (24,)
    """
    need_vlm(vlm, "capture")
    if batch_size < 1:
        raise DataError(f"capture: asked for batches of {batch_size}; expected at least 1")
    names, options = check_readouts(readouts), choices_of(choices)
    if not names:
        raise StudyError(f"capture: asked for no readout; there are: {', '.join(READOUTS)}")
    asked: list[str] = []
    read: list[BatchReading] = []
    with quiet():
        for batch in _batches(prompts, batch_size):
            encoded = vlm.encode([Prompt(image, question) for image, question in batch])
            each = [parser_of(question, options) for _, question in batch]
            read.append(read_batch(vlm, encoded, each, None, None, names, max_new_tokens))
            asked += [question for _, question in batch]
    if not asked:
        raise DataError("capture: asked for no prompts; give at least one (picture, question)")
    return _dataset(vlm, names, asked, read)


def _batches(
    prompts: Iterable[tuple[AnyPictures, str]], size: int
) -> Iterator[list[tuple[AnyPictures, str]]]:
    waiting = iter(prompts)
    while batch := list(islice(waiting, size)):
        yield batch


def _dataset(
    vlm: VLM, names: Sequence[str], asked: Sequence[str], read: Sequence[BatchReading]
) -> xr.Dataset:
    import xarray as xr

    coords, attrs = head_coordinates(vlm.geometry)
    texts = {
        "question": list(asked),
        "text": [t for r in read for t in r.texts],
        "answer": [p or "" for r in read for p in r.parsed],
    }
    variables = {n: (("prompt", "head", "width"), np.concatenate([r.z[n] for r in read])) for n in names}
    along = {name: ("prompt", np.array(values)) for name, values in texts.items()}
    return xr.Dataset(variables, {**along, **coords}, {"model": vlm.revision, **attrs})
