"""Cognitive functions: our nine, the paper's eight, their groups, and taxonomies brought by the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headscope.errors import DataError

MAIN = "main"  # stands in the place of a function for the main question of a case


@dataclass(frozen=True)
class Taxonomy:
    """Names of cognitive functions and what is known about each.

    Attributes:
        name: name of the taxonomy.
        functions: function names, in the order of every table and figure.
        spatial: those that form the spatial group.
        chain_only: those that exist only after other steps (never asked ``alone``).
        from_picture: those whose answer needs the picture.
        titles: what each function asks, in a few words.
        stands_for: functions of other taxonomies -> the own one that takes in what they ask: cases labelled
            with those are read as if labelled with this.

    Example:
        >>> import headscope as hs
        >>> own = hs.Taxonomy("mine", ("seeing", "judging"), spatial=frozenset(), chain_only=frozenset(
        ...     {"judging"}), from_picture=frozenset({"seeing"}), titles={})
        >>> own.title("seeing")
        'seeing'
    """

    name: str
    functions: tuple[str, ...]
    spatial: frozenset[str]
    chain_only: frozenset[str]
    from_picture: frozenset[str]
    titles: dict[str, str]
    stands_for: Mapping[str, str] = field(default_factory=dict)

    def own(self, function: str) -> str:
        """The function of this taxonomy under which a label falls; a label that is not known stays.

        Example:
            >>> COGVSR.own("counting"), COGVSR.own("spatial_perception")
            ('math_reasoning', 'spatial_perception')
        """
        return function if function in self.functions else self.stands_for.get(function, function)

    def title(self, function: str) -> str:
        """Words for people: ``spatial_perception`` -> ``spatial perception``."""
        return function.replace("_", " ")


_TITLES = {
    "object_recognition": "what is there",
    "attribute_perception": "what colour or size it has",
    "text_reading": "what is written",
    "spatial_perception": "where in the picture it is",
    "orientation_perception": "which way it faces",
    "relational_reasoning": "how two places relate",
    "counting": "how many there are",
    "knowledge_recall": "what is known about it",
    "decision_making": "the verdict from the steps",
}

DEFAULT = Taxonomy(
    name="headscope-9",
    functions=tuple(_TITLES),
    spatial=frozenset({"spatial_perception", "orientation_perception", "relational_reasoning"}),
    chain_only=frozenset({"decision_making"}),
    from_picture=frozenset(set(_TITLES) - {"knowledge_recall", "decision_making"}),
    titles=_TITLES,
)


_COGVSR_TITLES = {
    "low_level_visual_perception": "what colour, size or shape it has",
    "high_level_visual_perception": "what is there",
    "information_extraction": "what is written or said",
    "spatial_perception": "where it is, and which way it faces",
    "relational_reasoning": "how two places relate",
    "knowledge_recall": "what is known about it",
    "math_reasoning": "how many there are",
    "decision_making": "the verdict from the steps",
}

# The eight functions of arXiv 2603.20662 by their names. The titles are ours, and so is which of our nine
# falls under which: a step that reads a letter extracts information, one that counts reasons with numbers.
COGVSR = Taxonomy(
    name="cogvsr",
    functions=tuple(_COGVSR_TITLES),
    spatial=frozenset({"spatial_perception", "relational_reasoning"}),
    chain_only=frozenset({"decision_making"}),
    from_picture=frozenset(set(_COGVSR_TITLES) - {"knowledge_recall", "decision_making"}),
    titles=_COGVSR_TITLES,
    stands_for={
        "object_recognition": "high_level_visual_perception",
        "attribute_perception": "low_level_visual_perception",
        "text_reading": "information_extraction",
        "orientation_perception": "spatial_perception",
        "counting": "math_reasoning",
    },
)

SHIPPED = {taxonomy.name: taxonomy for taxonomy in (DEFAULT, COGVSR)}


def load_taxonomy(path: str | Path) -> Taxonomy:
    """A shipped taxonomy by name, or a user's from JSON: ``{"name", "functions": {name: title}, ...}``.

    Raises:
        DataError: the file is missing, is not JSON, or names functions it does not define.

    Example:
        >>> load_taxonomy("cogvsr").spatial == {"spatial_perception", "relational_reasoning"}
        True
    """
    if str(path) in SHIPPED:
        return SHIPPED[str(path)]
    path = Path(path)
    try:
        raw = json.loads(path.read_text("utf-8"))
        titles = {str(k): str(v) for k, v in raw["functions"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        raise DataError(
            f"{path}: asked for a taxonomy, found {exc!r}; expected one of {', '.join(SHIPPED)}, or JSON "
            f'{{"name": ..., "functions": '
            f'{{"function": "what it asks"}}, "spatial": [...], "chain_only": [...], "from_picture": [...]}}'
        ) from exc
    groups = {}
    for key, default in (("spatial", []), ("chain_only", []), ("from_picture", list(titles))):
        names = raw.get(key, default)
        unknown = [n for n in names if n not in titles] if isinstance(names, list) else [names]
        if unknown:
            raise DataError(f"{path}: {key}: unknown functions {unknown}; defined are {list(titles)}")
        groups[key] = frozenset(names)
    stands_for = raw.get("stands_for", {})
    unknown = (
        [n for n in stands_for.values() if n not in titles] if isinstance(stands_for, dict) else [stands_for]
    )
    if unknown:
        raise DataError(f"{path}: stands_for: unknown functions {unknown}; defined are {list(titles)}")
    name = str(raw.get("name", path.stem))
    return Taxonomy(name, tuple(titles), titles=titles, stands_for=stands_for, **groups)
