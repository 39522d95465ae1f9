"""Shared fixtures: small models, no network, one thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import pytest

from headscope.models.vlm import VLM, load_model


def pytest_addoption(parser: pytest.Parser) -> None:
    """The long form of tests that end runs at random moments."""
    parser.addoption(
        "--kills", type=int, default=0, help="how often runs are killed (a few; 50: the long form)"
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is read from, or left in, the user's cache."""
    os.environ["HEADSCOPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_llava_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of the tiny LLaVA; copy it before changing anything in it."""
    from tiny import tiny_llava

    return tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture(scope="session")
def tiny_qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of the tiny Qwen2.5-VL; copy it before changing anything in it."""
    from tiny import tiny_qwen25vl

    return tiny_qwen25vl(tmp_path_factory.mktemp("models") / "tiny-qwen25vl")


@pytest.fixture(scope="session")
def tiny(tiny_llava_folder: Path) -> VLM:
    """A loaded tiny LLaVA, one for the whole session; leave no hook on it."""
    return _remember(load_model(tiny_llava_folder, prove=False))


@pytest.fixture(scope="session")
def tiny_qwen(tiny_qwen_folder: Path) -> VLM:
    """A loaded tiny Qwen2.5-VL, one for the whole session; leave no hook on it."""
    return _remember(load_model(tiny_qwen_folder, prove=False))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium for the tests of one page; without it they skip."""
    from browser import open_browser

    yield from open_browser(tmp_path_factory.mktemp("browser"))


_LOADED: list[VLM] = []


def _remember(vlm: VLM) -> VLM:
    _LOADED.append(vlm)
    return vlm


@pytest.fixture(autouse=True)
def _shared_models_are_left_as_they_were() -> Iterator[None]:
    yield
    for vlm in _LOADED:
        assert not vlm.weights.change(vlm.model), "a test changed the weights of the shared model"
        assert vlm.frame is None, "a test left a frame on the shared model"
        for module in vlm.model.modules():
            assert not module._forward_pre_hooks, "a test left a forward pre-hook on the shared model"
