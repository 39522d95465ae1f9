"""Which rectangle of the original picture each image token stands for, family by family."""

from __future__ import annotations

from headscope.models.grids.families import image_grids, map_kind
from headscope.models.grids.layouts import cells

__all__ = ["cells", "image_grids", "map_kind"]
