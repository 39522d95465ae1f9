"""The control *wrong name*: where is a thing that is not there, while a box is on another thing?

Of questions for the place of one named thing, the thing's name is replaced by that of a kind of thing that
the picture does not show; the box stays. A model that goes by the name has no reason to give the place of the
box; one that reads the place off the box gives it as often as before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from headscope.data.cases import Cases
from headscope.data.schema import Case
from headscope.experiments.waking.comparison import Readings
from headscope.experiments.waking.measuring import Meter
from headscope.experiments.waking.questions import BOTH, LEAKY, PLAIN, Question, choose
from headscope.experiments.waking.wake_result import WrongName
from headscope.pointing.leaks import asks_where
from headscope.pointing.regions import generator
from headscope.storage import Row

VARIANT = "wrong_name"
_ARTICLE = re.compile(r"\b(an?)$", re.IGNORECASE)
_NONE = "no question asks where one named and boxed thing is"


def misnamed(question: Question, names: Sequence[str], seed: int) -> Question | None:
    """The question with the name of a thing that its picture does not show; None where it asks otherwise.

    Args:
        question: any.
        names: of things that may be asked for.
        seed: of the choice among them, which depends on the question's id besides.
    """
    item, target = question.item, question.target
    wanted = item.context == "alone" and asks_where(item.step) and question.kind == LEAKY
    if not wanted or len(target.boxes) != 1 or len(target.objects) != 1 or target.decoys:
        return None
    name = item.case.object(target.objects[0]).name
    absent = sorted({n for n in names if n.lower() not in _names(item.case)})
    found = re.search(rf"\b{re.escape(name)}\b", item.question, re.IGNORECASE)
    if not absent or found is None:
        return None
    other = absent[int(generator("wrong name", seed, item.id).integers(len(absent)))]
    before = _ARTICLE.sub(
        "an" if other[0].lower() in "aeiou" else "a", item.question[: found.start()].rstrip()
    )
    text = f"{before} {other}{item.question[found.end() :]}"
    step = item.step.model_copy(update={"question": text})
    return replace(question, item=replace(item, id=f"{item.id}/{VARIANT}", step=step))


def _names(case: Case) -> set[str]:
    return {o.name.lower() for o in case.objects}


def wrong_name(meter: Meter, cases: Cases, questions: Sequence[Question]) -> tuple[WrongName, list[Row]]:
    """How often the place of the boxed thing is given for that of an absent one, and the rows read."""
    settings, seed = meter.settings, meter.seed
    names = sorted({o.name for case in cases for o in case.objects})
    made = [m for m in (misnamed(q, names, seed) for q in questions) if m is not None]
    asked = choose(made, settings.wrong_names, seed) if settings.wrong_names else []
    if not asked:
        return WrongName(reason=_NONE if settings.wrong_names else "left out by the settings"), []
    rows = {v: meter.read("test", v, asked)[0] for v in (PLAIN, BOTH)}
    readings = Readings(rows, settings.draws, seed)
    found = readings.compare(BOTH, PLAIN, readings.mask(lambda row: True))
    assert found is not None
    every = [{**row, "variant": f"{VARIANT}: {v}"} for v, some in rows.items() for row in some]
    return (
        WrongName(
            n=found.n,
            images=found.images,
            share_plain=found.accuracy_before,
            share=found.accuracy,
            delta_points=found.delta_points,
            ci=found.ci,
        ),
        every,
    )
