"""The recipe of the diets: what it asks, in which shares, laid out how; runs that resume."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from embedded_training.__main__ import main, tokens_by_group
from embedded_training.architecture import SIZES, Size, build_model, build_processor
from embedded_training.blocks import Questions, picture, rows_of
from embedded_training.lesson_wordings import WORDINGS
from embedded_training.lessons import wordings
from embedded_training.more_wordings import CAPTIONS, DECISIONS, MORE
from embedded_training.packing import IGNORE
from embedded_training.paging import PAGED, Paginator
from embedded_training.recipe import FILE, SPATIAL, Recipe, read_recipe
from headscope.errors import DataError
from headscope.making.scenes.kinds import COLOURS, KINDS, LETTERS
from headscope.making.scenes.scene import Scene
from headscope.making.scenes.wordings import MAIN, STEPS

SMALL = SIZES["small"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe()


@pytest.fixture(scope="module")
def processor():  # type: ignore[no-untyped-def]
    return build_processor(SMALL)


@pytest.fixture(scope="module")
def tokens(recipe: Recipe) -> dict[str, Counter[str]]:
    return {diet: tokens_by_group(recipe, diet, "small", 12) for diet in recipe.diets}


def test_diets_have_as_many_tokens_within_one_percent(tokens: dict[str, Counter[str]]) -> None:
    totals = [t.total() for t in tokens.values()]
    assert max(totals) <= 1.01 * min(totals)


def test_diets_have_the_shares_that_they_state(recipe: Recipe, tokens: dict[str, Counter[str]]) -> None:
    for diet, found in tokens.items():
        for group, percent in recipe.diets[diet].items():
            share = 100 * found[group] / found.total()
            assert abs(share - percent) < max(1.0, 0.15 * percent), (diet, group, share)
    spatial = {d: sum(t[g] for g in SPATIAL) / t.total() for d, t in tokens.items()}
    assert 0.04 < spatial["web"] < 0.06
    assert 0.48 < spatial["rich"] < 0.52
    assert 0.48 < spatial["text-poor"] < 0.52
    assert tokens["text-poor"]["text"] / tokens["text-poor"].total() < 0.015


def test_diets_show_the_same_pictures(recipe: Recipe, processor) -> None:  # type: ignore[no-untyped-def]
    schedule = recipe.schedules["small"]
    paginator = Paginator(processor.tokenizer, SMALL, schedule.pages, schedule.page)
    shown = {d: [s for s, _ in rows_of(recipe, d, 3, 900, schedule, paginator)[0]] for d in recipe.diets}
    assert shown["web"] == shown["rich"] == shown["text-poor"]
    other = [s for s, _ in rows_of(recipe, "web", 4, 900, schedule, paginator)[0]]
    assert other != shown["web"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("names = 24.8", "names = 25.8", "sum to 101"),
        ("[diets.web]\ncaptions = 10.0", "[diets.web]\ncaption = 10.0", "has groups"),
        ("[schedule.base]", "[schedule.large]", "schedules of"),
        ("until = 1.0", "until = 0.9", "has to end at 1.0"),
        ("[[stage]]", "[[stage", "cannot be read as a recipe"),
    ],
)
def test_a_recipe_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = FILE.read_text("utf-8")
    assert old in text
    path = tmp_path / "diets.toml"
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(DataError, match=said):
        read_recipe(path)


def test_the_sizes_are_what_the_models_need(processor) -> None:  # type: ignore[no-untyped-def]
    model = build_model(processor.tokenizer, 0, SMALL)
    assert SMALL.heads >= 16
    assert SMALL.layers >= 8
    assert 96 <= SMALL.side <= 128
    assert 2 * sum(p.numel() for p in model.parameters()) <= 15e6  # bytes in float16
    with torch.device("meta"):
        base = build_model(processor.tokenizer, 0, SIZES["base"])
    assert 20e6 < sum(p.numel() for p in base.parameters()) < 30e6


# wordings


def test_there_are_a_third_more_wordings_and_none_is_kept_for_test() -> None:
    before = [w for table in (STEPS, MAIN, WORDINGS) for words in table.values() for w in words]
    more = [w for table in (MORE, DECISIONS) for words in table.values() for w in words]
    assert len(set(more)) == len(more) - _shared(DECISIONS)
    assert len(set(more) - set(before)) >= 0.3 * len(before)
    kept = {words[-1].lower() for table in (STEPS, MAIN) for words in table.values()}
    taught = {w.lower() for w in more} | {w.lower() for s in WORDINGS for w in wordings(s)}
    assert not kept & taught
    assert STEPS["caption"][-1] in CAPTIONS  # captions are no question of the cases


def _shared(table: dict[str, tuple[str, ...]]) -> int:
    """How often a wording stands in more than one row of a table."""
    counts = Counter(w for words in table.values() for w in words)
    return sum(n - 1 for n in counts.values())


def test_frames_are_shared_by_functions() -> None:
    """At least four functions are asked in each of some frames that differ in one word."""
    frames: dict[str, set[str]] = {}
    for name in ("colour", "size", "letter", "where", "look"):
        for wording in STEPS[name][:-1] + MORE[name]:
            frame = re.sub(r"\b(colour|size|letter|place|part|way)\b", "...", wording)
            frames.setdefault(frame, set()).add(name)
    assert sum(len(names) >= 4 for names in frames.values()) >= 4, frames


# questions


def truth(scene: Scene, question: str) -> str | None:
    """Whether a statement holds, from its words and the scene alone."""
    words = re.findall(r"[A-Za-z-]+|\d+", question)
    lower = [w.lower() for w in words]
    kinds = [t for t in scene.things if t.kind in lower]
    plurals = [k for k, v in KINDS.items() if v.plural in lower and k not in lower]
    numbers = [w for w in words if w.isdigit()]
    if numbers:
        named = plurals or [k for k, v in KINDS.items() if v.plural in lower]
        return str(scene.count(named[0]) == int(numbers[0])).lower()
    hinted = [t for t in scene.things if KINDS[t.kind].hint in question]
    letters = [w for w in words if w in LETTERS and len(w) == 1]
    if letters:
        signs = [t for t in scene.things if t.letter and (t.colour in lower or not set(COLOURS) & set(lower))]
        sized = [t for t in signs if t.size in lower or not {"small", "big"} & set(lower)]
        return str([t.letter for t in sized] == letters).lower()
    if hinted:
        return str(hinted[0].colour in lower).lower()
    if "thing" in lower or (" in " in question and question.startswith("Do you see")):
        (coloured,) = [t for t in scene.things if t.colour in lower]
        return str(coloured.kind in lower).lower()
    (thing,) = kinds
    return str(thing.colour in lower or thing.size in lower).lower()


@pytest.mark.parametrize("reasoned", [False, True])
def test_statements_are_true_or_false_as_the_scene_says(reasoned: bool) -> None:
    seen: Counter[str] = Counter()
    for number in range(400):
        rng = random.Random(number)
        scene, story = picture(rng, 2, 7)
        block = Questions(rng, scene, story).draw("decisions", "reasoned" if reasoned else "statement")
        if block is None:
            continue
        question, answer, _ = block[-1]
        if reasoned:
            assert len(block) > 1
            question = re.sub(r"^\w+[\w ]*?,? (?=is|does|do|are)", "", question)
            question = question[0].upper() + question[1:]
        assert truth(scene, question) == answer, (question, answer, scene.things)
        seen[answer] += 1
    assert min(seen["true"], seen["false"]) > 0.4 * seen.total() > 40


def test_captions_name_every_thing_and_no_place() -> None:
    said = 0
    for number in range(60):
        rng = random.Random(number)
        scene, story = picture(rng, 2, 7)
        block = Questions(rng, scene, story).draw("captions", "caption")
        if block:
            parts = block[0][1].split(", ")
            assert Counter(next(k for k in KINDS if k in p.split()) for p in parts) == Counter(
                t.kind for t in scene.things
            )
            assert not re.search(r"left|right|top|bottom|middle", block[0][1])
            said += 1
    assert said > 40


def test_every_sort_of_question_can_bedrawn(recipe: Recipe) -> None:
    drawn: Counter[str] = Counter()
    for number in range(250):
        rng = random.Random(number)
        scene, story = picture(rng, 2, 6)
        questions = Questions(rng, scene, story)
        for group, sorts in recipe.sorts.items():
            for sort in sorts:
                drawn[sort] += questions.draw(group, sort) is not None
    assert min(drawn.values()) > 0, drawn


# layout


def test_pages_give_the_logits_of_each_dialogue_alone(processor) -> None:  # type: ignore[no-untyped-def]
    """Against the model as transformers runs it, on the chat template's own text, picture by picture."""
    tokenizer = processor.tokenizer
    rng = random.Random(2)
    scene, story = picture(rng, 3, 6)
    questions = Questions(rng, scene, story)
    drawn = [questions.draw("attributes", "colour"), questions.draw("names", "pair")]
    blocks = [b for b in drawn if b] + [[("What is there?", "a dog", "x"), ("Is it so?", "yes", "y")]]
    paginator = Paginator(tokenizer, SMALL, 2, 64)
    pages = paginator.lay([(scene, [blocks[:1], blocks[1:]])])
    model = build_model(tokenizer, 1, SMALL).eval()
    model.set_attn_implementation(PAGED)
    with torch.no_grad():
        together = model.model(
            input_ids=pages.ids,
            pixel_values=pages.pixels,
            attention_mask=pages.mask(),
            position_ids=pages.positions,
        ).last_hidden_state[0]
        model.set_attn_implementation("eager")
        at = {0: 1 + SMALL.image_tokens, 1: 1 + SMALL.image_tokens + 64}
        for number, page in enumerate((blocks[:1], blocks[1:])):
            start = at[number]
            for turns in page:
                length = paginator.length(turns)
                ids = torch.cat([pages.ids[:, : at[0]], pages.ids[:, start : start + length]], 1)
                alone = model.model(input_ids=ids, pixel_values=pages.pixels).last_hidden_state[0, at[0] :]
                torch.testing.assert_close(together[start : start + length], alone, atol=2e-4, rtol=1e-3)
                start += length


