"""Warnings about the form of answers: said where choices are improbable or thoughts cut in, and not else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from asking.naive import SETTINGS, SPLITS
from headscope.asking.form import Form, form_of, warning_of, warnings_of
from headscope.capturing.run import capture
from headscope.capturing.store import open_answers
from headscope.data.cases import Cases
from headscope.models.vlm import VLM


def rows(totals: list[float | None], text: str = "left") -> list[dict[str, Any]]:
    return [{"total": t, "text": text} for t in totals]


def test_the_share_of_improbable_choices_is_counted_over_questions_with_choices() -> None:
    found = form_of(rows([0.5, 0.009, None, 0.01, None]))
    assert found == Form(n=3, median=0.01, below_1_percent=pytest.approx(1 / 3), thoughts=0.0)
    assert form_of(rows([None])) is None
    assert form_of([]) is None


def test_a_model_that_answers_in_form_is_left_in_peace() -> None:
    assert warnings_of(None) == []
    assert warnings_of(form_of(rows([0.9] * 95 + [0.001] * 5))) == []
    assert warning_of(0.5) == ""


def test_improbable_choices_are_said_with_what_they_mean_and_what_to_do() -> None:
    (said,) = warnings_of(form_of(rows([0.002] * 4 + [0.9] * 6)))
    assert said.startswith("40% of 10 questions with choices: all choices together have less than 1%")
    assert "does not want to answer in this form" in said
    assert "Look at the free answers" in said
    assert warning_of(0.002).startswith("the choices together have 0.002 of the probability")


def test_thoughts_are_said() -> None:
    (said,) = warnings_of(form_of(rows([0.9] * 4, "<think>So") + rows([0.9] * 4)))
    assert said.startswith("50% of answers begin with a thought")


def test_a_capture_says_so_at_its_end_and_keeps_the_figures(tiny: VLM, cases: Cases, tmp_path: Path) -> None:
    said: list[str] = []
    settings = {**SETTINGS, "max_new_tokens": 1, "contexts": ("alone",), "main_contexts": ()}
    head = tiny.model.get_output_embeddings()

    def speak(_m: Any, _a: Any, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.clone()
        logits[..., 5] += 1e4  # a token that no choice begins with
        return logits

    handle = head.register_forward_hook(speak)
    try:
        capture(tiny, cases, SPLITS, tmp_path / "odd", announce=said.append, **settings)
    finally:
        handle.remove()
    assert sum("questions with choices: all choices together" in s for s in said) == 1
    assert all(r["total"] < 0.01 for r in open_answers(tmp_path / "odd") if r["choices"])
    assert all(r["total"] is None for r in open_answers(tmp_path / "odd") if not r["choices"])
    capture(tiny, cases, SPLITS, tmp_path / "odd", announce=(again := []).append, **settings)
    assert not any("all choices together" in s for s in again), "nothing was asked"
