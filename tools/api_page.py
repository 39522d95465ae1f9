"""Writes docs/api.md: every public name with its signature and docstring.

python tools/api_page.py
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import headscope

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
_HEAD = """# Public names

`import headscope as hs`. Written by `python tools/api_page.py` from the docstrings; every example runs in
`tests/test_api.py`, in an empty folder.
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
    return "\n".join([_HEAD, index, "", *(section(name) for name in names)]).rstrip() + "\n"


def section(name: str) -> str:
    """One public name: what it is, how it is called, what it says of itself, its own methods."""
    found = getattr(headscope, name)
    lines = [f"## {name}", "", _code(_signature(name, found)), "", prose(inspect.getdoc(found) or ""), ""]
    if inspect.isclass(found):
        for method, value in _methods(found):
            first = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
            lines.append(f"- `{method}`: {_plain(first)}")
        lines.append("")
    return "\n".join(lines)


def _signature(name: str, found: object) -> str:
    """How it is called; on one line where that fits."""
    if name in _RETURNED:
        return f"hs.{name}"
    if isinstance(found, type) and issubclass(found, Exception):
        return f"hs.{name}(message)"
    signature = inspect.signature(found)  # type: ignore[arg-type]
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if not parameter.name.startswith("_"):
            parts.append(_parameter(parameter))
    back = "" if isinstance(found, type) else f" -> {_kind(signature.return_annotation)}"
    whole = f"hs.{name}({', '.join(parts)}){back}"
    return whole if len(whole) <= _WIDTH else f"hs.{name}(\n    " + ",\n    ".join(parts) + f",\n){back}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = f"{parameter.name}: {_kind(parameter.annotation)}"
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
        if name.startswith("_") or not inspect.getdoc(value):
            continue
        if isinstance(value, property) or type(value).__name__ == "cached_property":
            yield name, value
        elif inspect.isfunction(value):
            yield f"{name}({_parameters(value)})", value
        elif isinstance(value, classmethod | staticmethod):
            yield f"{kind.__name__}.{name}({_parameters(value.__func__)})", value.__func__


def _own(base: type) -> bool:
    return base not in _INHERITED and base.__module__.startswith("headscope")


def _parameters(function: object) -> str:
    names = list(inspect.signature(function).parameters)  # type: ignore[arg-type]
    return ", ".join(n for n in names if n not in ("self", "cls"))


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
