"""What objects show of themselves: short in a terminal, small and escaped in a notebook."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import headscope as hs
from experiments.test_compare import atlas, drawn
from experiments.test_comparing import one_test
from headscope import notebook
from headscope.asking.read import Reading
from headscope.experiments.ablation_result import AblationResult
from headscope.models.embedded import atlas_file
from headscope.models.vlm import VLM

EVIL = "<script>alert('x')</script>"


class Reader(HTMLParser):
    """Tags and texts of a page; every tag that is opened has to be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def shown(what: Any) -> Reader:
    page = Reader(what._repr_html_())
    assert "script" not in page.tags
    return page


def reading(question: str, text: str) -> Reading:
    import xarray as xr

    return Reading(question, text, None, xr.DataArray(np.zeros((3, 2)), dims=("head", "width")), {text: -1.0})


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(atlas({EVIL: np.arange(6.0), "a & b": np.arange(6.0)}, 2, 3), id="atlas"),
        pytest.param(reading(f"Where is {EVIL}?", EVIL), id="reading"),
        pytest.param(hs.Head(1, 2, tower=EVIL), id="head"),
        pytest.param(
            AblationResult(settings={}, functions={EVIL: one_test(True, 3.0, 4)}, rule=EVIL), id="result"
        ),
        pytest.param(
            hs.compare(drawn(1), drawn(2), draws=10).model_copy(update={"ranking": EVIL}), id="compared"
        ),
    ],
)
def test_texts_of_others_are_escaped(what: Any) -> None:
    assert any("<script>" in text for text in shown(what).texts)


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert "\x1b" not in notebook.text("dog\x1b[2J")
    assert "\u202e" not in notebook.text("a\u202eb")
    assert "\x1b" not in repr(reading("dog\x1b[2J", "x"))


def test_everything_is_short_in_a_terminal(tiny: VLM) -> None:
    whole = hs.Atlas.load(atlas_file())
    for what in (whole, reading("w" * 1000, "x" * 1000), hs.Head(3, 5), hs.compare(whole, whole, draws=5)):
        assert len(repr(what)) < 300, repr(what)
        assert str(what)
    assert repr(whole) == (
        "Atlas(embedded, 64 heads in 8 layers x 9 functions; rankings: joint, independent, causal, answer)"
    )
    assert eval(repr(hs.Head(3, 5, site="cross")), {"Head": hs.Head}) == hs.Head(3, 5, site="cross")


def test_everything_is_small_in_a_notebook() -> None:
    large = atlas({f"function {i}": np.random.default_rng(i).normal(size=3600) for i in range(9)}, 60, 60)
    long = reading("w" * 100_000, "x" * 100_000)
    for what in (hs.Atlas.load(atlas_file()), hs.compare(drawn(1), drawn(2), draws=10), long, hs.Head(1, 2)):
        assert len(what._repr_html_()) < 30_000
    assert len(large._repr_html_()) < 200_000  # 32,400 scores
    rows = [{"a": i} for i in range(1000)]
    assert notebook.table(rows).count("<tr>") == notebook.ROWS + 1
    assert "960 more" in notebook.table(rows)


def test_a_map_has_a_pixel_a_head_in_the_colour_of_its_score() -> None:
    scores = np.array([0.0, 1.0, 2.0, -2.0, np.nan, 0.5])
    page = atlas({"counting": scores}, 2, 3)._repr_html_()
    data = re.search(r"base64,([A-Za-z0-9+/=]+)", page)
    assert data is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))).convert("RGB")).astype(int)
    assert pixels.shape == (2, 3, 3)
    white, half, full = pixels[0]
    assert (white > 240).all()
    assert full[2] > full[0] + 80  # blue
    assert abs((white + full) / 2 - half).max() <= 1
    red, unknown, _ = pixels[1]
    assert red[0] > red[2] + 80
    assert len(set(unknown)) == 1  # grey
    assert "L0H2 L0H1 L1H2" in page  # the strongest, under the map


def test_a_result_shows_its_functions_with_n_and_claim(tmp_path: Path) -> None:
    found = AblationResult(settings={"seed": 1}, functions={"counting": one_test(True, 12.5, 40)})
    texts = shown(found).texts
    assert {"counting", "12.5", "40", "yes"} <= set(texts)


def test_attention_is_shown_as_its_overlay(tiny: VLM) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (500, 700, 3), dtype=np.uint8))
    found = hs.read(tiny, picture, "Where?").attention("L0H1,L2H3")
    page = shown(found)
    assert "img" in page.tags
    assert {"L0H1", "L2H3"} <= set(page.texts)
    data = re.search(r"base64,([A-Za-z0-9+/=]+)", found._repr_html_())
    assert data is not None
    assert Image.open(io.BytesIO(base64.b64decode(data[1]))).size == (320, 229)
    assert len(repr(found)) < 100
