"""One made-up study and its page for the whole session."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_fixture import build_study

from headscope.report.contents import StudyContents, read_contents
from headscope.report.page import write_report


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with every stage; leave it as it is."""
    return build_study(tmp_path_factory.mktemp("report") / "demo")


@pytest.fixture(scope="session")
def page(study_folder: Path) -> Path:
    """Its page, with figures beside it."""
    return write_report(study_folder)


@pytest.fixture(scope="session")
def study(study_folder: Path) -> StudyContents:
    """What the report reads from it."""
    return read_contents(study_folder)
