"""A stand-in for the Hub, and a login that only it knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from stand_in import TOKEN, StandIn, stand_in

from headscope.models.embedded import atlas_file
from headscope.probing.atlas import Atlas


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """A running stand-in: the network is on, the login is its own, the user's is not read."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    with stand_in() as running:
        yield running


@pytest.fixture(scope="session")
def atlas_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas with its checksum; leave it as it is."""
    return Atlas.load(atlas_file()).save(tmp_path_factory.mktemp("atlas") / "atlas.json")
