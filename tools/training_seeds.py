"""Writes docs/training-seeds.json and its table in docs/method.md.

``python tools/training_seeds.py "seed 0"=runs/demo "seed 1"=runs/demo-seed1``

Each is the finished demo study of one training seed of the embedded model:
``headscope demo --model FOLDER --study runs/demo-seedN``. What stands before ``=`` names the row; by default
the folder does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from headscope.storage import write_json
from method_page.document import TRAINING, refresh
from method_page.training_seeds import read_training_row, training_seeds

ROOT = Path(__file__).parent.parent


def main(folders: list[str]) -> None:
    """Read the studies, write the table."""
    if not folders:
        sys.exit(__doc__)
    named = [text.rpartition("=") for text in folders]
    rows = [read_training_row(folder, name or None) for name, _, folder in named]
    write_json(ROOT / "docs" / TRAINING, training_seeds(rows))
    refresh(ROOT / "docs")


if __name__ == "__main__":
    main(sys.argv[1:])
