"""Encoder-decoders from checkpoint folder to parsed answer: real processors, batches, choices, edits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from headscope.asking.ask import ask
from headscope.edits.edits import Edit, mute
from headscope.errors import ModelError
from headscope.models.proofs.full import prove
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model
from models.families.folders import family_folder
from models.families.kinds_encoders import ENCODERS
from models.families.test_family_pipeline import HISTORY, PLACES, PROMPTS, QUESTION, item_of, picture, saying


@pytest.fixture(scope="module", params=ENCODERS)
def vlm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    folder = family_folder(request.param, tmp_path_factory.mktemp("encoders") / request.param)
    loaded = load_model(folder)
    loaded.model.double()
    return loaded


def logprobs(vlm: VLM, prompt: Prompt, answer: list[int]) -> Tensor:
    """(position, token) of one whole forward without a cache, from the last start token on."""
    inputs = vlm.encode([prompt]).inputs
    start = inputs["decoder_input_ids"]
    inputs["decoder_input_ids"] = torch.cat([start, torch.tensor([answer], dtype=torch.long)], dim=1)
    with torch.no_grad():
        logits = vlm.model(**inputs, use_cache=False).logits[0, start.shape[1] - 1 :]
    return torch.log_softmax(logits.double(), dim=-1)


def test_everything_is_proved_but_the_picture_map_that_there_is_none_of(vlm: VLM) -> None:
    proof = prove(vlm)
    assert {s.name for s in proof.steps if s.status != "held"} == {"spans"}
    assert "an encoder reads the picture" in proof.step("spans").reason
    assert proof.figure("positions") == len(vlm.start_ids)


def test_the_encoder_is_padded_on_the_right_and_the_decoder_starts_from_its_own_tokens(vlm: VLM) -> None:
    encoded = vlm.encode(PROMPTS)
    ids, mask = encoded.inputs["input_ids"], encoded.inputs["attention_mask"]
    assert (mask == 0).any()
    assert (mask[:, 0] == 1).all()
    assert encoded.apart
    assert encoded.length == len(vlm.start_ids)
    assert encoded.inputs["decoder_input_ids"].tolist() == [list(vlm.start_ids)] * len(PROMPTS)
    for i, prompt in enumerate(PROMPTS):
        assert vlm.tokenizer.decode(ids[i][encoded.question[i]]).strip() == prompt.question
        assert (ids[i][encoded.image[i]] == vlm.image_token_id).all()
        assert encoded.image[i].any()
        text = vlm.tokenizer.decode(ids[i])
        turns = [part for turn in prompt.history for part in turn]
        places = [text.index(part) for part in (*turns, prompt.question)]
        assert places == sorted(places)


def test_an_item_of_a_batch_answers_as_it_does_alone(vlm: VLM) -> None:
    items, readouts = [item_of(p) for p in PROMPTS], ("prompt_last", "answer_mean", "answer_content")
    together = ask(vlm, vlm.encode(PROMPTS), items, readouts=readouts, max_new_tokens=5)
    for i, prompt in enumerate(PROMPTS):
        alone = ask(vlm, vlm.encode([prompt]), [items[i]], readouts=readouts, max_new_tokens=5)
        assert together.tokens[i] == alone.tokens[0]
        assert together.logprobs[i] == pytest.approx(alone.logprobs[0], abs=1e-6)
        for name in readouts:
            assert torch.allclose(
                *(torch.from_numpy(z) for z in (together.z[name][i], alone.z[name][0])),
                rtol=0,
                atol=1e-6,
                equal_nan=True,
            )


def test_choices_score_as_in_whole_uncached_forwards(vlm: VLM) -> None:
    outcome = ask(vlm, vlm.encode(PROMPTS), [item_of(p) for p in PROMPTS], max_new_tokens=2)
    for i, prompt in enumerate(PROMPTS):
        for text in PLACES:
            (tokens,) = vlm.encode_answers([text])
            table = logprobs(vlm, prompt, tokens)
            values = [table[k, t] for k, t in enumerate(tokens)]
            values.append(table[len(tokens), list(vlm.end_ids)].logsumexp(0))
            assert outcome.logprobs[i][text] == pytest.approx(float(torch.stack(values).mean()), abs=1e-6)


def test_an_answer_is_encoded_by_itself(vlm: VLM) -> None:
    (tokens,) = vlm.encode_answers(["top left"])
    assert vlm.tokenizer.decode(tokens) == "top left"


@pytest.mark.parametrize("answer", ["top left", "left"])
def test_what_the_model_says_is_generated_decoded_and_parsed(vlm: VLM, answer: str) -> None:
    with saying(vlm, answer):
        said = vlm.answer(PROMPTS[0].image, QUESTION, HISTORY, PLACES)
    assert (said.text, said.parsed) == (answer, answer)


def test_picture_and_question_matter_and_edits_reach_the_answer(vlm: VLM) -> None:
    asked = [
        Prompt(picture(seed, (100, 80)), q) for seed, q in ((5, QUESTION), (6, QUESTION), (5, "How many?"))
    ]
    items = [item_of(p) for p in asked]
    plain = ask(vlm, vlm.encode(asked), items, max_new_tokens=1).logits
    assert plain is not None
    assert (plain[0] - plain[1]).abs().max() > 1e-6
    assert (plain[0] - plain[2]).abs().max() > 1e-6
    for kind in dict.fromkeys(h.site for h in vlm.geometry.heads):
        head = next(h for h in vlm.geometry.heads if h.site == kind)
        muted = ask(
            vlm, vlm.encode(asked), items, edit=Edit((head,), mute(), "answer"), max_new_tokens=1
        ).logits
        assert muted is not None
        assert (plain - muted).abs().amax(dim=1).min() > 1e-6
    again = ask(vlm, vlm.encode(asked), items, max_new_tokens=1).logits
    assert again is not None
    assert torch.equal(plain, again)


def test_scopes_of_the_encoders_positions_are_refused(vlm: VLM) -> None:
    edit = Edit((vlm.geometry.heads[0],), mute(), "image")
    with pytest.raises(ModelError, match="an encoder reads picture and question"):
        ask(vlm, vlm.encode(PROMPTS[:1]), [item_of(PROMPTS[0])], edit=edit)


def test_a_first_token_that_the_checkpoint_forces_belongs_to_the_prompt(tmp_path: Path) -> None:
    """Published Florence-2 folders force <s>, forbid repeated triples and end answers that grow too long."""
    folder = family_folder("florence2", tmp_path / "florence2")
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text("utf-8"))
    plain = load_model(folder)
    forced = int(plain.tokenizer.bos_token_id)
    more = {"forced_bos_token_id": forced, "forced_eos_token_id": plain.tokenizer.eos_token_id,
            "no_repeat_ngram_size": 1, "decoder_start_token_id": plain.tokenizer.eos_token_id}  # fmt: skip
    file.write_text(json.dumps({**settings, **more}), "utf-8")
    vlm = load_model(folder)
    assert vlm.start_ids == (plain.tokenizer.eos_token_id, forced)
    vlm.model.double()
    outcome = ask(vlm, vlm.encode(PROMPTS[:1]), [item_of(PROMPTS[0])], max_new_tokens=8)
    tokens = outcome.tokens[0]
    assert tokens
    assert tokens == logprobs(vlm, PROMPTS[0], tokens).argmax(dim=-1)[: len(tokens)].tolist()
    assert vlm.model.generation_config.no_repeat_ngram_size == 1, "the checkpoint's settings stay as they are"
