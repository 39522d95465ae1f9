"""Cases with several pictures in use: evaluated, captured, scanned and pointed at, or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import headscope as hs
from headscope.asking.batches import plan_batches
from headscope.asking.items import make_items
from headscope.capturing.run import capture
from headscope.capturing.store import open_activations, open_answers
from headscope.cli.app import app
from headscope.data.cases import load_cases
from headscope.errors import DataError, ModelError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.scan import ScanSettings, scan_heads
from headscope.experiments.waking.questions import WakeSettings, questions_of
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM
from headscope.pointing.blank import blank_picture
from headscope.pointing.boxes import CaseBoxes
from headscope.pointing.styles import point
from headscope.study.evaluation import Intervention, Loading, _pointing, answer_all, evaluate

SIZES = {"a": (40, 30), "b": (24, 48), "c": (32, 32)}
PICTURES = (("a", "b"), ("a",), ("b", "c", "a"), ("c",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four cases of two, one, three and one pictures; the dog is in the second picture, if there is one."""
    made = tmp_path / "c"
    (made / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(made / "images" / f"{name}.png")
    lines = []
    for i, names in enumerate(PICTURES):
        files = [{"image": f"images/{n}.png", "width": SIZES[n][0], "height": SIZES[n][1]} for n in names]
        dog = {"id": "d", "name": "dog", "box": [2, 4, 18, 25], "picture": min(1, len(names) - 1)}
        step = {
            "id": "s1", "question": "Where is the dog?", "answer": "left", "function": "spatial_perception",
            "choices": ["left", "right"], "objects": ["d"],
        }  # fmt: skip
        lines.append(
            {
                **files[0], "id": f"c{i}", "more": files[1:], "question": f"Is the dog the same ({i})?",
                "answer": "yes", "choices": ["yes", "no"], "named": ["d"], "objects": [dog], "steps": [step],
            }
        )  # fmt: skip
    (made / "cases.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return made


@pytest.fixture
def one_picture_folder(tiny_llava_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint whose template writes nothing but the first picture."""
    folder = tmp_path / "one-picture"
    shutil.copytree(tiny_llava_folder, folder)
    file = folder / "chat_template.jinja"
    text = file.read_text("utf-8").replace(
        "{% if c['type'] == 'image' %}", "{% if c['type'] == 'image' and loop.first %}"
    )
    file.write_text(text.replace("{% else %}", "{% elif c['type'] == 'text' %}"), "utf-8")
    return folder


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_every_case_is_asked_with_all_of_its_pictures(
    family: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    cases = load_cases(folder)
    rows = answer_all(vlm, cases, Loading(batch_size=4))
    for row, case in zip(rows, cases, strict=True):
        alone = vlm.answer(cases.images(case), case.question, choices=case.choices)
        assert row["text"] == alone.text
        assert row["margin"] == pytest.approx(alone.logprobs["yes"] - alone.logprobs["no"], abs=1e-4)
    first = vlm.answer(cases.picture("c0", 0), cases[0].question, choices=cases[0].choices)
    assert rows[0]["margin"] != pytest.approx(first.logprobs["yes"] - first.logprobs["no"], abs=1e-5)


def test_the_command_evaluates_a_folder_with_cases_of_several_pictures(
    tiny_llava_folder: Path, folder: Path
) -> None:
    out = folder / "evaluation.json"
    told = ["evaluate", "--data", str(folder), "--model", str(tiny_llava_folder), "--out", str(out)]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert [r["case"] for r in json.loads(out.read_text())["rows"]] == ["c0", "c1", "c2", "c3"]


def test_a_model_of_one_picture_refuses_them_by_case_and_model(
    one_picture_folder: Path, folder: Path, tmp_path: Path
) -> None:
    message = (
        r"one-picture: cannot be asked about case 'c0', which has 2 pictures \(2 such cases\): .* writes 1"
    )
    with pytest.raises(ModelError, match=message):
        evaluate(str(one_picture_folder), folder)
    vlm = Loading().load(one_picture_folder)
    cases = load_cases(folder)
    with pytest.raises(ModelError, match=message):
        capture(vlm, cases, dict.fromkeys(cases.by_id, "fit"), tmp_path / "capture")
    assert not (tmp_path / "capture").exists()
    single = cases.subset(["c1", "c3"])
    assert len(answer_all(vlm, single, Loading())) == 2


def test_pointing_marks_the_picture_that_the_box_lies_in_and_no_other(
    folder: Path, tiny_llava_folder: Path
) -> None:
    cases = load_cases(folder)
    pointers = _pointing(cases, Intervention("wake", "both"))
    before, after = cases.images("c2"), pointers["c2"](cases.images("c2"))
    assert [a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert after[1].tobytes() == point("both", before[1], [(2, 4, 18, 25)]).image.tobytes()
    found = evaluate(str(tiny_llava_folder), folder, Intervention("wake", "both"))
    assert found.intervention is not None
    assert found.intervention.touched == 4


def test_boxes_and_stand_ins_say_which_picture(folder: Path) -> None:
    text = (folder / "cases.jsonl").read_text().splitlines()
    raw = json.loads(text[0])
    raw["objects"].append({"id": "e", "name": "cat", "picture": 1})
    raw |= {"named": ["d", "e"], "question": "Is the dog left of the cat?"}
    (folder / "cases.jsonl").write_text(json.dumps(raw))
    (case,) = load_cases(folder)
    target = CaseBoxes().target(case, case.main_step())
    assert target.pictures == (1, 1)
    assert target.within(0) == ()
    dog, cat = target.within(1)
    assert dog == (2, 4, 18, 25)
    assert 0 <= cat[0] < cat[2] <= SIZES["b"][0]
    assert 0 <= cat[1] < cat[3] <= SIZES["b"][1]
    single = load_cases(folder)[0].model_copy(update={"more": ()})
    single = single.model_copy(
        update={"objects": tuple(o.model_copy(update={"picture": 0}) for o in single.objects)}
    )
    alone = CaseBoxes().target(single, single.main_step())
    assert (alone.pictures, alone.within(0)) == ((), alone.boxes)


def test_capture_keeps_what_heads_put_out_over_all_pictures(tiny: VLM, folder: Path, tmp_path: Path) -> None:
    cases = load_cases(folder)
    settings: dict[str, Any] = {"contexts": ("gold", "alone"), "batch_size": 3, "max_new_tokens": 2}
    capture(tiny, cases, dict.fromkeys(cases.by_id, "fit"), tmp_path / "capture", **settings)
    kept = open_activations(tmp_path / "capture")
    for row in (r for r in open_answers(tmp_path / "capture") if r["context"] == "alone"):
        case = cases.by_id[row["case"]]
        read = hs.read(tiny, cases.shown(case), row["question"], max_new_tokens=2)
        assert row["text"] == read.text
        z = kept.prompt_last.sel(item=row["item"]).values
        np.testing.assert_allclose(z, read.z.values, atol=1e-4)


def test_the_scan_mutes_heads_over_all_pictures(tiny: VLM, folder: Path, tmp_path: Path) -> None:
    cases = load_cases(folder)
    splits = dict.fromkeys(cases.by_id, "select")
    heads = (hs.Head(0, 1), hs.Head(2, 2))
    context = ExperimentContext(tiny, cases, splits, tmp_path, batch_size=4)
    found = scan_heads(context, ScanSettings(max_items=4), heads=(hs.Head(0, 1), hs.Head(2, 2)))
    drops = []
    for case in cases:
        (step,) = case.steps
        read = lambda: hs.read(tiny, cases.shown(case), step.question, step.choices).logprobs  # noqa: B023, E731
        clean, muted = read(), []
        for head in heads:
            with hs.edit(tiny, [head], hs.mute()):
                muted.append(read())
        drops.append([(clean["left"] - clean["right"]) - (m["left"] - m["right"]) for m in muted])
    np.testing.assert_allclose(found.functions["spatial_perception"].drop, np.mean(drops, axis=0), atol=1e-4)


def test_batches_hold_cases_of_equal_numbers_of_pictures(folder: Path) -> None:
    items = make_items(load_cases(folder), DEFAULT, ("alone",))
    for batch in plan_batches(items, 3):
        assert len({len(i.case.pictures) for i in batch}) == 1
    several = [i for i in items if i.case.more]
    shown = blank_picture(several[0])
    assert isinstance(shown, list)
    assert [p.size for p in shown] == [(p.width, p.height) for p in several[0].case.pictures]


def test_stages_made_for_one_picture_refuse_the_case_by_name(folder: Path) -> None:
    cases = load_cases(folder)
    splits = dict.fromkeys(cases.by_id, "test")
    with pytest.raises(DataError, match=r"case 'c0' has 2 pictures \(2 such cases\)"):
        questions_of(cases, splits, "test", DEFAULT, CaseBoxes(), WakeSettings())
