"""Names of things as words of a sentence: articles, plurals, and which things have a front."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNCOUNTED = frozenset({"broccoli", "grass", "snow", "sand", "water", "food"})
# Names in the plural of one thing, or of what is spoken of as one.
PAIRS = frozenset(
    {"scissors", "skis", "glasses", "sunglasses", "goggles", "binoculars", "headphones", "trousers", "pants"}
    | {"stairs", "shorts", "jeans", "tongs", "pliers", "pajamas", "blinds", "chopsticks", "clothes"}
)
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

# Ends of names by what is known of such things: people and animals face a way and have bodies, other things
# that face have a front of their own; nothing else is said to face.
_PEOPLE = """person, people, man, men, woman, women, child, children, boy, girl, baby, kid, toddler, adult,
lady, guy, player, rider, driver, skier, surfer, snowboarder, skateboarder, cyclist, pedestrian, policeman,
officer, soldier, worker, chef, waiter, doctor, nurse, teacher, student, bride, groom, batter, catcher"""
_ANIMALS = """cat, kitten, dog, puppy, horse, pony, donkey, sheep, lamb, goat, cow, bull, calf, pig, elephant,
bear, zebra, giraffe, lion, tiger, monkey, gorilla, deer, moose, rabbit, squirrel, rat, fox, wolf, panda,
koala, kangaroo, camel, bird, duck, goose, swan, chicken, hen, rooster, pigeon, seagull, owl, eagle, parrot,
penguin, fish, shark, whale, dolphin, turtle, snake, lizard, frog, doll, teddy bear"""
_FACING = """bicycle, bike, car, motorcycle, motorbike, scooter, airplane, plane, jet, helicopter, bus, train,
tram, truck, van, taxi, tractor, boat, ship, chair, armchair, couch, sofa, bench, toilet, tv, television,
monitor, laptop, computer, microwave, oven, stove, toaster, refrigerator, fridge, clock, parking meter,
stop sign, traffic light, cell phone, camera, statue, robot"""
_FACELESS = "hot dog"


def _ends(text: str) -> frozenset[str]:
    return frozenset(" ".join(name.split()) for name in text.split(","))


_KINDS = {"people": _ends(_PEOPLE), "animal": _ends(_ANIMALS), "thing": _ends(_FACING), "": _ends(_FACELESS)}


def _kind(name: str) -> str:
    """What a name's longest known end means: people, animal, thing (that faces); empty: nothing of these."""
    words = name.casefold().split()
    ends = (" ".join(words[start:]) for start in range(len(words)))
    return next((kind for end in ends for kind, known in _KINDS.items() if end in known), "")


def has_front(name: str) -> bool:
    """Whether things of this name are known to face a way; of others nobody asks which way they face.

    Words before a known name do not count: a brown dog is a dog, a hot dog is none.

    Example:
        >>> has_front("brown dog"), has_front("hot dog"), has_front("gizmo")
        (True, False, False)
    """
    return _kind(name) != ""


def is_living(name: str) -> bool:
    """Whether things of this name are known to be people or animals, or made like them.

    Example:
        >>> is_living("brown dog"), is_living("hot dog"), is_living("bench")
        (True, False, False)
    """
    return _kind(name) in ("people", "animal")


def agreeing(sentence: str, names: Iterable[str]) -> str:
    """A sentence whose verbs before and behind the names of pairs are plural: ``are the scissors``.

    Example:
        >>> agreeing("Is it true that the scissors is on the bed?", ["scissors", "bed"])
        'Is it true that the scissors are on the bed?'
        >>> agreeing("Where is the old skis?", ["old skis"])
        'Where are the old skis?'
    """
    for name in names:
        if name.split()[-1:] and name.split()[-1].casefold() in PAIRS:
            thing = rf"(?:the|a|an) {re.escape(name)}"
            for one, many in (("is", "are"), ("does", "do"), ("isn't", "aren't")):
                sentence = re.sub(rf"\b{one} ({thing})\b", rf"{many} \1", sentence, flags=re.IGNORECASE)
                sentence = re.sub(rf"\b({thing}) {one}\b", rf"\1 {many}", sentence, flags=re.IGNORECASE)
    return sentence


def a(name: str) -> str:
    """The name with its indefinite article: ``a dog``, ``an apple``, ``broccoli``, ``scissors``."""
    if name in _UNCOUNTED or name in PAIRS:
        return name
    return f"{'an' if name[:1].lower() in _VOWEL_SOUND else 'a'} {name}"


def there_is(name: str) -> str:
    """``is there a dog``, ``are there scissors``."""
    return f"{'are' if name in PAIRS else 'is'} there {a(name)}"


def plural(name: str) -> str:
    """``dogs``, ``people``, ``buses``, ``pieces of broccoli``."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in _VOWEL_SOUND else f"{name}s"
