"""`headscope evaluate`: plain and under an intervention, on a tiny model; what is asked is what was meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headscope.data.cases import load_cases
from headscope.edits.edits import Edit, mute, scale
from headscope.errors import DataError, StudyError
from headscope.study import evaluation as benchmarking
from headscope.study.evaluation import Intervention, Loading, answer_all, evaluate
from headscope.study.evaluation_result import EvaluationResult


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "c" / "images").mkdir(parents=True)
    lines = []
    for i in range(6):
        image = Image.new("RGB", (40, 30), (40 * i, 90, 255 - 40 * i))
        image.save(tmp_path / "c" / "images" / f"{i // 2}.png")
        box = [2, 4, 18, 25] if i < 4 else None
        lines.append(
            {
                "id": f"c{i}", "image": f"images/{i // 2}.png", "width": 40, "height": 30, "source": "vsr/x",
                "question": f"Is the dog on the sofa ({i})?", "answer": "true", "kind": "on",
                "choices": ["true", "false"], "named": ["d"],
                "objects": [{"id": "d", "name": "dog", "box": box}],
                "steps": [{"id": "s1", "question": "Where?", "answer": "", "function": "spatial_perception",
                           "origin": "unanswered"}],
            }
        )  # fmt: skip
    (tmp_path / "c" / "cases.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "c"


def test_every_main_question_is_asked_alone_and_in_order(tiny: Any, folder: Path) -> None:
    cases = load_cases(folder)
    rows = answer_all(tiny, cases, Loading(batch_size=4))
    assert [r["case"] for r in rows] == [c.id for c in cases]
    assert {r["context"] for r in rows} == {"alone"}
    for one, case in zip(rows, cases, strict=True):
        alone = tiny.answer(cases.image(case), case.question, choices=case.choices)
        assert one["text"] == alone.text
        assert one["margin"] == pytest.approx(alone.logprobs["true"] - alone.logprobs["false"], abs=1e-4)


def test_waking_changes_only_pictures_with_boxes(tiny_llava_folder: Path, folder: Path) -> None:
    result = evaluate(str(tiny_llava_folder), folder, Intervention("wake", "both"))
    assert EvaluationResult.load(result.save(folder / "evaluation.json")) == result
    found = json.loads((folder / "evaluation.json").read_text())
    change = found["intervention"]
    assert change["touched"] == 4
    margins = [(a["margin"], b["margin"]) for a, b in zip(found["rows"], change["rows"], strict=True)]
    assert all(a == pytest.approx(b, abs=1e-5) for a, b in margins[4:])
    assert all(a != pytest.approx(b, abs=1e-5) for a, b in margins[:4])
    assert change["difference"]["accuracy"]["n"] == 6
    assert change["difference_touched"]["accuracy"]["n"] == 4
    assert found["plain"]["official"]["vsr"]["table"]


def test_muting_and_baking_act_on_the_heads_of_the_atlas(
    tiny_llava_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headscope.models.vlm import load_model

    vlm = load_model(tiny_llava_folder, prove=False)
    heads = tuple(vlm.geometry.heads[:3])
    monkeypatch.setattr(benchmarking, "_heads", lambda intervention, model: heads)
    cases = load_cases(folder)
    muted = evaluate(str(tiny_llava_folder), folder, Intervention("mute", "counting")).intervention.content()
    wanted = answer_all(vlm, cases, Loading(), edit=Edit(heads, mute()))
    assert [r["margin"] for r in muted["rows"]] == pytest.approx([r["margin"] for r in wanted], abs=1e-5)
    assert muted["chosen"] == tuple(str(h) for h in heads)
    baked = evaluate(str(tiny_llava_folder), folder, Intervention("bake", "counting", factor=3.0)).content()
    again = [r["margin"] for r in baked["intervention"]["rows"]]
    edited = answer_all(vlm, cases, Loading(), edit=Edit(heads, scale(3.0)))
    assert again == pytest.approx([r["margin"] for r in edited], abs=1e-4)
    assert again != pytest.approx([r["margin"] for r in baked["rows"]], abs=1e-4)


def test_heads_of_another_model_are_refused(tiny_llava_folder: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="say the --study that was run on this model"):
        evaluate(str(tiny_llava_folder), folder, Intervention("mute", "counting"))
    with pytest.raises(StudyError, match="no atlas there"):
        evaluate(str(tiny_llava_folder), folder, Intervention("mute", "counting", tmp_path))


def test_nothing_to_point_at_is_said(tiny_llava_folder: Path, folder: Path) -> None:
    text = (folder / "cases.jsonl").read_text().replace("[2, 4, 18, 25]", "null")
    (folder / "cases.jsonl").write_text(text)
    with pytest.raises(DataError, match="nothing to point at"):
        evaluate(str(tiny_llava_folder), folder, Intervention("wake", "both"))
