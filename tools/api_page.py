"""Writes docs/api.md: every public name with its signature and docstring.

python tools/api_page.py
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import headscope

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
_HEAD = """# Public names

`import headscope as hs`. Written by `python tools/api_page.py` from the docstrings; every example runs in
`tests/test_api.py`, in an empty folder.
"""
# Functions outside of `hs`, for what few need.
BEYOND = (("headscope.hub.push", "push_atlas"), ("headscope.hub.pull", "pull_atlas"))
_BEYOND = """## Beyond hs

What `headscope atlas` does: `push_atlas` of `headscope.hub.push`, and `pull_atlas` of `headscope.hub.pull`.
"""
_WIDTH = 100
# Types whose objects come from functions; how they are made is nobody's concern.
_RETURNED = ("VLM", "Atlas", "Reading")
# Methods that these types inherit from Python or from their bases, and that nobody looks for here.
_INHERITED = (object, BaseException, tuple)


def page() -> str:
    """The whole page."""
    names = list(headscope.__all__)
    index = ", ".join(f"[`{name}`](#{name.lower()})" for name in names)
    parts = [section(name, getattr(headscope, name)) for name in names]
    beyond = [section(name, getattr(import_module(home), name), "") for home, name in BEYOND]
    return "\n".join([_HEAD, index, "", *parts, _BEYOND, *beyond]).rstrip() + "\n"


def section(name: str, found: object, prefix: str = "hs.") -> str:
    """One public name: what it is, how it is called, what it says of itself, its own methods."""
    called = _code(_signature(name, found, prefix))
    lines = [f"## {name}", "", called, "", prose(inspect.getdoc(found) or ""), ""]
    if inspect.isclass(found):
        for method, value in _methods(found):
            first = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
            lines.append(f"- `{method}`: {_plain(first)}")
        lines.append("")
    return "\n".join(lines)


def _signature(name: str, found: object, prefix: str) -> str:
    """How it is called; on one line where that fits."""
    if name in _RETURNED:
        return f"{prefix}{name}"
    if isinstance(found, type) and issubclass(found, Exception):
        return f"{prefix}{name}(message)"
    signature = inspect.signature(found)  # type: ignore[arg-type]
    parts = _parts(signature.parameters.values())
    back = "" if isinstance(found, type) else f" -> {_kind(signature.return_annotation)}"
    whole = f"{prefix}{name}({', '.join(parts)}){back}"
    return whole if len(whole) <= _WIDTH else f"{prefix}{name}(\n    " + ",\n    ".join(parts) + f",\n){back}"


def _parts(parameters: Iterable[inspect.Parameter]) -> list[str]:
    """Parameters as they are written, those of the user alone."""
    parts: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if not parameter.name.startswith("_"):
            parts.append(_parameter(parameter))
    return parts


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "*" * (parameter.kind.name.startswith("VAR_") + (parameter.kind is parameter.VAR_KEYWORD))
    kind = "" if parameter.annotation is parameter.empty else f": {_kind(parameter.annotation)}"
    text = f"{stars}{parameter.name}{kind}"
    if parameter.default is parameter.empty:
        return text
    plain = isinstance(parameter.default, type(None) | bool | int | float | str | tuple)
    return f"{text} = " + (repr(parameter.default).replace("'", '"') if plain else "...")


def _kind(annotation: object) -> str:
    """A type as it is written in the source."""
    if isinstance(annotation, str):
        return annotation
    text = (
        annotation.__name__
        if isinstance(annotation, type) and "[" not in str(annotation)
        else str(annotation)
    )
    text = re.sub(r"ForwardRef\('(\w+)'\)", r"\1", text)
    return re.sub(r"(?:headscope\.[a-z_.]+|typing)\.(?=[A-Z])", "", text)


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _methods(kind: type) -> Iterator[tuple[str, object]]:
    """(how it is called, the object itself) of a class's own public methods and properties."""
    owned = {n: v for base in reversed(kind.__mro__) if _own(base) for n, v in vars(base).items()}
    for name, value in owned.items():
        if name.startswith(("_", "model_")) or not inspect.getdoc(value):  # pydantic's own
            continue
        if isinstance(value, property) or type(value).__name__ == "cached_property":
            yield name, value
        elif inspect.isfunction(value):
            yield f"{name}{_called(value)}", value
        elif isinstance(value, classmethod | staticmethod):
            yield f"{kind.__name__}.{name}{_called(value.__func__)}", value.__func__


def _own(base: type) -> bool:
    return base not in _INHERITED and base.__module__.startswith("headscope")


def _called(function: object) -> str:
    """Parameters of a method with their types, and what comes back, as they are written in the source."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parts = _parts(p for p in signature.parameters.values() if p.name not in ("self", "cls"))
    back = signature.return_annotation
    said = "" if back in (inspect.Signature.empty, None, "None") else f" -> {_kind(back)}"
    return f"({', '.join(parts)}){said}"


def prose(doc: str) -> str:
    """A docstring as Markdown: its sections as bold words, their entries as lists, examples as code."""
    lines: list[str] = []
    blocks = re.split(r"\n(?=(?:Args|Attributes|Returns|Raises|Example|Example:):?:?\n)", doc)
    for block in blocks:
        head, _, body = block.partition("\n")
        title = re.fullmatch(r"(Args|Attributes|Returns|Raises|Example):{1,2}", head.strip())
        if title is None:
            lines += [_plain(block.strip()), ""]
            continue
        inner, _, rest = _indented(body)
        lines += [f"**{title[1]}**", ""]
        if title[1] == "Example":
            lines += [_code(inner), ""]
        elif title[1] == "Returns":
            lines += [_plain(inner), ""]
        else:
            lines += [*_entries(inner), ""]
        if rest.strip():
            lines += [_plain(rest.strip()), ""]
    return "\n".join(lines).strip()


def _indented(body: str) -> tuple[str, str, str]:
    """What is indented below a section's name, and what follows it."""
    taken: list[str] = []
    rows = body.split("\n")
    while rows and (not rows[0].strip() or rows[0].startswith("    ")):
        taken.append(rows.pop(0))
    return textwrap.dedent("\n".join(taken)).strip("\n"), "", "\n".join(rows)


def _entries(text: str) -> list[str]:
    """``name: what it is`` entries as a list; lines that go on with an entry are joined to it."""
    made: list[str] = []
    for row in text.split("\n"):
        if row.startswith(" ") and made:
            made[-1] += " " + row.strip()
        elif row.strip():
            made.append(row.strip())
    return [f"- {_plain(entry)}" for entry in made]


def _plain(text: str) -> str:
    """Without the marks of reStructuredText: roles and double backquotes."""
    text = re.sub(r":\w+:`~?(?:headscope\.(?:[a-z_]+\.)*)?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
