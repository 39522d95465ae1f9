"""Takes the pictures of pages that docs show: needs Chromium and chromedriver.

python tools/screenshots.py                    # docs/img/play.png, from the embedded model
python tools/screenshots.py --study runs/demo  # and docs/img/report.png, the report's first screen
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "play")]


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--study", type=Path, help="a study with its report")
    study = parser.parse_args().study
    from browser import open_browser

    with tempfile.TemporaryDirectory() as profile:
        for driver in open_browser(Path(profile)):
            take_playground(driver)
            if study is not None:
                take_report(driver, study / "report.html")


def take_playground(driver: Any) -> None:
    """The playground: two things pointed at, three heads muted, the chain asked, a head's attention shown."""
    from playing import embedded_playground, served
    from selenium.webdriver.support.ui import WebDriverWait

    driver.set_window_size(1440, 1060)
    with served(embedded_playground()) as url:
        driver.get(url)
        ready = WebDriverWait(driver, 60)
        ready.until(lambda d: d.execute_script("return document.body.dataset.answered"))
        case = list(embedded_playground().shelf.examples)[3]
        driver.execute_script(f"window.headscopePage.choosePicture('{case}')")
        time.sleep(2)
        for label in ("L3H1", "L3H4", "L5H1"):
            driver.find_element("css selector", f'#map button[aria-label^="{label}"]').click()
            time.sleep(1)
        for button in ("#chain", "#random"):
            driver.find_element("css selector", button).click()
        ready.until(lambda d: d.find_elements("css selector", "#draws i"))
        driver.execute_script("document.querySelector('[name=shows][value=attention]').click()")
        driver.find_element("css selector", '#map button[aria-label^="L4H1"]').click()
        ready.until(lambda d: d.find_elements("css selector", "#over .cell"))
        driver.execute_script("window.scrollTo(0, 0)")
        driver.save_screenshot(str(IMAGES / "play.png"))


def take_report(driver: Any, report: Path) -> None:
    """The first screen of a report."""
    driver.set_window_size(1280, 1180)
    driver.get(report.resolve().as_uri())
    time.sleep(1)
    driver.save_screenshot(str(IMAGES / "report.png"))


if __name__ == "__main__":
    main()
