"""Classes that the survey has never seen: proved in the general way, or refused with the reason; no crash."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import made_up

from family_survey.plans import plan, tiny_inputs, tiny_model
from family_survey.rows import survey_row
from headscope.errors import GeometryError
from headscope.models.finding import find_geometry

made_up.register()


def test_a_class_of_odd_names_is_proved_in_the_general_way() -> None:
    row = survey_row("made_up")
    assert row.class_name == "MadeUp"
    assert row.proofs["heads"] == "12 heads in layers 0 to 2 (4 heads of width 12 a layer)"
    refused = {name for name, found in row.proofs.items() if name != "heads" and isinstance(found, str)}
    assert refused == {"spans"}, row.reason
    assert (row.status, row.proofs["spans"]) == ("PARTLY", "not applicable")
    reason = "no map from image tokens to pixels is known for family 'made_up'"
    assert row.reason == f"spans not applicable: {reason}"


@pytest.mark.parametrize("by_products", [False, True])
def test_its_heads_are_found_by_a_forward_and_are_the_projections_inputs(by_products: bool) -> None:
    model = tiny_model("made_up")
    model.config.by_products = by_products
    inputs = tiny_inputs("made_up", model)
    with pytest.raises(GeometryError, match="no attention module"):
        find_geometry(model)
    sites = find_geometry(model, inputs=lambda: inputs).sites
    assert [(s.layer, s.n_heads, s.head_dim) for s in sites] == [(i, 4, 12) for i in range(3)]
    for i, site in enumerate(sites):
        assert site.projection is model.cloth[i].weave.knit  # type: ignore[union-attr]
        assert site.attention is model.cloth[i].weave  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("made_up_closed", r"no small model of it can be built: RuntimeError: this class wants a key"),
        ("made_up_crooked", r"no small model of it can be built: ZeroDivisionError: sizes over nothing"),
        ("made_up_endless", r"stays large: over 30,000,000 weights at Embedding.weight \(2000000, 48\)"),
        ("made_up_raging", r"its forward fails: Tantrum$"),
        ("made_up_fickle", r"StopIteration: enough"),
        ("made_up_mute", r"puts out no logits; it does not answer in text"),
        ("made_up_twofold", r"called 2 times in one forward; a layer that is run more than once"),
    ],
)
def test_what_cannot_be_proved_ends_in_a_row_that_says_why(family: str, reason: str) -> None:
    row = survey_row(family)
    assert (row.status, row.proofs) == ("REFUSED", {})
    assert re.search(reason, row.reason), row.reason


def test_a_recipe_that_does_not_fit_the_release_gives_way_to_the_general_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from family_survey import plans
    from family_survey.recipes import Recipe

    wrong = Recipe(config={"text_config": {"hidden_size": "wide"}}, inputs="kosmos")
    monkeypatch.setattr(plans, "recipe", lambda family: wrong if family == "llava" else Recipe())
    plan.cache_clear()
    try:
        row = survey_row("llava")
    finally:
        plan.cache_clear()
    assert row.status == "PROVED", row.reason


def test_a_model_and_its_inputs_are_the_same_again() -> None:
    one, other = tiny_model("made_up"), tiny_model("made_up")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
