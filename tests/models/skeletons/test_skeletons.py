"""Published folders, each as a model of few layers: every step of a thorough check on each, and the one that
must be refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from headscope.acceptance.thorough_check import STEPS, check_thoroughly
from headscope.errors import ModelError
from headscope.models.vlm import load_model
from models.skeletons.build import PUBLISHED, Skeleton, build_skeleton, names_of, published_folders

FOLDERS = published_folders()
SOUND = [f.name for f in FOLDERS if not f.name.startswith("refuse")]
REFUSED = [f.name for f in FOLDERS if f.name.startswith("refuse")]
# A study takes minutes on most of them; all folders go through it where HEADSCOPE_SKELETONS names the folder
# that holds them.
STUDIED = "qwen3_vl"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDERS, reason=f"{PUBLISHED} is not there: no published folders to build from"),
]


@pytest.fixture(scope="module", params=SOUND)
def skeleton(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    return build_skeleton(PUBLISHED / request.param, tmp_path_factory.mktemp("skeletons") / request.param)


def test_weights_have_their_published_names(skeleton: Skeleton) -> None:
    published = PUBLISHED / skeleton.path.name / "model.safetensors.index.json"
    if not published.is_file():
        assert (skeleton.path / "model.safetensors").is_file()
        return
    names = names_of(skeleton.path / published.name)
    # An embedding model is published without an output map; where it is cut, the embeddings are.
    assert names ^ names_of(published) <= {"lm_head.weight"}
    files = set(json.loads((skeleton.path / published.name).read_text("utf-8"))["weight_map"].values())
    assert len(files) > 1


def test_every_step_holds(skeleton: Skeleton) -> None:
    whole = bool(os.environ.get("HEADSCOPE_SKELETONS")) or skeleton.path.name == STUDIED
    found = check_thoroughly(skeleton.path, leave_out=() if whole else ("study",))
    print(skeleton.path.name, skeleton.cuts, *((r.name, r.seconds, r.peak_gb) for r in found.results))
    assert [r.name for r in found.results] == list(STEPS if whole else STEPS[:-1])
    lost = {r.name: r.reason for r in found.results if r.status not in ("held", "not applicable")}
    assert not lost, lost


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_message(name: str, tmp_path: Path) -> None:
    shutil.copytree(PUBLISHED / name, tmp_path / name, copy_function=shutil.copyfile)
    save_file({"lm_head.weight": torch.zeros(4, 4)}, tmp_path / name / "model.safetensors")
    with pytest.raises(ModelError) as refused:
        load_model(tmp_path / name)
    assert not re.search(r"\n|Traceback", str(refused.value))
    print(refused.value)
