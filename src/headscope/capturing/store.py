"""The capture folder: a plan made first, shards that are complete or absent, and how to read them back."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from headscope.asking.answers import AnswerRow
from headscope.capturing.captured import SCHEMA, CapturedHeads, CapturePlan, read_plan
from headscope.errors import DamagedError, StoreError
from headscope.seals import first_change, tree_digests
from headscope.storage import CHANGED, damaged, disk_error, read_json, read_table, write_sealed, write_table

if TYPE_CHECKING:
    import pyarrow as pa
    import xarray as xr

ANSWERS = "answers.parquet"
ACTIVATIONS = "z.zarr"
CHECKSUMS = "checksums.json"
CHUNK_BYTES = 16 * 2**20


def shard_path(folder: str | Path, shard: str) -> Path:
    """Folder of a shard."""
    return Path(folder) / "shards" / shard


def missing_shards(folder: str | Path, plan: CapturePlan | None = None) -> list[str]:
    """Names of planned shards that are not there yet."""
    plan = read_plan(folder) if plan is None else plan
    return [s.name for s in plan.shards if not shard_path(folder, s.name).is_dir()]


def broken_shards(folder: str | Path, plan: CapturePlan) -> dict[str, str]:
    """Planned shards that are there and not as they were written, or belong to another plan -> why."""
    found: dict[str, str] = {}
    for shard in (shard_path(folder, s.name) for s in plan.shards):
        try:
            if shard.is_dir() and _checked(shard, "").get("plan") != plan.identity:
                found[shard.name] = f"{shard}: was captured by another plan"
        except DamagedError as exc:
            found[shard.name] = str(exc)
    return found


def _checked(shard: Path, *parts: str) -> dict[str, Any]:
    """What a shard says of itself, its files under some of the parts read and found as they were written.

    Raises:
        StoreError: one of them is missing, or was changed.
    """
    path = shard / CHECKSUMS
    if not path.exists():
        raise damaged(path, "not found")
    said = read_json(path)
    files = said.get("files") if isinstance(said, dict) else None
    if not isinstance(files, dict):
        raise damaged(path, "files: field required")
    changed = first_change(shard, {n: d for n, d in files.items() if n.startswith(parts)})
    if changed is not None:
        raise damaged(changed, CHANGED if changed.exists() else "not found")
    return dict(said)


def clear_unfinished(folder: str | Path) -> None:
    """Delete what a killed run left half written."""
    shards = Path(folder) / "shards"
    for path in (*shards.glob(".*.tmp"), *Path(folder).glob(".*.tmp")):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_shard(
    folder: Path,
    name: str,
    rows: Sequence[AnswerRow],
    z: Mapping[str, NDArray[Any]],
    heads: CapturedHeads,
    attrs: Mapping[str, str],
    plan: str = "",
) -> None:
    """Write a shard under a temporary name and put it in its place in one step.

    Args:
        rows: answer rows, one an item.
        z: readout -> (item, head, width).
        attrs: attributes of the zarr group.
        plan: identity of the plan that it belongs to.

    Raises:
        StoreError: the disk is full or the folder cannot be written; nothing is left of the shard then.
    """
    final = shard_path(folder, name)
    temporary = final.with_name(f".{name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        write_table(temporary / ANSWERS, _table(rows))
        if z:
            _write_zarr(temporary / ACTIVATIONS, rows, z, heads, attrs)
        write_sealed(temporary / CHECKSUMS, {"plan": plan, "files": tree_digests(temporary)})
        temporary.replace(final)
    except OSError as exc:
        raise disk_error(final, exc) from exc
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _table(rows: Sequence[AnswerRow]) -> pa.Table:
    """Rows with a fixed schema, so that a shard of nulls reads like any other."""
    import pyarrow as pa

    text = ("item", "case", "step", "context", "function", "split", "kind", "held_out", "wording")
    fields = [(n, pa.string()) for n in text]
    fields.insert(7, ("things", pa.int32()))
    fields += [(n, pa.string()) for n in ("question", "truth")]
    fields += [("choices", pa.list_(pa.string())), ("text", pa.string()), ("answer", pa.string())]
    fields += [("correct", pa.bool_()), ("margin", pa.float64()), ("logprob", pa.float64())]
    fields += [("total", pa.float64())]
    fields += [("tokens", pa.int32()), ("content_found", pa.bool_())]
    return pa.Table.from_pylist([dict(r) for r in rows], schema=pa.schema(fields))


def _write_zarr(
    path: Path,
    rows: Sequence[AnswerRow],
    z: Mapping[str, NDArray[Any]],
    heads: CapturedHeads,
    attrs: Mapping[str, str],
) -> None:
    from zarr.codecs import BloscCodec

    data = _dataset({n: np.asarray(v, dtype=np.float32) for n, v in z.items()}, rows, heads, attrs)
    encoding = {}
    for name, values in z.items():
        items, count, width = values.shape
        per_chunk = max(1, min(count, CHUNK_BYTES // max(1, items * width * 4)))
        # Bits of like meaning side by side: noise-like mantissas stay, exponents shrink.
        codec = BloscCodec(typesize=4, cname="zstd", clevel=3, shuffle="bitshuffle")
        encoding[name] = {"chunks": (items, per_chunk, width), "compressors": [codec]}
    # Filters of warnings are the whole process's: a thread leaves them to who started it.
    with quiet_zarr() if current_thread() is main_thread() else nullcontext():
        data.to_zarr(path, mode="w", zarr_format=3, consolidated=True, encoding=encoding)


@contextmanager
def quiet_zarr() -> Iterator[None]:
    """No warning that consolidated metadata are newer than the standard; shards are read without them too."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        yield


