"""One model behind the playground's page: every answer follows from the state in the request alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headscope.asking.histories import evidence
from headscope.asking.items import Item
from headscope.asking.read import read
from headscope.data.schema import UNANSWERED, Case, Step
from headscope.edits.edits import Edit, Operation, add, mute, scale
from headscope.edits.means import Direction
from headscope.engine.estimate import estimate_drops
from headscope.errors import EditError, ModelError
from headscope.experiments.controls import matched_draw
from headscope.functions import DEFAULT, MAIN, Taxonomy
from headscope.making.decompose.rules import decompose
from headscope.models.answers import parser_of
from headscope.models.geometry import heads_of
from headscope.models.types import Answer, Prompt
from headscope.models.vlm import VLM
from headscope.play.picture_shelf import PictureShelf
from headscope.play.play_requests import DrawRequest, HeadRequest, PlayState
from headscope.play.shown_answers import (
    AttentionShown,
    BothAnswers,
    HeadEffects,
    RandomSets,
    StepShown,
    StepsShown,
    shown,
)
from headscope.pointing.styles import point
from headscope.probing.atlas import Atlas

READOUT = "prompt_last"
"""The readout that steering directions are taken from, as emphasis does by default."""
_KEPT = {
    "unedited": 256,
    "attention": 8,
}  # how many are kept: answers without an edit, readings with attention
_T = TypeVar("_T")


@dataclass(eq=False)
class Playground:
    """A model, pictures, and what is known of its heads.

    Edits are held on the model only while one request is answered, and requests are answered one at a time:
    nothing of one tab reaches another.

    Attributes:
        vlm: the model.
        shelf: the pictures.
        atlas: which heads serve which function; None where it is not known of this model.
        claimed: function -> heads that the study's muting claims for it; empty without one.
        directions: function -> steering direction; empty without a study.
        taxonomy: the functions.
        name: as the snippet loads the model.
        study: folder of the study that cases and directions are from; empty: none.
    """

    vlm: VLM
    shelf: PictureShelf
    atlas: Atlas | None = None
    claimed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    directions: Mapping[str, Direction] = field(default_factory=dict)
    taxonomy: Taxonomy = DEFAULT
    name: str = "embedded"
    study: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: dict[str, OrderedDict[Hashable, Any]] = field(
        default_factory=lambda: {k: OrderedDict() for k in _KEPT}
    )

    def answers(self, state: PlayState) -> BothAnswers:
        """The answer to the picture as it is and without an edit, and the one with pointing and edit.

        Raises:
            HeadscopeError: a picture, box, head or question that cannot be used.
        """
        started = time.perf_counter()
        with self._lock:
            plain = self._unedited(state.model_copy(update={"boxes": ()}))
            changed = self._changed(state)
        return BothAnswers(
            plain=shown(plain), changed=shown(changed), seconds=round(time.perf_counter() - started, 4)
        )

    def steps(self, state: PlayState) -> StepsShown:
        """Every step of the question's chain, then the question, each after the model's own answers.

        The steps are the case's where the question is its own, else what the rules make of the question; the
        step that states the verdict is not put before the question.
        """
        case = self._case_of(state)
        if isinstance(case, str):
            return StepsShown(steps=(), reason=case)
        main = case.main_step()
        answered = [s.model_copy(update={"origin": ""}) for s in case.steps]  # here by the model itself
        before = {s.id for s in evidence(case.model_copy(update={"steps": tuple(answered)}), self.taxonomy)}
        with self._lock:
            plain = self._chain(state, case, before, self.shelf.image(state.picture), nullcontext())
            changed = self._chain(state, case, before, self.pointed(state), self._edit(state))
        rows = [
            StepShown(
                question=step.question,
                function="" if step.function == MAIN else step.function,
                truth=step.answer if step.answered else "",
                plain=one.text,
                plain_right=_is_right(step, one),
                changed=other.text,
                changed_right=_is_right(step, other),
            )
            for step, one, other in zip((*case.steps, main), plain, changed, strict=True)
        ]
        return StepsShown(steps=tuple(rows), reason="")

    def head_effects(self, state: PlayState) -> HeadEffects:
        """What muting each head would take from the answer's margin, to first order, under the pointing.

        The margin is that of the likeliest choice over the next, nats per token; without choices it is the
        log-probability of the answer that was given.
        """
        with self._lock:
            picture = self.pointed(state)
            given = self._unedited(state)
            best = max(given.logprobs, key=given.logprobs.__getitem__, default=given.text.strip())
            if not best:
                return HeadEffects(effects=(), answer="", margin=None, reason="the model said nothing")
            item = _item(state.question, best, state.choices or (best,))
            encoded = self.vlm.encode([Prompt(picture, state.question)])
            try:
                margin, effects = estimate_drops(self.vlm, encoded, item)
            except ModelError as exc:
                return HeadEffects(effects=(), answer=best, margin=None, reason=str(exc))
        return HeadEffects(effects=tuple(effects.tolist()), answer=best, margin=margin, reason="")

    def attention(self, asked: HeadRequest) -> AttentionShown:
        """Where in the picture a head looks as the answer's first token is predicted, under the edit."""
        state = asked.state
        with self._lock:
            seen = self._remembered("attention", state.model_dump_json(), lambda: self._read(state))
        found = seen.attention(asked.head)
        weights = found.weights.values[0]
        return AttentionShown(
            head=str(heads_of(asked.head)[0]),
            weights=tuple(tuple(row) for row in weights.round(5).tolist()),
            area=found.area,
            share=float(weights.sum()),
        )

    def random_sets(self, asked: DrawRequest) -> RandomSets:
        """The answers where random heads, as many in each layer, are edited in the same way."""
        state, edit = asked.state, asked.state.edit
        if not edit.heads:
            raise EditError("no heads are chosen; click some in the map, or choose a function's")
        with self._lock:
            heads = heads_of(edit.heads)
            controls = matched_draw(self.vlm.geometry, heads, asked.draws, asked.seed)
            picture = self.pointed(state)
            answers = []
            for some in controls.draws:
                with Edit(some, self._operation(state), edit.scope).applied(self.vlm):
                    answers.append(shown(self._ask(picture, state)))
        return RandomSets(
            answers=tuple(answers), layer_matched=controls.layer_matched, reason=controls.reason,
            distinct=controls.distinct,
        )  # fmt: skip

    def pointed(self, state: PlayState) -> Image.Image:
        """The picture as the model sees it."""
        picture = self.shelf.image(state.picture)
        if not state.style or not state.boxes:
            return picture
        return point(state.style, picture, state.boxes).image

    def _ask(self, picture: Image.Image, state: PlayState) -> Answer:
        return self.vlm.answer(picture, state.question, choices=state.choices)

    def _unedited(self, state: PlayState) -> Answer:
        """The answer under the pointing alone."""
        pointing = (state.style, state.boxes) if state.style and state.boxes else ()
        key = (state.picture.model_dump_json(), state.question, state.choices, pointing)
        return self._remembered("unedited", key, lambda: self._ask(self.pointed(state), state))

    def _changed(self, state: PlayState) -> Answer:
        if not state.edit.heads:
            return self._unedited(state)
        with self._edit(state):
            return self._ask(self.pointed(state), state)

    def _read(self, state: PlayState) -> Any:
        with self._edit(state):
            return read(self.vlm, self.pointed(state), state.question, max_new_tokens=1)

    def _edit(self, state: PlayState) -> AbstractContextManager[None]:
        if not state.edit.heads:
            return nullcontext()
        heads = heads_of(state.edit.heads)
        return Edit(heads, self._operation(state), state.edit.scope).applied(self.vlm)

    def _operation(self, state: PlayState) -> Operation:
        edit = state.edit
        if edit.action == "mute":
            return mute()
        if edit.action == "scale":
            return scale(edit.factor)
        return add(self._direction(edit.function), edit.factor)

    def _direction(self, function: str) -> NDArray[np.float64]:
        if not self.directions:
            raise EditError(
                "steer: no directions are known; run `headscope play --study STUDY` on a study that has "
                "captured this model's answers"
            )
        if function not in self.directions:
            raise EditError(f"steer: asked for {function!r}; there are: {', '.join(self.directions)}")
        found = self.directions[function]
        if found.vectors is None:
            raise EditError(f"steer: there is no direction for {function}: {found.reason}")
        return found.vectors

    def _case_of(self, state: PlayState) -> Case | str:
        """The case with the chain of the question, or why there is none; of a step, those before it."""
        case = self.shelf.case(state.picture)
        known = [] if case is None else [*case.steps, case.main_step()]
        number = next((i for i, s in enumerate(known) if s.question == state.question), None)
        if case is not None and case.steps and number is not None:
            step = known[number]
            own = {"question": step.question, "answer": step.answer, "choices": step.choices}
            return case.model_copy(update={**own, "steps": case.steps[:number]})
        return self._by_rules(state, case)

    def _by_rules(self, state: PlayState, case: Case | None) -> Case | str:
        """What the rules make of the question; the truth of the question itself is not known."""
        if case is None:
            width, height = self.shelf.image(state.picture).size
            case = Case(id="upload", image="-", width=width, height=height, question="?", answer="")
        # The rules write the answer into the verdict alone: it is put in for them, and taken out again.
        asked = {"question": state.question, "choices": state.choices, "answer": "true"}
        found = decompose(case.model_copy(update={**asked, "steps": (), "named": ()}))
        if isinstance(found, str):
            return f"the rules make no steps of this question: {found}"
        verdict = found.steps[-1].model_copy(update={"answer": "", "origin": UNANSWERED})
        return found.model_copy(update={"answer": "", "steps": (*found.steps[:-1], verdict)})

    def _chain(
        self,
        state: PlayState,
        case: Case,
        before: Collection[str],
        picture: Image.Image,
        edit: AbstractContextManager[None],
    ) -> list[Answer]:
        """Answers to every step, each after all before it, and to the question after those in ``before``."""
        turns: list[tuple[str, str]] = []
        kept: list[tuple[str, str]] = []
        answers = []
        with edit:
            for step in case.steps:
                given = self.vlm.answer(picture, step.question, turns, step.choices)
                answers.append(given)
                turns.append((step.question, given.text.strip()))
                if step.id in before:
                    kept.append(turns[-1])
            answers.append(self.vlm.answer(picture, state.question, kept, state.choices))
        return answers

    def _remembered(self, kind: str, key: Hashable, make: Callable[[], _T]) -> _T:
        """What was made for the key before, or is made now; the last few of a kind are kept."""
        kept = self._kept[kind]
        if key not in kept:
            kept[key] = make()
        kept.move_to_end(key)
        if len(kept) > _KEPT[kind]:
            kept.popitem(last=False)
        return cast(_T, kept[key])


def _item(question: str, truth: str, choices: tuple[str, ...]) -> Item:
    """An item whose margin is that of the answer given."""
    case = Case(
        id="play", image="play.png", width=1, height=1, question=question, answer=truth, choices=choices
    )
    return Item("play/main/alone", case, case.main_step(), "alone")


def _is_right(step: Step, given: Answer) -> bool | None:
    """Whether the text amounts to the true answer; None where that is not known."""
    if not step.answered or not step.answer:
        return None
    parse = parser_of(step.question, step.choices)
    return parse(given.text) == (step.answer if step.choices else parse(step.answer))
