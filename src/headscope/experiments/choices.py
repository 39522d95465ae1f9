"""What was chosen on ``select``, frozen on disk before ``test`` is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headscope.errors import StoreError
from headscope.storage import read_json, write_json

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
    held = read_json(path) if path.exists() else {"schema": SCHEMA}
    wanted = json.loads(json.dumps(choice))
    if stage in held:
        if held[stage] != wanted:
            raise StoreError(
                f"{path}: {stage} is frozen, and the choice made now is another one; test may have been read "
                "for the frozen one, so it is not changed; use a new study folder"
            )
        return held[stage]
    write_json(path, {**held, stage: wanted})
    return read_json(path)[stage]
