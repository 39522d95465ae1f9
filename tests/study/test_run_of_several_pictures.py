"""A whole study of cases with several pictures: every stage that takes them, and a word about the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headscope as hs
from headscope.asking.items import history_of
from headscope.data.cases import Cases, load_cases, save_cases
from headscope.errors import DataError
from headscope.experiments.causal import causal_scores
from headscope.experiments.context import ExperimentContext
from headscope.experiments.settings import CausalSettings
from headscope.making.scenes.generate import draw_scenes
from headscope.models.vlm import VLM
from headscope.report.pictures import case_picture
from headscope.study.study import Study


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """Twelve pairs of drawn scenes; the things of the first case lie in its second picture."""
    folder = tmp_path_factory.mktemp("several") / "cases"
    drawn = draw_scenes(folder, 24, seed=4, things=(2, 4), card=False)
    made = []
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        changes: dict[str, Any] = {"more": second.pictures}
        made.append(first.model_copy(update=changes))
    moved = tuple(o.model_copy(update={"picture": 1}) for o in made[0].objects)
    made[0] = made[0].model_copy(
        update={"image": made[0].more[0].image, "more": made[0].pictures[:1], "objects": moved}
    )
    return save_cases(Cases(folder, made), folder)


def test_muting_a_head_alone_costs_what_it_costs_over_all_pictures(
    tiny: VLM, cases: Cases, tmp_path: Path
) -> None:
    context = ExperimentContext(tiny, cases, dict.fromkeys(cases.by_id, "select"), tmp_path, batch_size=4)
    found = causal_scores(context, CausalSettings(max_items=2))
    name, costs = next(iter(found.functions.items()))
    items = context.choose("select", 2)[name]
    for head in (hs.Head(0, 1), hs.Head(2, 2)):
        drops = []
        for item in items:
            shown, wrong = cases.shown(item.case), [c for c in item.choices if c != item.truth]
            assert isinstance(shown, list)
            asked = tiny, shown, item.question, item.choices
            clean = hs.read(*asked, history=history_of(item)).logprobs
            with hs.edit(tiny, [head], hs.mute()):
                muted = hs.read(*asked, history=history_of(item)).logprobs
            margins = [p[item.truth] - max(p[c] for c in wrong) for p in (clean, muted)]
            drops.append(margins[0] - margins[1])
        place = found.heads.index(str(head))
        assert costs.margin_drop[place] == pytest.approx(np.mean(drops), abs=1e-4)


@pytest.mark.slow
def test_a_run_leaves_out_only_the_stages_for_one_picture_and_says_so(
    cases: Cases, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    study = Study.create(
        tmp_path / "study",
        model=tiny_llava_folder,
        data=cases.folder,
        size="smoke",
        settings={"ablate": {"layer_limit": 100.0}},
        announce=said.append,
        workers=1,
    )
    page = study.run().read_text("utf-8")
    left = [line for line in said if "left out" in line]
    assert len(left) == 1
    assert left[0].startswith("wake: left out: ")
    assert "has 2 pictures (12 such cases)" in left[0]
    for stage in ("capture", "causal", "attend", "probe", "ablate", "emphasize", "overlay", "report"):
        assert study.done(stage), stage
    assert "The 2 pictures of case" in page
    assert json.loads((study.folder / "summary.json").read_text())
    with pytest.raises(DataError, match="has 2 pictures"):
        study.wake()


def test_the_page_shows_all_pictures_of_a_case_with_boxes_where_they_lie(cases: Cases) -> None:
    folder = load_cases(cases.folder)
    first, second = folder[0], folder[1]
    sheet, plain = case_picture(folder, first), case_picture(folder, second)
    left = first.pictures[0].width + 8
    factor = sheet.width / (left + first.pictures[1].width)
    boxes = [o.box for o in first.objects if o.box is not None]
    assert [b[0] for b in sheet.boxes] == pytest.approx([(b[0] + left) * factor for b in boxes])
    assert plain.alt == f"The 2 pictures of case {second.id}, side by side"
    assert all(x < second.width for x, *_ in plain.boxes)
