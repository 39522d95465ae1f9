"""Spatial relations by family, and the steps that each family takes: the whole knowledge of the rules."""

from __future__ import annotations

from typing import NamedTuple

SPATIAL, ORIENTATION, RELATIONAL = "spatial_perception", "orientation_perception", "relational_reasoning"
ATTRIBUTE = "attribute_perception"


class StepTemplate(NamedTuple):
    """One step of a family: ``{s}`` and ``{o}`` stand for ``the dog`` and ``the horse``.

    Attributes:
        about: ``s``, ``o`` or ``so``: whom it is about. It rests on the steps about the same before it.
        choices: answers, shown in the question or plain; fields are filled in here too.
        rule: how the answer is found (see evidence.py); without one the step stays unanswered.
        fronted: who has to be known to have a front, ``s`` or ``o``, or the step is not asked; empty: nobody.
    """

    function: str
    wording: str
    question: str
    choices: tuple[str, ...]
    about: str
    rule: str = ""
    fronted: str = ""


_SHARES = ("all", "part", "none")
_COLUMNS, _ROWS = ("left", "middle", "right"), ("top", "middle", "bottom")
WAYS = ("left", "right", "towards the camera", "away from the camera")
_RUNS = ("from left to right", "up and down", "away from the camera")


def _column(who: str) -> StepTemplate:
    question = f"In which part of the picture is {{{who}}}: left, middle or right?"
    return StepTemplate(SPATIAL, "where/left", question, _COLUMNS, who, "column")


def _row(who: str) -> StepTemplate:
    question = f"In which part of the picture is {{{who}}}: top, middle or bottom?"
    return StepTemplate(SPATIAL, "where/top", question, _ROWS, who, "row")


def _face(who: str) -> StepTemplate:
    question = f"Which way does {{{who}}} face: left, right, towards the camera or away from it?"
    return StepTemplate(ORIENTATION, "face/0", question, WAYS, who, fronted=who)


def _run(who: str) -> StepTemplate:
    ways = "from left to right, up and down, or away from the camera"
    question = f"Which way does the {{{who}_long}} of {{{who}}} run: {ways}?"
    return StepTemplate(ORIENTATION, "run/0", question, _RUNS, who)


def _between(wording: str, question: str, choices: tuple[str, ...], rule: str = "") -> StepTemplate:
    return StepTemplate(RELATIONAL, wording, question, choices, "so", rule)


_BOTH_COLUMNS, _BOTH_ROWS = (_column("s"), _column("o")), (_row("s"), _row("o"))
_TOUCH = _between(
    "touch/0", "Do {s} and {o} touch, or is there space between them?", ("they touch", "space between")
)
_DISTANCE = _between(
    "distance/0",
    "How far apart are {s} and {o}: touching, near or far?",
    ("touching", "near", "far"),
)
_HIGHER = _between("higher/0", "Which is higher, {s} or {o}?", ("{sn}", "{on}"), "higher")
_IN_ITS_PLACE = "For someone in the place of {o} and facing the same way"
_FACED = _between(
    "faced/0",
    f"{_IN_ITS_PLACE}, is {{s}} in front, behind or to one side?",
    ("in front", "behind", "to one side"),
)._replace(fronted="o")
_SIDE = _between(
    "side/0", "In the picture, is {s} to the left or to the right of {o}?", ("left", "right"), "side"
)
_OWN_SIDE = _between(
    "own_side/0",
    f"{_IN_ITS_PLACE}, is {{s}} on the left, on the right or neither?",
    ("left", "right", "neither"),
)._replace(fronted="o")
_WITHIN = _between("outline/0", "How much of {s} is within the outline of {o}: all, part or none?", _SHARES)
_WITHIN_IT = "How much of {o} is within the outline of {s}: all, part or none?"
_ROOM = _between(
    "apart/0",
    "What lies between {s} and {o}: empty space, another thing, or nothing because they touch?",
    ("empty space", "another thing", "nothing"),
)
_ONE_THING = _between(
    "one_thing/0", "Do {s} and {o} make up one thing, or are they two things?", ("one thing", "two things")
)
_INSIDE = "How much of {s} is inside {o}: all, part or none?"
_HOLDS = "How much of {o} is inside {s}: all, part or none?"

