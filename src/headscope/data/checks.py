"""Every check that one case can fail by itself, on raw JSON, so that one wrong field hides no other fault."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from headscope.data.pictures import MAX_PIXELS, PictureError, check_path, show
from headscope.data.schema import UNANSWERED, Case
from headscope.data.texts import odd_texts
from headscope.functions import MAIN, Taxonomy
from headscope.records import JsonObject, JsonValue

_FAR = 1e300  # farther than any picture reaches


class Finding(NamedTuple):
    """A fault within one case: where (``steps[2].depends_on[0]``), what, found and expected, as shown."""

    field: str
    what: str
    found: str
    expected: str


def parse(text: str) -> tuple[JsonValue, Case | None, list[Finding]]:
    """One line of JSON to (raw value, case or None, faults of JSON and of schema)."""
    seen: list[Finding] = []
    odd: list[str] = []

    def pairs(items: list[tuple[str, JsonValue]]) -> JsonObject:
        out = dict(items)
        if len(out) < len(items):
            again = [k for k, n in Counter(k for k, _ in items).items() if n > 1]
            seen.extend(Finding("json", "key given twice", show(k), "each key once") for k in again)
        return out

    def number(token: str) -> float:
        value = float(token)
        if not math.isfinite(value):
            odd.append(token)
        return value

    try:
        raw = json.loads(text, object_pairs_hook=pairs, parse_constant=number, parse_float=number)
    except json.JSONDecodeError as exc:
        return None, None, [_broken(text, exc)]
    except RecursionError:
        return None, None, [Finding("json", "nested too deeply", "hundreds of levels", "a case")]
    except ValueError as exc:  # integers of thousands of digits
        return None, None, [Finding("json", "number too long", show(str(exc)), "an ordinary number")]
    if odd or "\\ud" in text.lower():
        seen += unwritable(raw)
    try:
        case = Case.model_validate_json(text, strict=True)
    except ValidationError as exc:
        return raw, None, seen + list(_schema_findings(exc, bool(seen)))
    return raw, None if seen else case, seen


def _broken(text: str, exc: json.JSONDecodeError) -> Finding:
    if exc.pos >= len(text.rstrip()) or exc.msg.startswith("Unterminated"):
        return Finding(
            "json", "broken off", f"the end of the line at column {len(text) + 1}", "the rest of the JSON"
        )
    near = show(text[exc.pos : exc.pos + 20])
    expected = exc.msg.removeprefix("Expecting ") if exc.msg.startswith("Expecting ") else "JSON"
    return Finding("json", f"broken at column {exc.pos + 1}", near, expected)


def _schema_findings(exc: ValidationError, json_known: bool) -> Iterator[Finding]:
    for error in exc.errors(include_url=False, include_context=False):
        field = path_of(error["loc"])
        if error["type"] == "json_invalid":
            if not json_known:
                yield Finding("json", "broken", show(error["msg"]), "JSON")
        elif error["type"] == "missing":
            yield Finding(field, "missing", "nothing", "a value")
        elif error["type"] == "extra_forbidden":
            yield Finding(field, "unknown field", show(error["input"]), "a field of the schema")
        else:
            expected = error["msg"].removeprefix("Input should be ")
            yield Finding(field, "wrong value", show(error["input"]), expected)


def path_of(loc: tuple[int | str, ...]) -> str:
    """('steps', 2, 'depends_on', 0) -> ``steps[2].depends_on[0]``; keys that are no plain word are quoted."""
    out = ""
    for part in loc:
        if isinstance(part, int):
            out += f"[{part}]"
        elif part.isidentifier() and len(part) <= 60:
            out += f".{part}" if out else part
        else:
            out += f"[{show(part)}]"
    return out or "case"


def unwritable(raw: object) -> list[Finding]:
    """What JSON in UTF-8 cannot hold: numbers that are not finite, text with half a character."""
    found: list[Finding] = []
    todo: list[tuple[tuple[int | str, ...], object]] = [((), raw)]
    while todo:
        loc, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*loc, k), v) for k, v in value.items()]
            todo += [((*loc, k), k) for k in value if not encodable(k)]
        elif isinstance(value, list | tuple):
            todo += [((*loc, i), v) for i, v in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            found.append(Finding(path_of(loc), "not finite", str(value), "a finite number"))
        elif isinstance(value, str) and not encodable(value):
            found.append(Finding(path_of(loc), "half a character", show(value), "text that UTF-8 can hold"))
    return found[::-1]


def encodable(text: object) -> bool:
    """Whether UTF-8 can hold a text: it has no half of a surrogate pair, as JSON's escapes may give it."""
    return not any("\ud800" <= c <= "\udfff" for c in str(text))


