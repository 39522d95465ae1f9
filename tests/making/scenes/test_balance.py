"""Balanced scenes: every function has its questions and pictures, whatever the study's seed."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

from headscope.cli import main
from headscope.data.cases import Cases, load_cases
from headscope.data.splits import assign_splits
from headscope.errors import DataError
from headscope.functions import DEFAULT
from headscope.making.scenes.balance import FUNCTIONS, Balance
from headscope.making.scenes.generate import draw_scenes


def asked_on(cases: Cases, splits: dict[str, str], split: str = "test") -> dict[str, tuple[int, int]]:
    """Function -> questions and pictures on the split, scenes with something held out left out."""
    asked: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        if splits[case.id] == split and not case.held_out:
            for step in case.steps:
                asked[step.function].append(case.image)
    return {f: (len(images), len(set(images))) for f, images in asked.items()}


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    folder = tmp_path_factory.mktemp("balanced")
    draw_scenes(folder, 40, seed=3, balance=Balance(questions=12, pictures=8), card=False)
    return load_cases(folder)


def test_every_function_has_its_questions_and_pictures_on_test_with_any_seed_of_a_study(
    balanced: Cases,
) -> None:
    assert set(FUNCTIONS) == set(DEFAULT.functions)
    for seed in (0, 3):
        found = asked_on(balanced, assign_splits(balanced, seed))
        assert set(found) == set(DEFAULT.functions)
        assert all(n >= 12 and images >= 8 for n, images in found.values()), found


def test_every_function_has_its_share_of_them_on_select(balanced: Cases, tmp_path: Path) -> None:
    found = asked_on(balanced, assign_splits(balanced, 0), "select")
    assert set(found) == set(DEFAULT.functions)
    assert all(n >= 8 and images >= 5 for n, images in found.values()), found  # 0.6 of 12 and of 8
    alone = draw_scenes(tmp_path, 40, seed=3, balance=Balance(12, 8, select=0), card=False)
    assert {c.split for c in alone[40:]} == {"test"}
    assert list(alone) == list(balanced[: len(alone)])


def test_a_function_may_need_more_on_test_alone(balanced: Cases, tmp_path: Path) -> None:
    more = draw_scenes(tmp_path, 40, seed=3, balance=Balance(12, 8, more={"counting": 40}), card=False)
    splits = assign_splits(more, 0)
    assert asked_on(more, splits)["counting"][0] >= 40
    assert asked_on(more, splits, "select")["counting"][0] < 40
    assert len(more) > len(balanced)
    with pytest.raises(DataError, match="asked for questions of juggling"):
        Balance(more={"juggling": 3})


def test_the_first_scenes_are_those_drawn_without_balance_in_the_splits_of_the_seed(
    balanced: Cases, tmp_path: Path
) -> None:
    plain = draw_scenes(tmp_path, 40, seed=3, card=False)
    splits = assign_splits(plain, 3)
    assert all(case.split is None for case in plain)
    assert [c.model_copy(update={"split": None}) for c in balanced[:40]] == list(plain)
    assert {c.id: c.split for c in balanced[:40]} == splits
    assert {c.split for c in balanced[40:]} == {"test", "select"}
    assert not any(c.held_out for c in balanced[40:])
    image = plain[7].image
    assert (balanced.folder / image).read_bytes() == (tmp_path / image).read_bytes()


def test_few_scenes_come_on_top_and_none_where_nothing_is_missing(balanced: Cases, tmp_path: Path) -> None:
    # Signs, knowledge, counting, facing and qualified things are asked for in scenes of their own kinds.
    assert len(balanced) - 40 <= 5 * (12 + 8)
    assert len(draw_scenes(tmp_path, 120, seed=3, balance=Balance(1, 1), card=False)) == 120


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--balance", "kinds"), "expected functions"),
        (("--test-pictures", "9"), "--balance functions"),
        (("--select-share", "0.5"), "--select-share says what --balance functions"),
        (("--balance", "functions", "--select-share", "2"), "expected one from 0 to 1"),
        (("--balance", "functions", "--test-questions", "5"), "no more pictures than questions"),
        (("--balance", "functions", "--test-questions", "0", "--test-pictures", "0"), "at least 1 picture"),
    ],
)
def test_the_command_refuses_what_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words, message
) -> None:
    out = str(tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["headscope", "data", "generate", "--out", out, "--cases", "5", *words])
    with pytest.raises(SystemExit):
        main()
    assert message in " ".join(capsys.readouterr().err.split())
    with pytest.raises(DataError, match="pictures"):
        Balance(questions=3, pictures=4)
