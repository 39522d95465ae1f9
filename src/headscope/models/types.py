"""What goes into a model and what comes out: prompts, encoded batches with spans, frames, answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from headscope.data.pictures import AnyPicture, AnyPictures
from headscope.errors import ModelError, quoted
from headscope.models.caches import given_cache

SCOPES = ("all", "image", "question", "last", "answer")


class Prompt(NamedTuple):
    """One question about a picture, or a list of several, after earlier turns of (question, answer)."""

    image: AnyPictures
    question: str
    history: tuple[tuple[str, str], ...] = ()

    @property
    def pictures(self) -> tuple[AnyPicture, ...]:
        """All pictures, in their order; they stand before the first question."""
        if isinstance(self.image, list | tuple):
            return tuple(self.image)
        return (cast(AnyPicture, self.image),)


def choices_of(given: Sequence[str]) -> tuple[str, ...]:
    """The answers that are to be weighed, each once, in the order given.

    Raises:
        ModelError: one text in the place of several, or an answer that is empty or no text.

    Example:
        >>> choices_of(["left", "right", "left"])
        ('left', 'right')
    """
    if isinstance(given, str):
        several = tuple(part.strip() for part in given.split(",") if part.strip())
        such = several if len(several) > 1 else ("left", "right")
        raise ModelError(f"choices: found the one text {quoted(given)}, expected several such as {such!r}")
    found = tuple(given)
    for choice in found:
        if not isinstance(choice, str) or not choice.strip():
            raise ModelError(f"choices: found {choice!r} among them, expected answers in words")
    return tuple(dict.fromkeys(found))


def turns_of(history: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Earlier turns of a dialogue, (question, answer) each.

    Raises:
        ModelError: something in it is no pair of texts.
    """
    turns = (history,) if isinstance(history, str) else tuple(history)
    for turn in turns:
        pair = not isinstance(turn, str) and isinstance(turn, Sequence) and len(turn) == 2
        if not pair or not all(isinstance(part, str) for part in turn):
            raise ModelError(
                f"history: found {quoted(str(turn))}, expected (question, answer) pairs such as "
                '[("Where is the dog?", "left")]'
            )
    return tuple((str(question), str(answer)) for question, answer in turns)


@dataclass(frozen=True)
class ImageGrid:
    """Which pixel rectangle of the original image each image token stands for.

    Attributes:
        boxes: (image token, 4) float tensor of x0, y0, x1, y1 in pixels of the original image, in the order
            of the item's image tokens. Rectangles reach past the border where the model pads; tokens that
            stand for no place (class tokens) hold NaN. None if no map is known.
        shape: (rows, columns) of the grid, None where the tokens form no single grid.
        reason: why there is no map, empty if there is one.
        pictures: of a prompt with several pictures, (image token,) int64, the number of the picture, from 0,
            that each token stands for; a token's box is in pixels of that picture. None for one picture, and
            where it is not known.
    """

    boxes: Tensor | None
    shape: tuple[int, int] | None = None
    reason: str = ""
    pictures: Tensor | None = None

    def of(self, picture: int) -> Tensor | None:
        """(image token,) bool: those of one of the prompt's pictures; None where it is not known."""
        if self.pictures is not None:
            return self.pictures == picture
        return None if self.boxes is None else torch.full((len(self.boxes),), picture == 0)


@dataclass
class Encoded:
    """A left-padded batch ready for the model, with the spans of its tokens.

    Of an encoder-decoder the encoder reads picture and question, padded on the right; ``image`` and
    ``question`` are then about its positions. The decoder's prompt is ``decoder_input_ids`` (item, position),
    the tokens that it starts from, the same for every item; ``length`` counts these.

    Attributes:
        inputs: keyword arguments of the model: input_ids, attention_mask (item, position), pixel_values, ...
        image: (item, position) bool, true on image tokens.
        question: (item, position) bool, true on the tokens of the last question's text.
        length: number of positions of the decoder's prompt, padding included.
        grids: one image grid an item; of several pictures their tokens stand in it one after the other.
    """

    inputs: dict[str, Tensor]
    image: Tensor
    question: Tensor
    length: int
    grids: list[ImageGrid]

    @property
    def items(self) -> int:
        """How many prompts the batch holds."""
        return int(self.image.shape[0])

    def picture_span(self, item: int, picture: int) -> Tensor:
        """(position,) bool: the tokens of one of an item's pictures, by its number from 0.

        Raises:
            ModelError: which tokens are that picture's is not known, or there is no such picture.
        """
        grid = self.grids[item]
        mine = grid.of(picture)
        if mine is None or not mine.any():
            why = grid.reason or "there is no such picture, or no token of it"
            raise ModelError(f"asked for the tokens of picture {picture} of prompt {item}; {why}")
        found = torch.zeros_like(self.image[item])
        where = torch.nonzero(self.image[item]).squeeze(1)
        found[where[mine.to(where.device)]] = True
        return found

    @property
    def apart(self) -> bool:
        """Whether an encoder reads picture and question, apart from the decoder."""
        return "decoder_input_ids" in self.inputs

    def to(self, device: str | torch.device) -> Encoded:
        """The same batch on another device."""
        moved = {name: value.to(device) for name, value in self.inputs.items()}
        return replace(self, inputs=moved, image=self.image.to(device), question=self.question.to(device))


