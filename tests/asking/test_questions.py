"""Questions of one's own in batches: the table says what each question alone gives."""

from __future__ import annotations

import numpy as np
import pytest

from asking.naive import picture, some_items
from headscope.asking.questions import ask
from headscope.asking.read import read
from headscope.edits.edits import edit, mute
from headscope.errors import DataError, ModelError
from headscope.models.vlm import VLM


def test_questions_of_ones_own_are_answered_in_batches_as_each_alone(llava64: VLM) -> None:
    items = [i for i in some_items(3, ["alone"]) if i.choices][:5]
    asked = [(picture(i), i.question, i.choices) for i in items]
    table = ask(llava64, asked, batch_size=3)
    assert list(table["question"]) == [i.question for i in items]
    for row, item in zip(table.itertuples(), items, strict=True):
        alone = read(llava64, picture(item), item.question, item.choices)
        assert (row.text, row.best, row.readable) == (alone.text, alone.best, alone.answer is not None)
        ranked = sorted(alone.logprobs.values(), reverse=True)
        assert row.margin == pytest.approx(ranked[0] - ranked[1], abs=1e-6)
    with edit(llava64, "L0H1,L1H2,L2H0", mute()):
        assert not np.allclose(ask(llava64, asked)["margin"], table["margin"])


def test_questions_may_come_without_choices_and_what_is_none_is_refused(llava64: VLM) -> None:
    item = some_items(1, ["alone"])[0]
    open_one = ask(llava64, [(picture(item), item.question)])
    assert open_one["margin"].isna().all()
    assert open_one["best"].isna().all()
    with pytest.raises(DataError, match="asked no questions"):
        ask(llava64, [])
    with pytest.raises(DataError, match="batches of 0"):
        ask(llava64, [(picture(item), "Where?")], batch_size=0)
    with pytest.raises(DataError, match=r"found str, expected \(picture, question, choices\) each"):
        ask(llava64, ["Where?"])  # type: ignore[list-item]
    with pytest.raises(ModelError, match="choices: found the one text"):
        ask(llava64, [(picture(item), "Where?", "left")])
