"""The few lines of Python that do what the page shows."""

from __future__ import annotations

from headscope.play.picture_shelf import EXAMPLE_SEED
from headscope.play.play_requests import PlayState
from headscope.play.playground import READOUT, Playground

_FILE = "picture.png"


def snippet(playground: Playground, state: PlayState) -> str:
    """Python that gives the page's second answer; a picture that only the page has is read from a file.

    Example:
        >>> from headscope.models.vlm import load_model
        >>> from headscope.play.picture_shelf import PictureShelf
        >>> from headscope.play.play_requests import PictureChoice
        >>> playground = Playground(load_model("embedded"), PictureShelf())
        >>> state = PlayState(picture=PictureChoice(source="upload", id="a"), question="Where is the dog?")
        >>> print(snippet(playground, state))
        import headscope as hs
        <BLANKLINE>
        vlm = hs.load_model("embedded")
        picture = "picture.png"  # the button "Save picture" writes it
        answer = vlm.answer(picture, "Where is the dog?")
        print(answer.text, answer.logprobs)
    """
    edit = state.edit
    imports, lines = ["import headscope as hs"], [f"vlm = hs.load_model({_text(playground.name)})"]
    if state.picture.source == "example":
        imports += ["from headscope.making.scenes.generate import one_case", "from PIL import Image"]
    lines += _picture(playground, state)
    if state.style and state.boxes:
        boxes = [tuple(int(v) if v == int(v) else v for v in box) for box in state.boxes]
        lines.append(f"picture = hs.point({_text(state.style)}, picture, {boxes}).image")
    call = f"answer = vlm.answer(picture, {_text(state.question)}{_choices(state)})"
    if edit.heads:
        what = {"mute": "hs.mute()", "scale": f"hs.scale({edit.factor})"}.get(edit.action)
        if what is None:
            imports.append("from pathlib import Path")
            imports.append("from headscope.experiments.options import directions")
            folder = _text(f"{playground.study}/capture")
            lines.append(f"found = directions(Path({folder}), [{_text(edit.function)}], {_text(READOUT)})")
            what = f"hs.add(found[{_text(edit.function)}].vectors, {edit.factor})"
        scope = "" if edit.scope == "all" else f", scope={_text(edit.scope)}"
        lines += [f"with hs.edit(vlm, {_text(','.join(edit.heads))}, {what}{scope}):", f"    {call}"]
    else:
        lines.append(call)
    return "\n".join([*sorted(imports), "", *lines, "print(answer.text, answer.logprobs)"])


def _picture(playground: Playground, state: PlayState) -> list[str]:
    chosen = state.picture
    if chosen.source == "example":
        number = list(playground.shelf.examples).index(chosen.id)
        return [f"picture = Image.fromarray(one_case({number}, {EXAMPLE_SEED})[1].scene.render())"]
    if chosen.source == "case":
        case = f"next(c for c in cases if c.id == {_text(chosen.id)})"
        return [f"cases = hs.Study({_text(playground.study)}).cases", f"picture = cases.image({case})"]
    return [f'picture = {_text(_FILE)}  # the button "Save picture" writes it']


def _choices(state: PlayState) -> str:
    return f", choices=[{', '.join(map(_text, state.choices))}]" if state.choices else ""


def _text(value: str) -> str:
    """A Python string literal in double quotes where that needs no escape."""
    plain = value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else repr(value)
