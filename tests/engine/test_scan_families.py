"""Which families are replayed at which scope, and that a replay is a whole run there."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from edits.fixtures import picture
from headscope.edits.edits import Edit, mute
from headscope.engine.replay_trial import logits_under, replay_of
from headscope.engine.trace import run_clean
from headscope.models.types import Prompt
from headscope.models.vlm import load_model
from models.families.folders import family_folder

EVERY = {
    "llava_next", "llava_onevision", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe", "idefics3", "internvl",
    "glm4v",
}  # fmt: skip
# Windows shorter than the prompt, states of linear attention, a prefix that sees its last position.
ALL_ONLY = {"gemma3", "qwen3_5", "lfm3_vl", "paligemma"}
NONE = {"gemma4"}  # layers that read the keys of layers below


@pytest.mark.parametrize("family", sorted(EVERY | ALL_ONLY | NONE))
def test_a_familys_replay_gives_the_logits_of_whole_runs(family: str, tmp_path: Any) -> None:
    vlm = load_model(family_folder(family, tmp_path / family), prove=False)
    expected = {"all", "last", "answer"} if family in EVERY else {"all"} if family in ALL_ONLY else set()
    _check(vlm, expected)


def test_windows_longer_than_the_prompt_are_replayed_at_every_scope(tmp_path: Any) -> None:
    folder = family_folder("gemma3", tmp_path / "gemma3")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["text_config"]["sliding_window"] == 8
    config["text_config"]["sliding_window"] = 512
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    _check(load_model(folder, prove=False), {"all", "last", "answer"})


def _check(vlm: Any, expected: set[str]) -> None:
    """These scopes are replayed, and give the logits of whole runs."""
    encoded = vlm.encode([Prompt(picture(0), "Is the dog facing the horse?")])
    replayed = {s for s in ("all", "last", "answer") if not replay_of(vlm, encoded, s).refusal}
    assert replayed == expected
    for scope in sorted(replayed):
        edits = [Edit((h,), mute(), scope) for h in vlm.geometry.heads]
        engine = replay_of(vlm, encoded, scope)
        found = logits_under(vlm, run_clean(vlm, encoded, engine.trimmed), edits, engine, 2**28)
        with torch.no_grad(), vlm.reading(encoded):
            for one, row in zip(edits, found, strict=True):
                with one.applied(vlm):
                    wanted = vlm.model(**encoded.inputs, use_cache=False).logits[0, -1]
                torch.testing.assert_close(row, wanted, atol=1e-5, rtol=1e-4)