def test_pages_read_like_the_chat_template(processor) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(5)
    scene, _ = picture(rng, 3, 6)
    turns = [("What is there?", "a dog", "x"), ("Where is the dog?", "top left", "y")]
    pages = Paginator(processor.tokenizer, SMALL, 1, 64).lay([(scene, [[turns]])])
    messages = []
    for i, (question, answer, _) in enumerate(turns):
        content = [{"type": "image"}] * (i == 0) + [{"type": "text", "text": question}]
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    text = processor.apply_chat_template(messages, tokenize=False)
    wanted = processor.tokenizer(text)["input_ids"][2:]  # after <|user|><image>
    begin = 1 + SMALL.image_tokens
    assert pages.ids[0, begin : begin + len(wanted)].tolist() == wanted
    targets = pages.targets[0]
    assert processor.tokenizer.decode(targets[targets != IGNORE]) == " a dog<|end|> top left<|end|>"


def test_what_does_not_fit_a_page_is_refused(processor) -> None:  # type: ignore[no-untyped-def]
    scene, _ = picture(random.Random(1), 2, 3)
    with pytest.raises(ValueError, match="does not fit"):
        Paginator(processor.tokenizer, SMALL, 1, 4).lay([(scene, [[[("What is there?", "a dog", "x")]]])])


