"""Runs that end at random moments, each time in a process that knows nothing, and give the same bytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asking.naive import tree
from edits.fixtures import make_atlas
from headscope import storage
from headscope.capturing.run import capture
from headscope.data.cases import Cases
from headscope.experiments.ablation import ablate
from headscope.experiments.causal import causal_scores
from headscope.experiments.context import ExperimentContext
from headscope.experiments.scan import ScanSettings, scan_heads
from headscope.experiments.settings import AblationSettings, CausalSettings
from headscope.models.vlm import VLM

ABLATION = AblationSettings(
    draws=8,
    random_draws=4,
    layer_rounds=1,
    damage_draws=2,
    layer_limit=100.0,
    main_draws=2,
    ks=(1, 2),
    select_items=3,
    test_items=3,
    mean_items=2,
    rows=64,
)
Stage = Callable[[VLM, Path], Any]


@pytest.fixture
def stages(cases: Cases, splits: dict[str, str]) -> dict[str, Stage]:
    def everything(vlm: VLM, folder: Path) -> None:
        capture(vlm, cases, splits, folder / "capture", contexts=("gold", "own"), shard_items=8, batch_size=4)
        context = ExperimentContext(vlm, cases, splits, folder)
        causal_scores(context, CausalSettings(max_items=3))
        ablate(context, make_atlas(vlm), ABLATION)

    def scan(vlm: VLM, folder: Path) -> None:
        scan_heads(ExperimentContext(vlm, cases, splits, folder), ScanSettings(max_items=4))

    return {"everything": everything, "scan": scan}


@pytest.fixture
def vlm(tiny: VLM) -> Iterator[VLM]:
    """A model whose last bits show how many rows stood in a forward, as those of large models do."""
    layer = tiny.model.model.language_model.layers[0].mlp
    handle = layer.register_forward_hook(lambda _m, _a, out: out * (1 + 1e-6 * out.shape[0]))
    yield tiny
    handle.remove()


class Killed(BaseException):
    """As SIGKILL: nobody catches it."""


@pytest.mark.parametrize("name", ["everything", "scan"])
def test_kills_at_random_moments_end_with_the_same_bytes(
    name: str,
    stages: dict[str, Stage],
    vlm: VLM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """A moment is before or behind a write: there is no other trace of a run than what it wrote."""
    write, left, moments = storage.write_atomic, [10**9], [0]

    def moment() -> None:
        moments[0] += 1
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    def dying(path: str | Path, content: bytes | str) -> None:
        moment()
        write(path, content)
        moment()

    monkeypatch.setattr(storage, "write_atomic", dying)
    stages[name](copy.copy(vlm), tmp_path / "whole")
    kills = pytestconfig.getoption("--kills") or 5
    rng = random.Random(kills)
    each = 2 * moments[0] / kills  # so that the kills are spread over the whole run
    for _ in range(kills):
        left[0] = rng.randrange(int(each) + 1)
        try:
            stages[name](copy.copy(vlm), tmp_path / "killed")  # a model that no trial is remembered of
            break
        except Killed:
            continue
    left[0] = 10**9
    stages[name](copy.copy(vlm), tmp_path / "killed")
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