# family -> (relations, steps between "what is there" and the verdict)
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[StepTemplate, ...]]] = {
    "side": (
        (
            "left of",
            "right of",
            "at the left side of",
            "at the right side of",
            "to the left of",
            "to the right of",
        ),
        (
            *_BOTH_COLUMNS,
            _face("o"),
            _SIDE,
            _OWN_SIDE,
        ),
    ),
    "height": (("above", "below", "up", "down", "deep down", "down from"), (*_BOTH_ROWS, _HIGHER)),
    "stack": (("on top of", "over", "under", "beneath"), (*_BOTH_ROWS, _HIGHER, _TOUCH)),
    "depth": (
        ("in front of", "behind", "ahead of", "at the back of", "beyond", "past", "after"),
        (
            *_BOTH_COLUMNS,
            _face("o"),
            _between("nearer_camera/0", "Which is nearer to the viewer, {s} or {o}?", ("{sn}", "{on}")),
            _FACED,
        ),
    ),
    "facing": (
        ("facing", "facing away from", "toward"),
        (
            *_BOTH_COLUMNS,
            _face("s"),
            _between(
                "lead/0",
                "Does {s} face towards {o}, away from {o}, or in another direction?",
                ("towards", "away", "in another direction"),
            ),
        ),
    ),
    "alignment": (
        ("parallel to", "perpendicular to"),
        (
            _run("s"),
            _run("o"),
            _between(
                "angle/0",
                "How do the directions of {s} and {o} compare: the same, at a right angle, or neither?",
                ("the same", "at a right angle", "neither"),
            ),
        ),
    ),
    "nearness": (("near", "by", "close to", "with", "at"), (*_BOTH_COLUMNS, *_BOTH_ROWS, _DISTANCE)),
    "beside": (
        ("next to", "beside", "adjacent to", "alongside", "at the side of", "along"),
        (
            *_BOTH_COLUMNS,
            _between(
                "level/0",
                "How are {s} and {o} placed: side by side, one above the other or one behind the other?",
                ("side by side", "one above the other", "one behind the other"),
            ),
            _DISTANCE,
        ),
    ),
    "distance": (
        ("far from", "far away from", "away from", "from", "to"),
        (*_BOTH_COLUMNS, *_BOTH_ROWS, _DISTANCE),
    ),
    "inside": (
        ("in", "inside", "within", "into", "enclosed by", "out of", "outside"),
        (_column("s"), _column("o"), _between("inside/0", _INSIDE, _SHARES)),
    ),
    "containing": (
        ("contains",),
        (_column("s"), _column("o"), _between("holds/0", _HOLDS, _SHARES)),
    ),
    "surrounding": (
        ("surrounding", "around"),
        (
            *_BOTH_COLUMNS,
            _between(
                "sides/0",
                "On how many sides of {o} is {s}: on all, on some or on none?",
                ("all", "some", "none"),
            ),
        ),
    ),
    "among": (
        ("among", "between"),
        (
            *_BOTH_COLUMNS,
            _between(
                "sides_among/0",
                "On how many sides of {s} is there {a_o}: on two or more, on one, or on none?",
                ("two or more", "one", "none"),
            ),
        ),
    ),
    "through": (
        ("through",),
        (*_BOTH_COLUMNS, _between("inside/0", _INSIDE, _SHARES)),
    ),
    "part": (("part of",), (*_BOTH_COLUMNS, _WITHIN, _ONE_THING)),
    "whole": (
        ("has as a part", "consists of"),
        (
            *_BOTH_COLUMNS,
            _WITHIN._replace(question=_WITHIN_IT),
            _ONE_THING,
        ),
    ),
    "contact": (("touching", "against"), (*_BOTH_COLUMNS, _TOUCH)),
    "joined": (
        ("attached to", "connected to", "detached from"),
        (
            *_BOTH_COLUMNS,
            _TOUCH,
            _between(
                "fixed/0", "Is {s} fixed to {o}, or can it move by itself?", ("fixed", "by itself")
            ),
        ),
    ),
    "support": (
        ("on", "off"),
        (*_BOTH_ROWS, _TOUCH, _between("carry/0", "Is {s} supported by {o}?", ("yes", "no"))),
    ),
    "edge": (
        ("at the edge of", "in the middle of"),
        (
            _column("o"),
            _column("s"),
            _between(
                "edge/0",
                "At which part of {o} is {s}: its edge, its middle, or neither?",
                ("its edge", "its middle", "neither"),
            ),
        ),
    ),
    "opposite": (
        ("opposite to", "across from", "across"),
        (
            *_BOTH_COLUMNS,
            _face("s"),
            _face("o"),
            _ROOM,
        ),
    ),
    "likeness": (
        ("congruent",),
        (
            StepTemplate(ATTRIBUTE, "shape/0", "What shape is {s}?", (), "s"),
            StepTemplate(ATTRIBUTE, "shape/0", "What shape is {o}?", (), "o"),
            _between("alike/0", "Are {s} and {o} of the same shape and size?", ("yes", "no")),
        ),
    ),
}  # fmt: skip

FAMILY: dict[str, str] = {name: family for family, (names, _) in FAMILIES.items() for name in names}
