"""The patching experiment end to end on the embedded model: facing, which few of its heads carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from headscope.errors import DataError, ModelError, StoreError, StudyError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.patching.circuit import CircuitResult, CircuitSettings, circuit
from headscope.experiments.patching.experiment import FILE, PatchSettings, patch
from headscope.experiments.patching.result import PatchResult
from headscope.making.pairs.mirror import mirror_pairs
from headscope.making.pairs.scenes import draw_pairs
from headscope.making.scenes.generate import draw_scenes
from headscope.models.geometry import parse_head
from headscope.models.vlm import VLM, load_model

SMALL = {"select_pairs": 6, "test_pairs": 6, "groups": ("all", "last"), "pool": 4, "most": 3}
FEW = {**SMALL, "draws": 5, "stand_ins": 2}


@pytest.fixture(scope="module")
def embedded() -> VLM:
    return load_model("embedded", prove=False)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    draw_pairs(folder, 30, seed=7, facts=("facing",))
    return folder


@pytest.fixture(scope="module")
def context(embedded: VLM, tmp_path_factory: pytest.TempPathFactory) -> ExperimentContext:
    folder = tmp_path_factory.mktemp("study")
    cases = draw_scenes(folder / "data", 4, seed=7, card=False)
    return ExperimentContext(embedded, cases, dict.fromkeys((c.id for c in cases), "select"), folder)


@pytest.fixture(scope="module")
def found(context: ExperimentContext, pairs: Path) -> PatchResult:
    return patch(context, PatchSettings(str(pairs), **FEW))


def test_few_heads_carry_which_way_a_thing_faces_and_random_heads_do_not(found: PatchResult) -> None:
    facing = found.functions["orientation_perception"]
    assert found.strategy == "replay"
    assert (facing.facts, facing.pairs, facing.right) == ({"facing": 12}, 6, 6)
    held = facing.sufficient
    assert held is not None
    assert held.reached
    assert held.n == 6
    assert held.share is not None
    assert held.control_max is not None
    assert held.share > 0.5 > held.control_max
    (label, share, (low, _)), *_ = found.top("orientation_perception")
    assert label in held.heads
    assert low is not None
    assert share > low > 0.1
    estimate = facing.groups["all"].spearman
    assert estimate is not None
    assert estimate > 0.7
    assert facing.stand_ins[0].ci[0] is not None


def test_what_was_read_is_not_read_again_and_the_file_is_the_same(
    context: ExperimentContext, pairs: Path, found: PatchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headscope.experiments.patching import experiment, pair_reader

    def never(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    before = (context.folder / FILE).read_bytes()
    monkeypatch.setattr(pair_reader, "read_pair", never)
    monkeypatch.setattr(experiment, "estimated_moves", never)
    patch(context, PatchSettings(str(pairs), **FEW))
    assert (context.folder / FILE).read_bytes() == before
    assert PatchResult.load(context.folder / FILE).functions == found.functions


def test_questions_whose_answer_a_mirror_must_not_change_stand_beside(embedded: VLM, tmp_path: Path) -> None:
    cases = draw_scenes(tmp_path / "scenes", 24, seed=3, card=False)
    mirror_pairs(cases, tmp_path / "pairs", ("spatial_perception",))
    here = ExperimentContext(embedded, cases, cases.splits, tmp_path)
    many = {**FEW, "test_pairs": 8, "groups": ("all",)}
    found = patch(here, PatchSettings(str(tmp_path / "pairs"), **many)).functions["spatial_perception"]
    assert found.facts.keys() == {"mirror"}
    control = found.mirror_control
    assert control is not None
    assert control.n >= 5
    assert control.kept is not None
    assert 0.5 <= control.kept <= 1


def test_a_model_that_cannot_be_estimated_is_patched_exactly_and_says_why(
    embedded: VLM, pairs: Path, context: ExperimentContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headscope.experiments.patching import experiment

    def never(*_: object) -> None:
        raise ModelError("no cache behind the prompt; scan exactly instead")

    monkeypatch.setattr(experiment, "estimated_moves", never)
    here = ExperimentContext(embedded, context.cases, context.splits, tmp_path)
    few = {**FEW, "select_pairs": 5, "test_pairs": 2, "groups": ("all",), "most": 1, "stand_ins": 0}
    found = patch(here, PatchSettings(str(pairs), **few))
    facing = found.functions["orientation_perception"]
    assert found.no_estimate == "no cache behind the prompt; scan exactly instead"
    assert set(facing.groups["all"].estimate) == {None}
    assert facing.groups["all"].spearman is None
    assert facing.untested == "fewer than 5 pairs of test are answered right both ways"


def test_a_circuit_has_edges_of_later_layers_beside_those_of_random_heads(
    context: ExperimentContext, found: PatchResult
) -> None:
    chosen = CircuitSettings("orientation_perception", pairs=4, heads=3, null_edges=12)
    made = circuit(context, found, chosen).functions["orientation_perception"]
    assert len(made.heads) == 3
    assert made.pairs == 4
    assert made.null_edges >= 12
    layers = {h: parse_head(h).layer for h in made.heads}
    for edge in made.edges:
        assert edge.receiver == "answer" or layers[edge.receiver] > layers[edge.sender]
        assert not edge.named or (edge.ci[0] or 0) > 0
    shares = [e.share or 0.0 for e in made.edges]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.02
    again = CircuitResult.load(context.folder / "circuit.json")
    assert again.functions["orientation_perception"] == made
    with pytest.raises(StudyError, match="patched were orientation_perception; or say all"):
        circuit(context, found, CircuitSettings("counting"))
    other = found.model_copy(update={"fingerprint": "another"})
    with pytest.raises(StudyError, match="other pairs than those that were patched"):
        circuit(context, other, chosen)


def test_what_cannot_be_patched_is_refused(context: ExperimentContext, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pairs to read"):
        patch(context, PatchSettings(str(tmp_path)))
    with pytest.raises(StudyError, match="give `all` and any of"):
        patch(context, PatchSettings(str(pairs), groups=("last",)))
    with pytest.raises(StudyError, match="asked for counting; the pairs hold orientation_perception"):
        patch(
            ExperimentContext(context.model, context.cases, context.splits, tmp_path),
            PatchSettings(str(pairs), functions=("counting",)),
        )
    with pytest.raises(StoreError, match="other settings"):
        patch(context, PatchSettings(str(pairs), **{**FEW, "draws": 6}))
