"""One headless Chromium for tests of pages; they skip where it is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--window-size=1280,900",
)


def open_browser(profile: Path) -> Iterator[Any]:
    """A driver with an empty profile, that keeps what the page and the network log; closed at the end."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip(
            "chromium and chromedriver are not installed: apt-get install -y chromium chromium-driver"
        )
    options = selenium.ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    opened = selenium.Chrome(service=selenium.ChromeService(driver), options=options)
    try:
        yield opened
    finally:
        opened.quit()
