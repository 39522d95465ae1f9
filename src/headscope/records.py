"""What stages leave behind: frozen, versioned records that are written whole and read whole, or refused."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, PrivateAttr, ValidationError

from headscope import notebook
from headscope.errors import DamagedError, StoreError
from headscope.seals import file_digest, unsealed
from headscope.storage import CHANGED, Row, damaged, plain, read_table, read_text, write_sealed, write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Artefact", "Interval", "JsonObject", "JsonValue", "Number", "Record"]

JsonObject = dict[str, JsonValue]
"""An object of a JSON file whose keys nobody has proved yet, or that may hold any."""


def _finite_or_none(value: Any) -> Any:
    """NaN and infinities are written as null, so in memory they are None too."""
    number = isinstance(value, float) or hasattr(value, "dtype")
    return None if number and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite_or_none)]
"""A figure; None where there is none."""
Interval = tuple[Number, Number]
"""Low and high end; None where there is no interval."""


class Record(BaseModel):
    """A part of a stage's result: immutable, every field known."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    def content(self) -> Row:
        """The record in plain values, as it is written: what was not set is left out."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Artefact(Record):
    """A stage's whole result: one JSON file that names its schema, and a table beside it where there is one.

    A subclass has a field ``schema_`` (alias ``schema``) with one value, its default, and sets ``TABLE``
    where rows go to a Parquet file of the same name.

    Example::

        result = AblationResult.load("runs/mine/ablation.json")
        result.functions["counting"].drop_points
    """

    TABLE: ClassVar[bool] = False
    _rows: tuple[Row, ...] = PrivateAttr(())
    _path: Path | None = PrivateAttr(None)  # where it was saved or loaded; no part of what it is

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same type, with the same fields and rows, wherever it lies."""
        if not isinstance(other, Artefact) or type(other) is not type(self):
            return False
        return self.__dict__ == other.__dict__ and self._rows == other._rows

    @classmethod
    def schema_name(cls) -> str:
        """What the file says it is."""
        return str(cls.model_fields["schema_"].default)

    def __repr__(self) -> str:
        """Short: a result may hold thousands of figures."""
        filled = [name for name in type(self).model_fields if name != "schema_" and getattr(self, name)]
        return f"{type(self).__name__}({self.schema_name()}: {', '.join(filled)})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows: the functions with what was found, and what else there is."""
        functions = getattr(self, "functions", None)
        parts = [notebook.heading(type(self).__name__, self.schema_name())]
        if isinstance(functions, dict):
            found = [{"function": name, **_figures(one)} for name, one in functions.items()]
            parts.append(notebook.table(found))
        fields = [
            n for n in type(self).model_fields if n not in ("schema_", "functions") and getattr(self, n)
        ]
        said = [{"field": name, "holds": _held(getattr(self, name))} for name in fields]
        return "".join([*parts, notebook.table(said)])

    @property
    def rows(self) -> tuple[Row, ...]:
        """Rows of the table."""
        return self._rows

    def with_rows(self, rows: list[Row]) -> Self:
        """The same result with its table."""
        self._rows = tuple(plain(rows))
        return self

    def to_dataframe(self) -> pd.DataFrame:
        """Rows of the table as a data frame, for sorting, joining and plotting."""
        import pandas as pd

        return pd.DataFrame(list(self._rows))

    def save(self, path: str | Path) -> Path:
        """Write the JSON file with its checksum, and first the table, each whole or not at all.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        path = Path(path)
        table = path.with_suffix(".parquet")
        if self.TABLE:
            write_table(table, list(self._rows))
        beside = file_digest(table) if self.TABLE else ""
        write_sealed(path, {"schema": self.schema_name(), **self.content()}, beside)
        self._path = path
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the result.

        Raises:
            StoreError: the file is missing, cut off, of another schema, or has a field that is not what the
                stage wrote, file and field are named; or its checksum, or the table's, does not hold.
        """
        path = Path(path)
        found = cls._read(path)
        found._path = path
        return found

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            text, holds, beside = unsealed(read_text(path))
        except ValueError as exc:
            raise damaged(path, f"cannot be read ({exc})") from exc
        changed = holds is False
        try:
            found = cls.model_validate_json(text, strict=True)
        except ValidationError as exc:
            raise _refusal(cls, path, exc, changed) from exc
        if "schema_" not in found.model_fields_set:
            raise _other_schema(cls, path, None, changed)
        if odd := _odd_number(text):
            raise damaged(path, odd)
        if not cls.TABLE and not changed:
            return found
        table = path.with_suffix(".parquet")
        if beside and table.exists() and file_digest(table) != beside:
            raise damaged(table, CHANGED)
        rows = read_table(table) if cls.TABLE else []
        if changed:
            raise damaged(path, CHANGED)
        return found.with_rows(rows)


_FIGURES = ("k", "n", "items", "drop_points", "delta_points", "margin_drop", "ci", "q", "claimed", "verdict")


def _figures(one: object) -> Row:
    """What a notebook shows of one function: the figures that its record has, of records in it too."""
    if not isinstance(one, Record):
        return {"found": _held(one)}
    own = {name: getattr(one, name) for name in _FIGURES if hasattr(one, name)}
    inner = {n: v for n in type(one).model_fields if isinstance(v := getattr(one, n), Record)}
    if own:
        return {name: _held(value) if isinstance(value, list) else value for name, value in own.items()}
    return {
        f"{name} {field}": value
        for name, record in inner.items()
        for field, value in record
        if value is None or isinstance(value, int | float | str)
    }


def _held(value: object) -> object:
    """A field in a few words."""
    if isinstance(value, dict):
        return ", ".join(map(str, value))
    if isinstance(value, list | tuple) and len(value) > 8:
        return f"{len(value)} of them"
    return repr(value) if isinstance(value, Record) else value


def _refusal(kind: type[Artefact], path: Path, exc: ValidationError, changed: bool) -> StoreError:
    """The first fault in a file, in words; another schema before anything else."""
    faults = exc.errors(include_url=False)
    first = next((f for f in faults if f["loc"] == ("schema",)), faults[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["loc"] == ("schema",):
        return _other_schema(kind, path, first["input"], changed)
    if not where:
        return damaged(path, f"cannot be read ({first['msg']})")
    found = "" if first["type"] == "missing" else f", found {_short(first['input'])}"
    return damaged(path, f"{where}: {first['msg'].lower()}{found}")


def _other_schema(kind: type[Artefact], path: Path, found: object, changed: bool) -> StoreError:
    return (DamagedError if changed else StoreError)(
        f"{path}: asked for schema {kind.schema_name()}, found {found!r}; it was written by another version, "
        "or is another file: run its stage again in a new folder"
    )


def _odd_number(text: str) -> str:
    """Where a file holds a number that no stage writes, NaN or an infinity; empty if nowhere."""
    if not re.search(r"\b(NaN|Infinity)\b", text):
        return ""
    todo: list[tuple[str, Any]] = [("", json.loads(text))]
    while todo:
        place, value = todo.pop()
        if isinstance(value, dict | list):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            todo += [(f"{place}.{key}".lstrip("."), one) for key, one in inner]
        elif isinstance(value, float) and not math.isfinite(value):
            return f"{place}: found {value}, expected a number or null"
    return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
