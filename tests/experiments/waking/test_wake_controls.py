"""What each control masks, outlines and leaves alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headscope.errors import DataError
from headscope.experiments.waking.controls import (
    CONTROLS,
    SPARSE,
    Scene,
    background_mask,
    control,
    distractor_mask,
    elsewhere,
    empty_ground,
    others,
    reverse,
)
from headscope.pointing.look import Look
from headscope.pointing.regions import mask_of, overlap
from headscope.pointing.spotlight import hidden_by_spotlight
from headscope.pointing.styles import point

SIZE = (80, 60)
NAMED = ((5.0, 5.0, 20.0, 20.0), (50.0, 30.0, 64.0, 45.0))
OTHERS = ((30.0, 5.0, 44.0, 20.0), (5.0, 35.0, 20.0, 50.0), (66.0, 5.0, 78.0, 17.0))


def scene(key="c1/s1", **more) -> Scene:
    return Scene(NAMED, (*NAMED, *OTHERS), key, **more)


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 250, (60, 80, 3), dtype=np.uint8))


def test_boxes_elsewhere_have_equal_sizes_and_avoid_the_named_objects():
    places = elsewhere(scene(), SIZE, seed=1)
    sizes = [(b[2] - b[0], b[3] - b[1]) for b in NAMED]
    assert [(b[2] - b[0], b[3] - b[1]) for b in places] == sizes
    assert all(overlap(p, n) == 0 for p in places for n in NAMED)
    assert overlap(*places) == 0
    assert elsewhere(scene(), SIZE, seed=1) == places
    assert elsewhere(scene(), SIZE, seed=2) != places
    assert elsewhere(scene("c2/s1"), SIZE, seed=1) != places


def test_random_boxes_mask_nothing():
    drawn = control("random_box", picture(), scene(), seed=1)
    changed = (np.array(drawn.image) != np.array(picture())).any(-1)
    expected = point("box", picture(), drawn.boxes).image
    assert (np.array(drawn.image) == np.array(expected)).all()
    assert drawn.masked == 0
    assert 0 < changed.mean() < 0.2


def test_equal_area_masks_background_alone_and_leaves_every_object_visible():
    hidden = background_mask(scene(), SIZE, pad=2)
    assert not (hidden & mask_of((*NAMED, *OTHERS), SIZE)).any()
    assert (hidden | mask_of(NAMED, SIZE, 2) | mask_of(OTHERS, SIZE)).all()
    shown = control("equal_area", picture(), scene(outlined=False), Look(pad=2 / 60))
    kept = (np.array(shown.image) == np.array(picture())).all(-1)
    assert kept[~hidden].all()
    spotlight = hidden_by_spotlight(NAMED, SIZE, 2)
    assert shown.share == pytest.approx(hidden.sum() / spotlight.sum())
    assert shown.masked == pytest.approx(hidden.mean())


def test_without_distractors_the_equal_area_control_is_the_spotlight_and_says_so():
    alone = Scene(NAMED, NAMED, "c1/s1", outlined=True)
    shown = control("equal_area", picture(), alone)
    assert shown.share == 1.0
    assert (np.array(shown.image) == np.array(point("both", picture(), NAMED).image)).all()


def test_the_pair_of_equal_area_masks_as_many_pixels_and_the_distractors_first():
    one, other = background_mask(scene(), SIZE, 2), distractor_mask(scene(), SIZE, 2, seed=4)
    assert one.sum() == other.sum()
    assert not (other & mask_of(NAMED, SIZE, 2)).any()
    assert (other | ~mask_of(OTHERS, SIZE) | mask_of(NAMED, SIZE, 2)).all()
    assert (distractor_mask(scene(), SIZE, 2, seed=4) == other).all()
    assert (distractor_mask(scene(), SIZE, 2, seed=5) != other).any()


def test_the_reverse_mask_hides_what_the_spotlight_shows():
    hidden = reverse(scene(), SIZE, 2)
    assert (hidden == mask_of(NAMED, SIZE, 2)).all()
    shown = np.array(control("reverse_mask", picture(), scene(outlined=False), Look(pad=2 / 60)).image)
    assert (shown[hidden] == shown[hidden][0]).all()
    assert (shown[~hidden] == np.array(picture())[~hidden]).all()


def test_boxes_on_other_things_are_those_of_things_that_are_not_named():
    places = others(scene(), seed=3)
    assert places is not None
    assert len(set(places)) == 2
    assert set(places) < set(OTHERS)
    assert {others(scene(), seed=s) for s in range(20)} == set(itertools.combinations(OTHERS, 2))
    assert others(Scene(NAMED, (*NAMED, OTHERS[0]), "c1/s1")) is None
    shown = control("other_boxes", picture(), scene(), seed=3)
    assert shown is not None
    assert (np.array(shown.image) == np.array(point("both", picture(), places).image)).all()


def test_an_empty_window_covers_no_thing_and_is_as_large_as_the_named_box():
    places = empty_ground(scene(), SIZE, seed=3)
    assert places is not None
    assert [(b[2] - b[0], b[3] - b[1]) for b in places] == [(b[2] - b[0], b[3] - b[1]) for b in NAMED]
    assert not (mask_of(places, SIZE) & mask_of((*NAMED, *OTHERS), SIZE)).any()
    assert overlap(*places) == 0
    full = tuple((float(x), float(y), x + 10.0, y + 10.0) for x in range(0, 80, 10) for y in range(0, 60, 10))
    assert empty_ground(Scene(NAMED, full, "c1/s1"), SIZE) is None
    assert control("empty_window", picture(), Scene(NAMED, full, "c1/s1")) is None


def test_outlines_are_drawn_where_the_style_under_test_draws_them():
    with_lines = np.array(control("equal_area", picture(), scene(outlined=True)).image)
    without = np.array(control("equal_area", picture(), scene(outlined=False)).image)
    changed = (with_lines != without).any(-1)
    both = np.array(point("both", picture(), NAMED).image)
    lit = np.array(point("spotlight", picture(), NAMED).image)
    assert (changed == (both != lit).any(-1)).all()


def test_no_boxes_and_unknown_controls():
    empty = Scene((), OTHERS, "c1/s1")
    assert (np.array(control("equal_area", picture(), empty).image) == np.array(picture())).all()
    with pytest.raises(DataError, match="'nothing'; there are: random_box"):
        control("nothing", picture(), scene())


@st.composite
def scenes(draw):
    def one():
        x0, y0 = draw(st.integers(0, 75)), draw(st.integers(0, 55))
        return (
            float(x0),
            float(y0),
            float(min(80, x0 + draw(st.integers(1, 30)))),
            float(min(60, y0 + draw(st.integers(1, 30)))),
        )

    named = tuple(one() for _ in range(draw(st.integers(1, 3))))
    return Scene(named, (*named, *(one() for _ in range(draw(st.integers(0, 8))))), draw(st.text(max_size=4)))


@settings(max_examples=80, deadline=None)
@given(scenes(), st.integers(0, 6), st.integers(0, 3))
def test_masks_keep_their_promises_wherever_objects_lie(found, pad, seed):
    spotlight = hidden_by_spotlight(found.boxes, SIZE, pad)
    background = background_mask(found, SIZE, pad)
    pair = distractor_mask(found, SIZE, pad, seed)
    assert not (background & ~spotlight).any()
    assert not (pair & ~spotlight).any()
    assert background.sum() == pair.sum()
    assert (reverse(found, SIZE, pad) ^ spotlight).all()
    # distractors first: background is touched only once all of the distractors' visible pixels are gone
    distractors = mask_of(found.distractors, SIZE) & spotlight
    if (pair & ~distractors).any():
        assert not (distractors & ~pair).any()


@settings(max_examples=30, deadline=None)
@given(scenes(), st.sampled_from(sorted(CONTROLS)))
def test_every_control_is_deterministic_and_keeps_the_size(found, name):
    one, other = (control(name, picture(), found, seed=7) for _ in range(2))
    if one is None or other is None:
        assert one is other
        assert name in SPARSE
        return
    assert (np.array(one.image) == np.array(other.image)).all()
    assert one.image.size == SIZE
    assert 0 <= one.masked <= 1
    assert one.share is None or 0 <= one.share <= 1
