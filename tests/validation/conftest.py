"""Fixtures of the validation tests: one plain planted model and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headscope.data.cases import Cases
from headscope.experiments.items import choose_items, open_readers
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM, load_model
from headscope.storage import Ledger, read_json
from headscope.validation.planted.build import build_planted
from headscope.validation.planted.harder_build import build_harder, level_cases
from headscope.validation.planted.questions import planted_cases


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return planted_cases(tmp_path_factory.mktemp("planted") / "data", 40, seed=3)


@pytest.fixture(scope="session")
def planted_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[VLM, dict[str, Any]]]:
    """Level, and whether of the second version -> the loaded model and its truth, each built once."""
    built: dict[tuple[str, bool], tuple[VLM, dict[str, Any]]] = {}

    def make(level: str, harder: bool = False) -> tuple[VLM, dict[str, Any]]:
        if (level, harder) not in built:
            build = build_harder if harder else build_planted
            folder = build(tmp_path_factory.mktemp("models") / level, level, seed=3)
            vlm = load_model(folder, prove=level == "plain")
            built[level, harder] = (vlm, read_json(folder / "truth.json"))
        return built[level, harder]

    return make


@pytest.fixture(scope="session")
def two_hop_pictures(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """The same pictures, asked as models of level ``two_hop`` understand it."""
    return level_cases(tmp_path_factory.mktemp("two_hop") / "data", "two_hop", 40, seed=3)


@pytest.fixture
def readers(pictures: Cases, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Readers of all questions of each function, whatever their split."""

    def make(vlm: VLM, functions: tuple[str, ...] = (), cases: Cases = pictures) -> dict[str, Any]:
        splits = {case.id: "test" for case in cases}
        items = choose_items(cases, splits, "test", DEFAULT, 30, 0, ())
        wanted = {f: x for f, x in items.items() if not functions or f in functions}
        ledger = Ledger(tmp_path / "ledger", {"model": vlm.revision})
        return open_readers(vlm, cases, wanted, ledger, max_new_tokens=4)

    return make
