"""Boxes in a real browser: drawn, moved, resized and removed by mouse and by keys; pictures; undo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reviewed import HOSTILE, folder_of_cases, folder_of_two_pictures
from test_review_browser import opened, press, rulings, wait

from headscope.data.cases import load_cases
from headscope.making.review.review_server import ReviewServer

ARROWS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"}
SHIFT, ENTER, ESCAPE = "\ue008", "\ue007", "\ue00c"


@pytest.fixture
def page(tmp_path: Path, browser: Any) -> Iterator[ReviewServer]:
    with opened(folder_of_cases(tmp_path / "cases"), browser) as served:
        wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 40)
        yield served


@pytest.fixture
def pair(tmp_path: Path, browser: Any) -> Iterator[ReviewServer]:
    with opened(folder_of_two_pictures(tmp_path / "cases"), browser) as served:
        wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 40)
        yield served


def pointer(browser: Any, *points: tuple[float, float], size: tuple[int, int] = (40, 30)) -> None:
    """Press at the first of the points (pixels of the picture), go to the others, let go."""
    from selenium.webdriver.common.action_chains import ActionChains

    frame = browser.execute_script(
        "const r = document.getElementById('picture').getBoundingClientRect();"
        "return [r.left, r.top, r.width, r.height]"
    )
    places = [
        (round(frame[0] + x / size[0] * frame[2]), round(frame[1] + y / size[1] * frame[3]))
        for x, y in points
    ]
    chain = ActionChains(browser, duration=20)
    chain.w3c_actions.pointer_action.move_to_location(*places[0])
    chain.w3c_actions.pointer_action.pointer_down()
    for place in places[1:]:
        chain.w3c_actions.pointer_action.move_to_location(*place)
    chain.w3c_actions.pointer_action.pointer_up()
    chain.perform()


def kept(page: ReviewServer) -> dict[str, tuple[int, list[float] | None]]:
    """Thing -> picture and box, as the reviewer's file has them."""
    return {k: (c["picture"], c["box"]) for k, c in page.session.case(0)["boxes"].items()}  # type: ignore[index, union-attr, misc]


def text(browser: Any, selector: str) -> str:
    """What an element says, read in one step: the page may draw it anew at any time."""
    return str(browser.execute_script("return document.querySelector(arguments[0])?.textContent", selector))


def shown(browser: Any) -> int:
    return len(browser.find_elements("css selector", "#boxes rect"))


def test_a_box_is_drawn_by_mouse_for_a_new_thing_and_written(browser: Any, page: ReviewServer) -> None:
    press(browser, "d")
    browser.find_element("css selector", "input[name=thing]").send_keys("red cup\n")
    pointer(browser, (4, 26), (8, 28), (12, 29))
    wait(lambda: kept(page) == {"red-cup": (0, [4, 26, 12, 29])})
    wait(lambda: "red cup" in text(browser, "#things"))
    press(browser, "w")
    wait(lambda: len(load_cases(page.session.folder)[0].objects) == 3)
    assert load_cases(page.session.folder)[0].objects[2].box == (4, 26, 12, 29)
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_a_box_is_selected_moved_and_resized_by_mouse(browser: Any, page: ReviewServer) -> None:
    pointer(browser, (30, 12))  # the dog
    wait(lambda: text(browser, "#things li.chosen") == "dog")
    pointer(browser, (30, 12), (25, 13), (20, 16))
    wait(lambda: kept(page) == {"dog": (0, [12, 9, 28, 24])})
    pointer(browser, (20, 16), (60, 80))  # no farther than the picture's edge
    wait(lambda: kept(page) == {"dog": (0, [24, 15, 40, 30])})
    pointer(browser, (24, 15), (20, 11))  # its upper left handle
    wait(lambda: kept(page) == {"dog": (0, [20, 11, 40, 30])})
    pointer(browser, (40, 20.5), (5, 20.5))  # its right side, past its left one
    wait(lambda: kept(page) == {"dog": (0, [20, 11, 21, 30])})
    assert rulings(page, 0) == {}


def test_a_press_that_moves_nothing_changes_nothing(browser: Any, page: ReviewServer) -> None:
    pointer(browser, (30, 12))
    wait(lambda: browser.find_elements("css selector", "#things li.chosen"))
    pointer(browser, (30, 12))
    pointer(browser, (20.5, 28))  # beside every box
    wait(lambda: not browser.find_elements("css selector", "#things li.chosen"))
    assert kept(page) == {}


