"""Sprites: every thing renders, tells its colour, faces the right way and pastes cleanly."""

from __future__ import annotations

import colorsys
from itertools import product

import numpy as np
import pytest

from headscope.errors import HeadscopeError
from headscope.making.scenes.kinds import COLOURS, FACINGS, KINDS, LETTERS, SIGN, SIZES, VARIANTS
from headscope.making.scenes.sprites import paste, sprite


def _every(facing: str = "left"):
    """Yield (kind, colour, size, facing or None, variant, letter or None) for every sprite."""
    for kind, colour, size, variant in product(KINDS.values(), COLOURS, SIZES, range(VARIANTS)):
        letters = LETTERS if kind.name == SIGN else (None,)
        for letter in letters:
            yield kind.name, colour, size, facing if kind.faces else None, variant, letter


def _hue(rgb) -> float:
    """Hue in turns of a colour 0-255."""
    return colorsys.rgb_to_hsv(*(float(channel) / 255 for channel in rgb))[0]


def _gap(one: float, other: float) -> float:
    """Distance between two hues, in turns."""
    return abs((one - other + 0.5) % 1 - 0.5)


def test_the_vocabulary_is_rich_enough():
    assert len(KINDS) >= 24
    assert len({kind.category for kind in KINDS.values()}) >= 5
    assert sum(kind.faces for kind in KINDS.values()) >= 12
    assert len(COLOURS) >= 6
    assert len(SIZES) == 2
    assert SIZES["big"] >= 1.4 * SIZES["small"]
    assert len(set(LETTERS)) == len(LETTERS) >= 10


def test_hints_and_names_are_unique():
    assert len({kind.hint for kind in KINDS.values()}) == len(KINDS)
    assert all(name == kind.name for name, kind in KINDS.items())
    assert KINDS[SIGN].category == "sign"
    assert not KINDS[SIGN].faces


def test_every_sprite_has_a_tight_box_of_the_right_size():
    for facing in FACINGS:
        for arguments in _every(facing):
            rgba = sprite(*arguments)
            assert rgba.dtype == np.uint8, arguments
            assert rgba.shape[2] == 4, arguments
            assert max(rgba.shape[:2]) == SIZES[arguments[2]], arguments
            alpha = rgba[..., 3]
            for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
                assert edge.max() > 0, arguments
            assert (alpha > 200).mean() > 0.2, arguments


def test_left_is_the_exact_mirror_of_right():
    for kind, colour, size, facing, variant, letter in _every():
        if facing is None:
            continue
        left = sprite(kind, colour, size, "left", variant, letter)
        right = sprite(kind, colour, size, "right", variant, letter)
        np.testing.assert_array_equal(left[:, ::-1], right)


def test_a_kind_that_faces_looks_different_from_its_mirror():
    for kind in KINDS.values():
        if kind.faces:
            for variant in range(VARIANTS):
                left = sprite(kind.name, "red", "small", "left", variant).astype(int)
                assert np.abs(left - left[:, ::-1]).mean() > 15, (kind.name, variant)


def test_the_nearest_base_colour_is_the_right_one():
    hues = {name: _hue(rgb) for name, rgb in COLOURS.items()}
    for arguments in _every():
        rgba = sprite(*arguments)
        mean = rgba[rgba[..., 3] > 128][:, :3].mean(axis=0)
        nearest = min(hues, key=lambda name: _gap(hues[name], _hue(mean)))
        assert nearest == arguments[1], arguments
        assert mean.max() - mean.min() > 50, arguments


def test_base_colours_are_far_apart_in_hue():
    hues = sorted(_hue(rgb) for rgb in COLOURS.values())
    assert min(_gap(a, b) for a, b in zip(hues, hues[1:] + hues[:1], strict=True)) > 0.05


def test_shading_stays_visible():
    for kind, variant in product(KINDS.values(), range(VARIANTS)):
        letter = "A" if kind.name == SIGN else None
        rgba = sprite(kind.name, "blue", "big", "left" if kind.faces else None, variant, letter)
        assert rgba[rgba[..., 3] > 200][:, :3].mean(axis=1).std() > 12, (kind.name, variant)