@dataclass(frozen=True)
class Answer:
    """What a model said: raw text, the choice that it amounts to (None if none), and log-probabilities.

    ``logprobs`` holds each choice's log-probability per token; ``total`` is the probability of all of them
    together (None for fewer than two): where it is tiny, the model does not want to answer in this form.
    """

    text: str
    parsed: str | None
    logprobs: dict[str, float] = field(default_factory=dict)
    total: float | None = None


@dataclass(frozen=True)
class Frame:
    """Where the tokens of the batch now being read lie; the one place of the position rule.

    With prompt length P, a forward over T positions is read so: T >= P: positions 0..P-1 are the prompt, the
    rest answer tokens already given; T < P: all are answer tokens (cached decoding, or choices scored after a
    cached prompt). Position p predicts token p + 1, so the scope ``answer`` is the last prompt position and
    all later ones. A forward may hold each item several times in a row (choices): its items are then a
    multiple of the batch's.

    Two things T does not tell, and :meth:`following` watches them: the decoder's prompt of an encoder-decoder
    may be a single token, so there what each forward has in its cache counts; and some models read the prompt
    for its last position alone in layers that borrow keys and values (Gemma 4), so the positions that the
    forward was given count, of which a layer's are then the last.
    """

    encoded: Encoded
    prompt_length: int
    _cache: dict[tuple[str, int, int, int, str, bool], Tensor] = field(
        default_factory=dict, compare=False, repr=False
    )
    _cached: list[int] = field(default_factory=list, compare=False, repr=False)
    _given: list[int] = field(default_factory=list, compare=False, repr=False)

    @contextmanager
    def following(self, model: nn.Module) -> Iterator[None]:
        """While inside, forwards are watched for the positions given; of an encoder-decoder, those cached."""

        def before(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            if self.encoded.apart:
                cache = given_cache(kwargs)
                self._cached[:] = [int(cache.get_seq_length()) if cache is not None else 0]
                return
            given = (kwargs.get("input_ids"), kwargs.get("inputs_embeds"), *args[:1])
            self._given[:] = [int(x.shape[1]) for x in given if isinstance(x, Tensor) and x.ndim > 1][:1]

        def after(*_: Any) -> None:
            self._given.clear()

        handles = (
            model.register_forward_pre_hook(before, with_kwargs=True),
            model.register_forward_hook(after, always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._cached.clear()
            self._given.clear()

    def repeats(self, n_items: int) -> int:
        """How many times in a row each item of the batch occurs among ``n_items``.

        Raises:
            ModelError: ``n_items`` is no multiple of the batch.
        """
        times, rest = divmod(n_items, self.encoded.items)
        if rest or not times:
            raise ModelError(
                f"a forward over {n_items} items while a batch of {self.encoded.items} is being read; "
                "expected that many or a multiple (each item repeated in a row)"
            )
        return times

    def scope_mask(
        self, scope: str, n_positions: int, n_items: int, device: str | torch.device | None = None
    ) -> Tensor:
        """Positions that belong to a scope in a forward over (n_items, n_positions): bool (item, position).

        Args:
            scope: one of ``all``, ``image``, ``question``, ``last`` (last prompt position), ``answer``.

        Raises:
            ModelError: an unknown scope, one that the model's decoder does not have, or items that do not
                match the batch.
        """
        if scope not in SCOPES:
            raise ModelError(f"asked for scope {scope!r}; there are: {', '.join(SCOPES)}")
        if self.encoded.apart and scope in ("image", "question"):
            raise ModelError(
                f"asked for scope {scope!r}; an encoder reads picture and question of this model, and its "
                "decoder has no positions for them; scopes there: all, last, answer"
            )
        place = torch.device(device) if device is not None else self.encoded.image.device
        given = max(n_positions, *self._given, 0)
        prompted = self._reads_prompt(given)
        key = (scope, n_positions, given, n_items, str(place), prompted)
        if key not in self._cache:
            mask = self._mask(scope, given, prompted)[:, given - n_positions :]
            self._cache[key] = mask.repeat_interleave(self.repeats(n_items), dim=0).to(place)
        return self._cache[key]

    def prompt_slice(self, n_positions: int) -> slice | None:
        """Which of the prompt's positions a layer's first ones are; None: it sees answer tokens alone."""
        given = max(n_positions, *self._given, 0)
        if not self._reads_prompt(given):
            return None
        return slice(min(given - n_positions, self.prompt_length), self.prompt_length)

    def _reads_prompt(self, n_positions: int) -> bool:
        """Whether the forward over so many positions begins with the prompt."""
        if self._cached:
            return self._cached[0] < self.prompt_length
        return n_positions >= self.prompt_length

    def _mask(self, scope: str, n_positions: int, prompted: bool) -> Tensor:
        prompt = self.prompt_length
        mask = torch.zeros(
            self.encoded.items, n_positions, dtype=torch.bool, device=self.encoded.image.device
        )
        if scope == "all":
            mask[:] = True
        elif not prompted:
            mask[:] = scope == "answer"
        elif scope == "last":
            mask[:, prompt - 1] = True
        elif scope == "answer":
            mask[:, prompt - 1 :] = True
        else:
            mask[:, :prompt] = self.encoded.image if scope == "image" else self.encoded.question
        return mask