def check_case(raw: object, taxonomy: Taxonomy | None) -> Iterator[Finding]:
    """Faults beyond the schema; what has the wrong type is passed over, since the schema names it.

    Args:
        taxonomy: which functions there are; None: any.
    """
    if not isinstance(raw, dict):
        return
    for odd in odd_texts(raw):
        yield Finding(path_of(odd.place), odd.what, odd.found, odd.expected)
    for key in ("id", "question"):
        yield from _filled(raw, key, key)
    sizes = [_sides(raw)]
    yield from _check_picture(raw, "", *sizes[0])
    for i, picture in _records(raw, "more"):
        sizes.append(_sides(picture))
        yield from _check_picture(picture, f"more[{i}].", *sizes[-1])
    objects = list(_records(raw, "objects"))
    known = {name for _, o in objects if isinstance(name := o.get("id"), str)}
    yield from _unique(objects, "objects")
    for i, thing in objects:
        yield from _filled(thing, "id", f"objects[{i}].id")
        number = thing.get("picture", 0)
        shown = number if isinstance(number, int) and not isinstance(number, bool) else 0
        if not 0 <= shown < len(sizes):
            expected = f"a number up to {len(sizes) - 1}"
            yield Finding(f"objects[{i}].picture", "no such picture", show(number), expected)
            shown = 0
        yield from _check_box(thing.get("box"), f"objects[{i}].box", *sizes[shown])
    yield from _references(raw, "named", "named", known)
    yield from _check_answer(raw, "")
    for i, tag in _texts(raw, "held_out"):
        if not tag or "," in tag:
            yield Finding(f"held_out[{i}]", "unusable tag", show(tag), "a word without commas")
    yield from _check_steps(list(_records(raw, "steps")), known, taxonomy)


def _check_steps(
    steps: list[tuple[int, JsonObject]], known: set[str], taxonomy: Taxonomy | None
) -> Iterator[Finding]:
    yield from _unique(steps, "steps")
    for i, step in steps:
        at, name = f"steps[{i}]", step.get("id")
        for key in ("id", "question"):
            yield from _filled(step, key, f"{at}.{key}")
        if isinstance(name, str) and (name == MAIN or "/" in name):
            yield Finding(f"{at}.id", "reserved id", show(name), f"an id without '/' that is not '{MAIN}'")
        function = step.get("function")
        if taxonomy and isinstance(function, str) and taxonomy.own(function) not in taxonomy.functions:
            allowed = ", ".join(taxonomy.functions)
            yield Finding(f"{at}.function", "unknown function", show(function), f"one of {allowed}")
        yield from _check_answer(step, f"{at}.", unanswered=step.get("origin") == UNANSWERED)
        yield from _references(step, "objects", f"{at}.objects", known)
    yield from _check_order(steps)


def _check_order(steps: list[tuple[int, JsonObject]]) -> Iterator[Finding]:
    """depends_on: known, earlier, once each. A circle must hold a step that rests on a later one."""
    place: dict[str, int] = {}
    for at, (_, step) in enumerate(steps):
        if isinstance(name := step.get("id"), str):
            place.setdefault(name, at)
    edges = [(at, i, j, name) for at, (i, step) in enumerate(steps) for j, name in _texts(step, "depends_on")]
    later = any(place.get(name, -1) > at for at, _, _, name in edges)
    circle = _circles(len(steps), [(at, place[n]) for at, _, _, n in edges if n in place]) if later else []
    seen: set[tuple[int, str]] = set()
    for at, i, j, name in edges:
        field = f"steps[{i}].depends_on[{j}]"
        if (at, name) in seen:
            yield Finding(field, "step named twice", show(name), "each step once")
        seen.add((at, name))
        if name not in place:
            yield Finding(field, "no such step", show(name), "the id of an earlier step")
        elif name == steps[at][1].get("id"):
            yield Finding(field, "step rests on itself", show(name), "the id of an earlier step")
        elif place[name] > at and circle[at] == circle[place[name]]:
            found = f"{show(name)}, which rests on this step"
            yield Finding(field, "circle of steps", found, "the id of an earlier step")
        elif place[name] > at:
            yield Finding(field, "rests on a later step", show(name), "the id of an earlier step")


