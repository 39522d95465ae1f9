"""The typed CogVSR case: its picture or pictures, one main question, its objects, and its sub-questions."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headscope.functions import MAIN
from headscope.records import JsonObject

SCHEMA = "headscope/case/2"
Split = Literal["fit", "select", "test"]
SPLITS: tuple[Split, ...] = ("fit", "select", "test")
Origin = Literal["", "derived", "guessed", "reviewed", "unanswered"]
UNANSWERED: Origin = "unanswered"
LONGEST_TEXT = 20_000  # characters of any text of a case, some 5,000 tokens


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Picture(_Model):
    """One picture of a case: its path relative to the folder of the JSONL file, and its size in pixels."""

    image: str
    width: int
    height: int


class Object(_Model):
    """One thing in the picture, or one that a question names although it is absent (``box`` is None).

    ``box`` is (x0, y0, x1, y1) in pixels of its picture, x to the right and y down, x1 and y1 exclusive.
    ``picture`` is the number of that picture among the case's (``Case.pictures``), from 0.
    """

    id: str
    name: str
    box: tuple[float, float, float, float] | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    picture: int = 0


class Step(_Model):
    """One sub-question: its answer, function, the objects it is about, and the steps it rests on.

    ``choices`` are the answers among which the margin is taken (the true one included; empty: open answer);
    they are not shown to the model. ``wording`` names the template, so that control tasks and held-out
    wordings can be told apart. ``origin`` says where the answer comes from: the source itself (empty),
    ``derived`` from it by a rule, ``guessed`` by a model, or ``reviewed`` by a person; an ``unanswered`` step
    waits for its answer, which is empty, and is never asked as if it had one.
    """

    id: str
    question: str
    answer: str
    function: str
    choices: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    wording: str = ""
    origin: Origin = ""

    @property
    def answered(self) -> bool:
        """Whether the true answer is known."""
        return self.origin != UNANSWERED


class Case(_Model):
    """One image, or several, with a main question, its answer, objects and steps.

    ``image`` is a path relative to the folder of the JSONL file; ``more`` holds further pictures, such as the
    other views or the later frames that a question is about, in their order. ``kind`` is the kind of main
    question.
    ``named`` holds the ids of the objects that the main question names (never the answer).
    ``held_out`` says in what way the case is new to the embedded model: any of ``combination``, ``wording``,
    ``sprite``. ``original`` keeps the source's record, loss-free.

    Example:
        >>> import headscope as hs
        >>> case = hs.Case(id="a", image="a.png", width=640, height=480,
        ...                question="Is the dog left of the horse?", answer="no", choices=("yes", "no"))
        >>> case.main_step().function
        'main'
    """

    id: str
    image: str
    width: int
    height: int
    question: str
    answer: str
    choices: tuple[str, ...] = ()
    kind: str = ""
    wording: str = ""
    objects: tuple[Object, ...] = ()
    named: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    split: Split | None = None
    held_out: tuple[str, ...] = ()
    source: str = ""
    original: JsonObject | None = None
    more: tuple[Picture, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures of the case, in order."""
        return (Picture(image=self.image, width=self.width, height=self.height), *self.more)

    @property
    def things(self) -> int:
        """How many objects are in the picture (absent ones not counted)."""
        return sum(o.box is not None for o in self.objects)

    def object(self, object_id: str) -> Object:
        """The object with this id."""
        return next(o for o in self.objects if o.id == object_id)

    def main_step(self) -> Step:
        """The main question in the form of a step with id and function ``main``."""
        return Step(
            id=MAIN,
            question=self.question,
            answer=self.answer,
            function=MAIN,
            choices=self.choices,
            objects=self.named,
            depends_on=tuple(s.id for s in self.steps),
            wording=self.wording,
        )