def _on_square(rgba: np.ndarray) -> np.ndarray:
    """The sprite on a grey 48-pixel square."""
    canvas = np.full((48, 48, 3), 128, np.uint8)
    paste(canvas, rgba, (48 - rgba.shape[1]) // 2, (48 - rgba.shape[0]) // 2)
    return canvas.astype(int)


def test_variants_kinds_and_letters_differ():
    pictures = {}
    for kind, colour, size, facing, variant, letter in _every():
        if colour == "green" and size == "big":
            picture = _on_square(sprite(kind, colour, size, facing, variant, letter))
            pictures[kind, variant, letter] = picture
    names = list(pictures)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert np.abs(pictures[name] - pictures[other]).mean() > 2, (name, other)


def test_sprites_are_cached_and_read_only():
    rgba = sprite("dog", "red", "big", "left")
    assert sprite("dog", "red", "big", facing="left", variant=0) is rgba
    with pytest.raises(ValueError, match="read-only"):
        rgba[0, 0, 0] = 1


def test_paste_blends_inside_and_keeps_the_outside():
    rng = np.random.default_rng(0)
    canvas = rng.integers(0, 256, (192, 192, 3), dtype=np.uint8)
    before = canvas.copy()
    rgba = sprite("cat", "blue", "big", "right")
    height, width = rgba.shape[:2]
    paste(canvas, rgba, 20, 30)
    inside = np.zeros((192, 192), bool)
    inside[30 : 30 + height, 20 : 20 + width] = True
    np.testing.assert_array_equal(canvas[~inside], before[~inside])
    region, old = canvas[30 : 30 + height, 20 : 20 + width], before[30 : 30 + height, 20 : 20 + width]
    alpha = rgba[..., 3:] / 255
    assert np.abs(region - (rgba[..., :3] * alpha + old * (1 - alpha))).max() < 2.5
    np.testing.assert_array_equal(region[rgba[..., 3] == 0], old[rgba[..., 3] == 0])
    np.testing.assert_array_equal(region[rgba[..., 3] == 255], rgba[rgba[..., 3] == 255][:, :3])


@pytest.mark.parametrize(("x", "y"), [(-10, 5), (5, -10), (180, 20), (20, 185), (-400, 0), (0, 400)])
def test_paste_clips_at_the_border(x, y):
    rgba = sprite("bell", "yellow", "big")
    canvas = np.zeros((192, 192, 3), np.uint8)
    wide = np.zeros((1192, 1192, 3), np.uint8)
    paste(canvas, rgba, x, y)
    paste(wide, rgba, x + 500, y + 500)
    np.testing.assert_array_equal(canvas, wide[500:692, 500:692])


def test_paste_takes_writeable_sprites_that_change():
    canvas = np.zeros((4, 4, 3), np.uint8)
    rgba = np.full((2, 2, 4), 255, np.uint8)
    paste(canvas, rgba, 0, 0)
    rgba[..., :3] = 7
    paste(canvas, rgba, 0, 0)
    assert (canvas[:2, :2] == 7).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unicorn", "red", "big"), "unicorn"),
        (("dog", "mauve", "big", "left"), "mauve"),
        (("dog", "red", "huge", "left"), "huge"),
        (("dog", "red", "big"), "left"),
        (("dog", "red", "big", "up"), "up"),
        (("bell", "red", "big", "left"), "facing must be None"),
        (("bell", "red", "big", None, 2), "variant"),
        (("bell", "red", "big", None, 0, "A"), "no letter"),
        (("sign", "red", "big"), "letter"),
        (("sign", "red", "big", None, 0, "é"), "letter"),
    ],
)
def test_what_does_not_exist_raises(arguments, message):
    with pytest.raises(HeadscopeError, match=message):
        sprite(*arguments)
