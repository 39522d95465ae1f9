"""What the tests of pages rest on: axe-core finds what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browser import serious_findings


def test_axe_finds_a_picture_without_words_and_text_that_is_too_pale(browser: Any, tmp_path: Path) -> None:
    page = (
        "<!doctype html><html lang=en><title>t</title><main><img src=x><p style='color:#ddd'>pale</p></main>"
    )
    (tmp_path / "page.html").write_text(page, "utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    found = serious_findings(browser)
    assert [one.split(":")[0] for one in found] == ["color-contrast", "image-alt"]
