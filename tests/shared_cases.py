"""Small inputs of shared/cases; tests that use them skip, saying so, where they are not here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_ABOVE = Path(__file__).resolve().parents
_SHARED = next((p / "shared" for p in _ABOVE if (p / "shared" / "cases").is_dir()), _ABOVE[2] / "shared")
CASES = _SHARED / "cases"
SMALL = CASES / "small"
DATA = _SHARED / "data"
needs_cases = pytest.mark.skipif(not SMALL.is_dir(), reason="shared/cases is not here")


def lines(name: str) -> list[dict[str, Any]]:
    """The records of a JSON lines file of shared/cases/small; none where it is not here."""
    path = SMALL / name
    return [json.loads(x) for x in path.read_text("utf-8").splitlines()] if path.is_file() else []