def _circles(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """For each step the number of its strongly connected component."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(edges).T
    graph = coo_array((np.ones(len(edges)), (ends[0], ends[1])), shape=(count, count))
    labels: list[int] = connected_components(graph.tocsr(), directed=True, connection="strong")[1].tolist()
    return labels


def _check_picture(raw: JsonObject, at: str, width: int | None, height: int | None) -> Iterator[Finding]:
    for key, size in (("width", width), ("height", height)):
        if size is not None and size < 1:
            yield Finding(f"{at}{key}", "no size", show(size), "pixels, at least 1")
    if width and height and width * height > MAX_PIXELS:
        found = f"{show(width)} x {show(height)}"
        yield Finding(f"{at}width", "enormous picture", found, f"at most {MAX_PIXELS} pixels")
    if isinstance(image := raw.get("image"), str):
        try:
            check_path(image)
        except PictureError as exc:
            yield Finding(f"{at}image", exc.what, exc.found, exc.expected)


def _check_box(box: object, field: str, width: int | None, height: int | None) -> Iterator[Finding]:
    if not isinstance(box, list | tuple) or len(box) != 4:
        return
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in box):
        return
    x0, y0, x1, y1 = (max(-_FAR, min(_FAR, v)) for v in box)  # integers may be too long for a float
    if any(v != v or abs(v) == math.inf for v in box):
        return  # reported where it stands
    found = f"({x0:g}, {y0:g}, {x1:g}, {y1:g})"
    if x1 < x0 or y1 < y0:
        yield Finding(field, "inverted box", found, "x0 < x1 and y0 < y1")
    elif x1 == x0 or y1 == y0:
        yield Finding(field, "empty box", found, "x0 < x1 and y0 < y1")
    elif min(box) >= 0 and max(box) <= 1 and (width or 0) > 2 and (height or 0) > 2:
        yield Finding(field, "box within one pixel", found, "pixels, no shares of 0 to 1")
    if min(box) < 0 or (width and max(x0, x1) > width) or (height and max(y0, y1) > height):
        edge = f"({show(width)} x {show(height)} pixels)" if width and height else "(no negative corner)"
        yield Finding(field, "box outside the picture", found, f"within the picture {edge}")


def _check_answer(raw: JsonObject, at: str, unanswered: bool = False) -> Iterator[Finding]:
    if not unanswered:
        yield from _filled(raw, "answer", f"{at}answer")
    elif raw.get("answer"):
        yield Finding(f"{at}answer", "answer of an unanswered step", show(raw["answer"]), "an empty answer")
    choices = list(_texts(raw, "choices"))
    words = [c for _, c in choices]
    first: dict[str, int] = {}
    for i, choice in choices:
        if not choice.strip():
            yield Finding(f"{at}choices[{i}]", "empty choice", show(choice), "an answer")
        same = first.setdefault(" ".join(choice.casefold().split()), i)
        if same != i:
            yield Finding(f"{at}choices[{i}]", "choice given twice", show(choice), f"unlike choices[{same}]")
    if len(words) == 1:
        yield Finding(f"{at}choices", "single choice", show(words[0]), "two or more, or none (open answer)")
    answer = raw.get("answer")
    if words and isinstance(answer, str) and answer.strip() and answer not in words:
        some = ", ".join(show(w) for w in words[:8]) + (", ..." if len(words) > 8 else "")
        yield Finding(f"{at}answer", "answer outside its choices", show(answer), f"one of {some}")


def _references(raw: JsonObject, key: str, field: str, known: set[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for i, name in _texts(raw, key):
        if name not in known:
            yield Finding(f"{field}[{i}]", "no such object", show(name), "the id of an object of the case")
        elif name in seen:
            yield Finding(f"{field}[{i}]", "object named twice", show(name), "each object once")
        seen.add(name)


def _unique(records: list[tuple[int, JsonObject]], field: str) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for i, record in records:
        name = record.get("id")
        if isinstance(name, str) and first.setdefault(name, i) != i:
            yield Finding(
                f"{field}[{i}].id", "id given twice", show(name), f"unlike {field}[{first[name]}].id"
            )


def _filled(raw: JsonObject, key: str, field: str) -> Iterator[Finding]:
    if isinstance(text := raw.get(key), str) and not text.strip():
        yield Finding(field, "empty", show(text), "text")


def _sides(raw: JsonObject) -> tuple[int | None, int | None]:
    return _size(raw.get("width")), _size(raw.get("height"))


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _records(raw: JsonObject, key: str) -> Iterator[tuple[int, JsonObject]]:
    value = raw.get(key)
    if isinstance(value, list | tuple):
        yield from ((i, v) for i, v in enumerate(value) if isinstance(v, dict))


def _texts(raw: JsonObject, key: str) -> Iterator[tuple[int, str]]:
    value = raw.get(key)
    if isinstance(value, list | tuple):
        yield from ((i, v) for i, v in enumerate(value) if isinstance(v, str))
