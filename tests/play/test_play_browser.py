"""The playground's page in a real browser: every control, two tabs at once, hostile text, phone and dark."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playing import embedded_playground, served

from browser import serious_findings
from headscope.models.geometry import heads_of
from headscope.play.picture_shelf import PictureShelf
from headscope.play.play_requests import PlayState
from headscope.play.playground import Playground

HOSTILE = '<img src=x onerror="document.title=1">\u202e</script>'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(embedded_playground()) as found:
        yield found


@pytest.fixture
def page(browser: Any, url: str) -> Any:
    browser.set_window_size(1440, 1000)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(url)
    answered(browser, 1)
    yield browser
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def wait(done: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.02)
    return found


def count(page: Any) -> int:
    return int(page.execute_script("return document.body.dataset.answered || 0"))


def answered(page: Any, times: int) -> None:
    """Wait until the page was answered so many times."""
    wait(lambda: count(page) >= times)


def by(page: Any, selector: str) -> Any:
    return page.find_element("css selector", selector)


def text(page: Any, selector: str) -> str:
    return str(page.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def act(page: Any, work: Callable[[], object]) -> None:
    """Do something that asks anew, and wait for the answer."""
    before = count(page)
    work()
    answered(page, before + 1)


def choose(page: Any, selector: str, value: str) -> None:
    page.execute_script(
        "const at = document.querySelector(arguments[0]); at.value = arguments[1];"
        "at.dispatchEvent(new Event('change', {bubbles: true}));",
        selector,
        value,
    )


def state(page: Any) -> PlayState:
    """What the address of the page holds."""
    part = page.current_url.partition("#")[2].replace("-", "+").replace("_", "/")
    return PlayState.model_validate_json(base64.b64decode(part))


def shown(page: Any) -> tuple[str, str]:
    return text(page, "#plain"), text(page, "#changed")


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the picture, places as shares of its width and height."""
    actions = pytest.importorskip("selenium.webdriver").ActionChains(page)
    frame = by(page, "#picture")
    wide, high = frame.size["width"], frame.size["height"]
    offset = [(int((x - 0.5) * wide), int((y - 0.5) * high)) for x, y in (start, end)]
    actions.move_to_element_with_offset(frame, *offset[0]).click_and_hold()
    actions.move_to_element_with_offset(frame, *offset[1]).release().perform()


def test_the_page_opens_with_an_answer_and_loads_nothing_from_elsewhere(page: Any, url: str) -> None:
    assert shown(page) == ("true", "true")
    loaded = page.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert loaded
    assert all(name.startswith((url, "blob:", "data:")) for name in loaded)
    assert len(page.find_elements("css selector", "#map button")) == 64


def test_a_click_on_the_map_edits_the_head_and_another_takes_it_back(page: Any) -> None:
    for label in ("L3H5", "L4H0"):
        act(page, lambda label=label: by(page, f'#map button[aria-label^="{label}:"]').click())
    assert state(page).edit.heads == ("L3H5", "L4H0")
    assert text(page, "#changed-title") == "L3H5, L4H0 muted"
    act(page, lambda: by(page, '#map button[aria-label^="L3H5:"]').click())
    assert state(page).edit.heads == ("L4H0",)
    act(page, lambda: by(page, "#none").click())
    assert state(page).edit.heads == ()


def test_heads_of_a_function_are_chosen_turned_up_and_answer_as_the_library_says(page: Any) -> None:
    choose(page, "#function", "spatial_perception")
    choose(page, "#many", "6")
    act(page, lambda: by(page, "#take").click())
    atlas = embedded_playground().atlas
    assert atlas
    assert heads_of(state(page).edit.heads) == tuple(atlas.top("spatial_perception", 6))
    act(page, lambda: choose(page, "#action", "scale"))
    act(page, lambda: choose(page, "#factor", "3"))
    act(page, lambda: choose(page, "#scope", "last"))
    given = state(page)
    assert (given.edit.action, given.edit.factor, given.edit.scope) == ("scale", 3.0, "last")
    assert shown(page)[1] == embedded_playground().answers(given).changed.text
    assert not by(page, "#claimed").is_enabled()
    assert not by(page, '#action [value="steer"]').is_enabled()


def test_boxes_are_drawn_taken_from_things_and_removed(page: Any) -> None:
    act(page, lambda: drag(page, (0.25, 0.25), (0.75, 0.5)))
    (box,) = state(page).boxes
    assert box == pytest.approx((48, 48, 144, 96), abs=3)
    assert state(page).style == "both"
    act(page, lambda: by(page, "#things button").click())
    assert len(state(page).boxes) == 2
    act(page, lambda: choose(page, "#style", "spotlight"))
    by(page, "#seen").click()
    wait(lambda: "spotlight" in text(page, "#changed-title"))
    act(page, lambda: by(page, '#boxes button[aria-label="remove box 1"]').click())
    assert len(state(page).boxes) == 1
    act(page, lambda: by(page, "#clear").click())
    assert state(page).boxes == ()


