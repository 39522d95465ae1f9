"""Baselines by words alone: against scikit-learn by hand, and where words cannot tell what is asked."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

from headscope.functions import DEFAULT
from headscope.making.scenes.generate import one_case
from headscope.models.text_embeddings import mean_embeddings
from headscope.models.vlm import VLM
from headscope.probing.domains import bags
from headscope.probing.ridge import grouped_folds
from headscope.probing.words import BAG, EMBEDDING, beyond_words, words_alone, words_auroc
from headscope.statistics.shares import share_difference

CASES = [one_case(i, 9)[0] for i in range(120)]
STEPS = [(case.image, step) for case in CASES for step in case.steps]
QUESTIONS = [step.question for _, step in STEPS]
LABELS = np.array([DEFAULT.functions.index(step.function) for _, step in STEPS])
IMAGES = np.array([image for image, _ in STEPS])
WORDINGS = [step.wording for _, step in STEPS]
SPLIT = np.array([int(image[-8:-4]) % 5 for image in IMAGES])
PARTS = np.flatnonzero(SPLIT < 3), np.flatnonzero(SPLIT == 3), np.flatnonzero(SPLIT == 4)


def test_a_bag_of_words_tells_the_function_of_a_scenes_step_about_as_scikit_learn_does() -> None:
    fit, _, test = PARTS
    vectorizer = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\w+")
    counted = vectorizer.fit_transform(QUESTIONS)
    model = LogisticRegression(max_iter=2000).fit(counted[fit], LABELS[fit])
    theirs = accuracy_score(LABELS[test], model.predict(counted[test]))
    mine = words_alone({BAG: bags(QUESTIONS)}, LABELS, *PARTS)[BAG]
    assert theirs > 0.9
    assert mine.right.mean() == pytest.approx(theirs, abs=0.03)


def test_a_probe_that_reads_the_words_adds_nothing_to_them() -> None:
    _, _, test = PARTS
    words = {BAG: bags(QUESTIONS)}
    alone = words_alone(words, LABELS, *PARTS)[BAG].right
    same = beyond_words(words, LABELS, PARTS, alone, IMAGES, WORDINGS)
    assert same["beyond_words"] == 0
    assert same["beyond_words_ci"][0] < 0 < same["beyond_words_ci"][1]
    assert same["words_alone"] == pytest.approx(alone.mean())
    assert same["shared_wordings"] is None
    better = beyond_words(words, LABELS, PARTS, np.ones(len(test), dtype=bool), IMAGES, WORDINGS)
    wanted = share_difference(np.ones(len(test)), alone.astype(float), IMAGES[test])
    assert better["beyond_words"] == pytest.approx(1 - alone.mean())
    assert better["beyond_words_ci"] == pytest.approx(list(wanted.ci))


def test_of_two_baselines_the_one_that_is_better_on_select_is_held_against() -> None:
    rng = np.random.default_rng(0)
    words = {EMBEDDING: rng.normal(size=(len(LABELS), 3)).astype(np.float32), BAG: bags(QUESTIONS)}
    found = beyond_words(words, LABELS, PARTS, np.zeros(len(PARTS[2]), dtype=bool), IMAGES, WORDINGS)
    assert found["words_by"] == BAG
    assert found["words_alone"] == found["words"][BAG] > found["words"][EMBEDDING]


def test_one_function_alone_is_told_without_training() -> None:
    labels = np.zeros(20, dtype=np.int64)
    parts = np.arange(8), np.arange(8, 12), np.arange(12, 20)
    assert words_alone({BAG: np.ones((20, 1), dtype=np.float32)}, labels, *parts)[BAG].right.all()


def test_auroc_of_words_is_that_of_the_independent_probes_estimator_on_the_same_folds() -> None:
    items = np.concatenate(PARTS[:2])
    x, y, images = bags(QUESTIONS)[items], LABELS[items], IMAGES[items]
    area, accuracy = words_auroc(x, y, images, len(DEFAULT.functions), seed=0)
    fold = grouped_folds(images, 5, 0).of_item
    parts, hits = [], 0
    for k in range(5):
        train, held = fold != k, fold == k
        mean, sd = x[train].mean(0, dtype=np.float64), x[train].std(0, dtype=np.float64)
        a, b = ((x[s] - mean) / np.where(sd > 0, sd, 1) for s in (train, held))
        targets = np.eye(len(DEFAULT.functions))[y[train]]
        gram = a @ a.T + np.eye(len(a)) * 1.0
        scores = b @ a.T @ np.linalg.solve(gram, targets - targets.mean(0))
        hits += ((scores + targets.mean(0)).argmax(1) == y[held]).sum()
        parts.append(roc_auc_score(y[held] == 3, scores[:, 3]))
    assert area[3] == pytest.approx(np.mean(parts), abs=0.02)
    assert accuracy == pytest.approx(hits / len(items), abs=0.03)


def test_token_embeddings_are_the_mean_rows_of_the_models_own_table(tiny: VLM) -> None:
    texts = ["Where is the dog?", "How many sheep are there?", "Where is the dog?"]
    found = mean_embeddings(tiny, texts)
    table = tiny.model.get_input_embeddings().weight.detach().float().numpy()
    for text, row in zip(texts, found, strict=True):
        ids = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert row == pytest.approx(table[ids].mean(0), abs=1e-6)
    assert (mean_embeddings(tiny, [""]) == 0).all()


def shared(number: int):
    return [one_case(i, 9, shared=True)[0] for i in range(number)]


def test_shared_wordings_ask_for_several_functions_in_the_same_words() -> None:
    plain, cases = CASES, shared(120)
    functions: dict[str, set[str]] = {}
    for before, after in zip(plain, cases, strict=True):
        assert after.question == before.question
        for old, new, previous in zip(before.steps, after.steps, (None, *after.steps), strict=False):
            assert (new.answer, new.choices, new.function, new.objects) == (
                old.answer, old.choices, old.function, old.objects,
            )  # fmt: skip
            if new.wording.startswith("shared/"):
                assert previous is not None
                assert previous.function == new.function  # the turn before says what is asked for
                functions.setdefault(new.question, set()).add(new.function)
            else:
                assert (new.question, new.wording) == (old.question, old.wording)
    several = {text: found for text, found in functions.items() if len(found) > 1}
    assert any({"spatial_perception", "orientation_perception"} <= found for found in several.values())
    assert any({"spatial_perception", "text_reading"} <= found for found in several.values())


def test_words_tell_little_where_one_wording_serves_several_functions() -> None:
    cases = shared(400)
    steps = [(c.image, s) for c in cases for s in c.steps if s.wording.startswith("shared/")]
    labels = np.array([DEFAULT.functions.index(s.function) for _, s in steps])
    images = np.array([image for image, _ in steps])
    part = np.array([int(image[-8:-4]) % 5 for image in images])
    parts = np.flatnonzero(part < 3), np.flatnonzero(part == 3), np.flatnonzero(part == 4)
    x = {BAG: bags([s.question for _, s in steps])}
    told = np.ones(len(parts[2]), dtype=bool)
    found = beyond_words(x, labels, parts, told, images, [s.wording for _, s in steps])["shared_wordings"]
    assert found["n"] == len(parts[2])
    assert found["functions"] >= 3
    assert found["words_alone"] < 0.85 < found["accuracy"]
    assert found["words_alone"] - found["majority"] < 0.2
