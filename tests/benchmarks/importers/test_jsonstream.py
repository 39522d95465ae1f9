"""Streaming JSON gives what json gives, item by item, with the right lines, however the pieces fall."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.data import jsonstream
from headscope.data.jsonstream import BrokenJson, Decoder, JsonStream

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(items=st.lists(values, max_size=6), chunk=st.integers(1, 9), indent=st.sampled_from([None, 1]))
def test_items_are_those_of_json_whatever_the_size_of_the_pieces(
    items: list[Any], chunk: int, indent: int | None
) -> None:
    old, jsonstream._CHUNK = jsonstream._CHUNK, chunk
    try:
        text = json.dumps(items, indent=indent)
        found = list(JsonStream(io.StringIO(text)).items())
    finally:
        jsonstream._CHUNK = old
    assert [value for _, value, _ in found] == items
    assert all(odd is None for _, _, odd in found)
    if indent is None:
        assert {line for line, _, _ in found} <= {1}


def test_items_know_their_lines() -> None:
    stream = JsonStream(io.StringIO('[\n {"a": 1},\n\n {"a":\n 2}, 3]'))
    assert [(line, value) for line, value, _ in stream.items()] == [(2, {"a": 1}), (4, {"a": 2}), (5, 3)]


def test_members_are_read_one_at_a_time() -> None:
    stream = JsonStream(io.StringIO('{"info": {"x": [1]}, "items": [1, 2], "n": 3}'))
    seen: dict[str, Any] = {}
    for key in stream.members():
        seen[key] = [v for _, v, _ in stream.items()] if key == "items" else stream.value()[0]
    assert seen == {"info": {"x": [1]}, "items": [1, 2], "n": 3}


@pytest.mark.parametrize(
    ("text", "line"), [("[1, 2", 1), ("[1,\n 2\n x]", 3), ("[1 2]", 1), ("{", 1), ("", 1)]
)
def test_broken_json_stops_at_its_line(text: str, line: int) -> None:
    with pytest.raises(BrokenJson) as found:
        list(JsonStream(io.StringIO(text)).items())
    assert found.value.line == line


def test_oddities_come_with_the_value_and_do_not_stop_the_stream() -> None:
    found = list(JsonStream(io.StringIO('[{"a": NaN}, {"a": 1, "a": 2}, {"a": 1e999}, {"a": 1}]')).items())
    whats = [odd.what if odd else None for _, _, odd in found]
    assert whats == ["not finite", "key given twice", "not finite", None]


def test_enormous_records_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "MAX_RECORD", 1000)
    monkeypatch.setattr(jsonstream, "_CHUNK", 100)
    with pytest.raises(BrokenJson, match="enormous record"):
        list(JsonStream(io.StringIO('["' + "x" * 5000 + '"]')).items())


def test_a_text_with_two_values_is_a_fault() -> None:
    value, fault = Decoder().loads('{"a": 1} {"b": 2}')
    assert value is None
    assert fault is not None
    assert fault.what == "more than one value"