def _dataset(
    z: Mapping[str, NDArray[Any]],
    rows: Sequence[AnswerRow],
    heads: CapturedHeads,
    attrs: Mapping[str, str],
) -> xr.Dataset:
    import xarray as xr

    def strings(values: Sequence[Any]) -> NDArray[Any]:
        return np.array([v or "" for v in values], dtype=np.dtypes.StringDType())

    coords: dict[str, tuple[str, NDArray[Any]]] = {
        name: ("item", strings([r.get(name) for r in rows]))
        for name in ("item", "case", "function", "split", "context")
    }
    coords["head"] = ("head", strings(heads.head))
    coords["layer"] = ("head", np.asarray(heads.layer, dtype=np.int32))
    coords["head_width"] = ("head", np.asarray(heads.head_width, dtype=np.int32))
    variables = {n: (("item", "head", "width"), v) for n, v in z.items()}
    return xr.Dataset(variables, coords=coords, attrs=dict(attrs))


def _complete(folder: Path) -> list[Path]:
    plan = read_plan(folder)
    missing = missing_shards(folder, plan)
    if missing:
        raise DamagedError(
            f"{folder}: {len(missing)} of {len(plan.shards)} shards are missing (first {missing[0]}); run "
            "the same capture again, it makes the missing ones only"
        )
    return [shard_path(folder, s.name) for s in plan.shards]


def open_answers(folder: str | Path) -> list[AnswerRow]:
    """All answer rows of a finished capture, in plan order.

    Raises:
        StoreError: there is no capture, shards are missing, or one is damaged.
    """
    return list(iter_answers(folder))


def iter_answers(folder: str | Path) -> Iterator[AnswerRow]:
    """The same one by one, a shard in memory at a time."""
    for shard in _complete(Path(folder)):
        yield from _answers(shard)


def _answers(shard: Path) -> list[AnswerRow]:
    _checked(shard, ANSWERS)
    return cast(list[AnswerRow], read_table(shard / ANSWERS))


def open_activations(
    folder: str | Path,
    readout: str | Sequence[str] | None = None,
    split: str | None = None,
    *,
    context: str | None = None,
    items: Collection[str] | None = None,
) -> xr.Dataset:
    """Activations of a finished capture as one dataset, in the row order of :func:`open_answers`.

    Shards are read one at a time and only what is asked for is kept, so memory is that of the result.

    Args:
        readout: which readouts; all by default.
        split: keep items of this split only.
        context: keep items asked in this context only.
        items: keep these item ids only.

    Returns:
        Dataset with dimensions (item, head, width), float32, one variable a readout, NaN beyond a head's own
        width; coordinates item, case, function, split, context along ``item``; head (label), layer,
        head_width along ``head``.

    Raises:
        StoreError: there is no capture, shards are missing, one is damaged, or the readout was not captured.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    have = plan.settings.readouts
    names = list(have) if readout is None else [readout] if isinstance(readout, str) else list(readout)
    unknown = [n for n in names if n not in have]
    if unknown or not names:
        held = list(have) or "none"
        raise StoreError(f"{folder}: asked for readout {unknown or 'none'}; this capture holds {held}")
    wanted = None if items is None else set(items)
    chosen: list[tuple[Path, list[int]]] = []
    rows: list[AnswerRow] = []
    for shard in _complete(folder):
        here = _answers(shard)
        keep = [
            i
            for i, r in enumerate(here)
            if (split is None or r["split"] == split)
            and (context is None or r["context"] == context)
            and (wanted is None or r["item"] in wanted)
        ]
        if keep:
            chosen.append((shard, keep))
            rows += [here[i] for i in keep]
    shape = (len(rows), len(plan.heads.head), plan.width)
    z = {n: _gather(chosen, n, shape) for n in names}
    return _dataset(z, rows, plan.heads, attributes(plan))


def attributes(plan: CapturePlan) -> dict[str, str]:
    """What the zarr group of a shard, and the dataset of all, say of where they come from."""
    return {"schema": SCHEMA, "model": plan.model, "cases": plan.cases}


def _gather(
    chosen: Sequence[tuple[Path, list[int]]], name: str, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    import zarr

    out = np.empty(shape, dtype=np.float32)
    start = 0
    for shard, keep in chosen:
        path = shard / ACTIVATIONS
        _checked(shard, f"{ACTIVATIONS}/{name}/", f"{ACTIVATIONS}/zarr.json")
        try:
            array: Any = zarr.open_group(path, mode="r")[name]
            out[start : start + len(keep)] = array[:][keep]
        except (OSError, KeyError, ValueError, RuntimeError, zarr.errors.BaseZarrError) as exc:
            raise damaged(path, f"cannot be read ({exc})") from exc
        start += len(keep)
    return out
