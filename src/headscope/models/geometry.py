"""Where the attention heads are: sites, heads, their flat order, and how they are found on a model."""

from __future__ import annotations

from headscope.models.finding import find_geometry
from headscope.models.sites import Geometry, Head, LeftOut, Site, parse_head

__all__ = ["Geometry", "Head", "LeftOut", "Site", "find_geometry", "parse_head"]
