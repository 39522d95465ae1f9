"""What libraries say reaches a logger of headscope's and not the terminal; all is put back afterwards."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from tqdm import tqdm
from transformers.utils import logging as messages

from headscope.errors import ModelError
from headscope.models.library_messages import quiet

# Settings of real checkpoints about which transformers warns when it reads them or generates with them.
_SAMPLING = {"do_sample": False, "temperature": 1e-6, "top_p": 0.8, "top_k": 1, "max_length": 30}


def _say_all() -> None:
    messages.get_logger("transformers.test").warning("a warning that is logged")
    logging.getLogger("bitsandbytes.nn").error("an error that is logged")
    warnings.warn("a Python warning", FutureWarning, stacklevel=1)
    list(tqdm(range(3), desc="a bar"))
    list(tqdm(range(3), desc="a bar that insists", disable=False))


def test_nothing_of_a_library_reaches_the_terminal(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "headscope.libraries")
    with quiet():
        _say_all()
    assert capfd.readouterr() == ("", "")
    said = " | ".join(caplog.messages)
    for text in ("a warning that is logged", "an error that is logged", "FutureWarning: a Python warning"):
        assert text in said


def test_afterwards_libraries_speak_as_before() -> None:
    def state() -> tuple[object, ...]:
        logger = logging.getLogger("transformers")
        bars = messages.is_progress_bar_enabled()
        return list(logger.handlers), logger.propagate, bars, warnings.showwarning, tqdm.__init__

    before = state()
    with pytest.raises(ModelError), quiet(), quiet():
        raise ModelError("ended")
    assert state() == before


def test_threads_that_overlap_leave_all_as_it_was() -> None:
    logger = logging.getLogger("transformers")
    before, inside, leave = list(logger.handlers), threading.Event(), threading.Event()

    def work() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    with quiet():
        thread.start()
        inside.wait(10)
    assert logger.handlers != before, "the thread is still inside"
    leave.set()
    thread.join()
    assert logger.handlers == before


def run(code: str) -> str:
    """What a Python process of its own, with transformers at its usual level, says on the terminal."""
    ours = ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS")
    env = {k: v for k, v in os.environ.items() if k not in ours}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return ran.stdout + ran.stderr


def test_loading_and_asking_say_nothing_on_the_terminal(tiny_llava_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_llava_folder, tmp_path / "model"))
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | _SAMPLING))
    loaded = f"AutoModelForImageTextToText.from_pretrained({str(folder)!r})"
    said = run(f"from transformers import AutoModelForImageTextToText; {loaded}")
    assert "generation flags" in said
    assert "Loading weights" in said
    assert not run(
        "import headscope as hs; from PIL import Image;"
        f"vlm = hs.load_model({str(folder)!r});"
        "vlm.answer(Image.new('RGB', (40, 30)), 'Where is the dog?', choices=('left', 'right'))"
    )
