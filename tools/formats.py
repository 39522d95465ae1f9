"""Writes the tables of docs/file-formats*.md, docs/summary.md and the JSON schemas from the types of results.

    python tools/formats.py            write them
    python tools/formats.py --check    exit 1 and name what is stale

A page holds a line ``<!-- fields: module:Type -->``; what follows, up to ``<!-- end of fields -->``, is
written from the type: the fields of it and of every record in it, as the ``Attributes`` of their docstrings
explain them. Everything else on a page is written by hand.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from headscope.records import Artefact
from headscope.seals import MEMBER
from headscope.study.stages import STAGES

DOCS = Path(__file__).parent.parent / "docs"
SCHEMAS = DOCS / "schemas"
OTHERS = (
    "headscope.study.record:StudyRecord",
    "headscope.experiments.scan_results:ScanResult",
    "headscope.experiments.item_answers:ItemAnswers",
    "headscope.study.evaluation_result:EvaluationResult",
    "headscope.benchmarks.predictions:PredictionScores",
    "headscope.validation.validation_result:ValidationResult",
)
_CHECKSUM = "Of all that stands before it, and of the table beside the file; verified on load."
_BLOCK = re.compile(r"(<!-- fields: (\S+) -->\n).*?(<!-- end of fields -->)", re.DOTALL)


def artefacts() -> list[type[Artefact]]:
    """Every type of result that is written to a file."""
    found = [stage.result_type for stage in STAGES]
    return list(dict.fromkeys([*found, *(_named(name) for name in OTHERS)]))


def schemas() -> dict[Path, str]:
    """File -> JSON schema of a result."""
    files = {}
    for kind in artefacts():
        name = kind.schema_name().removeprefix("headscope/").replace("/", "-")
        schema = kind.model_json_schema(by_alias=True)
        schema["properties"][MEMBER] = {"type": "string", "description": _CHECKSUM}
        files[SCHEMAS / f"{name}.schema.json"] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    return files


def pages() -> dict[Path, str]:
    """Page -> its text with the tables as the types have them now."""
    found = {}
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text("utf-8")
        if _BLOCK.search(text):
            found[path] = _BLOCK.sub(lambda m: m[1] + "\n" + fields_of(_named(m[2])) + "\n" + m[3], text)
    return found


def fields_of(kind: type[BaseModel]) -> str:
    """Tables of a type and of every record in it.

    Raises:
        ValueError: a field that no docstring explains.
    """
    parts = []
    for i, record in enumerate(records_in(kind)):
        rows = "\n".join(f"| {', '.join(names)} | {text} |" for names, text in _rows(record))
        summary = (inspect.getdoc(record) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
        more = "".join(f" All fields of `{base.__name__}`, and:" for base in _bases(record))
        head = "" if i == 0 else f"`{record.__name__}`: {summary[0].lower()}{summary[1:]}{more}\n\n"
        parts.append(f"{head}| field | meaning |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def records_in(kind: type[BaseModel]) -> list[type[BaseModel]]:
    """The type, then the records that its fields hold, each once."""
    found: dict[type[BaseModel], None] = {}

    def visit(one: type[BaseModel]) -> None:
        if one in found:
            return
        found[one] = None
        for base in _bases(one):
            visit(base)
        for field in one.model_fields.values():
            for inner in _records(field.annotation):
                visit(inner)

    visit(kind)
    return list(found)


def _rows(kind: type[BaseModel]) -> list[tuple[list[str], str]]:
    """(fields, what they mean), in the order of the file; fields explained together share a row."""
    told = explained(kind)
    rows: list[tuple[list[str], str]] = []
    if "schema_" in kind.model_fields:
        rows.append((["`schema`"], f"`{kind.model_fields['schema_'].default}`"))
    shown = {name for base in _bases(kind) for name in base.model_fields} | {"schema_"}
    for name in kind.model_fields:
        if name in shown:
            continue
        key = name.removesuffix("_")
        if key not in told:
            raise ValueError(f"{kind.__name__}.{name}: no docstring says what it is; add it to Attributes")
        group, text = told[key]
        mine = [n for n in kind.model_fields if n.removesuffix("_") in group]
        shown |= set(mine)
        inner = [r.__name__ for n in mine for r in _records(kind.model_fields[n].annotation)]
        holds = f" ({', '.join(f'`{n}`' for n in dict.fromkeys(inner))})" if inner else ""
        rows.append(([f"`{n}`" for n in group], f"{text}{holds}"))
    return rows


def _bases(kind: type[BaseModel]) -> list[type[BaseModel]]:
    """Records that a record adds fields to."""
    return [b for b in kind.__bases__ if issubclass(b, BaseModel) and b.model_fields and b is not Artefact]


def explained(kind: type[BaseModel]) -> dict[str, tuple[list[str], str]]:
    """Field -> the fields explained with it, and the text, from the docstrings of the type and its bases."""
    found: dict[str, tuple[list[str], str]] = {}
    for base in reversed(kind.__mro__):
        _, _, block = (base.__dict__.get("__doc__") or "").partition("Attributes:\n")
        block = inspect.cleandoc("\n" + block.partition("\n\n")[0])
        for entry in re.split(r"\n(?=\S)", block):
            names, colon, text = entry.partition(":")
            if colon and re.fullmatch(r"[\w, \n]+", names):
                group = [n.strip() for n in names.split(",")]
                words = " ".join(text.split()).replace("``", "`").rstrip(".").replace("|", "\\|")
                found |= dict.fromkeys(group, (group, words))
    return found


def _records(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [record for part in get_args(annotation) for record in _records(part)]


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def stale() -> list[Path]:
    """Files that are not as the types have them now."""
    wanted = {**pages(), **schemas()}
    old = [p for p in SCHEMAS.glob("*.json") if p not in wanted]
    return [p for p, text in wanted.items() if not p.exists() or p.read_text("utf-8") != text] + old


def main() -> None:
    """Write the documents, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        found = stale()
        print("\n".join(map(str, found)))
        sys.exit(1 if found else 0)
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in {**pages(), **schemas()}.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
