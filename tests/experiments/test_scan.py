"""The scan as a whole: what is written, what is resumed, the estimate, and the command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.cli.app import app
from headscope.cli.scan_command import parse_memory
from headscope.edits.edits import Edit, mute
from headscope.engine import engine as engines
from headscope.engine.estimate import estimate_drops
from headscope.engine.replay import clean_margin, read_item
from headscope.engine.replay_trial import Replay, replay_of
from headscope.engine.trace import run_clean
from headscope.errors import EditError, ModelError, StoreError, StudyError
from headscope.experiments.items import choose_items
from headscope.experiments.scan import ScanSettings, scan_heads, scan_sets
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.storage import read_json, read_table


def whole_drops(vlm: Any, cases: Any, items: Any, heads: Any, scope: str) -> np.ndarray:
    """(item, head set) drops of the margin by whole runs."""
    table = []
    for item in items:
        encoded = encode_batch(vlm, [item], lambda i: cases.image(i.case))
        clean = ask(vlm, encoded, [item]).rows[0]["margin"]
        muted = [ask(vlm, encoded, [item], edit=Edit(s, mute(), scope)).rows[0]["margin"] for s in heads]
        table.append([clean - m for m in muted])
    return np.array(table)


@pytest.mark.parametrize("scope", ["all", "answer"])
def test_drops_are_means_over_whole_runs_and_rows_hold_every_question_and_head(
    llava, cases, splits, tmp_path, scope, context
):
    heads = (Head(0, 1), Head(1, 3), Head(2, 2))
    found = scan_heads(context, ScanSettings(scope=scope, max_items=3), heads=heads)
    items = choose_items(cases, splits, "select", DEFAULT, 3, 0, ())
    assert found.engine == "replay"
    assert tuple(found.functions) == tuple(items)
    for name, own in items.items():
        wanted = whole_drops(llava, cases, own, [(h,) for h in heads], scope)
        np.testing.assert_allclose(found.functions[name].drop, wanted.mean(axis=0), atol=1e-5)
        low, high = np.array(found.functions[name].ci).T
        assert (low <= found.functions[name].drop).all()
        assert (high >= found.functions[name].drop).all()
        rows = [r for r in read_table(tmp_path / "scan.parquet") if r["function"] == name]
        np.testing.assert_allclose([r["drop"] for r in rows], wanted.ravel(), atol=1e-5)
    assert read_json(tmp_path / "scan.json")["heads"] == ["L0H1", "L1H3", "L2H2"]


def test_head_sets_are_muted_at_once(llava, cases, splits, context):
    sets = [(Head(0, 1), Head(2, 0)), (Head(1, 1), Head(1, 2))]
    settings = ScanSettings(functions=("counting",), max_items=2)
    found = scan_sets(context, sets, settings)
    items = choose_items(cases, splits, "select", DEFAULT, 2, 0, ())["counting"]
    wanted = whole_drops(llava, cases, items, sets, "all").mean(axis=0)
    np.testing.assert_allclose(found.functions["counting"].drop, wanted, atol=1e-5)
    assert found.heads == ("L0H1+L2H0", "L1H1+L1H2")


def test_a_prompt_that_no_replay_is_made_for_is_read_by_whole_runs_and_said(
    llava, cases, splits, monkeypatch, context
):
    """As where the first prompt fits a sliding window, and a later one does not."""
    seen: list[str] = []

    def refuses_the_second(vlm, trace, item, edits, engine, **knobs):
        seen.append(item.id)
        if len(seen) == 2:
            raise ModelError("a layer's state is more than keys and values of all positions")
        return read_item(vlm, trace, item, edits, engine, **knobs)

    monkeypatch.setattr(engines, "read_item", refuses_the_second)
    settings = ScanSettings(functions=("counting",), max_items=2)
    heads = (Head(0, 1), Head(2, 2))
    found = scan_heads(context, settings, heads=heads)
    assert len(seen) == 2
    assert found.engine == "replay; whole runs: a layer's state is more than keys and values of all positions"
    items = choose_items(cases, splits, "select", DEFAULT, 2, 0, ())["counting"]
    wanted = whole_drops(llava, cases, items, [(h,) for h in heads], "all").mean(axis=0)
    np.testing.assert_allclose(found.functions["counting"].drop, wanted, atol=1e-5)


def test_every_reason_for_whole_runs_is_said_though_one_begins_another(monkeypatch, context):
    reasons = iter(("no cache of layer 12", "no cache of layer 1"))

    def refuses(vlm, trace, item, edits, engine, **knobs):
        raise ModelError(next(reasons))

    monkeypatch.setattr(engines, "read_item", refuses)
    settings = ScanSettings(functions=("counting",), max_items=2)
    found = scan_heads(context, settings, heads=(Head(0, 1),))
    assert found.engine == "whole runs: no cache of layer 12; whole runs: no cache of layer 1"


def test_a_stopped_scan_goes_on_and_other_settings_are_refused(tmp_path, monkeypatch, context):
    scan_heads(context, ScanSettings(max_items=2, functions=("counting",)))
    written = (tmp_path / "scan.json").read_bytes()
    monkeypatch.setattr(engines, "read_item", lambda *a, **k: pytest.fail("read twice"))
    scan_heads(context, ScanSettings(max_items=2, functions=("counting",)))
    assert (tmp_path / "scan.json").read_bytes() == written
    with pytest.raises(StoreError, match="max_items"):
        scan_heads(
            context,
            ScanSettings(max_items=3, functions=("counting",)),
        )


def test_without_a_replay_whole_runs_give_the_same_and_the_output_says_so(tmp_path, monkeypatch, context):
    settings = ScanSettings(max_items=2, functions=("spatial_perception",))
    right = scan_heads(replace(context, folder=tmp_path / "a"), settings)
    monkeypatch.setattr(engines, "replay_of", lambda *a: Replay("all", refusal="not this one"))
    slow = scan_heads(replace(context, folder=tmp_path / "b"), settings)
    assert slow.engine == "whole runs: not this one"
    name = "spatial_perception"
    np.testing.assert_allclose(slow.functions[name].drop, right.functions[name].drop, atol=1e-5)


@pytest.mark.parametrize("scope", ["all", "last", "answer"])
@pytest.mark.parametrize("name", ["spatial_perception", "counting"])
def test_the_estimate_is_the_slope_of_the_exact_effect(vlm, cases, splits, scope, name):
    item = choose_items(cases, splits, "select", DEFAULT, 1, 0, ())[name][0]
    encoded = encode_batch(vlm, [item], lambda i: cases.image(i.case))
    trace, engine = run_clean(vlm, encoded, True), replay_of(vlm, encoded, scope)
    flags = [p.requires_grad for p in vlm.model.parameters()]
    margin, drops = estimate_drops(vlm, encoded, item, scope)
    assert margin == pytest.approx(clean_margin(vlm, trace, item), abs=1e-5)
    step = 5e-3
    both = [[Edit((h,), mute(factor=1 + s), scope) for h in vlm.geometry.heads] for s in (step, -step)]
    up, down = (read_item(vlm, trace, item, edits, engine).margin for edits in both)
    np.testing.assert_allclose(drops, (up - down) / (2 * step), atol=2e-3)
    assert np.abs(drops).max() > 0.05
    assert [p.requires_grad for p in vlm.model.parameters()] == flags


def test_the_estimates_strongest_are_scanned_exactly_and_agreement_is_said(tmp_path, context):
    settings = ScanSettings(max_items=2, functions=("counting",))
    exact = scan_heads(replace(context, folder=tmp_path / "a"), settings).functions["counting"]
    both = scan_heads(replace(context, folder=tmp_path / "b"), replace(settings, estimate=True, exact_top=5))
    own = both.functions["counting"]
    scanned = ~np.isnan(np.array(own.drop, dtype=float))
    strongest = np.argsort(-np.abs(own.estimate))[:5]
    assert set(np.flatnonzero(scanned)) == set(strongest)
    np.testing.assert_allclose(np.array(own.drop, float)[scanned], np.array(exact.drop)[scanned], atol=1e-5)
    rho = spearmanr(np.array(own.drop, float)[scanned], np.array(own.estimate)[scanned]).statistic
    assert own.spearman == pytest.approx(rho)
    assert own.compared == 5
    assert both.engine == "gradient; replay"


def test_an_unknown_function_is_refused_with_those_there_are(context):
    with pytest.raises(EditError, match=r"asked for taste; split select holds .*counting"):
        scan_heads(context, ScanSettings(functions=("taste",)))


def test_the_command_writes_both_files_and_never_reads_test(tiny_llava_folder, cases, splits, tmp_path):
    base = ["scan", "--model", str(tiny_llava_folder), "--data", str(cases.folder), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*base, "--scope", "last", "--max-items", "1", "--heads", "L0H1,L2H0"])
    assert done.exit_code == 0, done.output
    assert "engine: replay" in done.output
    assert read_json(tmp_path / "scan.json")["settings"]["split"] == "select"
    assert {r["head"] for r in read_table(tmp_path / "scan.parquet")} == {"L0H1", "L2H0"}
    named = CliRunner().invoke(
        app,
        [*base, "--max-items", "1", "--heads", "L0H1", "--edit", "clamp", "--out", str(tmp_path / "clamp")],
    )
    assert named.exit_code == 0, named.output
    assert read_json(tmp_path / "clamp" / "scan.json")["settings"]["edit"] == "clamp"
    for more, why in (
        (["--edit", "halve"], "--edit: found 'halve'"),
        (["--split", "test"], "--split: found 'test'"),
        (["--scope", "image"], "--scope"),
    ):
        refused = CliRunner().invoke(app, [*base, *more])
        assert isinstance(refused.exception, StudyError)
        assert why in str(refused.exception)


@pytest.mark.parametrize(("text", "size"), [("2GB", 2**31), ("500MB", 500 * 2**20), ("1.5k", 1536), ("7", 7)])
def test_sizes_of_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "1TB"])
def test_what_is_no_size_of_memory_is_refused(text):
    with pytest.raises(StudyError, match="expected a size such as 2GB"):
        parse_memory(text)
