"""The same picture under two file names is one picture: it counts once, and lies in one split and fold."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edits.fixtures import make_case, picture
from headscope.data.cases import Cases, load_cases, save_cases
from headscope.data.splits import assign_splits, picture_groups
from headscope.experiments.context import ExperimentContext
from headscope.experiments.items import choose_items, open_readers
from headscope.experiments.waking.experiment import wake
from headscope.experiments.waking.questions import WakeSettings
from headscope.functions import DEFAULT
from headscope.probing.settings import ProbeSettings
from headscope.report.contents import read_answers
from headscope.storage import Ledger, read_table
from headscope.study import first_stages

SOURCE = Path(__file__).parent.parent / "src" / "headscope"
PICTURES = 6


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """Twelve cases of six pictures: the second six files are copies of the first six."""
    folder = tmp_path_factory.mktemp("twins")
    (folder / "images").mkdir()
    made = [make_case(i) for i in range(2 * PICTURES)]
    for i, case in enumerate(made):
        picture(i % PICTURES).save(folder / case.image)
    save_cases(Cases(folder, made), folder)
    return load_cases(folder)


def one_name_a_picture(names: dict[str, str]) -> bool:
    """Whether every pair of twins goes by one name, and the pairs by different ones."""
    pairs = [(names[f"c{i:02d}"], names[f"c{i + PICTURES:02d}"]) for i in range(PICTURES)]
    return all(a == b for a, b in pairs) and len({a for a, _ in pairs}) == PICTURES


def test_it_never_straddles_splits(twins: Cases) -> None:
    assert one_name_a_picture(picture_groups(twins))
    for seed in range(20):
        splits = assign_splits(twins, seed)
        assert all(splits[f"c{i:02d}"] == splits[f"c{i + PICTURES:02d}"] for i in range(PICTURES))


def test_a_part_of_the_cases_goes_by_the_names_of_the_whole(twins: Cases) -> None:
    part = twins.subset(lambda case: case.id >= f"c{PICTURES:02d}")
    assert set(picture_groups(part).values()) == set(picture_groups(twins).values())


def test_an_experiment_reads_every_picture_once_before_a_copy_of_any(twins: Cases) -> None:
    everything = dict.fromkeys((c.id for c in twins), "test")
    groups = picture_groups(twins)
    for seed in range(5):
        chosen = choose_items(twins, everything, "test", DEFAULT, PICTURES, seed, ())
        assert {len({groups[i.case.id] for i in items}) for items in chosen.values()} == {PICTURES}


def test_muting_resamples_it_once(twins: Cases, tiny: Any, tmp_path: Path) -> None:
    everything = dict.fromkeys((c.id for c in twins), "test")
    items = choose_items(twins, everything, "test", DEFAULT, 2 * PICTURES, 0, ())
    readers = open_readers(tiny, twins, items, Ledger(tmp_path, {}))
    assert {len(set(r.groups)) for r in readers.values()} == {PICTURES}


def test_probes_fold_and_resample_by_it(
    twins: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def keep(*_args: Any, images: dict[str, str], **_options: Any) -> None:
        seen["folded"] = images

    def rows(*args: Any) -> list[Any]:
        seen["chosen"] = args[3]
        return []

    monkeypatch.setattr("headscope.probing.stage.probe", keep)
    monkeypatch.setattr("headscope.probing.steps.probed_answers", rows)
    monkeypatch.setattr("headscope.capturing.store.open_activations", lambda *_a, **_k: None)
    plan: Any = SimpleNamespace(model_name="", model="", cases="")
    causal: Any = SimpleNamespace(content=dict)
    context = ExperimentContext(lambda: pytest.fail("needs no model"), twins, {}, tmp_path)
    first_stages.probe(context, plan, causal, ProbeSettings())
    assert one_name_a_picture(seen["folded"])
    assert one_name_a_picture(seen["chosen"])


def test_waking_pairs_and_resamples_by_it(twins: Cases, tiny: Any, tmp_path: Path) -> None:
    splits = {c.id: "select" if c.id in ("c00", f"c{PICTURES:02d}") else "test" for c in twins}
    settings = WakeSettings(max_new_tokens=2, draws=50, attention=False, styles=("both",), controls=())
    found = wake(ExperimentContext(tiny, twins, splits, tmp_path), None, settings=settings)
    rows = read_table(tmp_path / "wake.parquet")
    assert len({r["case"] for r in rows}) == 2 * (PICTURES - 1)
    assert len({r["image"] for r in rows}) == PICTURES - 1
    assert found.test["both"].all.images == PICTURES - 1


def test_the_report_resamples_it_once(twins: Cases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = [{"case": c.id} for c in twins]
    monkeypatch.setattr("headscope.capturing.store.open_answers", lambda _folder: answers)
    assert one_name_a_picture({r["case"]: r["image"] for r in read_answers(tmp_path, twins)})


def test_nothing_outside_the_rooms_that_read_and_make_data_goes_by_file_names() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] not in ("data", "making"):  # what makes pictures names them
            assert not re.search(r"\b(case|c)\.image\b(?!\()", path.read_text("utf-8")), path
