"""headscope: find, test and wake the attention heads that let a vision-language model reason about space.

The public names, loaded when first used; docs/api.md has a page of them::

    import headscope as hs

    vlm = hs.load_model("embedded")
    cases = hs.draw_scenes("my-data", 300)
    reading = hs.read(vlm, cases.image(cases[0]), cases[0].question)
    study = hs.Study.create("runs/mine", model=vlm, data=cases)
    atlas = study.probe()
    with hs.edit(vlm, atlas.top("spatial_perception", 8), hs.mute()):
        vlm.answer(cases.image(cases[0]), cases[0].question)
"""

from __future__ import annotations

from headscope.version import __version__ as __version__

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than all else here
if TYPE_CHECKING:
    from headscope.asking.questions import ask
    from headscope.asking.read import Reading, read
    from headscope.capturing.prompt_capture import capture
    from headscope.data.cases import Cases, load_cases
    from headscope.data.schema import Case
    from headscope.edits.baking import bake
    from headscope.edits.edits import Edit, add, edit, mute, scale
    from headscope.edits.patching import patch
    from headscope.errors import HeadscopeError
    from headscope.experiments.comparing import compare
    from headscope.experiments.scan_model import scan
    from headscope.functions import Taxonomy
    from headscope.making.scenes.generate import draw_scenes
    from headscope.models.geometry import Head
    from headscope.models.vlm import VLM, load_model
    from headscope.models.wrapping import wrap
    from headscope.pointing.styles import point
    from headscope.probing.atlas import Atlas
    from headscope.study.study import Study

__all__ = [
    "VLM",
    "Atlas",
    "Case",
    "Cases",
    "Edit",
    "Head",
    "HeadscopeError",
    "Reading",
    "Study",
    "Taxonomy",
    "add",
    "ask",
    "bake",
    "capture",
    "compare",
    "draw_scenes",
    "edit",
    "load_cases",
    "load_model",
    "mute",
    "patch",
    "point",
    "read",
    "scale",
    "scan",
    "wrap",
]

_HOMES = {
    "VLM": "models.vlm",
    "Atlas": "probing.atlas",
    "Case": "data.schema",
    "Cases": "data.cases",
    "Edit": "edits.edits",
    "Head": "models.geometry",
    "HeadscopeError": "errors",
    "Reading": "asking.read",
    "Study": "study.study",
    "Taxonomy": "functions",
    "add": "edits.edits",
    "ask": "asking.questions",
    "bake": "edits.baking",
    "capture": "capturing.prompt_capture",
    "compare": "experiments.comparing",
    "draw_scenes": "making.scenes.generate",
    "edit": "edits.edits",
    "load_cases": "data.cases",
    "load_model": "models.vlm",
    "mute": "edits.edits",
    "patch": "edits.patching",
    "point": "pointing.styles",
    "read": "asking.read",
    "scale": "edits.edits",
    "scan": "experiments.scan_model",
    "wrap": "models.wrapping",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'headscope' has no attribute {name!r}; public names: {', '.join(__all__)}"
        )
    from importlib import import_module

    return getattr(import_module(f"headscope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
