"""The vocabulary of scenes: kinds of thing, colours, sizes and letters."""

from __future__ import annotations

from dataclasses import dataclass

SIGN = "sign"
"""Name of the special kind that shows a letter."""


@dataclass(frozen=True)
class Kind:
    """One kind of thing.

    name: singular word; category: group the kind belongs to; faces: whether it visibly
    faces left or right; plural: plural word; hint: completes "the thing that ...".
    """

    name: str
    category: str
    faces: bool
    plural: str
    hint: str


_ROWS: tuple[tuple[str, str, bool, str, str], ...] = (
    ("dog", "animal", True, "dogs", "barks"),
    ("cat", "animal", True, "cats", "meows"),
    ("horse", "animal", True, "horses", "neighs"),
    ("cow", "animal", True, "cows", "gives milk"),
    ("pig", "animal", True, "pigs", "oinks"),
    ("sheep", "animal", True, "sheep", "gives wool"),
    ("rabbit", "animal", True, "rabbits", "hops"),
    ("duck", "animal", True, "ducks", "quacks"),
    ("elephant", "animal", True, "elephants", "has a long nose"),
    ("fish", "animal", True, "fish", "has fins"),
    ("snail", "animal", True, "snails", "crawls with a shell"),
    ("car", "vehicle", False, "cars", "parks in a garage"),
    ("truck", "vehicle", True, "trucks", "delivers boxes"),
    ("tractor", "vehicle", True, "tractors", "pulls a plow"),
    ("scooter", "vehicle", True, "scooters", "has two wheels"),
    ("train", "vehicle", True, "trains", "runs on rails"),
    ("helicopter", "vehicle", True, "helicopters", "flies with a rotor"),
    ("apple", "food", False, "apples", "makes cider"),
    ("banana", "food", False, "bananas", "must be peeled"),
    ("carrot", "food", False, "carrots", "is a crunchy root"),
    ("cake", "food", False, "cakes", "has candles"),
    ("tree", "plant", False, "trees", "has branches"),
    ("flower", "plant", False, "flowers", "has petals"),
    ("mushroom", "plant", False, "mushrooms", "has a round cap"),
    ("cactus", "plant", False, "cacti", "has spines"),
    ("cup", "household", False, "cups", "holds tea"),
    ("bulb", "household", False, "bulbs", "gives light"),
    ("clock", "household", False, "clocks", "tells time"),
    ("key", "household", False, "keys", "opens locks"),
    ("umbrella", "household", False, "umbrellas", "stops rain"),
    ("chair", "household", False, "chairs", "is for sitting"),
    ("guitar", "music", False, "guitars", "has strings"),
    ("drum", "music", False, "drums", "is hit with sticks"),
    ("bell", "music", False, "bells", "goes ding-dong"),
    (SIGN, "sign", False, "signs", "shows a letter"),
)

KINDS: dict[str, Kind] = {row[0]: Kind(*row) for row in _ROWS}
"""Every kind by its name."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 32, 44),
    "blue": (30, 100, 232),
    "green": (34, 160, 62),
    "yellow": (250, 214, 24),
    "purple": (150, 58, 206),
    "orange": (250, 132, 14),
}
"""Base colour of each colour word, sRGB 0-255."""

SIZES: dict[str, int] = {"small": 30, "big": 46}
"""Longest side of a sprite in pixels of a 192-pixel scene."""

LETTERS = "ACEHLPTVXZ"
"""Letters a sign can show."""

VARIANTS = 2
"""Number of different drawings of every kind."""

FACINGS = ("left", "right")
"""The two ways a kind that faces can look."""
