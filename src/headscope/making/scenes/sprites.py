"""Tinted sprites of the things in a scene, and how to paste them on a canvas."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw

from headscope.errors import DataError
from headscope.making.scenes.kinds import COLOURS, FACINGS, KINDS, LETTERS, SIGN, SIZES, VARIANTS

_PACKAGE = "headscope.making.scenes"
_DARK = 0.26  # darkest shade, as a fraction of the base colour
_LIGHT = 0.72  # lightest shade, as a fraction of the way from the base colour to white
_OUTLINE = 0.30  # outline colour, as a fraction of the base colour
_OUTLINE_ALPHA = 0.85
_SUPER = 4  # supersampling of the drawn sign boards


def sprite(
    kind: str,
    colour: str,
    size: str,
    facing: str | None = None,
    variant: int = 0,
    letter: str | None = None,
) -> np.ndarray:
    """Return the read-only (height, width, 4) uint8 RGBA sprite, in pixels of a 192-pixel scene.

    `facing` is "left" or "right" for kinds that face, else None; `letter` is given for signs only.
    The longest side is `SIZES[size]` and the box is tight around the drawing.
    """
    return _sprite(kind, colour, size, facing, variant, letter)


def paste(canvas: np.ndarray, rgba: np.ndarray, x: int, y: int) -> None:
    """Blend `rgba` (h, w, 4) into `canvas` (H, W, 3) uint8 in place, its top left at (x, y) pixels.

    Whatever falls outside the canvas is clipped.
    """
    premultiplied, keep = _layers(rgba)
    height, width = keep.shape[:2]
    if x < 0 or y < 0 or y + height > canvas.shape[0] or x + width > canvas.shape[1]:
        top, left = max(-y, 0), max(-x, 0)
        bottom, right = min(height, canvas.shape[0] - y), min(width, canvas.shape[1] - x)
        if top >= bottom or left >= right:
            return
        premultiplied, keep = premultiplied[top:bottom, left:right], keep[top:bottom, left:right]
        x, y = x + left, y + top
        height, width = keep.shape[:2]
    region = canvas[y : y + height, x : x + width]
    blend = region * keep
    blend += premultiplied
    blend >>= 8
    region[...] = blend


_LAYERS: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}


def _layers(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (h, w, 3) uint16 colour times alpha and 256 minus alpha, kept for read-only sprites."""
    known = _LAYERS.get(id(rgba))
    if known is not None and known[0] is rgba:
        return known[1], known[2]
    alpha = (rgba[..., 3:].astype(np.uint32) * 257 + 128 >> 8).astype(np.uint16)
    premultiplied = rgba[..., :3] * alpha
    keep = np.ascontiguousarray(np.broadcast_to(256 - alpha, premultiplied.shape))
    if not rgba.flags.writeable and len(_LAYERS) < 4096:
        _LAYERS[id(rgba)] = (rgba, premultiplied, keep)
    return premultiplied, keep


@lru_cache(maxsize=4096)
def _sprite(
    kind: str, colour: str, size: str, facing: str | None, variant: int, letter: str | None
) -> np.ndarray:
    """Make one sprite; see `sprite`."""
    _check(kind, colour, size, facing, variant, letter)
    if facing == "right":
        rgba = np.ascontiguousarray(_sprite(kind, colour, size, "left", variant, letter)[:, ::-1])
    elif letter is not None:
        rgba = _draw_sign(letter, COLOURS[colour], SIZES[size], variant)
    else:
        rgba = _draw_thing(kind, COLOURS[colour], SIZES[size], variant)
    rgba.flags.writeable = False
    return rgba


