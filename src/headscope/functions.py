"""Cognitive functions: the default nine, their groups, and taxonomies brought by the user."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
    name="cogvsr-9",
    functions=tuple(_TITLES),
    spatial=frozenset({"spatial_perception", "orientation_perception", "relational_reasoning"}),
    chain_only=frozenset({"decision_making"}),
    from_picture=frozenset(set(_TITLES) - {"knowledge_recall", "decision_making"}),
    titles=_TITLES,
)


def load_taxonomy(path: str | Path) -> Taxonomy:
    """Read a user's taxonomy from JSON: ``{"name", "functions": {name: title}, "spatial", ...}``.

    Raises:
        DataError: the file is missing, is not JSON, or names functions it does not define.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text("utf-8"))
        titles = {str(k): str(v) for k, v in raw["functions"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        raise DataError(
            f'{path}: asked for a taxonomy, found {exc!r}; expected JSON {{"name": ..., "functions": '
            f'{{"function": "what it asks"}}, "spatial": [...], "chain_only": [...], "from_picture": [...]}}'
        ) from exc
    groups = {}
    for key, default in (("spatial", []), ("chain_only", []), ("from_picture", list(titles))):
        names = raw.get(key, default)
        unknown = [n for n in names if n not in titles] if isinstance(names, list) else [names]
        if unknown:
            raise DataError(f"{path}: {key}: unknown functions {unknown}; defined are {list(titles)}")
        groups[key] = frozenset(names)
    return Taxonomy(name=str(raw.get("name", path.stem)), functions=tuple(titles), titles=titles, **groups)