def typed(page: Any, question: str, choices: str) -> None:
    """Fill both fields at once, and press the button."""
    for selector, value in (("#question", question), ("#choices", choices)):
        page.execute_script("document.querySelector(arguments[0]).value = arguments[1]", selector, value)
    act(page, lambda: by(page, "#ask .main").click())


def test_a_question_is_typed_with_answers_to_weigh_and_without(page: Any) -> None:
    typed(page, "Where is the dog?", "left, right , top")
    assert state(page).question == "Where is the dog?"
    assert [e.text for e in page.find_elements("css selector", ".choice span")] == ["right", "left", "top"]
    typed(page, "Where is the dog?", "left, right, top, bottom, middle, top left, top right, bottom left")
    assert len(page.find_elements("css selector", ".choice")) == 6
    assert text(page, "#bars .hint").startswith("2 more, each at most 0.0 %")
    typed(page, "Where is the dog?", "")
    assert page.find_elements("css selector", ".choice") == []
    assert shown(page) == ("right", "right")
    act(page, lambda: page.find_elements("css selector", "#known button")[1].click())
    assert state(page).question == "What is there?"


def test_no_question_is_asked_for(page: Any) -> None:
    page.execute_script("document.querySelector('#question').value = ''")
    by(page, "#ask .main").click()
    wait(lambda: text(page, "#message") == "type a question")


def test_the_chain_and_random_heads_are_asked(page: Any) -> None:
    by(page, "#chain").click()
    wait(lambda: page.find_elements("css selector", "#steps tr"))
    assert len(page.find_elements("css selector", "#steps tr")) == 8
    by(page, "#random").click()
    wait(lambda: "no heads are chosen" in text(page, "#message"))
    page.get_log("browser")  # the refusal
    act(page, lambda: by(page, '#map button[aria-label^="L3H5:"]').click())
    assert not by(page, "#message").is_displayed()
    by(page, "#random").click()
    said = wait(lambda: text(page, "#draws"))
    assert re.match(r"\d+ of 7 random sets of 1 heads leave the answer as it is, each with as many", said)
    assert len(page.find_elements("css selector", "#draws i")) == 7  # the layer's other heads


def test_a_clicked_head_shows_its_attention_over_the_picture(page: Any) -> None:
    by(page, '[name="shows"][value="attention"]').click()
    by(page, '#map button[aria-label^="L4H1:"]').click()
    wait(lambda: "L4H1 looks at the picture with" in text(page, "#head-says"))
    assert len(page.find_elements("css selector", "#over .cell")) == 36
    assert state(page).edit.heads == ()
    by(page, '[name="shows"][value="effects"]').click()
    wait(lambda: not page.find_elements("css selector", "#over .cell"))


def test_a_scene_is_composed_by_adding_dragging_and_removing_things(page: Any) -> None:
    act(page, lambda: by(page, '[data-source="scene"]').click())
    assert len(state(page).picture.things) == 2
    for selector, value in (("#kind", "sign"), ("#letter", "X"), ("#colour", "blue")):
        choose(page, selector, value)
    act(page, lambda: by(page, "#add").click())
    added = state(page).picture.things[2]
    assert (added.kind, added.letter, added.colour, added.facing) == ("sign", "X", "blue", None)
    act(page, lambda: drag(page, (added.x / 192, added.y / 192), (0.5, 0.85)))
    moved = state(page).picture.things[2]
    assert (moved.x, moved.y) == pytest.approx((96, 163), abs=3)
    act(page, lambda: by(page, "#frame").send_keys("\ue012"))  # the left arrow
    assert state(page).picture.things[2].x == moved.x - 4
    act(page, lambda: by(page, "#remove").click())
    assert [t.kind for t in state(page).picture.things] == ["dog", "apple"]
    by(page, "#chain").click()
    wait(lambda: page.find_elements("css selector", "#steps tr"))


def test_a_picture_is_uploaded_and_its_link_says_later_that_it_is_gone(
    page: Any, url: str, tmp_path: Path
) -> None:
    Image.new("RGB", (300, 200), (200, 30, 30)).save(tmp_path / "red.png")
    page.execute_script("document.getElementById('file').hidden = false")
    act(page, lambda: by(page, "#file").send_keys(str(tmp_path / "red.png")))
    assert state(page).picture.source == "upload"
    link = page.current_url
    wait(lambda: page.execute_script("return document.getElementById('picture').naturalWidth") == 300)
    with served(Playground(embedded_playground().vlm, PictureShelf())) as later:
        page.get("about:blank")
        page.get(link.replace(url, later))
        wait(lambda: "choose the file once more" in text(page, "#message"))
    page.get_log("browser")  # the refusals of the gone picture
    page.get(url)


