"""Fixtures of the probing tests."""

from __future__ import annotations

import pytest

from probing.planted import Planted, plant


@pytest.fixture(scope="session")
def planted() -> Planted:
    """Planted steps; do not change them."""
    return plant()
