from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.data.cases import load_cases
from headscope.data.schema import SPLITS, Case, Split
from headscope.data.splits import assign_splits, picture_groups
from headscope.errors import DataError
from made_cases import picture, record, write


def case(name: str, image: str, split: Split | None = None, held_out: tuple[str, ...] = ()) -> Case:
    return Case(
        id=name, image=image, width=4, height=4, question="?", answer="x", split=split, held_out=held_out
    )


@st.composite
def any_cases(draw: st.DrawFn) -> list[Case]:
    """Cases of few pictures; all cases of one picture ask for the same split, or for none."""
    wish = st.sampled_from(
        [(None, ()), (None, ("wording",)), ("fit", ()), ("select", ()), ("test", ("sprite",))]
    )
    asked = draw(st.lists(wish, min_size=1, max_size=25))
    shown = draw(st.lists(st.integers(0, len(asked) - 1), max_size=40))
    out = []
    for n, i in enumerate([*range(len(asked)), *shown]):
        split, tags = asked[i]
        path = draw(st.sampled_from([f"images/{i}.png", f"./images/{i}.png", f"images//{i}.png"]))
        out.append(case(f"c{n}", path, split, tags))
    return out


@settings(max_examples=150, deadline=None)
@given(any_cases(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_splits_go_by_picture_ignore_order_and_keep_the_shares(
    cases: list[Case], seed: int, rng: random.Random
) -> None:
    splits = assign_splits(cases, seed)
    assert list(splits) == [c.id for c in cases]
    groups = picture_groups(cases)
    by_group: dict[str, set[Split]] = {}
    for c in cases:
        by_group.setdefault(groups[c.id], set()).add(splits[c.id])
        assert splits[c.id] == (c.split or ("test" if c.held_out else splits[c.id]))
    assert all(len(found) == 1 for found in by_group.values())
    mixed = cases[:]
    rng.shuffle(mixed)
    assert assign_splits(mixed, seed) == splits
    free = {groups[c.id] for c in cases if not c.split and not c.held_out}
    counts = [sum(by_group[g] == {s} for g in free) for s in SPLITS]
    for count, share in zip(counts, (0.6, 0.2, 0.2), strict=True):
        assert abs(count - share * len(free)) < 1
    if len(free) >= 3:
        assert min(counts) >= 1


def test_shares_are_exact_where_they_can_be_and_seeds_differ() -> None:
    cases = [case(f"c{i}", f"{i}.png") for i in range(500)]
    splits = assign_splits(cases)
    assert [list(splits.values()).count(s) for s in SPLITS] == [300, 100, 100]
    assert assign_splits(cases) == splits
    assert assign_splits(cases, seed=1) != splits
    other = assign_splits(cases, shares=(0.5, 0, 0.5))
    assert [list(other.values()).count(s) for s in SPLITS] == [250, 0, 250]


def test_held_out_cases_are_tested_on_top_of_ordinary_ones() -> None:
    cases = [case(f"c{i}", f"{i}.png", None, ("wording",) if i < 40 else ()) for i in range(100)]
    splits = assign_splits(cases)
    assert all(splits[f"c{i}"] == "test" for i in range(40))
    ordinary = [splits[f"c{i}"] for i in range(40, 100)]
    assert [ordinary.count(s) for s in SPLITS] == [36, 12, 12]


def test_files_of_identical_bytes_are_one_picture(tmp_path: Path) -> None:
    records = [record(f"c{i}") for i in range(30)]
    write(tmp_path, *records)
    for i in range(0, 30, 3):
        source = (tmp_path / f"images/c{i}.png").read_bytes()
        for j in (1, 2):
            (tmp_path / f"images/c{i + j}.png").write_bytes(source)
    splits = load_cases(tmp_path).splits
    for i in range(0, 30, 3):
        assert len({splits[f"c{i + j}"] for j in range(3)}) == 1
    assert [list(splits.values()).count(s) for s in SPLITS] == [18, 6, 6]


def test_one_picture_asked_for_in_two_splits_is_refused(tmp_path: Path) -> None:
    for a, b in [("fit", "test"), ("select", None)]:
        pair = [case("a", "1.png", a), case("b", "./1.png", b, () if b else ("wording",))]  # type: ignore[arg-type]
        with pytest.raises(DataError, match="cases 'a' and 'b' show the same picture"):
            assign_splits(pair)
    write(tmp_path, record("a", split="fit"), record("b", split="test"))
    picture(tmp_path, "images/b.png", (0, 0, 7))
    with pytest.raises(DataError, match="cases 'a' and 'b' show the same picture"):
        assign_splits(load_cases(tmp_path))


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.1), (1.2, -0.1, -0.1), (0.5, 0.5), (float("nan"), 0, 1)])
def test_shares_that_do_not_add_up_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(DataError, match="expected three from 0 to 1 that add up to 1"):
        assign_splits([case("a", "1.png")], shares=shares)