def test_a_link_restores_the_whole_state(page: Any) -> None:
    act(page, lambda: by(page, '#map button[aria-label^="L5H1:"]').click())
    act(page, lambda: by(page, "#things button").click())
    link, before, said = page.current_url, state(page), shown(page)
    page.get("about:blank")
    page.get(link)
    answered(page, 1)
    assert state(page) == before
    assert shown(page) == said
    assert by(page, '#map button[aria-label^="L5H1:"]').get_attribute("aria-pressed") == "true"


def test_a_link_that_is_damaged_opens_the_first_example(page: Any, url: str) -> None:
    for part in ("#x", "#e30", "#" + base64.b64encode(b'{"picture":1}').decode()):
        page.get("about:blank")
        page.get(url + part)
        answered(page, 1)
        assert shown(page)[0] == "true"


def test_the_python_of_the_page_is_shown_and_closed_again(page: Any) -> None:
    by(page, "#python").click()
    wait(lambda: 'vlm = hs.load_model("embedded")' in text(page, "#lines"))
    by(page, "#python").click()
    wait(lambda: not by(page, "#code").is_displayed())


def test_the_two_answers_are_saved_as_one_picture(page: Any) -> None:
    act(page, lambda: by(page, "#things button").click())
    picture = saved(page, "png")
    assert picture.size[0] == 2 * (2 * 420 + 3 * 28)
    assert len(picture.getcolors(1 << 24) or ()) > 500  # both pictures and the text are drawn


def test_the_picture_is_saved_as_the_python_reads_it(page: Any) -> None:
    act(page, lambda: by(page, "#things button").click())
    wanted = embedded_playground().shelf.image(state(page).picture)
    assert saved(page, "save").tobytes() == wanted.tobytes()


def saved(page: Any, button: str) -> Image.Image:
    """What a button gives the browser to save."""
    found = page.execute_async_script(
        """
        const [button, done] = arguments, make = URL.createObjectURL;
        HTMLAnchorElement.prototype.click = function () { this.dataset.file = this.download; };
        URL.createObjectURL = (blob) => {
          const reader = new FileReader();
          reader.onload = () => { URL.createObjectURL = make; done(reader.result); };
          reader.readAsDataURL(blob);
          return "data:,";
        };
        document.getElementById(button).click();
        """,
        button,
    )
    return Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))).convert("RGB")


def test_two_tabs_at_once_leak_nothing_into_each_other(page: Any, url: str) -> None:
    first = page.current_window_handle
    act(page, lambda: by(page, '#map button[aria-label^="L3H5:"]').click())
    page.switch_to.new_window("tab")
    page.get(url)
    answered(page, 1)
    assert state(page).edit.heads == ()
    alone = shown(page)[0]
    try:
        for _ in range(4):  # both ask at the same moment
            page.execute_script("window.headscopePage.state.edit.heads = []; window.headscopePage.changed()")
            page.switch_to.window(first)
            act(page, lambda: page.execute_script("window.headscopePage.changed()"))
            assert shown(page)[1] == embedded_playground().answers(state(page)).changed.text
            page.switch_to.window(page.window_handles[1])
            wait(lambda: shown(page) == (alone, alone))
    finally:
        page.close()
        page.switch_to.window(first)


def test_hostile_text_stays_text(page: Any) -> None:
    typed(page, HOSTILE, f"{HOSTILE}, no")
    by(page, "#chain").click()
    wait(lambda: text(page, "#steps"))
    by(page, "#python").click()
    wait(lambda: text(page, "#lines"))
    assert HOSTILE in text(page, "#bars")
    assert page.title == "headscope play"
    assert page.execute_script("return document.querySelectorAll('main img').length") == 1


def test_a_server_that_is_gone_is_told_in_words(browser: Any) -> None:
    with served(embedded_playground()) as url:
        browser.get(url)
        answered(browser, 1)
    browser.execute_script("window.headscopePage.changed()")
    wait(lambda: "is it still running" in text(browser, "#message"))
    browser.get_log("browser")


@pytest.mark.parametrize("width", [1440, 900, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_screen_readers_and_weak_eyes(page: Any, width: int, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        act(page, lambda: by(page, '#map button[aria-label^="L3H5:"]').click())
        act(page, lambda: by(page, "#things button").click())
        for button in ("#chain", "#random", "#python"):
            by(page, button).click()
        wait(lambda: text(page, "#steps") and text(page, "#draws") and text(page, "#lines"))
        assert serious_findings(page) == []
        wide = page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_everything_works_by_keyboard(page: Any) -> None:
    page.execute_script("document.querySelector('#map button').focus()")
    active = page.switch_to.active_element
    act(page, lambda: active.send_keys(" "))
    assert state(page).edit.heads == ("L0H0",)
    skipped = page.execute_script(
        "return [...document.querySelectorAll('button, select, input, [tabindex]')]"
        ".filter((e) => !e.disabled && e.offsetParent && e.tabIndex < 0).length"
    )
    assert skipped == 0
