"""Two prompts of a pair line up, or the pair is refused; groups of positions hold what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from headscope.errors import DataError
from headscope.experiments.patching.asked_pair import GROUPS, name_tokens, open_pair, unlike
from headscope.experiments.waking.awakening import object_tokens
from headscope.making.pairs.scenes import draw_pairs
from headscope.making.pairs.schema import Pairs
from headscope.models.types import Prompt
from headscope.models.vlm import VLM


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return draw_pairs(tmp_path_factory.mktemp("pairs"), 2, seed=5, facts=("place", "further", "count"))


def test_groups_of_a_pair_are_parts_of_the_prompt(tiny: VLM, pairs: Pairs) -> None:
    asked = open_pair(tiny, pairs, pairs[0])
    one, _ = asked.encoded
    groups = asked.groups
    assert tuple(groups) == GROUPS
    assert groups["all"].all()
    assert torch.equal(groups["image"], one.image)
    assert torch.equal(groups["question"], one.question)
    assert groups["last"].nonzero().tolist() == [[0, one.length - 1]]
    assert not (groups["objects"] & ~groups["image"]).any()
    assert not (groups["names"] & ~groups["question"]).any()


def test_objects_are_the_tokens_that_show_what_changed_in_either_picture(tiny: VLM, pairs: Pairs) -> None:
    pair = pairs[0]
    asked = open_pair(tiny, pairs, pair)
    wanted = torch.zeros_like(asked.encoded[0].image)
    where = asked.encoded[0].image[0].nonzero().squeeze(1)
    boxes = []
    for name in (pair.first, pair.second):
        case = pairs.cases.by_id[name]
        (box,) = [o.box for o in case.objects if o.id in pair.changed]
        boxes.append(box)
        wanted[0, where] |= torch.from_numpy(object_tokens(asked.encoded[0].grids[0], [box]))
    assert boxes[0] != boxes[1]
    assert torch.equal(asked.groups["objects"], wanted)


def test_names_are_the_tokens_that_spell_them_and_no_others(tiny: VLM) -> None:
    from edits.fixtures import picture

    encoded = tiny.encode([Prompt(picture(1), "Is the cat left of the cathedral, or are cats there?")])
    found = name_tokens(tiny, encoded, ["cat"])[0]
    ids = encoded.inputs["input_ids"][0]
    spelled = tiny.decode(ids[found].tolist()).replace(" ", "")
    assert spelled == "catcats"
    assert not name_tokens(tiny, encoded, ["zebra"]).any()


def test_prompts_that_do_not_line_up_are_refused_with_the_place(tiny: VLM, pairs: Pairs) -> None:
    from edits.fixtures import picture

    one, longer = (tiny.encode([Prompt(picture(1), text)]) for text in ("Where is it?", "Where is it now?"))
    ids = one.inputs["input_ids"].clone()
    ids[0, 1] += 1
    other = replace(one, inputs={**one.inputs, "input_ids": ids})
    assert unlike(one, one) == ""
    assert unlike(one, longer) == f"{one.length} positions and {longer.length}"
    assert unlike(one, other) == f"token 1 is {ids[0, 1] - 1} and {ids[0, 1]}"
    moved = replace(one, image=one.image.roll(1, dims=1))
    assert "image tokens" in unlike(one, moved)


def test_a_pair_whose_prompts_differ_in_a_token_is_refused(
    tiny: VLM, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headscope.experiments.patching import asked_pair

    real, calls = asked_pair.encode_batch, []

    def strange(*args, **more):  # type: ignore[no-untyped-def]
        encoded = real(*args, **more)
        calls.append(1)
        if len(calls) == 2:
            ids = encoded.inputs["input_ids"].clone()
            ids[0, -1] += 1
            encoded.inputs["input_ids"] = ids
        return encoded

    monkeypatch.setattr(asked_pair, "encode_batch", strange)
    with pytest.raises(DataError, match=r"do not line up token by token: token \d+ is"):
        open_pair(tiny, pairs, pairs[0])
