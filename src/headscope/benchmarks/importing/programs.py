"""CLEVR's functional programs, run on a scene graph: what each step of a question finds, and how to ask for
it.

Functions as in https://github.com/facebookresearch/clevr-dataset-gen
(question_generation/question_engine.py and metadata.json). A program is a list of nodes with ``inputs``
(earlier nodes), ``value_inputs`` and the name of the function under ``type`` (generator) or ``function``
(published files).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from headscope.data.fields import Cell, ForeignRecord, RecordError, take
from headscope.data.pictures import show

Value = Any  # a set of things (frozenset of indices), one thing (int), a number, a word, or true/false
_BUSES = ("articulated", "regular", "double", "school")
_BIKES = ("road", "utility", "mountain", "tandem")
_WHERE = {"left": "left of", "right": "right of", "front": "in front of", "behind": "behind"}
_ATTRIBUTES = ("size", "color", "material", "shape")


class UnknownFunction(RecordError):
    """A program with a function that CLEVR does not have; its answers cannot be found."""


@dataclass(frozen=True)
class Phrase:
    """Words for things: adjectives, a noun, and what follows it.

    Example:
        >>> words = Phrase(("large", "red"), "bus", " left of the cube")
        >>> words.one, words.many
        ('large red bus left of the cube', 'large red buses left of the cube')
    """

    adjectives: tuple[str, ...] = ()
    noun: str = "thing"
    rest: str = ""

    @property
    def one(self) -> str:
        """One of them."""
        return " ".join((*self.adjectives, self.noun)) + self.rest

    @property
    def many(self) -> str:
        """Several of them."""
        plural = f"{self.noun}es" if self.noun.endswith("s") else f"{self.noun}s"
        return " ".join((*self.adjectives, plural)) + self.rest


@dataclass(frozen=True)
class Node:
    """One executed node: its function, what it found, and the words for the things that it is about."""

    function: str
    value: Value
    words: Phrase
    inputs: tuple[int, ...]
    argument: str = ""


@dataclass(frozen=True)
class Scene:
    """A scene graph: attributes of each thing, and for each direction what lies that way of it."""

    things: tuple[dict[str, str], ...]
    ways: dict[str, tuple[frozenset[int], ...]]


def scene_of(record: ForeignRecord) -> Scene:
    """The scene graph of a CLEVR or Super-CLEVR record.

    Raises:
        RecordError: objects or relationships are missing or do not fit together.
    """
    things: list[dict[str, str]] = []
    for i, thing in enumerate(take(record, "objects", list, "scene.")):
        at = f"scene.objects[{i}]."
        things.append({key: take(thing, key, str, at) for key in _ATTRIBUTES})
    ways: dict[str, tuple[frozenset[int], ...]] = {}
    for way, lists in take(record, "relationships", dict, "scene.").items():
        at = f"scene.relationships[{way!r}]"
        if not isinstance(lists, list) or len(lists) != len(things):
            raise RecordError(at, "wrong value", show(lists), f"{len(things)} lists")
        for near in lists:
            if not isinstance(near, list) or not all(type(k) is int and 0 <= k < len(things) for k in near):
                raise RecordError(at, "no such object", show(near), "numbers of objects")
        ways[way] = tuple(frozenset(near) for near in lists)
    return Scene(tuple(things), ways)


def execute(program: list[Cell], scene: Scene) -> list[Node]:
    """Run a program; one node per step, in order.

    Raises:
        RecordError: an unknown function, inputs that are not there, or ``unique`` on other than one thing.
    """
    nodes: list[Node] = []
    for i, raw in enumerate(program):
        at = f"program[{i}]."
        node = raw if isinstance(raw, dict) else {}
        name = node.get("type", node.get("function"))
        if not isinstance(name, str):
            raise RecordError(f"{at}function", "missing", "nothing", "the name of a function")
        inputs = take(node, "inputs", list, at)
        if not all(type(k) is int and 0 <= k < i for k in inputs):
            raise RecordError(f"{at}inputs", "no such node", show(inputs), "numbers of earlier nodes")
        values = node.get("value_inputs", node.get("side_inputs", []))
        argument = values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""
        head, _, tail = name.partition("_")
        run = _RUN.get(name) or _RUN.get(f"{head}_")
        try:
            if run is None:
                raise UnknownFunction(f"{at}function", "unknown function", show(name), "a function of CLEVR")
            value, words = run(scene, [nodes[k] for k in inputs], tail, argument)
        except (TypeError, IndexError, KeyError, ValueError, AttributeError) as exc:
            raise RecordError(f"{at}inputs", "do not fit the function", show(name), "what it takes") from exc
        nodes.append(Node(name, value, words, tuple(inputs), argument))
    return nodes


def _filter(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    (given,) = inputs
    kept = frozenset(k for k in given.value if scene.things[k][tail] == argument)
    if tail == "shape":
        return kept, replace(given.words, noun=noun_of(argument))
    return kept, replace(given.words, adjectives=(*given.words.adjectives, argument))


def _unique(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    (given,) = inputs
    (only,) = given.value  # ValueError: not exactly one
    return only, given.words


def _relate(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    (given,) = inputs
    where = _WHERE.get(argument, argument)
    return scene.ways[argument][given.value], Phrase(rest=f" {where} the {given.words.one}")


def _same(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    (given,) = inputs
    own = scene.things[given.value][tail]
    kept = frozenset(k for k, t in enumerate(scene.things) if t[tail] == own and k != given.value)
    return kept, Phrase(("other",), rest=f" of the same {_british(tail)} as the {given.words.one}")


def _query(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    (given,) = inputs
    return scene.things[given.value][tail], given.words


def _pair(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    one, other = inputs
    return one.value == other.value, Phrase()


def _union(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    one, other = inputs
    return one.value | other.value, Phrase(rest=f" that are either a {one.words.one} or a {other.words.one}")


def _intersect(scene: Scene, inputs: list[Node], tail: str, argument: str) -> tuple[Value, Phrase]:
    one, other = inputs
    return one.value & other.value, Phrase(rest=f" that are both a {one.words.one} and a {other.words.one}")


def noun_of(shape: str) -> str:
    """A shape as a noun: Super-CLEVR calls a school bus ``school``."""
    return f"{shape} bus" if shape in _BUSES else f"{shape} bike" if shape in _BIKES else shape


def _british(attribute: str) -> str:
    return "colour" if attribute == "color" else attribute


_RUN: dict[str, Callable[[Scene, list[Node], str, str], tuple[Value, Phrase]]] = {
    "scene": lambda s, i, t, a: (frozenset(range(len(s.things))), Phrase()),
    "filter_": _filter,
    "unique": _unique,
    "relate": _relate,
    "same_": _same,
    "query_": _query,
    "equal_": _pair,
    "count": lambda s, i, t, a: (len(i[0].value), i[0].words),
    "exist": lambda s, i, t, a: (bool(i[0].value), i[0].words),
    "union": _union,
    "intersect": _intersect,
    "greater_than": lambda s, i, t, a: (i[0].value > i[1].value, Phrase()),
    "less_than": lambda s, i, t, a: (i[0].value < i[1].value, Phrase()),
}
