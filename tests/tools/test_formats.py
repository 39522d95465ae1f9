"""The documents of file formats are those of the types, and every result has a page and a schema."""

from __future__ import annotations

import json
import re

import pytest

import formats
from headscope.records import Artefact
from headscope.study.stages import STAGES


def test_pages_and_schemas_are_as_the_types_have_them() -> None:
    assert formats.stale() == [], "run python tools/formats.py"


def test_every_result_of_a_stage_has_a_page() -> None:
    written = "".join(path.read_text("utf-8") for path in formats.pages())
    for kind in formats.artefacts():
        assert f":{kind.__name__} -->" in written, kind


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_row_of_the_table_names_what_there_is(stage) -> None:
    assert callable(stage.work)
    assert issubclass(stage.result_type, Artefact)
    assert stage.settings_type.__dataclass_params__.frozen
    assert set(stage.needs) < {s.name for s in STAGES[: STAGES.index(stage)]} | {""}


def test_a_field_that_nobody_explained_is_an_error() -> None:
    class Silent(Artefact):
        """A result."""

        value: int

    with pytest.raises(ValueError, match=r"Silent\.value: no docstring says what it is"):
        formats.fields_of(Silent)


def test_a_schema_says_what_a_file_holds() -> None:
    schema = json.loads((formats.SCHEMAS / "ablation-2.schema.json").read_text("utf-8"))
    assert schema["properties"]["schema"]["const"] == "headscope/ablation/2"
    assert schema["additionalProperties"] is False


def test_every_page_names_the_version_of_a_result_that_is_written_now() -> None:
    now = {}
    for kind in formats.artefacts():
        name, _, version = kind.model_fields["schema_"].default.removeprefix("headscope/").partition("/")
        now[name] = version
    for page in (formats.SCHEMAS.parent).glob("*.md"):
        for name, version in re.findall(r"headscope/([a-z]+)/(\d+)", page.read_text("utf-8")):
            assert version == now.get(name, version), f"{page.name}: headscope/{name}/{version}"
    assert {p.name for p in formats.SCHEMAS.glob("*.json")} == {
        f"{n}-{v}.schema.json" for n, v in now.items()
    }
