"""The review page in a real browser: by keyboard alone, across a reload, with hostile text, on a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from reviewed import HOSTILE, folder_of_cases

from browser import serious_findings
from headscope.data.cases import load_cases
from headscope.making.review.review_server import ReviewServer
from headscope.making.review.review_session import ReviewSession


@pytest.fixture
def page(tmp_path: Path, browser: Any) -> Iterator[ReviewServer]:
    with opened(folder_of_cases(tmp_path / "cases"), browser) as served:
        yield served


def wait(done: Callable[[], Any], seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.02)
    return found


@contextmanager
def opened(folder: Path, browser: Any) -> Iterator[ReviewServer]:
    """The review page of a folder, in the browser, for the reviewer ann."""
    served = ReviewServer(ReviewSession(folder, "ann"))
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        browser.get_log("browser")
        browser.get(served.url)
        wait(lambda: browser.execute_script("return document.body.dataset.ready"))
        yield served
    finally:
        served.shutdown()
        served.server_close()
        thread.join()


def press(browser: Any, keys: str) -> None:
    browser.find_element("tag name", "body").send_keys(keys)


def rulings(page: ReviewServer, number: int) -> dict[str, str]:
    return {k: v["ruling"] for k, v in page.session.case(number)["verdicts"].items()}


def test_a_case_is_judged_by_keyboard_and_survives_a_reload(browser: Any, page: ReviewServer) -> None:
    press(browser, "a")
    wait(lambda: rulings(page, 0) == {"s1": "accept"})
    wait(lambda: "step=2" in browser.current_url)
    press(browser, "1")  # "left" where "right" stands: a fix
    wait(lambda: rulings(page, 0).get("s2") == "fix")
    wait(lambda: "step=3" in browser.current_url)
    press(browser, "r")
    wait(lambda: rulings(page, 0).get("s3") == "reject")
    wait(lambda: "step=4" in browser.current_url)
    browser.refresh()
    wait(lambda: browser.execute_script("return document.body.dataset.ready"))
    shown = [s.get_attribute("class") for s in browser.find_elements("css selector", "#steps > li")]
    assert shown == ["accept", "fix", "reject", "now", ""]
    assert browser.find_element("id", "progress").text == "3 of 10 judged"
    press(browser, "w")
    wait(lambda: len(load_cases(page.session.folder)[0].steps) == 3)
    assert load_cases(page.session.folder)[0].steps[1].answer == "left"
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_a_fix_is_typed_and_taken_back(browser: Any, page: ReviewServer) -> None:
    press(browser, "j")
    press(browser, "f")
    field = wait(lambda: browser.find_elements("css selector", "input[name=answer]"))[0]
    assert field.get_attribute("value") == "right"
    field.clear()
    field.send_keys("in the corner\n")
    wait(lambda: rulings(page, 0) == {"s2": "fix"})
    assert page.session.case(0)["verdicts"]["s2"]["answer"] == "in the corner"
    wait(lambda: "step=3" in browser.current_url)
    press(browser, "k")
    press(browser, "u")
    wait(lambda: rulings(page, 0) == {})


def test_a_refused_fix_says_why_and_keeps_what_was_typed(browser: Any, page: ReviewServer) -> None:
    press(browser, "f")
    wait(lambda: browser.find_elements("css selector", "input[name=answer]"))[0].send_keys("typed")
    field = browser.find_element("css selector", "input[name=question]")
    field.clear()
    field.send_keys("\n")
    note = wait(lambda: browser.find_element("id", "note").text)
    assert "question: empty" in note
    looked = (
        "return performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/case/0')).length"
    )
    wait(lambda: browser.execute_script(looked) == 2)  # after a refusal the page looks at the case again
    time.sleep(0.2)
    kept = browser.find_elements("css selector", "form input[name=answer]")
    assert kept
    assert "typed" in kept[0].get_attribute("value")
    assert rulings(page, 0) == {}


def test_hostile_text_shows_as_text(browser: Any, page: ReviewServer) -> None:
    press(browser, "n")
    wait(lambda: "case=2" in browser.current_url)
    assert browser.find_element("id", "question").text == f"Is {HOSTILE} there?"
    assert HOSTILE in browser.find_element("id", "steps").text
    assert HOSTILE in browser.find_element("id", "things").text
    made = "return document.querySelectorAll('main b, main script, main img').length"
    assert browser.execute_script(made) == 1  # the picture
    assert browser.title == "Review of cases"


def test_boxes_lie_where_the_case_says(browser: Any, page: ReviewServer) -> None:
    wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 40)
    found = browser.execute_script(
        "const f = document.getElementById('picture').getBoundingClientRect();"
        "return [...document.querySelectorAll('#boxes rect')].map((r) => {"
        "const b = r.getBoundingClientRect();"
        "return [b.left - f.left, b.right - f.left, b.top - f.top, b.bottom - f.top].map("
        "(v, i) => v / (i < 2 ? f.width / 40 : f.height / 30)); })"
    )
    for seen, box in zip(found, [(22, 38, 5, 20), (2, 18, 4.5, 25)], strict=True):
        assert seen == pytest.approx(box, abs=0.5)
    about = browser.find_elements("css selector", "#boxes rect.about")
    assert len(about) == 1


def test_the_page_fits_a_phone(browser: Any, page: ReviewServer) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page.url + "#case=2")
        browser.refresh()
        wait(lambda: browser.execute_script("return document.body.dataset.ready"))
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_server_that_is_gone_is_said(browser: Any, page: ReviewServer) -> None:
    page.shutdown()
    page.server_close()
    press(browser, "a")
    note = wait(lambda: browser.find_element("id", "note").text)
    assert "does not answer" in note


def test_nothing_serious_for_screen_readers_and_weak_eyes(browser: Any, page: ReviewServer) -> None:
    assert serious_findings(browser) == []
