"""The paper's protocol: its heads, factor and random sets, each answer asked again the plain way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.asking.items import make_items
from headscope.edits.edits import Edit, mute
from headscope.errors import StudyError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.paper import GROUP, PaperSettings, paper, random_sets
from headscope.experiments.paper_result import PaperResult
from headscope.functions import DEFAULT, MAIN
from headscope.models.geometry import Head, parse_head
from headscope.pointing.styles import point
from headscope.probing.atlas import Atlas, AtlasHead
from headscope.statistics.shares import share_difference

ELBOWS = {"spatial_perception": 3, "attribute_perception": 2, "counting": 0}
KNOBS = PaperSettings(protocol="paper", draws=4, test_items=6, main_items=6, rows=16)


@pytest.fixture(scope="module")
def ranked(tiny) -> Atlas:
    rng = np.random.default_rng(4)
    heads = tiny.geometry.heads
    return Atlas(
        heads=[AtlasHead(layer=h.layer, head=h.head, label=str(h), width=8) for h in heads],
        functions=list(ELBOWS),
        rankings={"joint": {f: (0.002 * rng.normal(size=len(heads))).tolist() for f in ELBOWS}},
        elbow={"joint": ELBOWS},
        joint={"accuracy": 0.8, "majority": 0.3, "steps": {"test": 40}},
    )


@pytest.fixture(scope="module")
def made(tiny, cases, splits, ranked, tmp_path_factory) -> PaperResult:
    folder = tmp_path_factory.mktemp("paper")
    context = ExperimentContext(tiny, cases, splits, folder)
    result = paper(context, ranked, KNOBS)
    assert PaperResult.load(folder / "paper.json") == result
    assert paper(context, ranked, KNOBS) == result  # resumed: nothing is asked again
    return result


def test_the_elbow_heads_are_the_joint_probes_strongest_and_others_are_left_out_with_the_reason(made, ranked):
    rows = {row.function: row for row in made.masking}
    assert set(rows) == {"spatial_perception", "attribute_perception", GROUP}
    for name in ("spatial_perception", "attribute_perception"):
        sizes = np.abs(np.array(ranked.rankings["joint"][name]))
        wanted = np.argsort(-sizes, kind="stable")[: ELBOWS[name]]
        assert set(rows[name].heads) == {ranked.heads[i].label for i in wanted}
        assert made.important[name] == pytest.approx(np.mean(sizes > 0.001))
    assert made.left_out["counting"] == "no elbow on select"
    assert made.left_out["text_reading"] == "no questions on test"
    group = rows[GROUP].model_copy(update={"function": "spatial_perception"})
    assert group.model_copy(update={"heads": rows["spatial_perception"].heads}) == rows["spatial_perception"]


def test_masked_and_random_answers_are_those_of_the_edit_asked_the_plain_way(made, tiny, cases, splits):
    row = next(r for r in made.masking if r.function == "spatial_perception")
    test = [c for c in cases if splits[c.id] == "test"]
    items = [i for i in make_items(test, DEFAULT, ("gold",), ()) if i.function == row.function]
    context = ExperimentContext(tiny, cases, splits, cases.folder)
    chosen = {i.id for i in context.choose("test", KNOBS.test_items)[row.function]}
    items = [i for i in items if i.id in chosen]
    encoded = encode_batch(tiny, items, lambda i: cases.image(i.case))
    heads = tuple(parse_head(h) for h in row.heads)

    def right(some: tuple[Head, ...] | None) -> list[bool]:
        edit = None if some is None else Edit(some, mute(factor=0.001))
        return [r["correct"] for r in ask(tiny, encoded, items, edit=edit, max_new_tokens=8).rows]

    clean, masked = right(None), right(heads)
    assert row.n == len(items) == 6
    assert row.clean == pytest.approx(100 * np.mean(clean))
    assert row.masked == pytest.approx(100 * np.mean(masked))
    sets = random_sets(tiny.geometry.heads, heads, KNOBS.draws, 0)
    random = [100 * np.mean(right(some)) for some in sets]
    assert row.random_mean == pytest.approx(np.mean(random))
    assert (row.random_least, row.random_most) == pytest.approx((min(random), max(random)))
    lost = share_difference(clean, masked, [i.case.image for i in items])
    assert row.drop_points == pytest.approx(100 * lost.value)
    assert row.ci == pytest.approx((100 * lost.ci[0], 100 * lost.ci[1]))


def test_random_sets_are_of_the_same_number_from_any_layer_and_share_no_head() -> None:
    every = [Head(layer, head) for layer in range(4) for head in range(4)]
    heads = every[:3]
    sets = random_sets(every, heads, 200, seed=1)
    assert all(len(set(some)) == 3 and not set(some) & set(heads) for some in sets)
    assert {h for some in sets for h in some} == set(every[3:])  # unlike matched controls, all layers
    assert sets == random_sets(every, heads, 200, seed=1) != random_sets(every, heads, 200, seed=2)
    assert random_sets(every, every[:9], 5, seed=1) == []  # fewer others are left than are under test


def test_pointing_asks_main_questions_on_marked_pictures(made, tiny, cases, splits):
    assert [p.style for p in made.pointing] == ["plain", "box", "spotlight", "both"]
    context = ExperimentContext(tiny, cases, splits, cases.folder)
    items = context.choose("test", KNOBS.main_items, ("alone",), contexts=())[f"{MAIN}@alone"]
    assert all(i.earlier == () for i in items)
    for row in made.pointing:

        def shown(item, style=row.style):
            picture = cases.image(item.case)
            boxes = [o.box for o in item.case.objects if o.id in item.case.named]
            return picture if style == "plain" else point(style, picture, boxes).image

        rows = ask(tiny, encode_batch(tiny, items, shown), items, max_new_tokens=8).rows
        assert row.n == len(items)
        assert row.accuracy == pytest.approx(100 * np.mean([r["correct"] for r in rows]))
        assert row.delta_points == pytest.approx(row.accuracy - made.pointing[0].accuracy)


def test_every_published_figure_stands_beside_what_was_measured_and_is_said_to_be_unchecked(made):
    assert "unchecked" in made.source
    assert len(made.table) == 6
    assert all(line.published and line.measured and line.differs for line in made.table)
    masked = next(line for line in made.table if "random -> functional" in line.figure)
    group = next(r for r in made.masking if r.function == GROUP)
    assert f"{group.random_mean:.1f} -> {group.masked:.1f}" in masked.measured
    assert f"n {group.n}" in masked.measured


def test_what_cannot_be_run_is_refused(context, ranked, tmp_path):
    with pytest.raises(StudyError, match="'other'; there is: paper"):
        PaperSettings(protocol="other")
    bare = ranked.model_copy(update={"elbow": {}})
    with pytest.raises(StudyError, match="no joint ranking"):
        paper(replace(context, folder=tmp_path), bare, KNOBS)
