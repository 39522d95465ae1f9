"""The example that sets places read off boxes beside what people said."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import binomtest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("box_agreement", ROOT / "tools" / "box_agreement.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("hits", "n"), [(2, 2), (54, 62), (62, 62), (0, 5)])
def test_the_interval_is_wilsons(example: ModuleType, hits: int, n: int) -> None:
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    assert example.wilson(hits, n) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_a_block_with_another_between_is_higher_but_not_on_it(example: ModuleType, tmp_path: Path) -> None:
    tower = [
        {"x_loc": 40, "y_loc": 30 * i, "size": 28, "type": "square", "color": c}
        for i, c in enumerate(("Yellow", "Black", "#0099ff"))
    ]
    said = "There is a tower with a yellow block over a blue block"
    rows = [
        {"sentence": said, "label": "false", "structured_rep": [[], tower, []]},
        {"sentence": "There is no yellow block over a blue block", "label": "true", "structured_rep": [[]]},
    ]
    path = tmp_path / "dev.json"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert list(example.of_nlvr(path, next_to=False)) == [(False, True)]
    assert list(example.of_nlvr(path, next_to=True)) == [(False, False)]


@pytest.mark.skipif(not (SHARED / "nlvr").is_dir(), reason="shared/data/nlvr is not here")
def test_people_who_say_over_mean_the_next_block_down(example: ModuleType) -> None:
    path = SHARED / "nlvr" / "dev" / "dev.json"
    assert example.report("x", example.of_nlvr(path, False)) == "x: 54 of 62 agree (77 to 93 %)"
    assert example.report("x", example.of_nlvr(path, True)) == "x: 62 of 62 agree (94 to 100 %)"
