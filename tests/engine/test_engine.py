"""The engine: whatever strategy reads them, items under edits come out the same; skipping changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.data.cases import Cases
from headscope.edits.edits import Edit, mute, scale
from headscope.engine import engine as engines
from headscope.engine.engine import REPLAY, SHARED_PREFIX, Engine, ItemReading
from headscope.errors import ModelError
from headscope.experiments.items import choose_items
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM

BOTH = (REPLAY, SHARED_PREFIX)


@pytest.fixture
def items(cases: Cases, splits: dict[str, str]) -> list[Any]:
    found = choose_items(cases, splits, "test", DEFAULT, 3, 0)
    return [*found["spatial_perception"], *found["counting"]]  # nested choices, and an open answer


def read(
    vlm: VLM, cases: Cases, items: list[Any], edits: list[Edit], skip: tuple[int, ...] = (), **knobs: Any
) -> dict[int, ItemReading]:
    engine = Engine(vlm, items, lambda i: cases.image(i.case), max_new_tokens=3, **knobs)
    limits = engine.limits(engine.clean()[3])
    return dict(engine.read(edits, limits, skip, clean_margins=True))


@pytest.mark.parametrize("scope", ["all", "answer"])
def test_every_strategy_gives_what_runs_one_by_one_give(
    vlm: VLM, cases: Cases, items: list[Any], scope: str
) -> None:
    edits = [Edit((h,), mute(), scope) for h in vlm.geometry.heads[:4]]
    edits += [Edit(vlm.geometry.heads[i : i + 2], scale(2.0), scope) for i in (1, 3, 5)]
    for strategies in (BOTH, (SHARED_PREFIX,), ()):
        found = read(vlm, cases, items, edits, strategies=strategies)
        assert sorted(found) == list(range(len(items)))
        for i, item in enumerate(items):
            encoded = encode_batch(vlm, [item], lambda i: cases.image(i.case))
            rows = [ask(vlm, encoded, [item], edit=e, max_new_tokens=3).rows[0] for e in edits]
            np.testing.assert_allclose(found[i].margin, [r["margin"] for r in rows], atol=2e-4)
            assert found[i].correct.tolist() == [float(r["correct"]) for r in rows]
            plain = ask(vlm, encoded, [item], max_new_tokens=3).rows[0]["margin"]
            assert found[i].clean_margin == pytest.approx(plain, abs=2e-4)


def test_what_is_skipped_changes_no_bit_of_the_others(vlm: VLM, cases: Cases, items: list[Any]) -> None:
    edits = [Edit((h,), mute()) for h in vlm.geometry.heads]
    whole = read(vlm, cases, items, edits, strategies=BOTH)
    some = read(vlm, cases, items, edits, skip=(0, 3), strategies=BOTH)
    assert sorted(some) == [1, 2, 4, 5]
    for i, reading in some.items():
        assert reading.margin.tolist() == whole[i].margin.tolist()


def test_an_item_that_no_replay_is_made_for_is_read_by_the_next_strategy_alone(
    llava: VLM, cases: Cases, items: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = [Edit((h,), mute()) for h in llava.geometry.heads]
    wanted = read(llava, cases, items, edits, strategies=BOTH)
    real = engines.read_item

    def refuses(vlm: VLM, trace: Any, item: Any, *args: Any, **knobs: Any) -> ItemReading:
        if item is items[1]:
            raise ModelError("not this one")
        return real(vlm, trace, item, *args, **knobs)

    monkeypatch.setattr(engines, "read_item", refuses)
    found = read(llava, cases, items, edits, strategies=BOTH)
    said = [found[i].strategy for i in range(len(items))]
    assert said == [REPLAY, "whole runs: not this one", *[REPLAY] * 4]
    np.testing.assert_allclose(found[1].margin, wanted[1].margin, atol=2e-4)
