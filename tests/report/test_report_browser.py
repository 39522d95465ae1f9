"""The page in a real browser: nothing loaded, nothing wrong, everything drawn, hostile text shown as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_fixture import HOSTILE

from browser import serious_findings
from headscope.experiments.attention_maps import AttentionMaps
from headscope.report.contents import StudyContents


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


def chosen(opened: Any, name: str, value: str) -> None:
    """Choose in a list as a reader does."""
    opened.execute_script(
        "const list = document.getElementById(arguments[0]); list.value = arguments[1];"
        "list.dispatchEvent(new Event('change', {bubbles: true}));",
        name,
        value,
    )


def text_of(opened: Any, name: str) -> str:
    """What is to be read in an element."""
    found: str = opened.execute_script("return document.getElementById(arguments[0]).innerText", name)
    return found


def settled(opened: Any, begins: str) -> str:
    """What is said of the attention of a head, once it stands there."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(opened, 10).until(lambda d: begins in text_of(d, "attention-said"))
    return text_of(opened, "attention-said")


def test_attention_of_the_chosen_head_stands_over_the_picture_with_its_shares(
    opened: Any, study: StudyContents
) -> None:
    maps = study.of(AttentionMaps)
    assert maps is not None
    row = next(r for r in maps.rows if r["case"] == maps.most_failed[0] and r["step"] == "main")
    head = 19
    chosen(opened, "attention-head", str(head))
    said = settled(opened, f"{maps.heads[head]}, ")
    assert f"{100 * row['on_picture'][head]:.1f} % of it falls on the picture" in said
    assert "prompt’s last position" in said
    shown = opened.execute_script(
        "return [...document.querySelectorAll('#attention-shown .cells rect')]"
        ".map((r) => Number(r.getAttribute('fill-opacity')))"
    )
    cells = np.frombuffer(row["cells"], np.uint8).reshape(len(maps.heads), -1)[head]
    assert shown == pytest.approx(0.85 * cells / 255, abs=6e-4)
    table = text_of(opened, "attention-figures")
    for box in row["boxes"]:
        share, part = box["on_box"][head], box["on_box"][head] / row["on_picture"][head]
        assert f"{100 * share:.1f} %\t{100 * part:.1f} %\t4.0 %\t{part / 0.04:.1f}" in table


def test_every_head_is_a_click_away_and_one_that_is_not_seen_says_so(opened: Any) -> None:
    for head, says in ((33, "falls on the picture"), (0, "not seen in this model")):
        opened.execute_script(
            "document.querySelector(`#attention-map [data-head='${arguments[0]}']`)"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))",
            head,
        )
        label = f"L{head // 8}H{head % 8}, "
        assert says in settled(opened, label)
        assert opened.execute_script("return document.getElementById('attention-head').value") == str(head)


def test_failures_are_filtered_and_more_are_shown_on_demand(opened: Any, study: StudyContents) -> None:
    wrong = [r for r in study.answers or () if r["split"] == "test" and not r["correct"]]
    cards = "return document.querySelectorAll('#failures-shown li').length"
    gold = sum(r["context"] == "gold" for r in wrong)
    assert text_of(opened, "failures-count") == f"{min(24, gold)} of {gold} that fit the filters"
    chosen(opened, "failures-context", "")
    chosen(opened, "failures-function", "counting")
    counting = sum(r["function"] == "counting" for r in wrong)
    assert opened.execute_script(cards) == min(24, counting) > 0
    assert f" of {counting} that fit" in text_of(opened, "failures-count")
    chosen(opened, "failures-outcome", "unreadable")
    assert opened.execute_script(cards) == 0
    chosen(opened, "failures-outcome", "")
    chosen(opened, "failures-function", "")
    opened.execute_script("document.getElementById('failures-more').click()")
    assert opened.execute_script(cards) == min(48, len(wrong))
    assert opened.execute_script(
        "return [...document.querySelectorAll('#failures-shown img')].every((i) => i.naturalWidth > 0)"
    )


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
