"""One by one, in a left-padded batch of eight, and padded alone: the same answers, scores and z, in float32
and float16; where a family's models do not give that, batches are refused and single prompts work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.asking.ask import Outcome, ask
from headscope.errors import ModelError
from headscope.models import base
from headscope.models.proofs.known import known_refusal
from headscope.models.proofs.proof_steps import Step
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM, load_model
from models.families.folders import family_folder, skip_unless_readable
from models.families.test_family_pipeline import FAMILIES, HISTORY, MORE, QUESTION, item_of, picture

SOME = ("llava", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "gemma3", "hunyuan_vl")
REST = [f for f in (*FAMILIES, *MORE, "glmga", "florence2", "t5gemma2", "mistral_large4") if f not in SOME]
# Pictures numbered over the batch; an index that picks other positions where there is padding.
REFUSED = {"hunyuan_vl", "mistral_large4"}
READOUTS = ("prompt_last", "answer_mean")
CEILING = 0.05
SIZES = [(120, 70), (64, 130), (100, 100), (48, 48), (96, 64), (70, 120), (110, 60), (64, 64)]
ASKED = (
    "Where?", "Where is it?", QUESTION, "Which thing is nearer to the tree?", "Is the dog facing the horse?",
    "What?", "Where in the picture is the small red car?", "Which way does the cat look?",
)  # fmt: skip
PROMPTS = [Prompt(picture(i, SIZES[i]), ASKED[i], HISTORY[: i % 3]) for i in range(8)]
ITEMS = [item_of(p) for p in PROMPTS]


@dataclass(frozen=True, eq=False)
class Read:
    """What came of items: (item, vocabulary), (item, choice), readout -> (item, head, width), tokens."""

    logits: Tensor
    scores: NDArray[np.float64]
    z: dict[str, NDArray[Any]]
    tokens: list[list[int]]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Read:
        logits = torch.cat([o.logits for o in outcomes if o.logits is not None]).float()
        scores = np.array([list(one.values()) for o in outcomes for one in o.logprobs], dtype=np.float64)
        z = {name: np.concatenate([o.z[name] for o in outcomes]) for name in READOUTS}
        return cls(logits, scores, z, [t for o in outcomes for t in o.tokens])

    def only(self, which: Sequence[int]) -> Read:
        """Of some of the items."""
        rows = list(which)
        z = {name: values[rows] for name, values in self.z.items()}
        return Read(self.logits[rows], self.scores[rows], z, [self.tokens[i] for i in rows])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(family, format) -> the proved model, and the same items read one by one."""

    @cache
    def folder(family: str) -> Path:
        return family_folder(family, tmp_path_factory.mktemp("batches") / family)

    @cache
    def made(family: str, dtype: str) -> tuple[VLM, Read]:
        skip_unless_readable(family)
        try:
            vlm = load_model(folder(family), dtype=dtype)
        except ModelError as exc:
            if "its heads are proved with transformers" not in str(exc):
                raise
            pytest.skip(f"this release of transformers breaks the family: {exc}")
        return vlm, Read.of([asked(vlm, vlm.encode([p]), [i]) for p, i in zip(PROMPTS, ITEMS, strict=True)])

    return made


def asked(vlm: VLM, encoded: Encoded, items: Sequence[Any]) -> Outcome:
    """Three tokens, or one where nothing may be read from a cache; then choices are not scored either."""
    assert vlm.proof is not None
    plain = vlm.proof.step("cached").status != "refused"
    return ask(vlm, encoded, items, readouts=READOUTS, max_new_tokens=3 if plain else 1, score=plain)


def padded(vlm: VLM, encoded: Encoded, count: int) -> Encoded:
    """A prompt with so many positions of padding before it, as in a batch beside a longer one."""
    shape = encoded.inputs["input_ids"].shape
    inputs = dict(encoded.inputs)
    for name, value in encoded.inputs.items():
        if value.ndim >= 2 and value.shape[:2] == shape and "pixel" not in name:
            fill = vlm.tokenizer.pad_token_id if name == "input_ids" else 0
            before = torch.full_like(value[:, :1], fill).expand(-1, count, *value.shape[2:])
            inputs[name] = torch.cat([before, value], dim=1)
    none = torch.zeros(1, count, dtype=torch.bool)
    image, question = (torch.cat([none, x], dim=1) for x in (encoded.image, encoded.question))
    return replace(encoded, inputs=inputs, image=image, question=question, length=encoded.length + count)


def gap(found: Any, wanted: Any) -> float:
    """Largest difference relative to the largest value; widths that a head does not have left out."""
    found, wanted = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    known = ~np.isnan(wanted)
    assert np.array_equal(known, ~np.isnan(found)), "what is not a number is so in both"
    assert np.isfinite(found[known]).all()
    return float(np.abs(found - wanted)[known].max() / np.abs(wanted[known]).max())


