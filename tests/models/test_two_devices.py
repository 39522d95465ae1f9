"""Layers on two devices: the same results to the bit, and nothing of a layer goes to the host meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate", reason="placement over several devices needs accelerate")


@pytest.fixture(scope="module")
def found(tiny_llava_folder: Path) -> dict[str, Any]:
    """Figures of on_two_devices.py; a process of its own, since a device type cannot be taken back."""
    script = Path(__file__).with_name("on_two_devices.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_llava_folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def test_the_layers_sit_on_two_devices_and_inputs_go_to_the_embeddings(found: dict[str, Any]) -> None:
    assert found["devices"] == ["spare:0", "spare:1"]
    assert found["inputs"] == "spare:0"


def test_answers_readouts_edits_means_and_attention_are_those_of_one_device(found: dict[str, Any]) -> None:
    assert len(found["same"]) == 10
    assert all(found["same"].values()), found["same"]
    assert [name for name, moved in found["moved"].items() if not moved] == ["none"]


def test_no_hook_copies_or_waits_while_the_model_runs(found: dict[str, Any]) -> None:
    bare, attention = found["costs"].pop("bare"), found["costs"].pop("attention")
    assert bare["copy spare to spare"] > 0, "the model itself moves states from device to device"
    assert "copy spare to cpu" not in bare
    assert found["costs"] == dict.fromkeys(("reader", "edit", "one an item"), bare)
    once = {"copy spare to spare": bare["copy spare to spare"] + 1}  # the targets, to the second device
    assert attention == bare | once


def test_a_hook_that_copies_or_waits_would_be_counted(found: dict[str, Any]) -> None:
    assert found["careless"]["copy spare to cpu"] == found["sites"] == 3
    assert found["careless"]["wait"] >= found["sites"]


def test_the_geometry_is_proved_across_devices(found: dict[str, Any]) -> None:
    assert "blocks: " in found["proof"]


def test_a_tensor_on_the_wrong_device_is_an_error_here(found: dict[str, Any]) -> None:
    assert "spare:0" in found["misplaced"]
    assert "spare:1" in found["misplaced"]


def test_a_model_is_identified_by_its_weights_wherever_they_are(found: dict[str, Any]) -> None:
    here, there = found["identities"]
    assert here == there
    assert found["moved weights"] == "", "a move is no change"
