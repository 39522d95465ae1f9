"""Places read off boxes: by hand, mirrored, and never said where they are close."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headscope.making.photographs import box_geometry as g

_sizes = st.floats(20, 200)


@st.composite
def boxes(draw: st.DrawFn) -> g.Box:
    x, y = draw(st.floats(0, 400)), draw(st.floats(0, 300))
    return x, y, x + draw(_sizes), y + draw(_sizes)


@pytest.mark.parametrize(
    ("a", "b", "side", "height"),
    [
        ((0, 100, 50, 150), (200, 110, 260, 160), "left", None),
        ((200, 110, 260, 160), (0, 100, 50, 150), "right", None),
        ((100, 0, 150, 50), (110, 200, 160, 260), None, "above"),
        ((100, 200, 160, 260), (110, 0, 160, 50), None, "below"),
        ((0, 0, 100, 100), (50, 0, 150, 100), None, None),  # half of the one lies in the other
        ((0, 0, 100, 100), (0, 0, 100, 100), None, None),
        ((0, 0, 40, 40), (100, 200, 140, 240), None, "above"),  # more above than left
    ],
)
def test_sides_and_heights_by_hand(a: g.Box, b: g.Box, side: str | None, height: str | None) -> None:
    assert g.side_of(a, b) == side
    assert g.height_of(a, b) == height


@given(boxes(), boxes())
def test_two_things_swap_sides_when_they_swap_names(a: g.Box, b: g.Box) -> None:
    other = {"left": "right", "right": "left", "above": "below", "below": "above", None: None}
    assert g.side_of(b, a) == other[g.side_of(a, b)]
    assert g.height_of(b, a) == other[g.height_of(a, b)]


@given(boxes(), boxes(), boxes())
def test_what_is_nearer_is_so_by_centres_and_by_edges(x: g.Box, y: g.Box, z: g.Box) -> None:
    said = g.is_nearer(x, y, z)
    assert g.is_nearer(y, x, z) == (None if said is None else not said)
    if said is not None:
        near, far = (x, y) if said else (y, x)
        (nx, ny), (fx, fy), (cx, cy) = g.centre(near), g.centre(far), g.centre(z)
        assert (fx - cx) ** 2 + (fy - cy) ** 2 >= 1.6**2 * ((nx - cx) ** 2 + (ny - cy) ** 2) - 1e-6
        assert g.gap(near, z) < g.gap(far, z)


@given(boxes(), boxes())
def test_only_twice_the_area_is_larger(a: g.Box, b: g.Box) -> None:
    ratio = ((a[2] - a[0]) * (a[3] - a[1])) / ((b[2] - b[0]) * (b[3] - b[1]))
    assert g.is_larger(a, b) == (True if ratio >= 2 else False if ratio <= 0.5 else None)


@pytest.mark.parametrize(
    ("box", "column", "half"),
    [
        ((0, 0, 60, 60), "left", "left"),
        ((270, 0, 330, 60), "middle", None),
        ((560, 0, 600, 60), "right", "right"),
        ((170, 0, 230, 60), None, "left"),  # on the line between left and middle
        ((0, 0, 400, 60), None, None),  # wider than half of the picture
        ((200, 0, 330, 60), "middle", None),  # a fifth of it is on the other side
    ],
)
def test_parts_of_a_picture_600_wide(box: g.Box, column: str | None, half: str | None) -> None:
    assert g.column_of(box, 600) == column
    assert g.half_of(box, 600) == half


def test_the_gap_between_boxes_is_that_of_their_nearest_corners() -> None:
    assert g.gap((0, 0, 10, 10), (13, 14, 20, 20)) == 5.0
    assert g.gap((0, 0, 10, 10), (5, 5, 20, 20)) == 0.0
