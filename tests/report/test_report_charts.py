"""Charts and maps show the numbers that they are given."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from headscope.probing.atlas import Atlas, AtlasHead
from headscope.report import theme
from headscope.report.charts import ablation, accuracy, heads, wake
from headscope.report.charts.base import interval, negative, symmetric
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate, lost
from headscope.report.headmap import head_maps, hover_table, top_heads
from headscope.report.sections import sections
from headscope.report.svg import draw, inline


def test_every_dot_says_its_value_on_hover(study: StudyContents) -> None:
    figure = ablation.against_controls(study)
    assert figure is not None
    root = ET.fromstring(inline(draw(figure.spec()), "x", "label"))
    tips = {t.text for t in root.iter("{http://www.w3.org/2000/svg}title")}
    assert study.ablation is not None
    for function, test in study.ablation.functions.items():
        name = function.replace("_", " ")
        assert any(t and t.startswith(f"{name}: {interval(lost(test))} points lost") for t in tips)


def test_dots_stand_in_the_order_of_their_values(study: StudyContents) -> None:
    figure = accuracy.by_function(study)
    assert figure is not None
    svg = draw(figure.spec())
    found = []
    for label, x in re.findall(
        r'aria-label="([^"]+)"[^>]*aria-roledescription="point"[^>]*translate\(([\d.]+),', svg
    ):
        found.append((float(re.search(r": ([\d.]+) \[", label).group(1)), float(x)))  # type: ignore[union-attr]
    assert len(found) == 10
    values, places = np.array(sorted(found)).T
    slope = np.polyfit(values, places, 1)
    np.testing.assert_allclose(np.polyval(slope, values), places, atol=0.6)  # rounded labels


def test_a_head_map_has_one_pixel_a_head_in_the_colour_of_its_score(study: StudyContents) -> None:
    assert study.atlas is not None
    for found in head_maps(study.atlas, "counting"):
        picture = np.array(Image.open(io.BytesIO(base64.b64decode(found.picture.partition(",")[2]))))
        assert picture.shape == (8, 8, 4)
        ranking = next(r for r in heads.rankings(study.atlas) if r.name == found.ranking)
        low, high = heads.domain(ranking, "counting")
        for (row, column), value in zip(
            heads.places(study.atlas)[1], ranking.scores["counting"], strict=True
        ):
            assert value is not None
            expected = theme.blend(heads.colours(ranking), (value - low) / (high - low))
            assert tuple(picture[row, column, :3]) == expected


def test_signed_scales_are_centred_at_zero(study: StudyContents) -> None:
    assert study.atlas is not None
    for ranking in heads.rankings(study.atlas):
        low, high = heads.domain(ranking, "counting")
        if ranking.signed:
            assert low == -high
            assert theme.blend(heads.colours(ranking), 0.5) == (247, 247, 245)
    assert symmetric([3.0, -7.0, None], 5.0) == (-7.0, 7.0)


def test_heads_without_a_score_and_uneven_layers_are_left_blank() -> None:
    places = ((0, 0), (0, 1), (3, 0))
    atlas = Atlas(
        heads=[AtlasHead(layer=a, head=b, label=f"L{a}H{b}", width=4) for a, b in places],
        functions=["counting"],
        rankings={"joint": {"counting": [1.0, None, -2.0]}},
    )
    (ranking,) = heads.rankings(atlas)
    (found,) = head_maps(atlas, "counting", muted=("L3H0",))
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(found.picture.partition(",")[2]))))
    assert picture[..., 3].tolist() == [[255, 0], [255, 0]]
    assert len(found.boxes) == 1
    assert top_heads(atlas, ranking, "counting") == [("L3H0", -2.0), ("L0H0", 1.0)]
    assert hover_table(atlas)["scores"]["joint/counting"] == [1.0, None, -2.0]


def test_control_figures_name_split_n_and_interval(study: StudyContents) -> None:
    for part in sections(study):
        for figure in part.figures:
            assert figure.alt
            assert figure.table, figure.name
            assert all(len(row) == len(figure.header) for row in figure.table), figure.name
            assert re.search(r"test|select|fit|heads", figure.caption), figure.name


def test_losses_read_as_changes_are_turned_end_for_end() -> None:
    turned = negative(Estimate(3.0, 1.0, 6.0, 9))
    assert turned == Estimate(-3.0, -6.0, -1.0, 9)
    assert negative(None) is None
    assert interval(turned, 1, True) == "−3.0 [−6.0, −1.0]"


def test_inline_charts_do_not_share_ids_and_keep_hostile_text_as_text() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><defs><linearGradient id="g"/></defs>'
        '<path aria-roledescription="point" aria-label="&lt;/svg&gt;&lt;script&gt;" fill="url(#g)" '
        'd="M0.123456,1"/></svg>'
    )
    text = inline(svg, "mine", 'a "label" <b>')
    assert 'id="mine-g"' in text
    assert "url(#mine-g)" in text
    assert "M0.12,1" in text
    assert "<script>" not in text
    assert ET.fromstring(text).get("aria-label") == 'a "label" <b>'


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [(-0.04, 1, False, "0.0"), (1.25, 1, True, "+1.2"), (-2, 0, False, "−2"), (float("nan"), 1, False, "–")],
)
def test_numbers_are_written_for_people(value: float, digits: int, sign: bool, text: str) -> None:
    assert theme.number(value, digits, sign) == text


def test_charts_of_parts_without_numbers_are_left_out(study: StudyContents) -> None:
    bare = replace(study.having(wake=None), answers=())
    assert accuracy.by_function(bare) is None
    assert accuracy.held_out(bare) is None
    assert wake.by_style(bare) is None
