"""Answer probes: what counts is what neither the question nor a blank picture gives away."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headscope.errors import StudyError
from headscope.probing.answers import answer_probes
from headscope.probing.domains import bags, exchanged_answers, split_domains
from headscope.probing.ridge import grouped_folds
from headscope.statistics.resampling import benjamini_hochberg
from probing.planted import plant


def test_balanced_accuracy_is_scikit_learns_when_answers_are_balanced() -> None:
    rng = np.random.default_rng(0)
    answer = np.tile([0, 1, 2, 3], 90)
    z = rng.normal(size=(360, 3, 6)).astype(np.float32)
    z[np.arange(360), 1, answer] += 1.5
    images, names = np.arange(360) // 4, [f"a{a}" for a in answer]
    found = answer_probes(z, names, ["where is it?"] * 360, images, permutations=0, draws=50, seed=2)
    fold = grouped_folds(images, 5, seed=2).of_item
    for h in range(3):
        guess = np.empty(360, dtype=int)
        for k in range(5):
            held = fold == k
            model = make_pipeline(StandardScaler(), RidgeClassifier()).fit(z[~held, h], answer[~held])
            guess[held] = model.predict(z[held, h])
        assert found.accuracy[h] == pytest.approx(balanced_accuracy_score(answer, guess), abs=0.005)
    assert found.chance == 0.25


def test_the_head_that_holds_the_answer_is_found(planted) -> None:
    found = answer_probes(
        planted.z,
        planted.answers,
        planted.questions,
        planted.images,
        wordings=planted.wordings,
        permutations=60,
    )
    assert int(found.score.argmax()) == planted.answer_head
    assert np.flatnonzero(benjamini_hochberg(found.p) <= 0.05).tolist() == [planted.answer_head]
    assert found.low[planted.answer_head] > 0.2
    assert (found.low <= found.score).all()
    assert (found.score <= found.high).all()
    assert (found.n, found.images) == (360, 60)


def test_an_answer_that_the_question_gives_away_earns_nothing() -> None:
    rng = np.random.default_rng(1)
    answer = rng.integers(0, 2, 240)
    z = rng.normal(size=(240, 2, 4)).astype(np.float32)
    z[:, 0, 0] += 4 * answer
    questions = ["does a dog bark?" if a else "does a fish bark?" for a in answer]
    names = ["yes" if a else "no" for a in answer]
    found = answer_probes(z, names, questions, np.arange(240) // 3, permutations=30, draws=50)
    assert found.question == pytest.approx(1.0)
    assert found.accuracy[0] > 0.95
    assert found.score.max() <= 0.0
    assert found.p.min() > 0.05


def test_an_answer_that_is_there_without_the_picture_earns_nothing(planted) -> None:
    given = {"permutations": 20, "draws": 50}
    plain = answer_probes(planted.z, planted.answers, planted.questions, planted.images, **given)
    same = answer_probes(
        planted.z, planted.answers, planted.questions, planted.images, z_blank=planted.z, **given
    )
    blind = answer_probes(
        planted.z,
        planted.answers,
        planted.questions,
        planted.images,
        z_blank=plant(seed=9).z,
        **given,
    )
    head = planted.answer_head
    assert plain.blank is None
    assert plain.score[head] > 0.3
    assert same.blank is not None
    assert same.blank[head] == pytest.approx(same.accuracy[head])
    assert same.score[head] == pytest.approx(0)
    assert blind.score[head] > 0.3


def test_domains_are_classified_apart_and_pooled(planted) -> None:
    rng = np.random.default_rng(3)
    other = rng.integers(0, 4, 120)
    z = np.concatenate([planted.z, rng.normal(size=(120, 6, 5)).astype(np.float32)])
    z[360 + np.arange(120), 4, other] += 3
    choices = [("no", "yes")] * 360 + [("left", "right", "top", "bottom")] * 120
    places = [("left", "right", "top", "bottom")[o] for o in other]
    images = [*planted.images, *(f"j{i // 4}" for i in range(120))]
    found = answer_probes(
        z, [*planted.answers, *places], ["?"] * 480, images, domains=choices, permutations=20, draws=100
    )
    parts = [
        answer_probes(planted.z, planted.answers, ["?"] * 360, planted.images, permutations=0, draws=20),
        answer_probes(z[360:], places, ["?"] * 120, images[360:], permutations=0, draws=20),
    ]
    wanted = (360 * parts[0].accuracy + 120 * parts[1].accuracy) / 480
    assert [d["n"] for d in found.domains] == [360, 120]
    assert found.chance == pytest.approx((360 * 0.5 + 120 * 0.25) / 480)
    assert np.abs(found.accuracy - wanted).max() < 0.06  # other folds, same data


def test_choices_that_differ_from_step_to_step_are_joined_where_they_share_answers() -> None:
    rng = np.random.default_rng(4)
    kinds = ["cat", "dog", "cow", "pig"]
    choices = [tuple(rng.choice(kinds, 2, replace=False)) for _ in range(60)]
    answers = [c[0] for c in choices]
    assert [len(d) for d in split_domains(answers, choices, min_class=9)] == [
        sum(answers.count(a) >= 9 for a in answers)
    ]


def test_rare_answers_are_left_out_and_nothing_to_tell_apart_gives_no_score(planted) -> None:
    answers = ["yes"] * 355 + ["no"] * 5
    found = answer_probes(planted.z, answers, planted.questions, planted.images, z_blank=planted.z)
    assert found.n == 0
    assert np.isnan(found.score).all()
    assert found.blank is not None
    assert found.domains == []


def test_intervals_widen_when_the_items_of_an_image_are_copies(planted) -> None:
    first = slice(0, 120)
    copied = [
        np.repeat(np.asarray(x)[first], 3, axis=0) for x in (planted.z, planted.answers, planted.questions)
    ]
    given = {"permutations": 0, "draws": 400}
    apart = answer_probes(planted.z, planted.answers, planted.questions, np.arange(360), **given)
    names = [str(a) for a in copied[1]]
    together = answer_probes(copied[0], names, list(copied[2]), np.arange(360) // 3, **given)
    width = [x.high[planted.answer_head] - x.low[planted.answer_head] for x in (apart, together)]
    assert width[1] > 1.3 * width[0]


def test_bags_hold_words_and_neighbouring_pairs() -> None:
    table = bags(["Is the dog left?", "is the cat left?"])
    assert table.shape == (2, 5 + 5)
    assert table.sum(1).tolist() == [7, 7]


def test_columns_of_different_length_are_refused(planted) -> None:
    with pytest.raises(StudyError, match="one row per step"):
        answer_probes(planted.z, planted.answers[:-1], planted.questions, planted.images)


def test_answers_change_places_between_images_asked_in_the_same_wordings() -> None:
    rng = np.random.default_rng(5)
    images = np.repeat(np.arange(40), 3)
    wordings = np.where(
        np.arange(120) < 90, np.tile([2, 0, 0], 40), np.arange(120)
    )  # the last ten are unlike
    labels = rng.integers(0, 9, 120) + 10 * images
    sets = exchanged_answers(labels, images, wordings, 30, rng)
    assert (np.sort(sets, 1) == np.sort(labels)).all()
    for row in sets:
        sources = row // 10
        assert all(len(set(sources[images == i])) == 1 for i in range(40))  # an image's answers stay together
        assert set(sources[:90]) == set(range(30))
        first = np.arange(90) % 3 == 0  # the step in wording 2 gets the answer of a step in wording 2
        assert set(row[:90][first]) == set(labels[:90][first])
    assert (sets // 10 != images).mean() > 0.9


def test_claims_are_as_rare_as_promised_when_answers_and_readouts_of_an_image_go_together() -> None:
    p = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        images = np.arange(160) // 2
        z = rng.normal(size=(160, 8, 4)) + 1.5 * rng.normal(size=(80, 8, 4)).repeat(2, 0)
        answers = [str(a) for a in rng.integers(0, 2, 80).repeat(2)]
        questions = [f"form {i % 4}, thing {rng.integers(9)}" for i in range(160)]
        given = {"wordings": (np.arange(160) % 4).tolist(), "permutations": 40, "draws": 5, "seed": seed}
        p.append(answer_probes(z.astype(np.float32), answers, questions, images, **given).p)
    assert (np.concatenate(p) <= 0.05).mean() <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 240)
