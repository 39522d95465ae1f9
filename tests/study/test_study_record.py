"""What a study records of how pictures are read: another image backend is refused, an old record is PIL's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers.utils import is_torchvision_available

from headscope.cli.study_commands import open_study
from headscope.errors import ModelError, StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.models.vlm import load_model
from headscope.storage import read_json
from headscope.study.requested_settings import RequestedSettings
from headscope.study.study import Study

HERE = "torchvision" if is_torchvision_available() else "pil"
needs_torchvision = pytest.mark.skipif(HERE == "pil", reason="torchvision is not installed")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record-data") / "cases"
    draw_scenes(folder, 10, seed=1, card=False)
    return folder


@pytest.fixture
def study(cases: Path, tiny_llava_folder: Path, tmp_path: Path) -> Callable[..., Study]:
    """Start a study in one folder, or open the one that is there."""

    def create(model: Any = None, **options: Any) -> Study:
        return Study.create(
            tmp_path / "study", model=model or str(tiny_llava_folder), data=cases, model_options=options
        )

    return create


def change_record(study: Study, **values: Any) -> None:
    """Write other values into study.json; None takes a key out."""
    path = study.folder / "study.json"
    record = read_json(path) | values
    path.write_text(json.dumps({k: v for k, v in record.items() if v is not None}), "utf-8")


def test_the_image_backend_that_was_used_is_recorded_by_itself(study: Callable[..., Study]) -> None:
    record = study().record
    assert record.image_backend == HERE
    assert record.model_options is None


def test_a_study_goes_on_with_the_image_backend_that_it_began_with(study: Callable[..., Study]) -> None:
    began = study(image_backend="pil")
    assert began.record.image_backend == "pil"
    assert study().vlm.image_backend == "pil", "created again without saying which"
    assert Study(began.folder).vlm.image_backend == "pil", "opened"


def test_a_record_without_an_image_backend_is_one_of_pil(study: Callable[..., Study]) -> None:
    began = study(image_backend="pil")
    change_record(began, image_backend=None)
    assert Study(began.folder).vlm.image_backend == "pil"
    assert study().vlm.image_backend == "pil"


@needs_torchvision
def test_another_image_backend_is_refused_with_both_names_and_what_to_do(
    study: Callable[..., Study], tiny_llava_folder: Path
) -> None:
    began = study(image_backend="pil")
    words = r"image backend \(--image-backend; their pixels differ\) 'pil', asked for 'torchvision'"
    with pytest.raises(StudyError, match=words):
        study(image_backend="torchvision")
    with pytest.raises(StudyError, match=words):
        study(model=load_model(tiny_llava_folder, prove=False))
    with pytest.raises(StudyError, match=words):
        open_study(began.folder, None, RequestedSettings(model_options={"image_backend": "torchvision"}), {})


@pytest.mark.skipif(HERE == "torchvision", reason="torchvision is installed")
def test_where_torchvision_is_missing_a_study_that_began_with_it_is_refused(
    study: Callable[..., Study],
) -> None:
    with pytest.raises(ModelError, match=r"not installed: pip install torchvision"):
        study(image_backend="torchvision")
    began = study()
    change_record(began, image_backend="torchvision")
    words = r"with torchvision; here there is only pil.*pip install torchvision, or start another study"
    with pytest.raises(StudyError, match=words):
        _ = Study(began.folder).vlm
    with pytest.raises(StudyError, match=words):
        _ = study().vlm
    with pytest.raises(StudyError, match=r"'torchvision', asked for 'pil'"):
        study(image_backend="pil")