# runs


def toy(folder: Path) -> Path:
    """The recipe with a schedule of 20 language steps over tiny batches."""
    text = FILE.read_text("utf-8")
    for name, value in (("vision_steps", 6), ("vision_pictures", 2), ("steps", 20), ("pictures", 1)):
        text = re.sub(rf"^{name} = \d+", f"{name} = {value}", text, count=1, flags=re.M)
    text = re.sub(r"^page = 96", "page = 64", text, count=1, flags=re.M)
    path = folder / "toy.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_run_that_was_stopped_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "small", Size(64, 16, 32, 64, 1, 2, 32, 64, 2, 4, 2, 8))
    words = ["--recipe", str(toy(tmp_path)), "train", "--diet", "web", "--seed", "5", "--watch", "0"]
    words += ["--cases", "2"]
    main([*words, "--out", str(tmp_path / "a" / "whole"), "--until", "20"])
    broken = str(tmp_path / "b" / "broken")
    main([*words, "--out", broken, "--until", "7"])
    main([*words, "--out", broken, "--until", "20"])
    for name in ("language.safetensors", "model/model.safetensors", "accuracy.json"):
        whole = (tmp_path / "a" / "whole" / name).read_bytes()
        assert (tmp_path / "b" / "broken" / name).read_bytes() == whole, name
    files = sorted(p.name for p in (tmp_path / "a" / "whole").iterdir())
    assert files == ["accuracy.json", "language.safetensors", "log.jsonl", "model"]


def test_an_unknown_diet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="unknown diet 'poor'; possible are web, rich, text-poor"):
        main(["train", "--diet", "poor", "--seed", "1", "--out", str(tmp_path / "x")])


def test_measured_shares_are_those_of_the_answers(processor) -> None:  # type: ignore[no-untyped-def]
    """A model whose head always says one token: right exactly where every answer token is that one."""
    from embedded_training.measuring import Asked, drawn, measure, pages_of

    model = build_model(processor.tokenizer, 1, SMALL).eval()
    model.set_attn_implementation(PAGED)
    told = processor.tokenizer(" true", add_special_tokens=False)["input_ids"][0]
    end = processor.tokenizer.convert_tokens_to_ids("<|end|>")

    class Says(torch.nn.Module):
        """Says "true", then the end, by position within the answer: rows alternate."""

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(hidden), len(processor.tokenizer))
            logits[:, told] = 1.0
            logits[torch.tensor(self.ends), end] = 2.0
            return logits

    says = Says()
    asked = Asked(6, 3, (2, 4), new_wordings=True)
    rows = [(scene, pages_of(case)[0]) for scene, case in drawn(asked)]
    targets = Paginator(processor.tokenizer, SMALL, 3, 176).lay(rows).targets
    says.ends = (targets[targets != IGNORE] == end).tolist()
    model.lm_head = says
    found = measure(model, processor.tokenizer, SMALL, asked)
    answers = [case.answer == "true" for _, case in drawn(asked)]
    assert found["main"]["n"] == 6
    assert found["main"]["value"] == pytest.approx(np.mean(answers), abs=5e-4)
    assert found["gold/main"]["value"] == pytest.approx(np.mean(answers), abs=5e-4)
    assert found["spatial_perception"]["value"] == 0
    assert found["spatial_perception"]["chance"] == pytest.approx(1 / 9, abs=5e-4)
