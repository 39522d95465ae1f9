"""The page in a real browser: nothing loaded, nothing wrong, everything drawn, hostile text shown as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_fixture import HOSTILE

from browser import serious_findings


@pytest.fixture(scope="module")
def opened(browser: Any, page: Path) -> Any:
    browser.get(page.as_uri())
    return browser


def test_the_page_opens_without_errors_or_requests(opened: Any, page: Path) -> None:
    assert [e for e in opened.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    sent = [json.loads(e["message"])["message"] for e in opened.get_log("performance")]
    asked = [m["params"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    # The browser's own first tab asks for its own parts; what counts is what the page asks for.
    mine = {a["request"]["url"] for a in asked if a.get("documentURL") == page.as_uri()}
    assert {url for url in mine if not url.startswith("data:")} == {page.as_uri()}


def test_every_chart_and_map_is_drawn(opened: Any) -> None:
    sizes = opened.execute_script(
        "return [...document.querySelectorAll('figure .chart > svg, svg.map, svg.scene')].map((s) => {"
        "  const box = s.getBoundingClientRect();"
        "  return [box.width, box.height, s.querySelectorAll('path,rect,image,text').length];"
        "})"
    )
    assert len(sizes) > 9 * 4 + 20
    assert all(width > 100 and height > 40 and marks > 0 for width, height, marks in sizes)
    wide = opened.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


def test_hostile_text_of_a_case_shows_as_text(opened: Any) -> None:
    assert HOSTILE in opened.execute_script("return document.querySelector('#case').innerText")
    assert opened.execute_script("return document.querySelectorAll('main script, main b b').length") == 0


def test_another_case_is_shown_when_it_is_chosen(opened: Any) -> None:
    shown = opened.execute_script(
        """
        const choice = document.getElementById("case-choice"), at = document.getElementById("case-shown");
        const before = at.innerText;
        choice.value = "1";
        choice.dispatchEvent(new Event("change", {bubbles: true}));
        const data = JSON.parse(document.getElementById("cases-data").textContent);
        const asked = data.cases[1].steps.map((s) => s.question);
        const count = (what) => at.querySelectorAll(what).length;
        return [before, at.innerText, asked, count("svg image"), count("script, b")];
        """
    )
    before, after, questions, pictures, markup = shown
    assert before != after
    assert all(question in after for question in questions)
    assert (pictures, markup) == (1, 0)


def test_pointing_at_a_head_shows_its_value(opened: Any) -> None:
    shown = opened.execute_script(
        """
        const map = document.querySelector("#maps svg.map");
        map.scrollIntoView({behavior: "instant"});
        const box = map.getBoundingClientRect(), view = map.viewBox.baseVal, d = map.dataset;
        const x = (Number(d.left) + 2.5 * Number(d.cw)) / view.width * box.width;
        const y = (Number(d.top) + 2.5 * Number(d.ch)) / view.height * box.height;
        const at = {bubbles: true, clientX: box.left + x, clientY: box.top + y};
        map.dispatchEvent(new PointerEvent("pointermove", at));
        const table = JSON.parse(document.getElementById("heads-data").textContent);
        return [document.getElementById("tip").innerText, table.scores[d.key][2 * 8 + 2]];
        """
    )
    assert shown[0].startswith("L2H2 · importance ")
    assert float(shown[0].split()[3]) == shown[1]


def test_pointing_at_a_mark_shows_its_value(opened: Any) -> None:
    tip = opened.execute_script(
        "const mark = document.querySelector('#muting [data-tip]'); "
        "mark.scrollIntoView({behavior: 'instant'});const box = "
        "mark.getBoundingClientRect();mark.dispatchEvent(new PointerEvent('pointermove', "
        "{bubbles: true, clientX: box.left, clientY: box.top}));return "
        "document.getElementById('tip').innerText"
    )
    assert "random draws" in tip or "points lost" in tip


def test_the_page_fits_a_phone(browser: Any, page: Path) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        assert browser.execute_script("return document.getElementById('contents').open") is False
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_for_screen_readers_and_weak_eyes(opened: Any, width: int, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    opened.set_window_size(width, 900)
    try:
        assert serious_findings(opened) == []
    finally:
        opened.set_window_size(1280, 900)
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
