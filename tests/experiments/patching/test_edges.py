"""Path patching against a run by hand in which every head but one is held by a hook of its own."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from headscope.asking.ask import ask
from headscope.edits.patching import prompt_z
from headscope.experiments.patching.asked_pair import AskedPair, open_pair
from headscope.experiments.patching.edges import edges_among, read_edges
from headscope.experiments.patching.readings import PatchedMargins
from headscope.making.pairs.scenes import draw_pairs
from headscope.models.geometry import Head
from headscope.models.vlm import VLM


@pytest.fixture(scope="module")
def asked(tiny: VLM, tmp_path_factory: pytest.TempPathFactory) -> AskedPair:
    pairs = draw_pairs(tmp_path_factory.mktemp("pairs"), 2, seed=5, facts=("facing",))
    return open_pair(tiny, pairs, pairs[0])


def held(vlm: VLM, z: dict[Head, torch.Tensor], seen: dict[Head, torch.Tensor]) -> ExitStack:
    """Hooks, one a head: what it puts out is noted, then replaced, at the tokens of the prompt."""
    stack = ExitStack()
    for head, value in z.items():
        site = vlm.geometry.site_of(head)
        block = slice(head.head * site.head_dim, (head.head + 1) * site.head_dim)

        def hook(_m, args, head=head, block=block, value=value):  # type: ignore[no-untyped-def]
            given = args[0].clone()
            if given.shape[1] < value.shape[1]:
                return None  # a token of the answer
            seen[head] = given[:, : value.shape[1], block].clone()
            given[:, : value.shape[1], block] = value
            return (given, *args[1:])

        stack.callback(site.projection.register_forward_pre_hook(hook).remove)
    return stack


def test_an_edge_is_what_a_receiver_makes_of_one_sender_with_all_other_heads_held(
    tiny: VLM, asked: AskedPair
) -> None:
    sender, receiver, run = Head(0, 1), Head(2, 2), 0
    heads = tiny.geometry.heads

    def blocks(encoded) -> dict[Head, torch.Tensor]:  # type: ignore[no-untyped-def]
        z = prompt_z(tiny, encoded, heads)
        found = {}
        for head in heads:
            site = tiny.geometry.site_of(head)
            found[head] = z[site][..., head.head * site.head_dim : (head.head + 1) * site.head_dim]
        return found

    def margin() -> float:
        found = ask(tiny, asked.encoded[run], [asked.items[run]], max_new_tokens=1).logprobs[0]
        return found[asked.items[run].truth] - found[asked.items[1 - run].truth]

    own, other = blocks(asked.encoded[run]), blocks(asked.encoded[1 - run])
    seen: dict[Head, torch.Tensor] = {}
    with held(tiny, {**own, sender: other[sender]}, seen):
        direct = margin()
    with held(tiny, {receiver: seen[receiver]}, {}):
        through = margin()
    found = read_edges(tiny, asked, [(sender, receiver), (sender, None)])
    assert found.clean[run] == pytest.approx(margin(), abs=1e-5)
    np.testing.assert_allclose(found.patched[run], [through, direct], atol=1e-5)
    assert abs(through - margin()) > 1e-5
    assert not torch.allclose(seen[receiver], own[receiver])


def test_a_sender_does_not_reach_a_head_that_is_not_above_it() -> None:
    heads = [Head(0, 1), Head(2, 0), Head(2, 3)]
    assert edges_among(heads) == [
        (heads[0], heads[1]),
        (heads[0], heads[2]),
        (heads[0], None),
        (heads[1], None),
        (heads[2], None),
    ]


def test_with_all_heads_held_at_their_own_output_nothing_moves(tiny: VLM, asked: AskedPair) -> None:
    same = AskedPair(
        asked.pair, (asked.items[0], asked.items[0]), (asked.encoded[0], asked.encoded[0]), asked.groups
    )
    found = read_edges(tiny, same, edges_among(tiny.geometry.heads[:2] + tiny.geometry.heads[-2:]))
    np.testing.assert_allclose(found.moved, 0.0, atol=1e-6)
    again = PatchedMargins.from_json(found.to_json())
    np.testing.assert_array_equal(again.patched, found.patched)
