"""Decomposition by rules: typed steps for statements about two things; what is not known stays open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headscope.data.schema import UNANSWERED, Case, Object, Origin, Step
from headscope.making.decompose.claims import Claim, claim_of
from headscope.making.decompose.evidence import Evidence, answer
from headscope.making.decompose.relations import FAMILIES, StepTemplate
from headscope.making.decompose.thing_names import may_be_one, names_several
from headscope.making.photographs.nouns import a, agreeing, has_front, is_living, plural, there_is

YES_NO = ("yes", "no")
TRUE_FALSE = ("true", "false")


@dataclass(frozen=True)
class RelationRow:
    """What the rules made of the statements of one relation.

    Attributes:
        family: the family of relations whose rule it is.
        cases, steps: cases, and steps per case.
        answered, open: steps that have an answer, and that wait for one.
    """

    relation: str
    family: str
    cases: int
    steps: float
    answered: int
    open: int


@dataclass
class DecomposedByRules:
    """Cases with steps, and why others were left as they were."""

    cases: list[Case] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)  # case id -> reason

    def table(self) -> list[RelationRow]:
        """One row per relation: cases, steps per case, steps answered and open."""
        rows: dict[str, Counter[str]] = {}
        family: dict[str, str] = {}
        for case in self.cases:
            claim = claim_of(case)
            if case.id in self.kept or isinstance(claim, str):
                continue
            family[claim.relation] = claim.family
            row = rows.setdefault(claim.relation, Counter())
            row["cases"] += 1
            row["steps"] += len(case.steps)
            row["answered"] += sum(s.answered for s in case.steps)
        return [
            RelationRow(
                relation,
                family[relation],
                cases=row["cases"],
                steps=row["steps"] / row["cases"],
                answered=row["answered"],
                open=row["steps"] - row["answered"],
            )
            for relation, row in sorted(rows.items(), key=lambda item: (-item[1]["cases"], item[0]))
        ]


def decompose_all(cases: Iterable[Case], *, again: bool = False) -> DecomposedByRules:
    """Every case with the steps of the rules.

    Args:
        again: replace the steps of cases that have some; otherwise these are kept as they are.
    """
    out = DecomposedByRules()
    for case in cases:
        made = decompose(case) if again or not case.steps else "has steps already"
        if isinstance(made, str):
            out.kept[case.id] = made
        out.cases.append(case if isinstance(made, str) else made)
    return out


def decompose(case: Case) -> Case | str:
    """The case with a chain of steps for its claim, or in one line why the rules have none.

    The chain: is each thing there, what its relation's family asks (where each thing is, which way one faces,
    how the two relate), and the verdict. Answers before the verdict come from evidence that does not depend
    on it (labels, boxes): the same steps are answered, and alike, whether the statement
    is true or false. Every other step is marked unanswered.

    Example:
        >>> case = Case(id="a", image="a.jpg", width=8, height=8, answer="true", source="vsr",
        ...             question="Is it true that the dog is facing the horse?")
        >>> [(s.function, s.answer) for s in decompose(case).steps][-2:]
        [('relational_reasoning', ''), ('decision_making', 'true')]
    """
    claim = claim_of(case)
    if isinstance(claim, str):
        return claim
    if case.more:
        return "several pictures, and the rules know of one"
    names = [thing.name.casefold() for thing in case.objects]
    for one in (claim, *claim.further):
        for name in (one.subject, *(() if one.count else (one.object,))):
            if names.count(name.casefold()) > 1:
                return "several things of a name that the statement uses"
            if names_several(name):
                return "several things under one name, which the rules take for one"
        if not one.count and may_be_one(one.subject, one.object):
            return "two things whose names do not tell them apart"
    return case.model_copy(update={"steps": tuple(_Chain(case, claim).build())})


class _Chain:
    """Builds the steps of one case."""

    def __init__(self, case: Case, claim: Claim) -> None:
        self.case, self.whole = case, claim
        self._take_up(claim)
        self.steps: list[Step] = []
        self.about: list[tuple[str, str]] = []  # (whom, step id)

    def _take_up(self, claim: Claim) -> None:
        """Ask about this claim from now on."""
        self.claim = claim
        self.known = Evidence(claim, self.case, self._find(claim.subject), self._find(claim.object))

    def _find(self, name: str) -> Object | None:
        """The one object of this name."""
        same = [o for o in self.case.objects if o.name.casefold() == name.casefold()]
        return same[0] if len(same) == 1 else None

    def build(self) -> list[Step]:
        """All steps, the verdict last."""
        for claim in (self.whole, *self.whole.further):
            self._take_up(claim)
            self._there("s", claim.subject)
            if claim.object != claim.subject:
                self._there("o", claim.object)
            for ask in FAMILIES[claim.family][1]:
                if not (claim.count and ask.about == "o"):  # no place is that of two things
                    self._ask(ask)
        self._verdict()
        return self.steps

    def _there(self, who: str, name: str) -> None:
        thing = self.known.thing(who)
        # Known apart from the statement's truth: VSR's writers chose two labelled things of each photograph,
        # and a box is a label. That a true statement's things are there would tell the verdict.
        sure = self.case.source.startswith("vsr") or (thing is not None and thing.box is not None)
        question = f"{there_is(name)} in the picture?"
        if self.claim.count and who == "o":
            question = f"are there at least {self.claim.count} {plural(name)} in the picture?"
            question = question[0].upper() + question[1:]
            self._add("counting", "present/0", question, None, YES_NO, who)
            return
        question = question[0].upper() + question[1:]
        self._add("object_recognition", "present/0", question, "yes" if sure else None, YES_NO, who)

    def _ask(self, ask: StepTemplate) -> None:
        claim = self.claim
        names = {"s": claim.subject, "o": claim.object}
        # Whoever is said to face has a front: a wine glass that faces a dog has one.
        if ask.fronted and claim.family != "facing" and not has_front(names[ask.fronted]):
            return
        fields = {"sn": names["s"], "on": names["o"], "a_o": a(names["o"])}
        for who, name in names.items():
            fields[who] = f"the {name}"
            fields[f"{who}_long"] = "body" if is_living(name) else "long side"
        choices = tuple(filter(None, dict.fromkeys(c.format(**fields) for c in ask.choices)))
        found = answer(ask.rule, self.known, ask.about)
        question = agreeing(ask.question.format(**fields), names.values())
        self._add(ask.function, ask.wording, question, found, choices if len(choices) > 1 else (), ask.about)

    def _verdict(self) -> None:
        case = self.case
        choices = case.choices or (
            TRUE_FALSE if case.answer in TRUE_FALSE else YES_NO if case.answer in YES_NO else ()
        )
        question = agreeing(f"So is it true that {self.whole.text}?", (self.whole.subject, self.whole.object))
        self._add("decision_making", "verdict/0", question, case.answer, choices, "*")

    def _add(
        self,
        function: str,
        wording: str,
        question: str,
        found: str | None,
        choices: tuple[str, ...],
        about: str,
    ) -> None:
        if any(s.question == question for s in self.steps):  # two claims about one thing
            return
        name = f"s{len(self.steps) + 1}"
        rests = [i for whom, i in self.about if about == "*" or (len(whom) == 1 and whom in about)]
        if len(about) == 1 and about != "*":
            rests = rests[:1]  # a step about one thing rests on its being there
        things = [self.known.thing(w) for w in ("s", "o") if about == "*" or w in about]
        origin: Origin = UNANSWERED if found is None else "derived"
        self.steps.append(
            Step(
                id=name,
                question=question,
                answer=found or "",
                function=function,
                choices=choices,
                objects=tuple(dict.fromkeys(t.id for t in things if t)),
                depends_on=tuple(rests),
                wording=wording,
                origin=origin,
            )
        )
        self.about.append((about, name))
