"""Names of things as words of a sentence: articles, plurals, and which things have a front."""

from __future__ import annotations

from collections.abc import Mapping

_UNCOUNTED = frozenset({"broccoli", "grass", "snow", "sand", "water", "food"})
_PLURAL = frozenset({"scissors", "skis", "glasses", "trousers", "stairs", "shorts", "jeans"})
_IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "sheep": "sheep",
    "knife": "knives",
    "mouse": "mice",
    "computer mouse": "computer mice",
    "skis": "skis",
    "broccoli": "pieces of broccoli",
    "scissors": "pairs of scissors",
    "wine glass": "wine glasses",
}
_VOWEL_SOUND = ("a", "e", "i", "o", "u")

# Whether things of a kind have a front of their own, the way they face; other kinds are not known.
_FACING = """person, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, bird, bicycle, car,
motorcycle, airplane, bus, train, truck, boat, chair, couch, bench, bed, toilet, tv, laptop, microwave, oven,
toaster, refrigerator, clock, parking meter, stop sign, traffic light, cell phone, teddy bear"""
_FRONTLESS = """frisbee, sports ball, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple,
sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, potted plant, dining table, vase,
umbrella, scissors, shape, square, rectangle, triangle, pentagon, hexagon, octagon, cross, circle, semicircle,
ellipse, oval, cube, sphere, cylinder, cone, block"""
_LIVING = """person, people, man, men, woman, women, child, children, boy, girl, baby, kid, toddler, adult,
lady, guy, player, rider, skier, surfer, snowboarder, skateboarder, cyclist, policeman, officer, soldier,
cat, kitten, dog, puppy, horse, pony, donkey, sheep, lamb, goat, cow, bull, calf, pig, elephant, bear, zebra,
giraffe, lion, tiger, monkey, deer, rabbit, squirrel, mouse, rat, bird, duck, goose, swan, chicken, pigeon,
seagull, owl, parrot, fish, shark, whale, dolphin, turtle, snake, lizard, frog, teddy bear"""
_LIFELESS = ("hot dog", "computer mouse", "wireless mouse")
_FRONT = {" ".join(n.split()): True for n in _FACING.split(",")}
_FRONT |= {" ".join(n.split()): False for n in _FRONTLESS.split(",")}
_ALIVE = {" ".join(n.split()): True for n in _LIVING.split(",")} | dict.fromkeys(_LIFELESS, False)


def has_front(name: str) -> bool | None:
    """Whether things of this name have a front of their own; None: not known here.

    Words before a known name do not count: a brown dog is a dog, a hot dog is none.

    Example:
        >>> has_front("brown dog"), has_front("hot dog"), has_front("gizmo")
        (True, False, None)
    """
    return _known(name, _FRONT)


def _known(name: str, table: Mapping[str, bool]) -> bool | None:
    """What a table says of the longest end of a name that it knows; None: nothing."""
    words = name.split()
    found = (table.get(" ".join(words[start:])) for start in range(len(words)))
    return next((said for said in found if said is not None), None)


def is_living(name: str) -> bool:
    """Whether things of this name are people or animals (or made like them), as far as is known here.

    Example:
        >>> is_living("brown dog"), is_living("hot dog"), is_living("bench")
        (True, False, False)
    """
    return _known(name, _ALIVE) is True


def a(name: str) -> str:
    """The name with its indefinite article: ``a dog``, ``an apple``, ``broccoli``, ``scissors``."""
    if name in _UNCOUNTED or name in _PLURAL:
        return name
    return f"{'an' if name[:1].lower() in _VOWEL_SOUND else 'a'} {name}"


def there_is(name: str) -> str:
    """``is there a dog``, ``are there scissors``."""
    return f"{'are' if name in _PLURAL else 'is'} there {a(name)}"


def plural(name: str) -> str:
    """``dogs``, ``people``, ``buses``, ``pieces of broccoli``."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in _VOWEL_SOUND else f"{name}s"
