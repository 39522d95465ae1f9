"""Pixels inside and outside of what each style points at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.errors import DataError
from headscope.pointing import crop, look, outline, spotlight, styles
from headscope.pointing.look import Look
from headscope.pointing.regions import cover, iou, mask_of, overlap, place_elsewhere, union
from headscope.pointing.styles import STYLES, TRIED, point

WIDTH, HEIGHT = 60, 40


def picture(seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 250, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@st.composite
def boxes_in(draw, most=4, least=1):
    found = []
    for _ in range(draw(st.integers(least, most))):
        x0 = draw(st.floats(0, WIDTH - 0.5))
        y0 = draw(st.floats(0, HEIGHT - 0.5))
        x1 = draw(st.floats(x0 + 0.25, WIDTH))
        y1 = draw(st.floats(y0 + 0.25, HEIGHT))
        assume(max(x1, y1) > 1)  # else these may be shares
        found.append((x0, y0, x1, y1))
    return found


def inside(boxes, pad=0.0):
    """Pixel by pixel, independent of mask_of: a pixel is in a box if its square shares area with it."""
    out = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in boxes:
        for y in range(HEIGHT):
            for x in range(WIDTH):
                if x + 1 > x0 - pad and x < x1 + pad and y + 1 > y0 - pad and y < y1 + pad:
                    out[y, x] = True
    return out


def test_a_spotlight_keeps_what_is_inside_and_fills_what_is_outside():
    image, box = picture(), (10.0, 5.0, 30.0, 20.0)
    lit = np.array(spotlight.spotlight(image, [box], fill=(1, 2, 3), pad=2))
    keep = np.zeros((HEIGHT, WIDTH), bool)
    keep[3:22, 8:32] = True
    assert (lit[keep] == np.array(image)[keep]).all()
    assert (lit[~keep] == (1, 2, 3)).all()


def test_an_outline_lies_outside_its_box_and_touches_nothing_else():
    image, box = picture(), (10.0, 5.0, 30.0, 20.0)
    drawn = np.array(outline.box(image, [box], colour=(255, 0, 255), width=2))
    changed = (drawn != np.array(image)).any(-1)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[3:22, 8:32] = True
    expected[5:20, 10:30] = False
    assert (changed == expected).all()
    assert (drawn[expected] == (255, 0, 255)).all()


def test_an_outline_at_the_border_is_closed():
    ring = outline.ring((0, 0, WIDTH, HEIGHT), (WIDTH, HEIGHT), 2)
    assert ring[0].all()
    assert ring[-1].all()
    assert ring[:, 0].all()
    assert ring[:, -1].all()
    assert not ring[2:-2, 2:-2].any()


def test_both_is_the_outline_on_top_of_the_spotlight():
    image, boxes, look = picture(), [(10.0, 5.0, 30.0, 20.0), (40.0, 20.0, 50.0, 30.0)], Look(pad=0.05)
    both = np.array(point("both", image, boxes, look).image)
    lit = spotlight.spotlight(image, boxes, "mean", look.pixels(look.pad, image.size))
    expected = np.array(outline.box(lit, boxes, look.colour, look.line(image.size), 2))
    assert (both == expected).all()


def test_fills_are_the_mean_the_grey_or_the_colour():
    image = Image.fromarray(np.array([[[0, 10, 20], [100, 30, 60]]], dtype=np.uint8))
    assert look.fill_colour(image, "mean") == (50, 20, 40)
    assert look.fill_colour(image, "grey") == (128, 128, 128)
    assert look.fill_colour(image, (9, 8, 7)) == (9, 8, 7)
    with pytest.raises(DataError, match="expected"):
        look.fill_colour(image, "pink")


def test_a_crop_enlarges_the_boxes_and_keeps_their_shape():
    image = Image.new("RGB", (WIDTH, HEIGHT), (10, 20, 30))
    image.paste((200, 0, 0), (20, 10, 30, 20))
    plan = crop.plan_crop([(20, 10, 30, 20)], image.size)
    assert (plan.region, plan.inner, plan.offset) == ((20, 10, 30, 20), (40, 40), (10, 0))
    cut = np.array(crop.crop(image, [(20, 10, 30, 20)], fill=(1, 2, 3)))
    assert (cut[:, 10:50] == (200, 0, 0)).all()
    assert (cut[:, :10] == (1, 2, 3)).all()
    assert (cut[:, 50:] == (1, 2, 3)).all()


def test_no_boxes_and_unknown_styles():
    image = picture()
    assert (np.array(point("both", image, []).image) == np.array(image)).all()
    with pytest.raises(DataError, match=r"'halo'; there are: box, spotlight, both, crop"):
        point("halo", image, [(0, 0, 5, 5)])


def test_the_picture_given_is_never_changed():
    image = picture()
    before = np.array(image)
    for style in styles.STYLES:
        point(style, image, [(3, 3, 20, 20)])
    assert (np.array(image) == before).all()


@settings(max_examples=40, deadline=None)
@given(boxes_in(), st.integers(0, 4))
def test_masks_cover_every_touched_pixel_and_no_other(boxes, pad):
    assert (mask_of(boxes, (WIDTH, HEIGHT), pad) == inside(boxes, pad)).all()


@settings(max_examples=60, deadline=None)
@given(boxes_in(), st.sampled_from(sorted(styles.STYLES)))
def test_every_style_keeps_size_and_places_its_boxes_in_the_picture(boxes, style):
    image = picture()
    pointed = point(style, image, boxes, Look(pad=0.05, width=0.03))
    assert pointed.image.size == image.size
    assert pointed.image.mode == "RGB"
    assert 0 <= pointed.masked < 1
    assert len(pointed.boxes) == len(boxes)
    for x0, y0, x1, y1 in pointed.boxes:
        assert -1e-6 <= x0 < x1 <= WIDTH + 1e-6
        assert -1e-6 <= y0 < y1 <= HEIGHT + 1e-6
    if style == "box":
        assert (np.array(pointed.image) == np.array(image)).all(-1)[~inside(boxes, 1 + 2)].all()


@settings(max_examples=60, deadline=None)
@given(boxes_in(), st.integers(0, 5))
def test_a_crop_holds_all_boxes_at_one_scale(boxes, pad):
    plan = crop.plan_crop(boxes, (WIDTH, HEIGHT), pad)
    assert plan.inner[0] == WIDTH or plan.inner[1] == HEIGHT
    x0, y0, x1, y1 = plan.region
    around = union(boxes)
    assert x0 <= around[0]
    assert y0 <= around[1]
    assert x1 >= around[2]
    assert y1 >= around[3]
    # rounded to whole pixels, width and height are scaled alike
    scale = min(WIDTH / (x1 - x0), HEIGHT / (y1 - y0))
    assert abs(plan.inner[0] - (x1 - x0) * scale) <= 0.5 + 1e-9
    assert abs(plan.inner[1] - (y1 - y0) * scale) <= 0.5 + 1e-9


@settings(max_examples=60, deadline=None)
@given(boxes_in(), st.floats(1, 30), st.floats(1, 30), st.integers(0, 99))
def test_a_box_placed_elsewhere_lies_inside_and_avoids_where_it_can(boxes, width, height, seed):
    placed = place_elsewhere(width, height, (WIDTH, HEIGHT), boxes, np.random.default_rng(seed))
    assert 0 <= placed[0] < placed[2] <= WIDTH
    assert 0 <= placed[1] < placed[3] <= HEIGHT
    assert placed[2] - placed[0] == pytest.approx(width)
    assert placed[3] - placed[1] == pytest.approx(height)
    again = place_elsewhere(width, height, (WIDTH, HEIGHT), boxes, np.random.default_rng(seed))
    assert placed == again
    free = place_elsewhere(4, 4, (WIDTH, HEIGHT), [(0, 0, 20, 40)], np.random.default_rng(seed))
    assert overlap(free, (0, 0, 20, 40)) == 0


@given(boxes_in(2, 2))
def test_overlap_over_union_is_symmetric_and_one_for_the_same_box(boxes):
    a, b = boxes
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, a) == pytest.approx(1)
    x0, y0, x1, y1 = cover(a, (WIDTH, HEIGHT))
    assert 0 <= x0 < x1 <= WIDTH
    assert 0 <= y0 < y1 <= HEIGHT


def convolved(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian over three of its widths by the sum over shifted copies, the edge's pixels going on."""
    reach = int(3 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    height, width = pixels.shape[:2]
    wide = np.pad(pixels.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    shifts = range(2 * reach + 1)
    down = sum(weights[k] * wide[k : k + height] for k in shifts)
    return np.asarray(sum(weights[k] * down[:, k : k + width] for k in shifts))


@given(boxes_in())
@settings(max_examples=20, deadline=None)
def test_blur_leaves_the_padded_boxes_and_smooths_all_else(boxes):
    image = picture(3)
    before, after = np.array(image), np.array(point("blur", image, boxes).image)
    kept = inside(boxes, Look().pixels(Look().pad, image.size))
    assert (after[kept] == before[kept]).all()
    wanted = convolved(before, 0.05 * HEIGHT)
    assert (np.abs(after.astype(float) - wanted)[~kept] <= 0.5 + 1e-6).all()
    assert after[~kept].std() < 0.5 * before.std() if (~kept).sum() > 500 else True


def test_every_style_has_a_row_in_the_docs_and_a_study_tries_those_that_it_always_tried():
    page = (Path(__file__).parents[2] / "docs" / "visual-prompting.md").read_text()
    for name, style in STYLES.items():
        assert f"| `{name}` | {style.says} |" in page
    assert TRIED == ("box", "spotlight", "both", "crop")


def test_the_command_line_names_every_style():
    for command in ("ask", "evaluate"):
        said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400"}).output
        assert ", ".join(STYLES) in said


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((30, 20, 10, 5), "is empty; expected x0 < x1 and y0 < y1"),
        ((10, 5, 10, 20), "is empty"),
        ((10, 5, float("nan"), 20), "expected four numbers"),
        ((10, 5, float("inf"), 20), "expected four numbers"),
        ((10, 5, 30), "expected four numbers"),
        ("dog", "expected four numbers"),
        ((10, 5, 30, 200), "reaches outside the picture of 60 x 40 pixels"),
        ((0.1, 0.2, 0.5, 0.6), "expected pixels of a picture of 60 x 40, not shares of 0 to 1"),
    ],
)
@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_box_that_is_reversed_or_no_box_is_refused_and_masks_nothing(style, box, said):
    with pytest.raises(DataError, match=said):
        point(style, picture(), [(5, 5, 20, 20), box])


def test_a_single_box_and_boxes_of_an_array_are_boxes():
    wanted = np.array(point("both", picture(), [(5, 5, 20, 20)]).image)
    for one in ((5, 5, 20, 20), [5, 5, 20, 20], np.array([5, 5, 20, 20]), np.array([[5, 5, 20, 20]])):
        assert (np.array(point("both", picture(), one).image) == wanted).all()
    assert (np.array(point("both", np.array(picture()), (5, 5, 20, 20)).image) == wanted).all()
