"""Items: one question of one case in one context, and the dialogue turns that precede it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headscope.asking.histories import earlier_steps, like_cases, of_another, with_one_wrong
from headscope.data.schema import Case, Step
from headscope.data.wordings import is_shared
from headscope.errors import DataError, StudyError
from headscope.functions import Taxonomy
from headscope.models.answers import parser_of

CONTEXTS = ("gold", "own", "alone", "wrong", "other")


@dataclass(frozen=True, slots=True)
class Item:
    """One question to be asked: a step (or the main question) of a case, in a context.

    Attributes:
        id: ``{case}/{step}/{context}``; the step of the main question is ``main``.
        context: what precedes the question: ``gold`` (earlier steps with true answers), ``own`` (with the
            model's own answers) or ``alone`` (nothing); and two controls: ``wrong`` (as gold, one answer that
            the question rests on replaced by a wrong one) and ``other`` (the turns of another case).
        earlier: the turns before it. Before the main question none that states or gives its answer:
            :func:`headscope.asking.histories.evidence`.
    """

    id: str
    case: Case
    step: Step
    context: str
    earlier: tuple[Step, ...] = ()

    @property
    def function(self) -> str:
        """Cognitive function of the step, ``main`` for the main question."""
        return self.step.function

    @property
    def question(self) -> str:
        """The question as asked."""
        return self.step.question

    @property
    def truth(self) -> str:
        """The true answer."""
        return self.step.answer

    @property
    def choices(self) -> tuple[str, ...]:
        """Answers among which the margin is taken; empty for an open answer."""
        return self.step.choices

    def parse(self, text: str) -> str | None:
        """The answer that a text amounts to; letters count where the question shows them."""
        return parser_of(self.question, self.choices)(text)

    @property
    def round(self) -> int:
        """How many steps of its chain are done when it can be asked in ``own``; 0: it rests on none."""
        ids = [s.id for s in self.case.steps]
        return 1 + ids.index(self.earlier[-1].id) if self.earlier else 0


def item_id(case: str, step: str, context: str) -> str:
    """The id of an item: ``item_id("c1", "main", "gold")`` is ``c1/main/gold``."""
    return f"{case}/{step}/{context}"


def make_items(
    cases: Iterable[Case],
    taxonomy: Taxonomy,
    contexts: Iterable[str],
    main_contexts: Iterable[str] | None = None,
    others: Mapping[str, Case] | None = None,
) -> list[Item]:
    """Every step and main question of the cases in every asked context, case by case, in step order.

    Functions that exist only in a chain (``taxonomy.chain_only``, such as ``decision_making``) are never
    asked alone, nor are steps worded by the turn before them (``And the horse?``). Main questions are asked
    in ``main_contexts`` (by default ``contexts``); where they are asked in ``own``, the steps are too, since
    their answers are its history. Unanswered steps are left out, as questions and as turns of a dialogue:
    :func:`count_unanswered` says how many. A question without a turn that could be wrong, or without another
    case like its own, is not asked in ``wrong``, or ``other``.

    Args:
        others: case id -> the case whose turns stand in for its own in ``other``; by default found among
            ``cases`` (:func:`headscope.asking.histories.like_cases`).

    Raises:
        StudyError: an unknown context, or none.
        DataError: two items share an id.
    """
    wanted = tuple(dict.fromkeys(contexts))
    mains = wanted if main_contexts is None else tuple(dict.fromkeys(main_contexts))
    for context in (*wanted, *mains):
        if context not in CONTEXTS:
            raise StudyError(f"asked for context {context!r}; there are: {', '.join(CONTEXTS)}")
    if not wanted and not mains:
        raise StudyError(f"asked for no context; name at least one of {', '.join(CONTEXTS)}")
    for_steps = wanted if "own" in wanted or "own" not in mains else (*wanted, "own")
    items: dict[str, Item] = {}
    if others is None and "other" in (*wanted, *mains):
        cases = cases if isinstance(cases, Sequence) else list(cases)
        others = like_cases(cases, taxonomy)
    for case in cases:
        asked = [(s, c) for c in for_steps for s in case.steps if s.answered]
        asked += [(case.main_step(), c) for c in mains]
        for step, context in asked:
            earlier = _earlier(case, step, context, taxonomy, others or {})
            if earlier is None:
                continue
            key = item_id(case.id, step.id, context)
            if key in items:
                raise DataError(f"case {case.id}: two questions share the id {key!r}; give each its own id")
            items[key] = Item(key, case, step, context, earlier)
    return list(items.values())


def _earlier(
    case: Case, step: Step, context: str, taxonomy: Taxonomy, others: Mapping[str, Case]
) -> tuple[Step, ...] | None:
    """The turns before a question in a context; None: it is not asked in it."""
    if context == "alone":
        return None if step.function in taxonomy.chain_only or is_shared(step.wording) else ()
    if context == "wrong":
        return with_one_wrong(case, step, taxonomy)
    if context == "other":
        return of_another(case, step, taxonomy, others)
    return earlier_steps(case, step, taxonomy)


def count_unanswered(cases: Iterable[Case]) -> tuple[int, int]:
    """How many steps have no answer yet, and how many answered ones rest on such a step."""
    unanswered = resting = 0
    for case in cases:
        open_ids = {s.id for s in case.steps if not s.answered}
        unanswered += len(open_ids)
        resting += sum(s.answered and not open_ids.isdisjoint(s.depends_on) for s in case.steps)
    return unanswered, resting


def history_of(item: Item, own_answers: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """The (question, answer) turns before an item's question.

    Args:
        own_answers: item id -> text that the model generated, needed for context ``own``; words are fed back
            as the model said them, right or wrong.

    Raises:
        StudyError: an answer that an ``own`` item rests on is not there yet.
    """
    if item.context != "own":
        return tuple((s.question, s.answer) for s in item.earlier)
    turns = []
    for step in item.earlier:
        key = item_id(item.case.id, step.id, "own")
        if own_answers is None or key not in own_answers:
            raise StudyError(f"{item.id}: needs the model's own answer to {key}; ask that item first")
        turns.append((step.question, own_answers[key]))
    return tuple(turns)
