"""Takes the pictures of pages that docs show, of a finished study; needs Chromium and chromedriver.

python tools/screenshots.py runs/demo     # docs/img/play.png, docs/img/report.png
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from headscope.data.wordings import is_shared

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"
HEAD = "L4H3"  # whose attention is shown: the first of the claimed in every study behind README
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "play")]


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path, help="its muting claims heads, and it has a report")
    study = parser.parse_args().study
    from browser import open_browser

    with tempfile.TemporaryDirectory() as profile:
        for driver in open_browser(Path(profile)):
            take_playground(driver, study)
            take_report(driver, study / "report.html")


def take_playground(driver: Any, study: Path) -> None:
    """The first case of the study whose place the model names otherwise when the claimed heads are muted."""
    from playing import served
    from selenium.webdriver.support.ui import WebDriverWait

    from headscope.play.opening import open_playground
    from headscope.play.play_requests import HeadEdit, PictureChoice, PlayState

    playground, name = open_playground(study=study), "spatial_perception"
    muted = HeadEdit(heads=playground.claimed[name])
    states = (
        PlayState(
            picture=PictureChoice(source="case", id=c.id), question=s.question, choices=s.choices, edit=muted
        )
        for c in playground.shelf.offered("case")
        for s in c.steps
        if s.function == name and not is_shared(s.wording)
    )
    both = ((state, playground.answers(state)) for state in states)
    state = next(state for state, said in both if said.plain.answer != said.changed.answer is not None)
    link = base64.urlsafe_b64encode(state.model_dump_json().encode()).decode()
    driver.set_window_size(1440, 1060)
    with served(playground) as url:
        driver.get(f"{url}#{link}")
        ready = WebDriverWait(driver, 60)
        ready.until(lambda d: d.execute_script("return document.body.dataset.answered"))
        for button in ("#chain", "#random"):
            driver.find_element("css selector", button).click()
        ready.until(lambda d: d.find_elements("css selector", "#draws i"))
        driver.execute_script("document.querySelector('[name=shows][value=attention]').click()")
        driver.find_element("css selector", f'#map button[aria-label^="{HEAD}"]').click()
        ready.until(lambda d: d.find_elements("css selector", "#over .cell"))
        driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        driver.save_screenshot(str(IMAGES / "play.png"))


def take_report(driver: Any, report: Path) -> None:
    """The first screen of a report."""
    driver.set_window_size(1280, 1360)
    driver.get(report.resolve().as_uri())
    time.sleep(1)
    driver.save_screenshot(str(IMAGES / "report.png"))


if __name__ == "__main__":
    main()
