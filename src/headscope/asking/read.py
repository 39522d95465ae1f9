"""One question read: the answer, the log-probability of each choice, and what every head put out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headscope import notebook
from headscope.asking.ask import BatchReading, read_batch
from headscope.asking.picture_attention import PictureAttention, PromptAttention, Watch
from headscope.asking.readouts import check_readouts
from headscope.data.pictures import AnyPictures, to_rgb
from headscope.errors import ModelError, quoted
from headscope.models.answers import parser_of
from headscope.models.geometry import Geometry, Heads
from headscope.models.library_messages import quiet
from headscope.models.types import Encoded, Prompt, choices_of, turns_of
from headscope.models.vlm import VLM, need_vlm

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """What a model answered to one question, and what its heads put out meanwhile.

    Attributes:
        question: as asked.
        text: as generated.
        answer: the choice that the text amounts to, None if it amounts to none; without choices the text
            without case, articles and punctuation.
        z: (head, width) float32, each head's output before the output projection; coordinates ``head``
            (label such as ``L3H5``), ``layer`` and ``head_width`` along ``head``. Columns beyond a head's own
            width are NaN; ``attrs["padding"]`` says so where there are any.
        logprobs: choice -> log-probability per token.
        total: probability of all choices together, None for fewer than two; where it is tiny, the model does
            not want to answer in this form.
        prompt: what was read, encoded, for :func:`headscope.edits.patching.patch`.
        seen: what :meth:`attention` lays over the picture.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 1)
        >>> reading = hs.read(vlm, cases.image(cases[0]), cases[0].question, ("true", "false"))
        >>> reading.answer, reading.best
        ('true', 'true')
        >>> reading.z.dims, reading.z.shape
        (('head', 'width'), (64, 24))
        >>> reading.z[reading.z.layer == 3].shape
        (8, 24)
    """

    question: str
    text: str
    answer: str | None
    z: xr.DataArray
    logprobs: dict[str, float] = field(default_factory=dict)
    total: float | None = None
    prompt: Encoded | None = None
    seen: PromptAttention | None = None

    def __repr__(self) -> str:
        """Short: z holds a number for every head and column."""
        asked, text = quoted(self.question), quoted(self.text)
        shape = " x ".join(f"{size} {name}" for name, size in self.z.sizes.items())
        return f"Reading({asked}, text {text}, answer {self.answer!r}, z {shape})"

    def _repr_html_(self) -> str:
        """What a notebook shows: question and answer, and how likely each choice is."""
        shape = " x ".join(f"{size} {name}" for name, size in self.z.sizes.items())
        line = notebook.heading("Reading", self.question, f"text: {self.text}", f"z: {shape}")
        ranked = sorted(self.logprobs.items(), key=lambda pair: -pair[1])
        rows = [
            {"choice": choice, "log-probability per token": value, "said": choice == self.answer}
            for choice, value in ranked
        ]
        return line + notebook.table(rows)

    def attention(self, heads: Heads) -> PictureAttention:
        """What heads attend to in the picture where the first token of the answer is predicted.

        Edits that were active when the question was read apply.

        Args:
            heads: heads, labels such as ``"L3H5,L4H0"``, or pairs of layer and head.

        Returns:
            ``weights``, an array (head, grid row, grid column), and ``overlay()``, the picture with them:
            see :class:`headscope.asking.picture_attention.PictureAttention`.

        Raises:
            ModelError: a head that the model does not have; one whose attention is not over the picture or
                cannot be seen, with the reason; it is not known where the model's image tokens lie.

        Example:
            >>> import headscope as hs
            >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 1)
            >>> found = hs.read(vlm, cases.image(cases[0]), "Where is the dog?").attention("L3H5,L4H0")
            >>> found.weights.dims, found.weights.sizes["head"]
            (('head', 'row', 'column'), 2)
            >>> found.overlay().size == cases.image(cases[0]).size
            True
        """
        if self.seen is None:
            raise ModelError(
                "attention: this reading kept none; hs.read keeps it for a question about one picture"
            )
        return self.seen.over_picture(heads)

    @property
    def best(self) -> str | None:
        """The likeliest choice, whatever was generated; None without choices."""
        return max(self.logprobs, key=self.logprobs.__getitem__, default=None)


def read(
    vlm: VLM,
    image: AnyPictures,
    question: str,
    choices: Sequence[str] = (),
    *,
    history: Sequence[tuple[str, str]] = (),
    readout: str = "prompt_last",
    max_new_tokens: int = 16,
) -> Reading:
    """Ask one question and keep what every head put out; edits that are active apply.

    Args:
        image: the picture: of Pillow, the path of a file, or an array (row, column, 3) of uint8; or a list of
            several, for a model that takes them.
        question: as asked.
        choices: answers to be scored; the text then amounts to one of them, or to none.
        history: (question, answer) turns before it.
        readout: positions over which z is taken: ``prompt_last``, the last of the prompt, which predicts the
            first answer token; ``answer_mean``, the mean over all that predict answer tokens;
            ``answer_content``, over those that predict the words of the parsed answer.
        max_new_tokens: length limit of the answer, its end token included.

    Returns:
        Answer, log-probabilities and z: see :class:`Reading`.

    Raises:
        ModelError: the processor cannot take the prompt, or the model refuses what is asked of it.
        StudyError: an unknown readout.

    Example:
        >>> import headscope as hs
        >>> vlm = hs.load_model("embedded")
        >>> cases = hs.draw_scenes("data", 1)
        >>> picture = cases.image(cases[0])
        >>> reading = hs.read(vlm, picture, "Is the dog facing the horse?", ("true", "false"))
        >>> reading.answer, reading.z.sel(head="L3H5").shape
        ('true', (24,))
        >>> with hs.edit(vlm, [hs.Head(3, 5)], hs.mute()):
        ...     muted = hs.read(vlm, picture, "Is the dog facing the horse?")
        >>> float(abs(muted.z.sel(head="L3H5")).sum())
        0.0
    """
    need_vlm(vlm, "read")
    (name,) = check_readouts((readout,))
    options = choices_of(choices)
    with quiet():
        pictures = [to_rgb(picture) for picture in Prompt(image, question).pictures]
        encoded = vlm.encode([Prompt(pictures, question, turns_of(history))])
        parse, watch = parser_of(question, options), Watch(encoded)
        found = read_batch(vlm, encoded, [parse], [options], watch, (name,), max_new_tokens)
    seen = watch.found(vlm, pictures[0]) if len(pictures) == 1 else None
    return replace(reading_of(vlm.geometry, found, 0, question, name), prompt=encoded, seen=seen)


def reading_of(geometry: Geometry, found: BatchReading, item: int, question: str, readout: str) -> Reading:
    """One item of a batch that was read."""
    import xarray as xr

    coords, attrs = head_coordinates(geometry)
    z = xr.DataArray(found.z[readout][item], coords, ("head", "width"), readout, attrs)
    scores = found.scores[item]
    return Reading(question, found.texts[item], found.parsed[item], z, scores.logprobs, scores.total)


def head_coordinates(geometry: Geometry) -> tuple[dict[str, tuple[str, NDArray[Any]]], dict[str, str]]:
    """Coordinates along ``head`` as xarray takes them, and what has to be said of padding."""
    widths = np.array([s.head_dim for s in geometry.sites for _ in s.heads], dtype=np.int32)
    coords = {
        "head": ("head", np.array([str(h) for h in geometry.heads])),
        "layer": ("head", np.array([h.layer for h in geometry.heads], dtype=np.int32)),
        "head_width": ("head", widths),
    }
    least, most = int(widths.min()), int(widths.max())
    said = f"heads are {least} to {most} wide; columns beyond a head's own width (head_width) are NaN"
    return coords, {"padding": said} if least < most else {}
