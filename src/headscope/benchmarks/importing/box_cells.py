"""Boxes in the cells of tables: lists, objects with names, and objects that say which number is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from headscope.benchmarks.importing.columns import opened
from headscope.data.box_forms import parts_of
from headscope.data.fields import Cell, RecordError, four_numbers, plain_text, take
from headscope.data.pictures import show
from headscope.data.schema import Object

_NAMES = ("name", "label", "category", "class", "phrase", "category_id")
# Keys of the four numbers of a box, by the layout that they say.
_KEYS = (
    ("xyxy", ("x1", "y1", "x2", "y2")),
    ("xyxy", ("x0", "y0", "x1", "y1")),
    ("xyxy", ("xmin", "ymin", "xmax", "ymax")),
    ("xyxy", ("left", "top", "right", "bottom")),
    ("xywh", ("x", "y", "w", "h")),
    ("xywh", ("x", "y", "width", "height")),
    ("xywh", ("left", "top", "width", "height")),
)


def objects_of(value: Cell, form: str) -> tuple[Object, ...]:
    """Things with boxes as they stand: a list of boxes or of objects, or lists of boxes and names.

    Text that is JSON counts as what it holds.

    Args:
        form: how the file writes boxes; one whose keys say another layout is turned into this one.

    Raises:
        RecordError: it is none of these.

    Example:
        >>> objects_of([{"label": "dog", "x": 1, "y": 2, "w": 3, "h": 4}], "xyxy")[0].box
        (1.0, 2.0, 4.0, 6.0)
    """
    value = opened(value)
    if value is None:
        return ()
    if isinstance(value, dict):
        boxes = next((value[k] for k in ("bbox", "boxes", "box") if isinstance(value.get(k), list)), None)
        names: list[Cell] = next((value[k] for k in _NAMES if isinstance(value.get(k), list)), [])
        value = boxes if boxes is not None else [value] if _keyed(value, "", form) else value
        if names and isinstance(value, list | tuple) and len(names) != len(value):
            found_names = f"{len(value)} boxes and {len(names)} names"
            raise RecordError("boxes", "wrong value", found_names, "a name for each box")
        value = [{"box": b, "name": n} for b, n in zip(value, names, strict=True)] if names else value
    if not isinstance(value, list | tuple):
        raise RecordError("boxes", "wrong value", show(value), "a list of boxes")
    if len(value) == 4 and all(isinstance(v, int | float) for v in value):
        value = [value]
    found: list[Object] = []
    counts: Counter[str] = Counter()
    for i, thing in enumerate(value):
        at, name = f"boxes[{i}]", "thing"
        if isinstance(thing, dict):
            name = next((plain_text(thing[k], f"{at}.{k}") for k in _NAMES if thing.get(k) is not None), name)
            inner = next((thing[k] for k in ("bbox", "box") if thing.get(k) is not None), thing)
            thing = _keyed(inner, at, form) or inner
        counts[name] += 1
        x0, y0, x1, y1 = four_numbers(thing, at)
        found.append(Object(id=f"{name}-{counts[name]}", name=name, box=(x0, y0, x1, y1)))
    return tuple(found)


def _keyed(value: Cell, at: str, form: str) -> list[float]:
    """The four numbers of an object whose keys say which they are, in the layout of the form; else nothing.

    Raises:
        RecordError: one of them is no number, or the form has neither corners nor a corner and a size.
    """
    if not isinstance(value, Mapping):
        return []
    layout, keys = next(((x, ks) for x, ks in _KEYS if all(k in value for k in ks)), ("", ()))
    if not layout:
        return []
    a, b, c, d = (take(value, k, float, f"{at}.") for k in keys)
    wanted, _ = parts_of(form)
    if wanted not in ("xyxy", "xywh"):
        raise RecordError(at, "keys of another form", ", ".join(keys), f"four numbers as {form}")
    if layout == wanted:
        return [a, b, c, d]
    return [a, b, a + c, b + d] if wanted == "xyxy" else [a, b, c - a, d - b]
