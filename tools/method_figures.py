"""Takes a validation run's figures into the package, and makes docs/method.md's tables afresh.

python tools/method_figures.py runs/validate-method
"""

from __future__ import annotations

import sys
from pathlib import Path

from headscope.storage import read_json, write_json
from method_page.document import MEASURED, refresh
from method_page.measured import measured

ROOT = Path(__file__).parent.parent


def main(folders: list[str]) -> None:
    """Read the run's summary, write both files."""
    if len(folders) != 1:
        sys.exit(__doc__)
    summary = read_json(Path(folders[0]) / "summary.json")
    command = "headscope validate-method" + (" --quick" if summary["quick"] else "")
    write_json(ROOT / "src" / "headscope" / "validation" / MEASURED, measured(summary, command))
    refresh(ROOT / "docs")


if __name__ == "__main__":
    main(sys.argv[1:])
