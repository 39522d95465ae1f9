"""Checkpoints that were made to hang or to fill a computer are refused in bounded time and memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from headscope.errors import ModelError
from headscope.models import template_trial
from headscope.models.template_trial import refuse_runaway
from headscope.models.vlm import load_model

LOOPS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(9) %}{% endfor %}{% endfor %}"
)
HOSTILE = {
    "loops within loops": LOOPS + "{% endfor %}x",
    "a text multiplied": "{{ 'a' * 10 ** 11 }}",
    "a text multiplied by itself": "{% set ns = namespace(t='ab') %}{% for i in range(60) %}"
    "{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}",
    "much text": "{% for a in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "only in a dialogue": "{% if messages | length > 1 %}" + LOOPS + "{% endfor %}{% endif %}x",
}


@pytest.mark.parametrize("template", HOSTILE.values(), ids=list(HOSTILE))
def test_a_template_that_runs_away_is_refused(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_trial, "SECONDS", 1)
    with pytest.raises(ModelError, match="for a dialogue of a few words, which no honest one does"):
        refuse_runaway(template)


@pytest.mark.parametrize(
    "template", ["", "{{ broken", "{{ raise_exception('no') }}", "{{ messages[9].x.y }}"]
)
def test_a_template_that_is_broken_is_left_to_say_so_itself(template: str) -> None:
    refuse_runaway(template)


def test_a_model_with_such_a_template_is_refused_when_it_is_loaded(
    tiny_llava_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_trial, "SECONDS", 1)
    folder = Path(shutil.copytree(tiny_llava_folder, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(HOSTILE["much text"])
    with pytest.raises(ModelError, match=r"writes more than 1,000,000 characters .*chat_template\.jinja"):
        load_model(folder, prove=False)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("text_config.num_hidden_layers", 10**9),
        ("vision_config.num_hidden_layers", 10**9),
        ("text_config.hidden_size", 10**12),
        ("text_config.num_attention_heads", 10**9),
        ("text_config.vocab_size", 10**10),
    ],
)
def test_a_configuration_with_numbers_that_no_model_has_is_refused_before_it_is_built(
    tiny_llava_folder: Path, tmp_path: Path, place: str, value: int
) -> None:
    folder = Path(shutil.copytree(tiny_llava_folder, tmp_path / "model"))
    file = folder / "config.json"
    raw = json.loads(file.read_text())
    part, name = place.split(".")
    raw[part][name] = value
    file.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=rf"config\.json: {place}: found {value:,}, expected at most"):
        load_model(folder, prove=False)