def _check(kind: str, colour: str, size: str, facing: str | None, variant: int, letter: str | None) -> None:
    """Raise DataError unless the arguments of `sprite` name an existing sprite."""
    if kind not in KINDS:
        raise DataError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
    if colour not in COLOURS:
        raise DataError(f"unknown colour {colour!r}; known: {', '.join(COLOURS)}")
    if size not in SIZES:
        raise DataError(f"unknown size {size!r}; known: {', '.join(SIZES)}")
    if variant not in range(VARIANTS):
        raise DataError(f"unknown variant {variant!r}; known: 0 to {VARIANTS - 1}")
    if KINDS[kind].faces and facing not in FACINGS:
        raise DataError(f"a {kind} faces 'left' or 'right', not {facing!r}")
    if not KINDS[kind].faces and facing is not None:
        raise DataError(f"a {kind} does not face anywhere, so facing must be None, not {facing!r}")
    if kind == SIGN and (letter is None or len(letter) != 1 or letter not in LETTERS):
        raise DataError(f"a {SIGN} shows one letter of {LETTERS}, not {letter!r}")
    if kind != SIGN and letter is not None:
        raise DataError(f"a {kind} shows no letter, so letter must be None, not {letter!r}")


@lru_cache(maxsize=256)
def _asset(name: str) -> Image.Image:
    """Return the picture `name` from the package's assets: LA for things, L for letters."""
    with resources.files(_PACKAGE).joinpath("assets", f"{name}.png").open("rb") as file:
        picture = Image.open(file)
        picture.load()
    return picture


def _draw_thing(kind: str, base: tuple[int, int, int], side: int, variant: int) -> np.ndarray:
    """Return the (h, w, 4) tinted drawing of a kind with a one-pixel outline, longest side `side`."""
    picture = _asset(f"{kind}-{variant}")
    scale = (side - 2) / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    small = np.asarray(picture.resize((width, height), Image.Resampling.HAMMING), dtype=np.float64) / 255
    small = np.pad(small, ((1, 1), (1, 1), (0, 0)))
    shade, alpha = small[..., 0], small[..., 1]
    around = _OUTLINE_ALPHA * _dilate(alpha)
    outline = np.asarray(base) * _OUTLINE
    total = alpha + around * (1 - alpha)
    blend = _tint(shade, base) * alpha[..., None] + outline * (around * (1 - alpha))[..., None]
    rgb = blend / np.maximum(total, 1e-6)[..., None]
    return np.dstack([rgb, total * 255]).round().clip(0, 255).astype(np.uint8)


def _tint(shade: np.ndarray, base: tuple[int, int, int]) -> np.ndarray:
    """Map (h, w) shade 0-1 to (h, w, 3) colour 0-255: dark, then the base colour at 0.5, then light."""
    colour = np.asarray(base, dtype=np.float64)
    points = np.stack([colour * _DARK, colour, colour + (255 - colour) * _LIGHT])
    return np.stack([np.interp(shade, (0.0, 0.5, 1.0), points[:, i]) for i in range(3)], axis=-1)


def _dilate(alpha: np.ndarray) -> np.ndarray:
    """Return (h, w) alpha spread by one pixel in the four main directions."""
    wide = np.pad(alpha, 1)
    shifted = (wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:], alpha)
    return np.maximum.reduce(shifted)


def _draw_sign(letter: str, base: tuple[int, int, int], side: int, variant: int) -> np.ndarray:
    """Return the (side, side, 4) board with a white rim and a letter: square, or round if variant 1."""
    full = side * _SUPER
    dark = tuple(round(channel * _OUTLINE) for channel in base)
    bright = 0.299 * base[0] + 0.587 * base[1] + 0.114 * base[2] > 150
    board = Image.new("RGBA", (full, full), (*dark, 0))
    draw = ImageDraw.Draw(board)
    for inset, fill in ((0.0, dark), (1.0, (255, 255, 255)), (2.0 + side / 30, base)):
        near = round(inset * _SUPER)
        box = (near, near, full - 1 - near, full - 1 - near)
        if variant == 1:
            draw.ellipse(box, fill=(*fill, 255))
        else:
            draw.rounded_rectangle(box, radius=max(full * 0.2 - near, 1), fill=(*fill, 255))
    glyph = _asset(f"letter-{letter}")
    tall = round(full * (0.56 if variant == 1 else 0.62))
    glyph = glyph.resize((round(glyph.width * tall / glyph.height), tall), Image.Resampling.HAMMING)
    ink = tuple(round(channel * 0.2) for channel in base) if bright else (255, 255, 255)
    corner = ((full - glyph.width) // 2, (full - tall) // 2)
    board.paste(Image.new("RGBA", glyph.size, (*ink, 255)), corner, glyph)
    return np.array(board.resize((side, side), Image.Resampling.BOX))