def gaps(found: Read, wanted: Read, which: Sequence[int] = range(8)) -> dict[str, float]:
    """The same for logits, scores of choices, and z at each readout; of some of the items that were wanted.

    z over an answer's tokens is compared where the same tokens were said.
    """
    rows = list(which)
    same = [i for i, row in enumerate(rows) if found.tokens[i] == wanted.tokens[row]]
    z = {"prompt_last": gap(found.z["prompt_last"], wanted.z["prompt_last"][rows])}
    if same:
        z["answer_mean"] = gap(found.z["answer_mean"][same], wanted.z["answer_mean"][[rows[i] for i in same]])
    return {
        "logits": gap(found.logits, wanted.logits[rows]),
        "scores": gap(found.scores, wanted.scores[rows]),
        **z,
    }


def limits(dtype: str, alone: Read, exact: Read) -> dict[str, float]:
    """In float16, two and a half times what this model's own rounding makes of the same items, one by one.

    Two ways to a number, each off by as much, part by at most twice of it. Where experts and gates of noise
    turn a rounding into another number, no more than :data:`CEILING`.
    """
    names = ("logits", "scores", *READOUTS)
    if dtype == "float32":
        return dict.fromkeys(names, 1e-4)
    noise = gaps(alone, exact)
    assert all(noise.values()), "float16 should round"
    return {name: min(CEILING, 2.5 * noise.get(name, noise["prompt_last"])) for name in names}


def check(
    found: Read, wanted: Read, limit: dict[str, float], exact: bool, which: Sequence[int] = range(8)
) -> None:
    for name, value in gaps(found, wanted, which).items():
        assert value <= limit[name], (name, value, limit[name])
    if exact:
        assert found.tokens == [wanted.tokens[row] for row in which]
        return
    scale = float(wanted.logits.abs().max())
    for i, row in enumerate(which):  # a tie within rounding may fall either way
        first, second = wanted.logits[row].topk(2).values.tolist()
        if first - second > 2 * limit["logits"] * scale:
            assert found.logits[i].argmax() == wanted.logits[row].argmax()


def check_routed(found: Read, wanted: Read, limit: dict[str, float], which: Sequence[int]) -> None:
    """The same in float16 where tokens are routed to experts: a rounding that sends one elsewhere is no small
    change. One item in eight may do so, within :data:`CEILING`; what padding or a batch spoils, it spoils in
    all."""
    every = dict.fromkeys(limit, CEILING)
    check(found, wanted, every, False, which)
    off = [gap(found.logits[i], wanted.logits[row]) for i, row in enumerate(which)]
    kept = [i for i in range(len(off)) if i != int(np.argmax(off))]
    if kept:
        check(found.only(kept), wanted, limit, False, [which[i] for i in kept])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("family", [*SOME, *(pytest.param(f, marks=pytest.mark.slow) for f in REST)])
def test_a_prompt_is_read_the_same_alone_in_a_batch_and_padded(loaded: Any, family: str, dtype: str) -> None:
    vlm, alone = loaded(family, dtype)
    assert vlm.proof is not None
    step = vlm.proof.step("batch")
    assert (step.status == "refused") == (family in REFUSED)
    if step.status == "refused":
        with pytest.raises(ModelError, match=r"use batch size 1.*'batch'"):
            vlm.encode(PROMPTS)
        return
    limit = limits(dtype, alone, loaded(family, "float32")[1])
    batch = vlm.encode(PROMPTS)
    if not batch.apart:
        assert len({int(row.sum()) for row in batch.inputs["attention_mask"]}) > 4, "lengths should differ"
        assert (batch.inputs["attention_mask"][:, -1] == 1).all()
    routed = dtype == "float16" and any(hasattr(m, "experts") for m in vlm.model.modules())

    def same(read: Read, which: Sequence[int]) -> None:
        if routed:
            check_routed(read, alone, limit, which)
        else:
            check(read, alone, limit, dtype == "float32", which)

    same(Read.of([asked(vlm, batch, ITEMS)]), range(8))
    for i in (0, 2) if not batch.apart else ():
        same(Read.of([asked(vlm, padded(vlm, vlm.encode([PROMPTS[i]]), 5), [ITEMS[i]])]), [i])


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "gemma3"])
def test_a_single_prompt_is_never_padded(loaded: Any, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm, _ = loaded(family, "float32")
    vlm.tokenizer.backend_tokenizer.enable_padding(length=512, direction="left")
    try:
        assert (vlm.encode(PROMPTS[:1]).inputs["attention_mask"] == 1).all()
    finally:
        vlm.tokenizer.backend_tokenizer.no_padding()
    encode = base.encode_prompts
    monkeypatch.setattr(base, "encode_prompts", lambda *args: padded(vlm, encode(*args), 3))
    with pytest.raises(ModelError, match="padded a single prompt"):
        vlm.encode(PROMPTS[:1])


def test_what_fails_in_single_precision_is_refused_where_rounding_hides_it() -> None:
    held = Step("batch", "shown", 1e-3)
    for dtype in (torch.float16, torch.bfloat16):
        refused = known_refusal(held, "hunyuan_vl", dtype)
        assert refused.status == "refused"
        assert "fail it in single precision" in refused.reason
        assert known_refusal(held, "llava", dtype) is held
        assert known_refusal(held, "made_up", dtype) is held
        assert known_refusal(Step("cached", "shown", 1e-3), "hunyuan_vl", dtype).status == "held"
    assert known_refusal(held, "hunyuan_vl", torch.float32) is held
