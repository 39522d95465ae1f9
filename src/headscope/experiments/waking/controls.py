"""What pointing is measured against: boxes elsewhere, masks that keep the distractors, the reverse mask.

Each control differs from the style it is held against in one thing:

- ``random_box``: outlines of equal sizes elsewhere, nothing masked. Is it the outlines, or where they are?
- ``equal_area``: the masked area moved to where it removes nothing that matters. No mask of quite the
  spotlight's area can leave the named objects visible except the spotlight itself, as that one masks
  everything else. So the background is masked, at most as many pixels as the spotlight masks, and every
  object stays visible; ``share`` says which part of the spotlight's area that is (1 without distractors).
- ``equal_area_pair``: the partner that makes the areas exactly equal: as many pixels as ``equal_area`` masks,
  but taken from the distractors first. The two differ in whether distractors stay, in nothing else.
- ``reverse_mask``: the named objects masked, the rest visible. Does the answer come from the named objects?
- ``other_boxes``: the style ``both`` on as many other things. Is it marking some things at all?
- ``empty_window``: the style ``both`` on as many boxes of equal sizes on empty ground. Is it a window at all?

Outlines are drawn where the style under test draws them. All depend on (seed, key) alone. The last two need
room: where a picture has too few other things, or too little empty ground, there is no such control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from headscope.data.pictures import to_rgb
from headscope.errors import DataError
from headscope.pointing.look import Look, mask
from headscope.pointing.outline import box
from headscope.pointing.regions import (
    Box,
    Mask,
    Size,
    generator,
    iou,
    mask_of,
    overlap,
    place_elsewhere,
)
from headscope.pointing.spotlight import hidden_by_spotlight
from headscope.pointing.styles import point

_SAME = 0.5  # an object whose box overlaps a named box by this much (IoU) is that named object
_BLOCK = 8  # background is masked in squares with a side of 1/_BLOCK of the picture's shorter side


@dataclass(frozen=True)
class Scene:
    """What a control needs to know of one question.

    Attributes:
        boxes: boxes of the named objects, in pixels.
        objects: boxes of all objects that are in the picture, named ones among them.
        key: what random choices depend on besides the seed.
        outlined: whether the style under test draws outlines.
    """

    boxes: tuple[Box, ...]
    objects: tuple[Box, ...]
    key: str
    outlined: bool = True

    @property
    def distractors(self) -> list[Box]:
        """Boxes of the objects that are not named."""
        return [o for o in self.objects if all(iou(o, b) < _SAME for b in self.boxes)]


@dataclass(frozen=True)
class Control:
    """A control picture.

    Attributes:
        image: the picture.
        boxes: where outlines were drawn, or would have been.
        masked: share of the picture's pixels that were masked (0 to 1).
        share: masked pixels over those that the spotlight masks; None where equal area is not the aim.
    """

    image: Image.Image
    boxes: tuple[Box, ...]
    masked: float = 0.0
    share: float | None = None


Maker = Callable[[Image.Image, Scene, Look, int], Control | None]
"""Makes a control picture, or None where the picture has no room for it."""


def elsewhere(scene: Scene, size: Size, seed: int = 0) -> tuple[Box, ...]:
    """A box of equal size for each named one, away from these and from each other where there is room."""
    rng = generator("random_box", seed, scene.key)
    placed: list[Box] = []
    for x0, y0, x1, y1 in scene.boxes:
        placed.append(place_elsewhere(x1 - x0, y1 - y0, size, [*scene.boxes, *placed], rng))
    return tuple(placed)


def others(scene: Scene, seed: int = 0) -> tuple[Box, ...] | None:
    """Boxes of as many things that are not named, drawn at random; None where there are too few."""
    left = [o for o in scene.distractors if all(overlap(o, b) == 0 for b in scene.boxes)]
    if len(left) < len(scene.boxes):
        return None
    rng = generator("other_boxes", seed, scene.key)
    return tuple(left[i] for i in sorted(rng.permutation(len(left))[: len(scene.boxes)]))


def empty_ground(scene: Scene, size: Size, seed: int = 0) -> tuple[Box, ...] | None:
    """A box of equal size for each named one that covers no thing and no other box; None without room."""
    rng = generator("empty_window", seed, scene.key)
    placed: list[Box] = []
    for x0, y0, x1, y1 in scene.boxes:
        avoid = [*scene.objects, *scene.boxes, *placed]
        found = place_elsewhere(x1 - x0, y1 - y0, size, avoid, rng)
        if any(overlap(found, other) for other in avoid):
            return None
        placed.append(found)
    return tuple(placed)


def background_mask(scene: Scene, size: Size, pad: float, seed: int = 0) -> Mask:
    """Pixels that ``equal_area`` masks: background outside the named (padded) and all other objects' boxes.

    Never more than the spotlight masks, since all of it lies outside the padded named boxes.
    """
    return hidden_by_spotlight(scene.boxes, size, pad) & ~mask_of(scene.objects, size)


def distractor_mask(scene: Scene, size: Size, pad: float, seed: int = 0) -> Mask:
    """Pixels that ``equal_area_pair`` masks: as many as ``background_mask``, distractors first.

    Where the distractors alone are more than that, whole ones are taken in random order and the last in part;
    what is left over is taken from the background in random squares. Named objects stay visible.
    """
    allowed = hidden_by_spotlight(scene.boxes, size, pad)
    budget = int(background_mask(scene, size, pad).sum())
    rng = generator("equal_area_pair", seed, scene.key)
    distractors = scene.distractors
    rank = np.full((size[1], size[0]), np.inf)
    for place, index in enumerate(rng.permutation(len(distractors))):
        inside = mask_of([distractors[index]], size) & ~np.isfinite(rank)
        rank[inside] = place
    side = max(1, round(min(size) / _BLOCK))
    blocks = rng.random((-(-size[1] // side), -(-size[0] // side)))
    noise = np.kron(blocks, np.ones((side, side)))[: size[1], : size[0]]
    rank = np.where(np.isfinite(rank), rank, len(distractors) + 1 + noise)
    rank[~allowed] = np.inf
    chosen = np.argsort(rank, axis=None, kind="stable")[:budget]
    hidden = np.zeros(size[0] * size[1], dtype=bool)
    hidden[chosen] = True
    return hidden.reshape(size[1], size[0])


def reverse(scene: Scene, size: Size, pad: float, seed: int = 0) -> Mask:
    """Pixels that ``reverse_mask`` masks: exactly those that the spotlight leaves visible."""
    return ~hidden_by_spotlight(scene.boxes, size, pad)


def _random_box(image: Image.Image, scene: Scene, look: Look, seed: int) -> Control:
    places = elsewhere(scene, image.size, seed)
    size = image.size
    return Control(box(image, places, look.colour, look.line(size), look.pixels(look.pad, size)), places)


def _pointing(pick: Callable[[Scene, Size, int], tuple[Box, ...] | None]) -> Maker:
    """The style ``both`` on boxes elsewhere."""

    def control(image: Image.Image, scene: Scene, look: Look, seed: int) -> Control | None:
        places = pick(scene, image.size, seed)
        if places is None:
            return None
        made = point("both", image, places, look)
        return Control(made.image, places, made.masked)

    return control


def _masking(pick: Callable[[Scene, Size, float, int], Mask], aims: bool) -> Maker:
    def control(image: Image.Image, scene: Scene, look: Look, seed: int) -> Control:
        size = image.size
        pad = look.pixels(look.pad, size)
        hidden = pick(scene, size, pad, seed)
        target = int(hidden_by_spotlight(scene.boxes, size, pad).sum())
        # The fill is the whole picture's mean, as in the spotlight, so that fills are alike too.
        shown = mask(image, hidden, look.fill)
        if scene.outlined:
            shown = box(shown, scene.boxes, look.colour, look.line(size), pad)
        share = (float(hidden.sum()) / target if target else 1.0) if aims else None
        return Control(shown, scene.boxes, float(hidden.mean()), share)

    return control


CONTROLS: dict[str, Maker] = {
    "random_box": _random_box,
    "equal_area": _masking(background_mask, aims=True),
    "equal_area_pair": _masking(distractor_mask, aims=True),
    "reverse_mask": _masking(reverse, aims=False),
    "other_boxes": _pointing(lambda scene, _, seed: others(scene, seed)),
    "empty_window": _pointing(empty_ground),
}
"""Every control by name."""
SPARSE = ("other_boxes", "empty_window")
"""Those that some pictures have no room for."""


def control(
    name: str, image: Image.Image, scene: Scene, look: Look | None = None, seed: int = 0
) -> Control | None:
    """Make a control picture; with no boxes the picture comes back unchanged; None without room for it.

    Raises:
        DataError: there is no such control.
    """
    if name not in CONTROLS:
        raise DataError(f"asked for control {name!r}; there are: {', '.join(CONTROLS)}")
    if not scene.boxes:
        return Control(to_rgb(image), ())
    return CONTROLS[name](to_rgb(image), scene, look or Look(), seed)
