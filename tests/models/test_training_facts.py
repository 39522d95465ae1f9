"""What a model was trained on is known only where its own folder says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from checkpoint_statements import write_training_facts
from headscope.errors import ModelError
from headscope.models.embedded import weights_folder
from headscope.models.training_facts import FILE, TrainingFacts, training_facts


def test_the_embedded_model_states_it_wherever_its_folder_lies(tmp_path: Path) -> None:
    moved = shutil.copytree(weights_folder(), tmp_path / "moved")
    assert training_facts(moved) == TrainingFacts((2, 7), ("combination", "sprite", "wording"))


def test_of_another_checkpoint_nothing_is_known(tiny_llava_folder: Path) -> None:
    assert training_facts(tiny_llava_folder) == training_facts(None) == TrainingFacts(None, ())


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    for facts in (TrainingFacts((1, 4), ("wording",)), TrainingFacts(None, ("sprite",)), TrainingFacts()):
        write_training_facts(tmp_path, facts)
        assert training_facts(tmp_path) == facts


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": "headscope/model/2", "training": {"things": [2, 7], "held_out": []}}',
        '{"schema": "headscope/model/1"}',
        '{"schema": "headscope/model/1", "training": {"things": [7, 2], "held_out": []}}',
        '{"schema": "headscope/model/1", "training": {"things": 7, "held_out": []}}',
        '{"schema": "headscope/model/1", "training": {"things": ["2", "7"], "held_out": []}}',
        '{"schema": "headscope/model/1", "training": {"things": null, "held_out": "wording"}}',
    ],
)
def test_what_cannot_be_understood_is_refused_with_file_and_form(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match=r"headscope\.json: cannot be read .* expected no such file, or "):
        training_facts(tmp_path)