def test_a_box_is_moved_resized_and_removed_by_keys_alone(browser: Any, page: ReviewServer) -> None:
    press(browser, "t" + ARROWS["left"] * 3 + ARROWS["down"])
    assert kept(page) == {}  # not before Enter
    press(browser, "a")
    wait(lambda: "Enter keeps the box" in text(browser, "#note"))
    press(browser, ENTER)
    wait(lambda: kept(page) == {"dog": (0, [19, 6, 35, 21])})
    press(browser, SHIFT + ARROWS["right"] * 2 + ARROWS["up"])
    press(browser, ENTER)
    wait(lambda: kept(page) == {"dog": (0, [19, 6, 37, 20])})
    press(browser, ARROWS["right"] + ESCAPE)
    press(browser, "x")
    wait(lambda: kept(page) == {"dog": (0, None)})
    wait(lambda: shown(browser) == 1)
    press(browser, "v")
    wait(lambda: kept(page) == {})
    assert rulings(page, 0) == {}


def test_a_new_box_is_shaped_by_keys_alone(browser: Any, page: ReviewServer) -> None:
    press(browser, "d")
    browser.find_element("css selector", "input[name=thing]").send_keys("lamp\n")
    press(browser, ARROWS["up"] * 7 + SHIFT + ARROWS["left"] * 4)
    press(browser, ENTER)
    wait(lambda: kept(page) == {"lamp": (0, [10, 1, 26, 16])})


def test_verdicts_and_boxes_are_undone_in_turn(browser: Any, page: ReviewServer) -> None:
    press(browser, "a")
    wait(lambda: "step=2" in browser.current_url)
    press(browser, "tx")
    wait(lambda: kept(page) == {"dog": (0, None)})
    press(browser, ESCAPE + "z")
    wait(lambda: kept(page) == {})
    wait(lambda: "Undone: the box of dog of a" in text(browser, "#note"))
    browser.refresh()  # what was done before a reload is undone too
    wait(lambda: browser.execute_script("return document.body.dataset.ready"))
    browser.find_element("id", "undo").click()
    wait(lambda: rulings(page, 0) == {})
    wait(lambda: text(browser, "#progress") == "0 of 10 judged")
    press(browser, "z")
    wait(lambda: "nothing to undo" in text(browser, "#note"))


def test_a_box_that_somebody_changed_meanwhile_is_refused_and_shown_anew(
    browser: Any, page: ReviewServer
) -> None:
    file = page.session.folder / "cases.jsonl"
    file.write_text(file.read_text().replace("[22, 5, 38, 20]", "[25, 5, 38, 20]", 1))
    press(browser, "tx")
    wait(lambda: "somebody changed the thing 'dog'" in text(browser, "#note"))
    first = "return document.querySelector('#boxes rect').getAttribute('x')"
    wait(lambda: browser.execute_script(first) == "25")
    assert kept(page) == {}


def test_pictures_of_a_case_are_switched_and_keep_their_own_boxes(browser: Any, pair: ReviewServer) -> None:
    assert shown(browser) == 2
    press(browser, "]")
    wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 60)
    assert shown(browser) == 1
    assert text(browser, "#pictures .true") == "Picture 2"
    press(browser, "d")
    browser.find_element("css selector", "input[name=thing]").send_keys("spoon\n")
    pointer(browser, (40, 4), (55, 18), size=(60, 20))
    wait(lambda: kept(pair) == {"spoon": (1, [40, 4, 55, 18])})
    press(browser, "[")
    wait(lambda: shown(browser) == 2)
    press(browser, "z")
    wait(lambda: kept(pair) == {})
    wait(lambda: text(browser, "#pictures .true") == "Picture 2")


def test_a_step_shows_the_picture_it_is_about(browser: Any, pair: ReviewServer) -> None:
    press(browser, "jj")  # the third step is about the cup
    wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 60)
    assert len(browser.find_elements("css selector", "#boxes rect.about")) == 1
    press(browser, "k")
    wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 40)


def test_a_hostile_name_of_a_thing_stays_text(browser: Any, page: ReviewServer) -> None:
    press(browser, "d")
    browser.find_element("css selector", "input[name=thing]").send_keys(HOSTILE + "\n")
    press(browser, ENTER)
    wait(lambda: len(kept(page)) == 1)
    wait(lambda: HOSTILE in text(browser, "#things"))
    made = "return document.querySelectorAll('main b, main script, main img').length"
    assert browser.execute_script(made) == 1
    assert browser.title == "Review of cases"
