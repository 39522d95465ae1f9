"""What the page may ask for, every field known and bounded; the whole state travels with each request."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from headscope.models.types import SCOPES
from headscope.pointing.styles import STYLES
from headscope.records import Record

_Text = Annotated[str, StringConstraints(max_length=4000)]
_Word = Annotated[str, StringConstraints(max_length=200)]
_Number = Annotated[float, Field(allow_inf_nan=False, ge=-100_000, le=100_000)]


class ComposedThing(Record):
    """One thing of a composed scene: as :class:`headscope.making.scenes.scene.Thing`, centre in pixels."""

    kind: _Word
    colour: _Word
    size: _Word
    facing: _Word | None = None
    letter: _Word | None = None
    variant: int = 0
    x: int = Field(ge=0, le=191)
    y: int = Field(ge=0, le=191)


class PictureChoice(Record):
    """Which picture: an example or a case of the study by id, an upload by its key, or a composed scene."""

    source: Literal["example", "case", "upload", "scene"]
    id: _Word = ""
    things: tuple[ComposedThing, ...] = Field(default=(), max_length=20)
    background: int = Field(default=0, ge=0, le=511)


class HeadEdit(Record):
    """What is done to heads.

    Attributes:
        heads: labels; none: nothing is done.
        action: ``mute``; ``scale`` by ``factor``; ``steer``: ``factor`` times the direction of ``function``,
            from wrong answers to right ones.
        scope: positions, as :class:`headscope.Edit` takes them.
    """

    heads: tuple[_Word, ...] = Field(default=(), max_length=20_000)
    action: Literal["mute", "scale", "steer"] = "mute"
    factor: Annotated[float, Field(allow_inf_nan=False, ge=-100, le=100)] = 1.5
    scope: str = "all"
    function: _Word = ""

    @field_validator("scope")
    @classmethod
    def _known_scope(cls, scope: str) -> str:
        if scope not in SCOPES:
            raise ValueError(f"unknown scope {scope!r}; there are: {', '.join(SCOPES)}")
        return scope


class PlayState(Record):
    """All that the page shows follows from this; a link holds it.

    Attributes:
        picture: what is asked about.
        question: as asked.
        choices: answers to be weighed; none: an open answer.
        style: how the boxes are pointed at; empty: they are not.
        boxes: x0, y0, x1, y1 in pixels of the picture.
        edit: what is done to heads.
    """

    picture: PictureChoice
    question: _Text
    choices: tuple[_Word, ...] = Field(default=(), max_length=26)
    style: str = ""
    boxes: tuple[tuple[_Number, _Number, _Number, _Number], ...] = Field(default=(), max_length=50)
    edit: HeadEdit = HeadEdit()

    @field_validator("style")
    @classmethod
    def _known_style(cls, style: str) -> str:
        if style and style not in STYLES:
            raise ValueError(f"unknown style {style!r}; there are: {', '.join(STYLES)}")
        return style


class HeadRequest(Record):
    """A state, and the head that is looked at."""

    state: PlayState
    head: _Word


class DrawRequest(Record):
    """A state, and how many random head sets are tried."""

    state: PlayState
    draws: int = Field(default=20, ge=1, le=200)
    seed: int = Field(default=0, ge=0, le=2**31)
