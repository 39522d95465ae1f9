"""One headless Chromium for tests of pages; they skip where it is not installed."""

from __future__ import annotations

import json
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


def serious_findings(driver: Any) -> list[str]:
    """What axe-core finds serious or critical on the page that is open: rule, and the first elements."""
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed (extra dev)")
    script = (Path(package.__path__[0]) / "axe.min.js").read_text("utf-8")
    # Past the page's own policy, which rightly lets no foreign script in.
    driver.execute_cdp_cmd("Runtime.evaluate", {"expression": script})
    asked = {
        "expression": "axe.run(document, {resultTypes: ['violations']})"
        ".then((found) => JSON.stringify(found.violations))",
        "awaitPromise": True,
    }
    found = driver.execute_cdp_cmd("Runtime.evaluate", asked)["result"]["value"]
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'][:120] for node in fault['nodes'][:3]]}"
        for fault in json.loads(found)
        if fault["impact"] in ("serious", "critical")
    ]
