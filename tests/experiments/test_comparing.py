"""Two studies side by side from Python: the stage's figures, and the claims of both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy import stats

import headscope as hs
from experiments.test_compare import FUNCTIONS, drawn
from headscope.errors import StoreError, StudyError
from headscope.experiments.ablation_result import AblationResult, MutingTest
from headscope.experiments.effects import Effect

CI = (3.0, 20.0)


def one_test(claimed: bool, points: float, n: int) -> MutingTest:
    """One function's test."""
    numbers = {name: 1.0 for name in Effect.model_fields if name not in ("n", "images")}
    intervals = dict.fromkeys(("ci", "margin_ci", "forced_ci"), CI)
    return MutingTest(
        **{**numbers, **intervals, "n": n, "images": n, "drop_points": points},
        ranking="causal",
        k=2,
        heads=("L1H2", "L3H0"),
        claimed=claimed,
        verdict="functional" if claimed else "no effect: the interval holds 0",
    )


def study(folder: Path, seed: int, tests: dict[str, MutingTest] | None = None) -> Path:
    """A folder with an atlas and, if asked for, tested functions."""
    drawn(seed).save(folder / "probe" / "atlas.json")
    if tests is not None:
        AblationResult(settings={}, functions=tests).save(folder / "ablation.json")
    return folder


def test_rankings_and_shared_heads_are_those_of_a_plain_count(tmp_path: Path) -> None:
    a, b = drawn(1), drawn(2)
    table = hs.compare(a, b, heads=9, draws=50).to_dataframe().set_index("function")
    assert list(table.index) == list(FUNCTIONS)
    for name, row in table.iterrows():
        scores = [x.scores(str(name)) for x in (a, b)]
        assert row["rho"] == pytest.approx(stats.spearmanr(*scores).statistic)
        assert (row["n"], row["k"]) == (64, 9)
        both = [str(h) for h in a.top(str(name), 9) if h in b.top(str(name), 9)]
        assert (row["shared"], row["shared_heads"]) == (len(both), ",".join(both))
    assert table["claimed_here"].isna().all()


def test_an_atlas_its_study_its_folder_and_its_file_are_one(tmp_path: Path) -> None:
    folder, other = study(tmp_path / "a", 1), drawn(2)
    forms = (folder, str(folder), folder / "probe" / "atlas.json", SimpleNamespace(folder=folder))
    found = [hs.compare(form, other, draws=20) for form in (drawn(1), *forms)]
    assert all(one == found[0] for one in found)
    assert hs.compare(other, folder, draws=20).there == found[0].here


def test_claims_stand_side_by_side_with_their_n(tmp_path: Path) -> None:
    a = study(tmp_path / "a", 1, {"counting": one_test(True, 12.5, 40)})
    b = study(
        tmp_path / "b", 2, {"counting": one_test(False, -1.5, 44), "text_reading": one_test(True, 9.0, 31)}
    )
    found = hs.compare(a, b, draws=20)
    row = found.to_dataframe().set_index("function").loc["counting"]
    assert (row["claimed_here"], row["claimed_there"]) == (True, False)
    assert (row["drop_points_here"], row["drop_points_there"]) == (12.5, -1.5)
    assert (row["n_here"], row["n_there"]) == (40, 44)
    one_sided = found.claims["text_reading"]
    assert one_sided.here is None
    assert one_sided.there is not None
    assert one_sided.there.heads == ("L1H2", "L3H0")
    saved = found.save(tmp_path / "compare.json")
    assert type(found).load(saved) == found


def test_what_cannot_be_compared_is_refused_with_what_to_do(tmp_path: Path) -> None:
    a = study(tmp_path / "a", 1)
    begun = tmp_path / "begun"
    begun.mkdir()
    with pytest.raises(StudyError, match=r"holds no study and no atlas\.json"):
        hs.compare(a, begun)
    (begun / "study.json").write_text("{}", "utf-8")
    with pytest.raises(StudyError, match=r"`headscope probe --study .*begun` writes it"):
        hs.compare(begun, a)
    with pytest.raises(StoreError, match="not found"):
        hs.compare(a, tmp_path / "nowhere.json")
    with pytest.raises(StudyError, match="found int, expected an atlas"):
        hs.compare(a, 3)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="asked for heads -1; expected at least 0"):
        hs.compare(a, a, heads=-1)
    with pytest.raises(StudyError, match="no function is ranked by joint in both"):
        hs.compare(a, a, ranking="joint")
