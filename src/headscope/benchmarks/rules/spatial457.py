"""Spatial457's rule: yes, true and a count over nothing are the same; so are kinds of one family of
vehicles.

After vlmeval/dataset/spatial457.py and utils/spatial457.py of github.com/open-compass/VLMEvalKit: an answer
in other words, or with a full stop, is wrong. Two things are added: ``true`` stands for ``yes`` and ``false``
for ``no``, since the authors' own files hold True and False; blanks around an answer do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.benchmarks.rules.base import Right, Rule, Table, by_group, row
from headscope.data.numerals import NUMBER_WORDS
from headscope.data.schema import Case

_FAMILIES = {
    "car": ("suv", "wagon", "minivan", "sedan", "truck", "addi"),
    "bus": ("articulated", "regular", "double", "school"),
    "motorbike": ("chopper", "dirtbike", "scooter", "cruiser"),
    "aeroplane": ("jet", "fighter", "biplane", "airliner"),
    "bicycle": ("road", "utility", "mountain", "tandem"),
}
_FAMILY = {kind: family for family, kinds in _FAMILIES.items() for kind in (family, *kinds)}
_NUMBER = {word: str(n) for n, word in enumerate(NUMBER_WORDS[:11])}
_PAIR = {"true": "yes", "false": "no", "none": "no"}
_FORMS = (r"Answer': '(.*?)'", r'Answer": "(.*?)"', r"Answer': (\d)")


def read(text: str) -> str:
    """The answer within ``{'Reasoning': ..., 'Answer': ...}``; the whole text where that form is not kept.

    Example:
        >>> read("{'Reasoning': 'it is red', 'Answer': 'Red'}")
        'Red'
    """
    found = next((m for form in _FORMS if (m := re.search(form, text))), None)
    return found.group(1) if found else text


def same(answer: str, said: str) -> bool:
    """Whether what was said equals the true answer.

    Example:
        >>> same("True", "3"), same("No", "0"), same("sedan", "wagon"), same("2", "two")
        (True, True, True, True)
    """
    truth, text = answer.strip().lower(), said.strip().lower()
    truth, text = _PAIR.get(truth, truth), _PAIR.get(text, text)
    if text == truth or _NUMBER.get(text) == truth:
        return True
    if (truth == "no" and text == "0") or (truth == "yes" and text in set("123456789")):
        return True
    first, other = truth.split(" ")[0], text.split(" ")[0]
    return first in _FAMILY and _FAMILY.get(first) == _FAMILY.get(other)


def judge(case: Case, text: str) -> bool:
    """Whether the answer within the text equals the true one."""
    return same(case.answer, read(text))


def table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy over all and by level."""
    return [
        row("accuracy", "all", [right[c.id] for c in cases]),
        *by_group("accuracy", cases, right, lambda c: c.kind, "level"),
    ]


_SOURCE = "VLMEvalKit, vlmeval/dataset/utils/spatial457.py"
RULES = {"spatial457": Rule("Spatial457", judge, table, _SOURCE)}
