"""What a checkpoint's folder states of its own training and of its pictures, written when it is made."""

from __future__ import annotations

from pathlib import Path

from headscope.models.training_facts import FILE, SCHEMA, TrainingFacts
from headscope.storage import read_json, write_json


def write_training_facts(folder: Path, facts: TrainingFacts) -> None:
    """State in a checkpoint's folder what it was trained on."""
    write_json(folder / FILE, {"schema": SCHEMA, "training": facts.to_json()})


def state_image_backend(folder: Path, name: str) -> None:
    """Write into a folder what its pictures are read with unless another backend is asked for.

    For a model that was trained on, or whose published figures rest on, the pixels of one backend.
    """
    path = folder / "processor_config.json"
    write_json(path, read_json(path) | {"image_backend": name})
