"""Rows of a source's files, one at a time: JSON in its forms, CSV, TSV, xlsx, Parquet and Arrow."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from headscope.benchmarks.importing.sheets import sheet
from headscope.benchmarks.importing.sources import ImportPlace, SourceRow
from headscope.data.checks import Finding
from headscope.data.fields import Cell
from headscope.data.jsonstream import BrokenJson, Decoder, JsonStream, open_json
from headscope.data.pictures import show
from headscope.data.validation import MAX_LINE, read_lines
from headscope.errors import DataError

_PACKED = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".zst")
_MAX_CELL = 64 * 2**20
_BATCH = 64


def rows_of(place: ImportPlace) -> Iterator[SourceRow]:
    """Every record of every file of a place, in order.

    Raises:
        DataError: a file cannot be read at all.
    """
    for path in place.files:
        if any(suffix in _PACKED for suffix in path.suffixes):
            raise DataError(f"{path}: asked to import a packed file; unpack it first, then name the folder")
        try:
            yield from _reader(path, place.source.layout)(path)
        except OSError as exc:
            reason = show(exc.strerror or str(exc))
            raise DataError(f"{path}: cannot be read ({reason}); name a folder, a file or a hub id") from exc


def _reader(path: Path, layout: str) -> Callable[[Path], Iterator[SourceRow]]:
    if path.suffix == ".parquet":
        return parquet
    if path.suffix == ".arrow":
        return arrow
    if path.suffix in (".csv", ".tsv"):
        return table
    if path.suffix == ".xlsx":
        return sheet
    if layout == "any" and path.suffix != ".jsonl":
        return anything
    if path.suffix in (".jsonl", ".ndjson") or layout == "lines":
        return lines
    kind, _, name = layout.partition(":")
    if kind == "mapping":
        return mapping
    return lambda p: array(p, name)


def lines(path: Path) -> Iterator[SourceRow]:
    """One JSON object a line."""
    decoder = Decoder()
    for number, chunk in read_lines(path):
        if chunk is None:
            yield _faulty(path, number, "enormous line", f"over {MAX_LINE} bytes", "one record")
        else:
            yield _line(path, number, chunk, decoder)


def _line(path: Path, number: int, chunk: bytes, decoder: Decoder) -> SourceRow:
    try:
        text = chunk.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as exc:
        found = f"byte 0x{chunk[exc.start]:02X} at column {exc.start + 1}"
        return _faulty(path, number, "not UTF-8", found, "text in UTF-8")
    value, odd = decoder.loads(text)
    return _row(path, number, value, odd)


def _row(path: Path, line: int, value: Cell, odd: Finding | None, at: str = "") -> SourceRow:
    if odd is None and not isinstance(value, dict):
        odd = Finding("record", "wrong value", show(value), "an object")
    return SourceRow(str(path), line, value if isinstance(value, dict) else {}, at, odd)


def _faulty(path: Path, line: int, what: str, found: str, expected: str) -> SourceRow:
    return SourceRow(str(path), line, {}, "", Finding("json", what, found, expected))


def array(path: Path, member: str = "") -> Iterator[SourceRow]:
    """The items of an array: the whole file, or one member of the object that it is.

    Items that are no objects come wrapped: ``{"row": item}``.
    """
    with open_json(path) as file:
        stream = JsonStream(file)
        try:
            if stream.peek() == "{" and member:
                seen = False
                for key in stream.members():
                    if key == member:
                        seen = True
                        yield from _items(path, stream, member)
                    else:
                        stream.value()
                if not seen:
                    yield _faulty(path, 1, "no such member", "none", f'a member "{member}"')
            else:
                yield from _items(path, stream)
        except BrokenJson as exc:
            yield SourceRow(str(path), exc.line, {}, "", exc.finding)


def _items(path: Path, stream: JsonStream, member: str = "") -> Iterator[SourceRow]:
    for index, (line, value, odd) in enumerate(stream.items()):
        whole = {"row": value} if isinstance(value, list) else value
        yield _row(path, line, whole, odd, f"{member}[{index}].")


def anything(path: Path) -> Iterator[SourceRow]:
    """The records of a JSON file, whatever holds them: lines, an array, the first member that is an array of
    objects, or a mapping."""
    try:
        with open_json(path) as file:
            first = JsonStream(file).peek()
    except BrokenJson as exc:
        yield SourceRow(str(path), exc.line, {}, "", exc.finding)
        return
    if first != "{":
        yield from array(path)
        return
    with path.open("rb") as file:
        head = [line for line in islice(file, 64) if line.strip()][:2]
    if len(head) == 2 and all(len(x) < MAX_LINE and _line(path, 1, x, Decoder()).fault is None for x in head):
        yield from lines(path)
        return
    member = ""
    with open_json(path) as file:
        stream = JsonStream(file)
        try:
            for key in stream.members():
                if stream.peek() != "[":
                    stream.value()
                    continue
                items = stream.items()
                if isinstance(next(items, (0, None, None))[1], dict):
                    member = key
                    break
                for _ in items:
                    pass
        except BrokenJson as exc:
            yield SourceRow(str(path), exc.line, {}, "", exc.finding)
            return
    if member:
        yield from array(path, member)
    elif len(head) == 1 and _line(path, 1, head[0], Decoder()).fault is None and _is_record(head[0]):
        yield from lines(path)
    else:
        yield from mapping(path)


def _is_record(line: bytes) -> bool:
    """Whether a line is one record, not a mapping of records."""
    value, _ = Decoder().loads(line.decode("utf-8-sig", errors="replace"))
    return isinstance(value, dict) and not all(isinstance(v, dict) for v in value.values())


def mapping(path: Path) -> Iterator[SourceRow]:
    """The members of an object, each with its key added as ``_key``."""
    with open_json(path) as file:
        stream = JsonStream(file)
        try:
            for key in stream.members():
                stream.peek()
                line = stream.line
                value, odd = stream.value()
                whole = {"_key": key, **value} if isinstance(value, dict) else value
                yield _row(path, line, whole, odd, f"[{show(key)}].")
        except BrokenJson as exc:
            yield SourceRow(str(path), exc.line, {}, "", exc.finding)


def table(path: Path) -> Iterator[SourceRow]:
    """The rows of a CSV or TSV file with a head; every cell is text, empty cells are null."""
    csv.field_size_limit(_MAX_CELL)
    with path.open(encoding="utf-8-sig", newline="", errors="strict") as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        head: list[str] | None = None
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError as exc:
                yield _faulty(path, reader.line_num + 1, "not UTF-8", str(exc.reason), "text in UTF-8")
                return
            except csv.Error as exc:
                yield _faulty(path, max(reader.line_num, 1), "broken table", show(str(exc)), "a row of cells")
                continue
            if head is None:
                head = cells
                if twice := next((c for i, c in enumerate(head) if c and c in head[:i]), ""):
                    raise DataError(
                        f"{path}:1: asked for a table, found two columns called {show(twice)}; give each a "
                        "name of its own"
                    )
            elif cells:
                yield _cells(path, reader.line_num, head, cells)


def _cells(path: Path, line: int, head: list[str], cells: list[str]) -> SourceRow:
    if len(cells) != len(head):
        return _faulty(path, line, "wrong number of cells", str(len(cells)), f"{len(head)}, as the head has")
    return SourceRow(str(path), line, {k: v if v else None for k, v in zip(head, cells, strict=True)})


def parquet(path: Path) -> Iterator[SourceRow]:
    """The rows of a Parquet file; pictures are ``{"bytes", "path"}``; ``line`` counts rows from 1."""
    import pyarrow.parquet as pq

    with _read_as(path, "a Parquet"), pq.ParquetFile(path) as file:
        yield from _rows(path, file.iter_batches(batch_size=_BATCH))


def arrow(path: Path) -> Iterator[SourceRow]:
    """The rows of an Arrow file, stream or not, as ``datasets`` saves them; ``line`` counts rows from 1."""
    import pyarrow as pa

    with _read_as(path, "an Arrow"), pa.memory_map(str(path)) as file:
        try:
            batches: Any = pa.ipc.open_stream(file)
        except pa.ArrowInvalid:
            file.seek(0)
            opened = pa.ipc.open_file(file)
            batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
        yield from _rows(path, batches)


def _rows(path: Path, batches: Iterable[Any]) -> Iterator[SourceRow]:
    slices = (b.slice(start, _BATCH) for b in batches for start in range(0, b.num_rows, _BATCH))
    values = (value for piece in slices for value in piece.to_pylist())
    yield from (SourceRow(str(path), number, value) for number, value in enumerate(values, 1))


@contextmanager
def _read_as(path: Path, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, ValueError, OSError) as exc:
        raise DataError(f"{path}: asked for {kind} table, found {show(str(exc))}; get the file anew") from exc


def hub_rows(hub: str, config: str, split: str) -> Iterator[SourceRow]:
    """The rows of a data set on the Hugging Face hub, streamed; ``line`` counts rows from 1.

    Raises:
        DataError: there is no network, or the hub has no such data set, configuration or split.
    """
    import datasets

    place = "/".join(x for x in (hub, config) if x)
    try:
        found = datasets.load_dataset(hub, config or None, split=split or "test", streaming=True)
        for name, feature in (found.features or {}).items():
            if isinstance(feature, datasets.Image):
                found = found.cast_column(name, datasets.Image(decode=False))
        for number, value in enumerate(found, 1):
            yield SourceRow(f"hub:{place}", number, value)
    except Exception as exc:  # the hub's client raises whatever its transport does
        reason = " ".join(str(exc).split())[:200]
        raise DataError(
            f"{hub}: asked the hub for split {split or 'test'!r}, found {type(exc).__name__} ({reason}); "
            "the hub is read only with a network (and HF_HUB_OFFLINE not set): "
            "or download it, and name the folder by --from"
        ) from exc
