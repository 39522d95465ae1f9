"""What a study says of its wall time."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from headscope.making.scenes.generate import draw_scenes
from headscope.storage import read_json
from headscope.study import study as studies
from headscope.study.study import Study


def test_a_report_that_is_written_again_adds_nothing_to_the_wall_time(
    tiny_llava_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = draw_scenes(tmp_path / "cases", 6, seed=1, card=False)
    study = Study.create(tmp_path / "study", model=tiny_llava_folder, data=cases, size="smoke")
    ticks = count(step=3.0)
    monkeypatch.setattr(studies.time, "perf_counter", lambda: next(ticks))
    totals = []
    for _ in range(3):
        study.report()
        totals.append(read_json(study.folder / "summary.json")["wall_s"]["total"])
    assert totals == [3.0, 3.0, 3.0]
