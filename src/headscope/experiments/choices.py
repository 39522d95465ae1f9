"""What was chosen on ``select``, frozen on disk before ``test`` is read."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from headscope.errors import DamagedError, StoreError
from headscope.storage import read_json, write_sealed

log = logging.getLogger(__name__)

FILE = "choices.json"
SCHEMA = "headscope/choices/1"


def frozen(folder: str | Path, stage: str) -> Any:
    """What a stage has frozen in this study folder, or None."""
    path = Path(folder) / FILE
    return read_json(path).get(stage) if path.exists() else None


def freeze(folder: str | Path, stage: str, choice: Any) -> Any:
    """Write a stage's choice, atomically and once; what comes back is what was written.

    Raises:
        StoreError: the stage has frozen another choice already: ``test`` may have been read for it.
    """
    path = Path(folder) / FILE
    held = _held(path)
    wanted = json.loads(json.dumps(choice))
    if stage in held:
        if held[stage] != wanted:
            raise StoreError(
                f"{path}: {stage} is frozen, and the choice made now is another one; test may have been read "
                "for the frozen one, so it is not changed; use a new study folder"
            )
        return held[stage]
    write_sealed(path, {**held, stage: wanted})
    return read_json(path)[stage]


def _held(path: Path) -> dict[str, Any]:
    """What is frozen; nothing where the file is damaged: every stage then makes its choice again from what it
    read on ``select``, which is kept."""
    try:
        held = read_json(path) if path.exists() else {}
    except DamagedError as exc:
        log.warning("%s", exc)
        held = {}
    return held if isinstance(held, dict) and held else {"schema": SCHEMA}
