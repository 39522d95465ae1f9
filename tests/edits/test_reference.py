"""Mean and resample ablation from the public API, against walks by hand over items, positions and heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import headscope as hs
from edits.fixtures import picture
from edits.naive import double, logits, slow_copy
from headscope.errors import EditError
from headscope.models.geometry import Head
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

WORDS = "Is the dog facing the horse?"
HEADS = (Head(0, 1), Head(1, 2))
ASKED = [(picture(i), WORDS) for i in range(3)]
Z = dict[tuple[int, int], NDArray[np.float64]]  # layer, head -> (position, width)


def alone(vlm: VLM, asked: tuple[Any, str]) -> Encoded:
    return vlm.encode([Prompt(*asked)])


def z_by_hand(vlm: VLM, encoded: Encoded) -> Z:
    """What every head of the decoder puts out at every position, noted one by one."""
    seen: dict[tuple[int, int], list[NDArray[np.float64]]] = {}

    def note(layer: int, _item: int, _position: int, head: int, z: torch.Tensor) -> torch.Tensor:
        seen.setdefault((layer, head), []).append(z.detach().numpy())
        return z

    with torch.no_grad():
        slow_copy(vlm, note)(**double(encoded.inputs))
    return {key: np.stack(rows) for key, rows in seen.items()}


def logits_with(vlm: VLM, encoded: Encoded, put: Z, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logits where heads have other z at some positions, (position, vocabulary)."""

    def change(layer: int, _item: int, position: int, head: int, z: torch.Tensor) -> torch.Tensor:
        if (layer, head) not in put or not where[position]:
            return z
        return torch.from_numpy(put[layer, head][position]).to(z)

    return logits(vlm, double(encoded.inputs), slow_copy(vlm, change))[0].numpy()


def scope_of(encoded: Encoded, scope: str) -> NDArray[np.bool_]:
    last = torch.arange(encoded.length) == encoded.length - 1
    whole = torch.ones(encoded.length, dtype=torch.bool)
    return {"all": whole, "last": last, "image": encoded.image[0], "question": encoded.question[0]}[
        scope
    ].numpy()


def edited(vlm: VLM, encoded: Encoded, what: Any, scope: str) -> NDArray[np.float32]:
    with hs.edit(vlm, HEADS, what, scope), vlm.reading(encoded):
        return logits(vlm, encoded.inputs)[0].numpy()


@pytest.mark.parametrize("scope", ["all", "image", "question", "last"])
def test_the_mean_is_taken_over_the_positions_that_it_replaces(vlm: VLM, scope: str) -> None:
    encoded = alone(vlm, ASKED[0])
    pooled: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    for asked in ASKED[1:]:
        other = alone(vlm, asked)
        for key, z in z_by_hand(vlm, other).items():
            pooled.setdefault(key, []).append(z[scope_of(other, scope)])
    means = {(h.layer, h.head): np.concatenate(pooled[h.layer, h.head]).mean(axis=0) for h in HEADS}
    put = {key: np.tile(mean, (encoded.length, 1)) for key, mean in means.items()}
    expected = logits_with(vlm, encoded, put, scope_of(encoded, scope))
    found = edited(vlm, encoded, hs.mute("mean", reference=ASKED[1:]), scope)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(found - logits(vlm, encoded.inputs)[0].numpy()).max() > 0.02  # the edit is no small thing


def test_a_capture_holds_the_mean_of_the_last_position_and_of_the_answer(vlm: VLM) -> None:
    found = hs.capture(vlm, ASKED, readouts=["prompt_last", "answer_mean"])
    for scope, readout in (("last", "prompt_last"), ("answer", "answer_mean")):
        by_hand = hs.mute(mean=found[readout].values.mean(axis=0))
        with hs.edit(vlm, HEADS, by_hand, scope):
            expected = hs.read(vlm, *ASKED[0], ("yes", "no")).logprobs
        with hs.edit(vlm, HEADS, hs.mute("mean", reference=found), scope):
            assert hs.read(vlm, *ASKED[0], ("yes", "no")).logprobs == expected


@pytest.mark.parametrize("scope", ["all", "image", "last"])
def test_resampling_puts_another_prompts_z_position_by_position(vlm: VLM, scope: str) -> None:
    encoded = alone(vlm, ASKED[0])
    plain, other = logits(vlm, encoded.inputs)[0].numpy(), z_by_hand(vlm, alone(vlm, ASKED[1]))
    put = {(h.layer, h.head): other[h.layer, h.head] for h in HEADS}
    expected = logits_with(vlm, encoded, put, scope_of(encoded, scope))
    found = edited(vlm, encoded, hs.mute("resample", reference=ASKED[:2]), scope)  # itself is passed over
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(found - plain).max() > 0.02


def test_readings_may_stand_for_prompts(tiny: VLM) -> None:
    readings = [hs.read(tiny, *asked) for asked in ASKED[:2]]
    encoded = alone(tiny, ASKED[0])
    for mode in ("mean", "resample"):
        by_prompt = edited(tiny, encoded, hs.mute(mode, reference=ASKED[:2]), "all")
        assert np.array_equal(edited(tiny, encoded, hs.mute(mode, reference=readings), "all"), by_prompt)
    one = edited(tiny, encoded, hs.mute("resample", reference=readings[1]), "all")
    assert np.array_equal(one, edited(tiny, encoded, hs.mute("resample", reference=[ASKED[1]]), "all"))


