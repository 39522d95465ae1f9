"""Parts of deliberately broken adapters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

from PIL import Image
from torch import Tensor, nn

from headscope.models.geometry import Geometry, Site
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM


def claim(vlm: VLM, **changes: Any) -> Geometry:
    """The model's geometry with another claim about its middle layer."""
    sites: list[Site] = list(vlm.geometry.sites)
    sites[1] = replace(sites[1], **changes)
    return Geometry(tuple(sites))


@contextmanager
def swapped(owner: nn.Module, name: str, module: nn.Module) -> Iterator[None]:
    """Within, a child of a module is another one."""
    plain = getattr(owner, name)
    setattr(owner, name, module)
    try:
        yield
    finally:
        setattr(owner, name, plain)


def adapter(vlm: VLM, **changes: Any) -> VLM:
    """The VLM with parts of it changed; the given one stays as it is."""
    changed = copy(vlm)
    vars(changed).update(changes)
    return changed


def encoded(vlm: VLM) -> Encoded:
    """One small picture with a short question."""
    return vlm.encode([Prompt(Image.new("RGB", (32, 32), (127, 90, 60)), "What is it?")])


def tiny_inputs(vlm: VLM) -> dict[str, Tensor]:
    """The model's inputs of :func:`encoded`."""
    return encoded(vlm).inputs
