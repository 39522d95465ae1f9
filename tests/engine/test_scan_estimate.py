"""The estimate on models whose cache is more than keys and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edits.fixtures import picture
from headscope.asking.ask import ask
from headscope.asking.items import Item
from headscope.data.schema import Case, Step
from headscope.edits.edits import Edit, mute
from headscope.engine import estimate
from headscope.engine.estimate import estimate_drops
from headscope.errors import ModelError
from headscope.models.types import Prompt
from headscope.models.vlm import load_model
from models.families.folders import family_folder

STEP = Step(
    id="s1",
    question="Where is the dog?",
    answer="top left",
    function="spatial_perception",
    choices=("top", "top left", "bottom right"),  # of several tokens: what follows is read behind the cache
)
CASE = Case(id="a", image="a.png", width=32, height=24, question="Is it?", answer="yes", steps=(STEP,))
ITEM = Item("a/s1/alone", CASE, STEP, "alone")


@pytest.mark.parametrize("family", ["qwen3_5", "lfm3_vl"])
def test_the_estimate_of_a_model_with_states_of_linear_attention_is_the_slope_of_the_exact_effect(
    family: str, tmp_path: Path
) -> None:
    vlm = load_model(family_folder(family, tmp_path / family), prove=False)
    encoded = vlm.encode([Prompt(picture(0), STEP.question)])

    def margin(edit: Edit | None = None) -> Any:
        return ask(vlm, encoded, [ITEM], edit=edit).rows[0]["margin"]

    found, drops = estimate_drops(vlm, encoded, ITEM)
    assert found == pytest.approx(margin(), abs=1e-5)
    step = 5e-3
    slopes = [
        (margin(Edit((h,), mute(factor=1 + step))) - margin(Edit((h,), mute(factor=1 - step)))) / (2 * step)
        for h in vlm.geometry.heads
    ]
    np.testing.assert_allclose(drops, slopes, atol=2e-3)
    assert np.abs(drops).max() > 0.01


def test_a_model_that_keeps_no_cache_is_refused_by_name(tiny: Any) -> None:
    encoded = tiny.encode([Prompt(picture(0), STEP.question)])
    with pytest.raises(ModelError, match="keeps no cache of the prompt"):
        estimate._rest(tiny, encoded, None, [(1, 2)], None)
