"""What heads carry, and the circuit, as the page shows them; the numbers are those of the files."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_fixture import build_study

from headscope.experiments.patching.circuit import Circuit, CircuitResult, Edge
from headscope.experiments.patching.result import (
    CarryingSet,
    FollowedPair,
    MirrorControl,
    PatchedFunction,
    PatchedGroup,
    PatchResult,
    StandIns,
)
from headscope.making.pairs.scenes import draw_pairs
from headscope.report.charts import circuit, patching
from headscope.report.contents import read_contents
from headscope.report.page import write_report
from headscope.report.pictures import followed_pairs

HEADS = ("L0H0", "L1H0", "L1H1", "L2H0")


def group(*values: float) -> PatchedGroup:
    return PatchedGroup(
        pairs=14, recovered=values, ci=tuple((v - 0.05, v + 0.05) for v in values), estimate=(None,) * 4
    )


def carrying(share: float) -> CarryingSet:
    return CarryingSet(
        heads=("L1H0", "L1H1"), reached=True, share=share, ci=(share - 0.1, share + 0.1), recovered=0.68,
        recovered_ci=(0.6, 0.7), n=21, pictures=21, control_mean=0.01, control_max=0.05,
        control_recovered=0.0, distinct=100, draws=100, p=0.0099, path=(0.2, share),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with patching behind it, and its pairs."""
    place = tmp_path_factory.mktemp("patched")
    pairs = draw_pairs(place / "pairs", 4, seed=1, facts=("facing",))
    study = build_study(place / "study", count=10, stages=("probe",))
    first = pairs[0]
    answers = tuple(step.answer for step in pairs.asked(first))
    pair = StandIns(heads=("L1H0", "L1H1"), together=0.71, apart=0.64, beyond=0.07, ci=(0.03, 0.13))
    facing = PatchedFunction(
        facts={"facing": 40}, pairs=20, refused={}, right=14, pictures=14, difference=12.5,
        groups={"all": group(0.01, 0.36, 0.27, 0.1), "last": group(0.0, 0.31, 0.24, 0.1)},
        sufficient=carrying(0.79), necessary=carrying(0.9),
        stand_ins=(pair,),
        mirror_control=MirrorControl(n=31, clean=0.97, kept=0.94, ci=(0.8, 0.99), control_mean=0.99),
        followed=FollowedPair(
            pair=first.id, question="Which <b>way</b>?", answers=answers, clean=(3.0, 2.5),
            patched=(-1.5, -2.0),
        ),
    )  # fmt: skip
    PatchResult(
        settings={"pairs": str(place / "pairs")}, pairs_folder="pairs", fingerprint="0", strategy="replay",
        heads=HEADS, functions={"orientation_perception": facing},
    ).save(study / "patch.json")  # fmt: skip
    edges = (
        Edge(sender="L1H0", receiver="L2H0", share=0.4, ci=(0.3, 0.5), p=0.01, q=0.02, named=True),
        Edge(sender="L1H0", receiver="answer", share=0.2, ci=(0.1, 0.3), p=0.3, q=0.4, named=False),
    )
    made = Circuit(heads=("L1H0", "L2H0"), pairs=15, pictures=15, null_edges=20, null_max=0.05, edges=edges)
    CircuitResult(settings={}, fingerprint="0", functions={"orientation_perception": made}).save(
        study / "circuit.json"
    )
    return study


def test_the_map_shows_the_strongest_heads_by_position_with_intervals(folder: Path) -> None:
    figure = patching.by_position(read_contents(folder))
    assert figure is not None
    assert figure.table[0] == ("orientation perception", "L1H0", "0.36 [0.31, 0.41]", "0.31 [0.26, 0.36]")
    assert [row[1] for row in figure.table] == ["L1H0", "L1H1", "L2H0", "L0H0"]
    assert "orientation perception 14 of 20" in figure.caption


def test_sets_stand_beside_random_sets_with_n_and_p(folder: Path) -> None:
    figure = patching.sets(read_contents(folder))
    assert figure is not None
    sufficient, necessary = figure.table
    assert sufficient[:2] == ("orientation perception", "sufficient")
    assert sufficient[2:4] == ("L1H0, L1H1", "21 (21 pictures)")
    assert sufficient[4].startswith("79.0 [69.0, 89.0]")
    assert sufficient[6] == "1.0 (5.0)"
    assert "0.0099" in sufficient[7] or "0.010" in sufficient[7]
    assert necessary[1] == "necessary"


def test_stand_ins_and_the_mirror_control_show_their_figures(folder: Path) -> None:
    study = read_contents(folder)
    beyond, kept = patching.stand_ins(study), patching.mirror(study)
    assert beyond is not None
    assert kept is not None
    assert beyond.table[0][1:] == ("L1H0", "L1H1", "0.71", "0.64", "0.07 [0.03, 0.13]")
    assert kept.table[0] == ("orientation perception", "31", "97.0", "94.0 [80.0, 99.0]", "99.0")


def test_the_graph_draws_named_edges_alone_and_lists_all(folder: Path) -> None:
    figure = circuit.graph(read_contents(folder))
    assert figure is not None
    assert [row[1:3] for row in figure.table] == [("L1H0", "L2H0"), ("L1H0", "answer")]
    assert [row[-1] for row in figure.table] == ["yes", "no"]
    drawn = str(figure.chart.to_dict())
    assert "L1H0 to L2H0" in drawn
    assert "L1H0 to answer" not in drawn


def test_the_page_shows_both_pictures_and_what_the_answers_became(folder: Path) -> None:
    (shown,) = followed_pairs(read_contents(folder))
    assert [side[1] for side in shown.sides] == list(shown.followed.answers)
    text = write_report(folder).read_text("utf-8")
    assert "What heads carry" in text
    assert "Which &lt;b&gt;way&lt;/b&gt;?" in text
    assert "with 2 heads from the other picture" in text
    assert "<b>way</b>" not in text


def test_what_heads_carry_joins_the_rankings_of_the_atlas(folder: Path, tmp_path: Path) -> None:
    import shutil

    from headscope.probing.atlas import Atlas
    from headscope.report.charts.heads import rankings
    from headscope.study.first_stages import _beside_other_rankings

    study = tmp_path / "study"
    shutil.copytree(folder, study)
    before = Atlas.load(study / "probe" / "atlas.json")
    made = _beside_other_rankings(before, study)
    assert made == Atlas.load(study / "probe" / "atlas.json")
    top = made.top("orientation_perception", 2, by="patching")
    assert [str(h) for h in top] == ["L1H0", "L1H1"]
    assert not made.has("patching", "counting")
    scores = dict(
        zip((h.label for h in made.heads), made.scores("orientation_perception", "patching"), strict=True)
    )
    assert scores["L1H0"] == 0.36
    assert scores["L7H7"] != scores["L7H7"], "a head that was not patched has no score"
    assert made.default_ranking == before.default_ranking
    assert "patching" in [r.name for r in rankings(made)]
    assert "patching" in made.to_dataframe().columns


def test_pictures_that_are_gone_are_left_out_and_the_rest_stays(folder: Path, tmp_path: Path) -> None:
    import shutil

    study = tmp_path / "study"
    shutil.copytree(folder, study)
    shutil.copytree(folder.parent / "cases", tmp_path / "cases")
    found = PatchResult.load(study / "patch.json")
    moved = found.model_copy(update={"settings": {"pairs": str(tmp_path / "nowhere")}})
    moved.save(study / "patch.json")
    contents = read_contents(study)
    assert followed_pairs(contents) == []
    assert patching.sets(contents) is not None
