"""Models in float64, and a finished capture, shared by the capture tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from asking.naive import SETTINGS, SPLITS, load_double, some_cases
from headscope.capturing.run import capture
from headscope.data.cases import Cases
from headscope.models.vlm import VLM


@pytest.fixture(scope="session")
def llava64(tiny_llava_folder: Path) -> VLM:
    """The tiny LLaVA in float64; leave no hook on it."""
    return load_double(tiny_llava_folder)


@pytest.fixture(scope="session")
def qwen64(tiny_qwen_folder: Path) -> VLM:
    """The tiny Qwen2.5-VL in float64; leave no hook on it."""
    return load_double(tiny_qwen_folder)


@pytest.fixture(params=["llava64", "qwen64"])
def vlm64(request: pytest.FixtureRequest) -> VLM:
    """Each family in turn."""
    vlm: VLM = request.getfixturevalue(request.param)
    return vlm


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """Five cases on disk."""
    return some_cases(tmp_path_factory.mktemp("cases"), 5)


@pytest.fixture(scope="session")
def finished(tiny: VLM, cases: Cases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture that nothing interrupted."""
    folder = tmp_path_factory.mktemp("finished") / "capture"
    capture(tiny, cases, SPLITS, folder, **SETTINGS)
    return folder
