"""All makers of inputs by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from family_survey import makers_other, makers_patches
from family_survey.inputs import Scene
from family_survey.makers import anyres, docling, hybrid, mllama, one_tile, pixtral, square, tiles


def makers() -> dict[str, Callable[[Scene], dict[str, Tensor]]]:
    """All makers by name."""
    found = [square, hybrid, docling, one_tile, tiles, anyres, pixtral, mllama]
    for module in (makers_patches, makers_other):
        found += [getattr(module, name) for name in module.__all__]
    return {maker.__name__: maker for maker in found}