def test_in_a_padded_batch_each_prompt_gets_what_it_gets_alone(vlm: VLM) -> None:
    asked = [ASKED[0], (picture(5), "Where?"), (picture(6, 24, 32), "How many sheep are there?")]
    reference = [(picture(10 + i, *image.size), words) for i, (image, words) in enumerate(asked)]
    what = hs.mute("resample", reference=reference)
    choices = ("yes", "no", "two")
    with hs.edit(vlm, HEADS, what):
        together = hs.ask(vlm, [(*one, choices) for one in asked])
        for (_, row), one in zip(together.iterrows(), asked, strict=True):
            single = hs.read(vlm, *one, choices)
            ranked = sorted(single.logprobs.values())
            assert (row["best"], row["text"]) == (single.best, single.text)
            assert row["margin"] == pytest.approx(ranked[-1] - ranked[-2], abs=1e-4)
    plain = hs.ask(vlm, [(*one, choices) for one in asked])
    assert (plain["margin"] - together["margin"]).abs().max() > 1e-3


def test_a_captured_prompt_may_be_put_at_the_last_position(tiny: VLM) -> None:
    found = hs.capture(tiny, ASKED[:2])
    other = {h: found.prompt_last.values[1, tiny.geometry.index(h)] for h in HEADS}
    with hs.edit(tiny, HEADS, hs.mute(mean=other), "last"):
        expected = hs.read(tiny, *ASKED[0], ("yes", "no")).logprobs
    with hs.edit(tiny, HEADS, hs.mute("resample", reference=found), "last"):
        again = hs.read(tiny, *ASKED[0], ("yes", "no")).logprobs
    assert again == pytest.approx(expected, abs=1e-6)


def test_the_seed_draws_and_the_same_seed_draws_the_same(tiny: VLM) -> None:
    encoded, many = alone(tiny, ASKED[0]), [(picture(i), WORDS) for i in range(20, 30)]

    def drawn(seed: int) -> bytes:
        return edited(tiny, encoded, hs.mute("resample", reference=many, seed=seed), "all").tobytes()

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(6)}) > 2


def test_a_prompt_without_another_of_its_layout_is_refused(tiny: VLM) -> None:
    encoded = alone(tiny, ASKED[0])
    itself, longer = hs.mute("resample", reference=ASKED[:1]), [(picture(1), f"{WORDS} {WORDS}")]
    said = rf"another prompt of {encoded.length} positions, 9 of them the picture's, is not among the 1"
    with pytest.raises(EditError, match=said):
        edited(tiny, encoded, itself, "all")
    with pytest.raises(EditError, match="or say scope='last'"):
        edited(tiny, encoded, hs.mute("resample", reference=longer), "all")
    edited(tiny, encoded, hs.mute("resample", reference=longer), "last")  # needs no layout
    with pytest.raises(EditError, match="another prompt is not among the 1"):
        edited(tiny, encoded, itself, "last")


def test_what_makes_no_sense_is_refused_before_anything_is_read(tiny: VLM) -> None:
    for arguments, said in (
        ({"factor": "median", "reference": ASKED}, "asked for 'median'; there are 'mean' and 'resample'"),
        ({"factor": "mean"}, "found NoneType"),
        ({"factor": "mean", "reference": []}, "found none"),
        ({"factor": "mean", "reference": ["dog.png"]}, "found str in it"),
        ({"factor": "mean", "reference": "dog.png"}, "found str"),
        ({"factor": "mean", "reference": ASKED, "seed": 1}, "nothing is drawn"),
        ({"factor": "mean", "mean": {}, "reference": ASKED}, "asked for means too"),
        ({"reference": ASKED}, "say what of"),
        ({"seed": 1}, "say what of"),
    ):
        with pytest.raises(EditError, match=said):
            hs.mute(**arguments)  # type: ignore[call-overload]
    with pytest.raises(EditError, match=r"expected what hs\.mute"), hs.edit(tiny, HEADS, "mean"):  # type: ignore[arg-type]
        pass


def test_a_reference_that_does_not_fit_the_scope_or_the_model_is_refused(tiny: VLM, tiny_qwen: VLM) -> None:
    found = hs.capture(tiny, ASKED[:2])
    for vlm, mode, reference, scope, said in (
        (tiny, "mean", found, "all", "say scope='last' or 'answer', or give the prompts"),
        (tiny, "mean", found, "answer", "needs the readout answer_mean; it has prompt_last"),
        (tiny, "mean", ASKED, "answer", r"readouts='answer_mean'"),
        (tiny, "resample", found, "all", "say scope='last', or give the prompts"),
        (tiny, "resample", ASKED, "answer", "tokens of the answer are the run's own"),
        (tiny_qwen, "mean", found, "last", "capture it anew"),
        (tiny, "mean", ASKED, "everywhere", "unknown scope 'everywhere'"),
    ):
        change = hs.mute(mode, reference=reference)
        with pytest.raises(EditError, match=said), hs.edit(vlm, HEADS, change, scope):
            pass
    with pytest.raises(EditError, match="no head"), hs.edit(tiny, "L9H9", hs.mute("mean", reference=ASKED)):
        pass


def test_the_mean_is_baked_like_any_constant_and_resampling_is_refused(tiny: VLM, tmp_path: Path) -> None:
    with pytest.raises(EditError, match="has no bias to hold what is added"):
        hs.bake(tiny, HEADS, hs.mute("mean", reference=ASKED), tmp_path / "baked")
    with pytest.raises(EditError, match="resampling takes z of a drawn prompt"):
        hs.bake(tiny, HEADS, hs.mute("resample", reference=ASKED), tmp_path / "baked")
    assert not (tmp_path / "baked").exists()
