"""Rows of Excel's sheets (xlsx), the form in which VLMEvalKit saves predictions; needs openpyxl."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path

from headscope.benchmarks.importing.sources import SourceRow
from headscope.data.fields import Cell
from headscope.data.pictures import show
from headscope.errors import DataError

_MOST = 256 * 2**20  # bytes of all parts of the file, unpacked


def sheet(path: Path) -> Iterator[SourceRow]:
    """The rows of a file's first sheet, whose first row names the columns; ``line`` counts as Excel does.

    Rows without any value are passed over. Dates come as text, formulas as what was last computed.

    Raises:
        DataError: openpyxl is not installed, the file is no xlsx, or it unpacks to over 256 MiB.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as exc:
        raise DataError(
            f"{path}: reading xlsx needs openpyxl, which is not installed; `pip install 'headscope[xlsx]'`, "
            "or save the sheet as CSV"
        ) from exc
    try:
        _refuse_enormous(path)
        book = load_workbook(path, read_only=True, data_only=True)
        found = book.worksheets[0].iter_rows(values_only=True)
        head = ["" if name is None else str(name) for name in next(found, ())]
        for number, cells in enumerate(found, 2):
            if any(cell is not None for cell in cells):
                yield SourceRow(str(path), number, dict(zip(head, map(_plain, cells), strict=False)))
    except DataError:
        raise
    except Exception as exc:  # openpyxl raises whatever a damaged part of the file leads to
        reason = show(" ".join(f"{type(exc).__name__}: {exc}".split()))
        raise DataError(f"{path}: asked for an xlsx sheet, found {reason}; save it anew, or as CSV") from exc


def _refuse_enormous(path: Path) -> None:
    with zipfile.ZipFile(path) as packed:
        size = sum(part.file_size for part in packed.infolist())
    if size > _MOST:
        raise DataError(
            f"{path}: asked for an xlsx sheet, found {size} bytes unpacked, expected at most {_MOST}; save "
            "it as CSV"
        )


def _plain(cell: object) -> Cell:
    if cell is None or isinstance(cell, bool | int | float | str):
        return cell
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)
