"""Patching z of another run into named heads, at the positions of the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.data.cases import Cases
from headscope.edits.edits import Edit, mute
from headscope.edits.patching import Patch, prompt_z
from headscope.errors import EditError
from headscope.experiments.items import choose_items
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

QUESTION = "Where is the dog?"


@pytest.fixture
def pair(vlm: VLM) -> tuple[Encoded, Encoded]:
    one, other = (Image.new("RGB", (40, 40), colour) for colour in ((200, 30, 60), (10, 90, 200)))
    return vlm.encode([Prompt(one, QUESTION)]), vlm.encode([Prompt(other, QUESTION)])


def logits(vlm: VLM, encoded: Encoded) -> torch.Tensor:
    with torch.no_grad(), vlm.reading(encoded):
        return vlm.model(**encoded.inputs).logits


@contextmanager
def replaced(vlm: VLM, heads: tuple[Head, ...], source: dict[Head, torch.Tensor]) -> Iterator[None]:
    """The same by a hook of its own a head: block h of the projection's input is the source's."""
    handles = []
    for head in heads:
        site = vlm.geometry.site_of(head)
        block = slice(head.head * site.head_dim, (head.head + 1) * site.head_dim)

        def hook(_m, args, block=block, head=head):  # type: ignore[no-untyped-def]
            z = args[0].clone()
            z[..., block] = source[head]
            return (z, *args[1:])

        handles.append(site.projection.register_forward_pre_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_a_patched_forward_is_one_with_the_heads_blocks_replaced_by_hand(
    vlm: VLM, pair: tuple[Encoded, Encoded]
) -> None:
    target, source = pair
    heads = (vlm.geometry.heads[1], vlm.geometry.heads[6])
    z = prompt_z(vlm, source, heads)
    blocks = {}
    for head in heads:
        site = vlm.geometry.site_of(head)
        blocks[head] = z[site][..., head.head * site.head_dim : (head.head + 1) * site.head_dim]
    with Patch(heads, z).applied(vlm):
        found = logits(vlm, target)
    with replaced(vlm, heads, blocks):
        wanted = logits(vlm, target)
    assert torch.equal(found, wanted)
    assert not torch.equal(found, logits(vlm, target))


def test_a_run_patched_into_itself_changes_no_bit_and_leaving_restores_all(
    vlm: VLM, pair: tuple[Encoded, Encoded]
) -> None:
    target, source = pair
    clean = logits(vlm, target)
    with Patch(vlm.geometry.heads, prompt_z(vlm, target, vlm.geometry.heads)).applied(vlm):
        assert torch.equal(logits(vlm, target), clean)
    with Patch(vlm.geometry.heads, prompt_z(vlm, source, vlm.geometry.heads)).applied(vlm):
        assert not torch.equal(logits(vlm, target), clean)
    assert torch.equal(logits(vlm, target), clean)


def test_a_patch_holds_while_an_answer_is_generated_and_its_choices_are_scored(
    vlm: VLM, cases: Cases, splits: dict[str, str]
) -> None:
    items = choose_items(cases, splits, "test", DEFAULT, 6, 0, ())["spatial_perception"]
    pictures = lambda item: cases.image(item.case)  # noqa: E731
    encoded = encode_batch(vlm, [items[0]], pictures)
    donor = next(
        other for i in items[1:] if (other := encode_batch(vlm, [i], pictures)).length == encoded.length
    )
    z = prompt_z(vlm, donor, vlm.geometry.heads)
    found = ask(vlm, encoded, [items[0]], edit=Patch(vlm.geometry.heads, z), max_new_tokens=3)
    with Patch(vlm.geometry.heads, z).applied(vlm):
        wanted = logits(vlm, encoded)[:, -1]
    assert found.logits is not None
    np.testing.assert_allclose(found.logits, wanted, atol=1e-5)
    assert found.rows[0]["margin"] != ask(vlm, encoded, [items[0]], max_new_tokens=3).rows[0]["margin"]


def test_other_layouts_other_heads_and_no_batch_are_refused(vlm: VLM, pair: tuple[Encoded, Encoded]) -> None:
    target, source = pair
    longer = vlm.encode([Prompt(Image.new("RGB", (40, 40)), "Where is the dog, and where is the horse?")])
    heads = vlm.geometry.heads[:2]
    z = prompt_z(vlm, source, heads)
    with Patch(heads, z).applied(vlm), pytest.raises(EditError, match="one layout"):
        logits(vlm, longer)
    with Patch(heads, z).applied(vlm), pytest.raises(EditError, match="no batch"):
        vlm.model(**target.inputs)
    with (
        pytest.raises(EditError, match="holds nothing of decoder layer"),
        Patch((Head(1, 0),), z).applied(vlm),
    ):
        pass
    with pytest.raises(EditError, match="no head"):
        prompt_z(vlm, source, [Head(90, 0)])


def test_a_patch_nests_with_a_mute(vlm: VLM, pair: tuple[Encoded, Encoded]) -> None:
    target, source = pair
    heads, muted = vlm.geometry.heads[:2], vlm.geometry.heads[5]
    z = prompt_z(vlm, source, heads)
    with Patch(heads, z).applied(vlm), Edit((muted,), mute()).applied(vlm):
        both = logits(vlm, target)
    with Edit((muted,), mute()).applied(vlm), Patch(heads, z).applied(vlm):
        assert torch.equal(logits(vlm, target), both)


def test_the_public_patch_takes_z_of_a_reading_at_the_positions_of_a_scope(vlm: VLM) -> None:
    import headscope as hs

    one, other = (Image.new("RGB", (40, 40), colour) for colour in ((200, 30, 60), (10, 90, 200)))
    source = hs.read(vlm, other, QUESTION, ("left", "right"))
    heads = vlm.geometry.heads[:3]
    target, encoded = vlm.encode([Prompt(one, QUESTION)]), vlm.encode([Prompt(other, QUESTION)])
    z = prompt_z(vlm, encoded, heads)
    last = torch.zeros_like(target.image)
    last[:, -1] = True
    wanted = {"all": None, "image": target.image, "question": target.question, "last": last}
    for scope, positions in wanted.items():
        with Patch(heads, z, positions).applied(vlm):
            by_hand = logits(vlm, target)
        with hs.edit(vlm, heads, hs.patch(source), scope):
            assert torch.equal(logits(vlm, target), by_hand), scope
    assert not torch.equal(logits(vlm, target), by_hand)


def test_a_patch_that_cannot_be_is_refused(vlm: VLM, tmp_path: Path) -> None:
    import headscope as hs

    picture = Image.new("RGB", (40, 40))
    source = hs.read(vlm, picture, QUESTION)
    heads = vlm.geometry.heads[:1]
    refused = pytest.raises(EditError, match="tokens of the answer are the run's own")
    with refused, hs.edit(vlm, heads, hs.patch(source), "answer"):
        pass
    with pytest.raises(EditError, match="which no weights hold"):
        hs.bake(vlm, heads, hs.patch(source), tmp_path / "baked")
    with pytest.raises(EditError, match="kept no prompt"):
        hs.patch(replace(source, prompt=None))
    with pytest.raises(EditError, match="positions"):
        Patch(heads, prompt_z(vlm, vlm.encode([Prompt(picture, QUESTION)]), heads), torch.ones(1, 2).bool())


def test_another_thread_is_refused_while_a_patch_is_open(vlm: VLM, pair: tuple[Encoded, Encoded]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    target, source = pair
    heads = vlm.geometry.heads[:2]

    def elsewhere() -> None:
        vlm.model(**target.inputs)

    opened = Patch(heads, prompt_z(vlm, source, heads)).applied(vlm)
    with opened, ThreadPoolExecutor(1) as pool, pytest.raises(EditError, match="in another thread"):
        pool.submit(elsewhere).result()
