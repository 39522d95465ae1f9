"""What a checkpoint states of its own training, in ``headscope.json`` beside its configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscope.errors import ModelError

FILE = "headscope.json"
SCHEMA = "headscope/model/1"


@dataclass(frozen=True)
class TrainingFacts:
    """What is known of how a model was trained; a checkpoint that states nothing leaves all of it open.

    Attributes:
        things: fewest and most things in the pictures that it was trained on; None: not known.
        held_out: in which ways cases may be new to it (``held_out`` of a case); empty: not known.
    """

    things: tuple[int, int] | None = None
    held_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain form, as a study records it."""
        return {"things": list(self.things) if self.things else None, "held_out": list(self.held_out)}


def training_facts(folder: Path | None) -> TrainingFacts:
    """What the checkpoint in a folder states of its training.

    Raises:
        ModelError: its ``headscope.json`` cannot be understood.
    """
    path = None if folder is None else Path(folder) / FILE
    if path is None or not path.is_file():
        return TrainingFacts()
    try:
        raw = json.loads(path.read_text("utf-8"))
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']!r}, expected {SCHEMA!r}")
        return read_facts(raw["training"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(
            f"{path}: cannot be read as what the model states of its training ({exc!r}); expected no such "
            f'file, or {{"schema": "{SCHEMA}", "training": {{"things": [2, 7], "held_out": ["wording"]}}}}'
        ) from exc


def read_facts(raw: Any) -> TrainingFacts:
    """The facts in their plain form.

    Raises:
        ValueError: they are something else. KeyError, TypeError: likewise.
    """
    low, high = raw["things"] or (0, 0)
    tags = raw["held_out"]
    if not (isinstance(low, int) and isinstance(high, int) and low <= high):
        raise ValueError(f"things {raw['things']!r}, expected the fewest and the most, or null")
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise ValueError(f"held_out {tags!r}, expected a list of words")
    return TrainingFacts((low, high) if raw["things"] else None, tuple(tags))
