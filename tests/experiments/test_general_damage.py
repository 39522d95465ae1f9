"""What muting does to first tokens on neutral prompts and on other functions' questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats

from headscope.data.cases import Cases
from headscope.edits.edits import Edit, mute
from headscope.experiments.general_damage import NEUTRAL, DivergenceReader, divergence
from headscope.experiments.items import choose_items
from headscope.functions import DEFAULT
from headscope.models.types import Prompt
from headscope.models.vlm import VLM
from headscope.storage import Ledger


def test_the_divergence_is_scipys_relative_entropy() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 3, 50))
    found = divergence(*(torch.log_softmax(torch.tensor(x), -1) for x in (one, other)))
    wanted = [stats.entropy(special.softmax(a), special.softmax(b)) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_token_that_the_clean_run_rules_out_adds_nothing() -> None:
    clean = torch.log(torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64))
    edited = torch.log(torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64))
    assert divergence(clean, edited).item() == pytest.approx(np.log(2))


def test_first_tokens_are_those_of_one_forward_each(
    llava: VLM, cases: Cases, splits: dict[str, str], tmp_path: Path
) -> None:
    items = choose_items(cases, splits, "test", DEFAULT, 2, 0, ())
    others = {f: items[f] for f in ("counting", "spatial_perception")}
    pictures = [cases.image(items["counting"][0].case)]
    reader = DivergenceReader(
        llava, pictures, others, lambda i: cases.image(i.case), Ledger(tmp_path, {}), batch_size=2
    )
    heads = llava.geometry.heads[1:3]

    def logits(prompt: Prompt, edited: bool) -> np.ndarray:
        encoded = llava.encode([prompt])
        with torch.no_grad(), llava.reading(encoded):
            if not edited:
                return llava.model(**encoded.inputs).logits[0, -1].double().numpy()
            with Edit(heads, mute()).applied(llava):
                return llava.model(**encoded.inputs).logits[0, -1].double().numpy()

    wanted = []
    for text in NEUTRAL:
        prompt = Prompt(pictures[0], text)
        clean, muted = (special.softmax(logits(prompt, edited)) for edited in (False, True))
        wanted.append(stats.entropy(clean, muted))
    found = reader.read(heads)
    assert len(found) == len(NEUTRAL) + 4
    np.testing.assert_allclose(found[: len(NEUTRAL)], wanted, atol=1e-6)
    neutral, elsewhere = reader.means(heads, "counting")
    assert neutral == pytest.approx(np.mean(wanted), abs=1e-6)
    assert elsewhere > 0
    assert np.isnan(
        DivergenceReader(llava, [], {"counting": others["counting"]}, lambda i: cases.image(i.case),
                         Ledger(tmp_path / "b", {})).means(heads, "counting")
    ).all()  # fmt: skip


def test_nothing_muted_moves_nothing(llava: VLM, cases: Cases, tmp_path: Path) -> None:
    reader = DivergenceReader(
        llava, [cases.image(cases[0])], {}, lambda i: cases.image(i.case), Ledger(tmp_path, {})
    )
    assert reader.read(()).tolist() == pytest.approx([0.0] * len(NEUTRAL), abs=1e-12)
