"""Uses the playground's page at random for a long time, and watches memory.

    python tools/soak_play.py --interactions 2000

Every interaction is a click, a box, a typed question or another picture, on one of two tabs. Printed every
100: memory of the server and of the page, milliseconds of an answer (median of the last 100). It ends with an
error where the page shows one, where an answer is not that of a fresh request, or where the server's memory
grows by more than 5 % from the third quarter to the last (medians).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "play")]


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--interactions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    from playing import embedded_playground, served

    from browser import open_browser

    with tempfile.TemporaryDirectory() as profile, served(embedded_playground()) as url:
        for driver in open_browser(Path(profile)):
            soak(driver, url, args.interactions, random.Random(args.seed))


def soak(driver: Any, url: str, interactions: int, rng: random.Random) -> None:
    """Interact so many times."""
    driver.set_window_size(1440, 1000)
    driver.get(url)
    driver.switch_to.new_window("tab")
    driver.get(url)
    tabs, began, milliseconds, memory = driver.window_handles, time.monotonic(), [], []
    for number in range(1, interactions + 1):
        driver.switch_to.window(rng.choice(tabs))
        wait(driver, 0)
        before = answered(driver)
        driver.execute_script(rng.choice(ACTS), rng.random(), rng.random(), rng.random())
        wait(driver, before)
        milliseconds.append(driver.execute_script("return document.getElementById('busy').textContent"))
        if number % 25 == 0:
            compare(driver)
        if number % 100 == 0 or number == interactions:
            memory.append(resident())
            page = driver.execute_script("return performance.memory.usedJSHeapSize") / 2**20
            times = [float(m.split()[0]) for m in milliseconds[-100:] if m.endswith("ms")]
            print(
                f"{number} of {interactions}: {time.monotonic() - began:.0f} s, server {memory[-1]:.0f} MiB, "
                f"page {page:.1f} MiB, {statistics.median(times):.0f} ms an answer",
                flush=True,
            )
    growth = grown(memory)
    print(f"server memory, last quarter to the one before: {100 * growth:+.1f} %")
    assert growth <= 0.05, "the server's memory grows"


def grown(memory: list[float]) -> float:
    """Share by which the median of the last quarter is above that of the quarter before.

    Single samples differ by 5 % as the allocator keeps or returns pages, so that two of them tell nothing.
    """
    quarter = max(1, len(memory) // 4)
    return statistics.median(memory[-quarter:]) / statistics.median(memory[-2 * quarter : -quarter]) - 1


ACTS = (
    "const b = document.querySelectorAll('#map button'); b[Math.floor(arguments[0] * b.length)].click()",
    "const b = document.querySelectorAll('#things button, #known button');"
    "if (b.length) b[Math.floor(arguments[0] * b.length)].click(); else window.headscopePage.changed()",
    "const c = document.getElementById('style');"
    "c.selectedIndex = Math.floor(arguments[0] * c.options.length); c.dispatchEvent(new Event('change'))",
    "const [x, y] = [arguments[0], arguments[1]].map((a) => 8 + Math.round(170 * a));"
    "window.headscopePage.addBox([0, 0, x, y])",
    "document.getElementById('clear').click()",
    "document.getElementById('none').click()",
    "document.getElementById('take').click()",
    "const p = window.headscopePage, e = p.about.pictures.example;"
    "p.state.picture.source = 'example'; p.choosePicture(e[Math.floor(arguments[0] * e.length)].id)",
    "window.headscopePage.source('scene')",
    "const p = window.headscopePage;"
    "if (p.state.picture.source === 'scene') p.composer.addThing(); else p.changed()",
    "document.getElementById('question').value = 'Where is the dog? ' + Math.floor(9 * arguments[0]);"
    "document.getElementById('choices').value = arguments[1] > 0.5 ? 'left, right' : '';"
    "document.querySelector('#ask .main').click(); window.headscopePage.changed()",
    "document.getElementById('chain').click(); window.headscopePage.changed()",
)


def answered(driver: Any) -> int:
    return int(driver.execute_script("return document.body.dataset.answered || 0"))


def wait(driver: Any, before: int) -> None:
    """Until the page was answered once more, or says why not."""
    end = time.monotonic() + 60
    while answered(driver) <= before:
        said = driver.execute_script(
            "const m = document.getElementById('message'); return m.hidden ? '' : m.textContent"
        )
        assert not said, f"the page says: {said}"
        assert time.monotonic() < end, "no answer within a minute"
        time.sleep(0.01)


def compare(driver: Any) -> None:
    """What the page shows is what its state gives when it is asked afresh."""
    import base64

    from playing import embedded_playground

    from headscope.play.play_requests import PlayState

    part = driver.current_url.partition("#")[2].replace("-", "+").replace("_", "/")
    state = PlayState.model_validate_json(base64.b64decode(part))
    shown = driver.execute_script("return document.getElementById('changed').textContent")
    assert shown == (embedded_playground().answers(state).changed.text or "(nothing)"), state


def resident() -> float:
    """Memory of this process, the server among it, in MiB."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status names no VmRSS")


if __name__ == "__main__":
    main()
