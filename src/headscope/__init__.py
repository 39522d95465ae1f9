"""headscope: find, test and wake the attention heads that let a vision-language model reason about space.

The public names, loaded when first used::

    import headscope as hs
    study = hs.Study.create("runs/mine", model="embedded", data=hs.load_cases("my-data"))
    atlas = study.probe()
    with hs.edit(study.vlm, atlas.top("spatial_perception", 8), hs.mute()):
        study.vlm.answer(image, question)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headscope.version import __version__ as __version__

_HOMES = {
    "Atlas": "headscope.probing.atlas",
    "Head": "headscope.models.geometry",
    "HeadscopeError": "headscope.errors",
    "Study": "headscope.study.study",
    "add": "headscope.edits.edits",
    "bake": "headscope.edits.baking",
    "edit": "headscope.edits.edits",
    "generate": "headscope.making.scenes.generate",
    "load_cases": "headscope.data.cases",
    "load_model": "headscope.models.vlm",
    "mute": "headscope.edits.edits",
    "point": "headscope.pointing.styles",
    "scale": "headscope.edits.edits",
    "wrap": "headscope.models.wrapping",
}
__all__ = [
    "Atlas",
    "Head",
    "HeadscopeError",
    "Study",
    "add",
    "bake",
    "edit",
    "generate",
    "load_cases",
    "load_model",
    "mute",
    "point",
    "scale",
    "wrap",
]

if TYPE_CHECKING:
    from headscope.data.cases import load_cases
    from headscope.edits.baking import bake
    from headscope.edits.edits import add, edit, mute, scale
    from headscope.errors import HeadscopeError
    from headscope.making.scenes.generate import generate
    from headscope.models.geometry import Head
    from headscope.models.vlm import load_model
    from headscope.models.wrapping import wrap
    from headscope.pointing.styles import point
    from headscope.probing.atlas import Atlas
    from headscope.study.study import Study


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'headscope' has no attribute {name!r}; public names: {', '.join(__all__)}"
        )
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
