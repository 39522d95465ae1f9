"""Writes docs/training-seeds.json and its table in docs/method.md.

``python tools/training_seeds.py runs/demo runs/demo-seed2 runs/demo-seed3``: one finished demo study for each
training seed of the embedded model, each made by ``headscope demo --model FOLDER --study runs/demo-seedN``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from headscope.storage import write_json
from headscope.validation.document import TRAINING, refresh
from headscope.validation.training_seeds import read_training_row, training_seeds

ROOT = Path(__file__).parent.parent


def main(folders: list[str]) -> None:
    """Read the studies, write the table."""
    if not folders:
        sys.exit(__doc__)
    write_json(ROOT / "docs" / TRAINING, training_seeds([read_training_row(f) for f in folders]))
    refresh(ROOT / "docs")


if __name__ == "__main__":
    main(sys.argv[1:])
