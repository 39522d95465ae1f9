"""The proof at load takes little memory above a forward of what it reads, however many words there are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wordy import wordy_llava

# Peak of resident memory, in bytes, of one piece of work in a process of its own.
MEASURE = """
import json, sys
from pathlib import Path
import torch
from PIL import Image
from headscope.models.proofs.full import prove
from headscope.models.types import Prompt
from headscope.models.vlm import load_model

torch.set_num_threads(1)
vlm = load_model(sys.argv[1], prove=False)
for weight in vlm.model.parameters():
    weight.view(-1)[::1024].sum()  # a file that is only mapped takes no memory yet
prompts = [Prompt(Image.new("RGB", (32, 32)), "What is it?"), Prompt(Image.new("RGB", (9, 7)), "Where?")]
encoded = vlm.encode(prompts)
Path("/proc/self/clear_refs").write_text("5")
with torch.no_grad():
    if sys.argv[2] == "proof":
        assert prove(vlm).status == "PROVED"
    else:
        vlm.model(**encoded.inputs, use_cache=False, logits_to_keep=1)
peak = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
print(json.dumps({"bytes": int(peak.split()[1]) * 1024, "positions": encoded.length}))
"""


def measured(folder: Path, work: str) -> dict[str, int]:
    command = [sys.executable, "-c", MEASURE, str(folder), work]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
def test_the_proof_takes_less_than_200_megabytes_above_a_forward(tmp_path: Path) -> None:
    folder = wordy_llava(tmp_path / "wordy", side=160)
    forward, proof = measured(folder, "forward"), measured(folder, "proof")
    assert forward["positions"] > 400, "all logits of the batch alone would take 500 MB"
    assert proof["bytes"] - forward["bytes"] < 200e6
