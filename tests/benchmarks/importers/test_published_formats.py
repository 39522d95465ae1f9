"""Every source in the form in which it is published: the case it becomes, whole and without loss."""

from __future__ import annotations

import random
from copy import deepcopy
from pathlib import Path

import published as p
import pytest

from headscope.benchmarks import registry, sphere
from headscope.benchmarks.importing.import_report import ImportReport
from headscope.benchmarks.registry import import_cases, sources
from headscope.data.cases import Cases, load_cases
from headscope.data.hub import from_dataset, to_dataset
from headscope.data.schema import Case
from headscope.data.validation import validate
from headscope.errors import DataError


def imported(name: str, tmp_path: Path) -> tuple[ImportReport, Cases]:
    columns = p.COLUMNS if name == "table" else None
    report = import_cases(
        name,
        tmp_path / "out",
        place=p.folder(tmp_path / "in", name),
        split=p.SPLIT.get(name, ""),
        columns=columns,
    )
    return report, load_cases(tmp_path / "out")


def only(name: str, tmp_path: Path) -> Case:
    report, cases = imported(name, tmp_path)
    assert (report.rows, report.cases, report.refused) == (1, 1, 0)
    return cases[0]


@pytest.mark.parametrize("name", p.NAMES)
def test_every_source_gives_valid_cases_that_go_through_a_dataset_unchanged(
    name: str, tmp_path: Path
) -> None:
    report, cases = imported(name, tmp_path)
    assert report.rows == report.cases + report.refused + report.merged
    assert report.refused == 0
    assert validate(tmp_path / "out") == []
    back = from_dataset(to_dataset(cases), tmp_path / "back")
    assert back.cases == cases.cases
    assert back.fingerprint == cases.fingerprint


def test_every_source_of_the_issue_is_registered_and_described() -> None:
    known = sources()
    assert set(p.NAMES) == set(known)
    for source in known.values():
        for text in (source.licence, source.size, source.fields, source.boxes, source.scored, source.get):
            assert text.strip()


def test_vsr_statements_keep_their_votes_as_they_stand(tmp_path: Path) -> None:
    case = only("vsr", tmp_path)
    assert case.question == "Is it true that the teddy bear is in front of the person?"
    assert (case.answer, case.choices, case.kind) == ("true", ("true", "false"), "in front of")
    assert case.source == "vsr/random/dev"
    assert case.original == p.VSR
    assert (case.objects, case.steps) == ((), ())


def test_nlvr_boxes_lie_in_their_panels(tmp_path: Path) -> None:
    case = only("nlvr", tmp_path)
    assert case.answer == "false"
    assert [(o.name, o.box) for o in case.objects] == [
        ("yellow square", (13, 80, 33, 100)),
        ("blue circle", (380, 1, 400, 31)),  # 300 + 80, cut at 400
    ]
    assert case.original == p.NLVR


def test_clevr_programs_become_steps_that_end_before_the_question(tmp_path: Path) -> None:
    case = only("clevr", tmp_path)
    assert [(s.question, s.answer, s.function, s.depends_on) for s in case.steps] == [
        ("Is there a small sphere?", "yes", "object_recognition", ()),
        ("How many things right of the small sphere are there?", "2", "relational_reasoning", ("s1",)),
    ]
    assert all(s.origin == "derived" for s in case.steps)
    assert case.original == {"question": p.CLEVR, "scene": p.SCENE}


def test_gqa_programs_and_scene_graphs_become_steps_and_boxes(tmp_path: Path) -> None:
    report, cases = imported("gqa", tmp_path)
    case = cases[0]
    assert {o.id: o.box for o in case.objects} == {"10": (30, 5, 50, 45), "11": (2, 20, 17, 48)}
    assert case.named == ("10",)
    assert [(s.question, s.answer, s.function, s.objects) for s in case.steps] == [
        ("Is there anything in the picture that is called man?", "yes", "object_recognition", ("10",)),
        ("Is the man red?", "yes", "attribute_perception", ("10",)),
        ("What is to the left of the man?", "dog", "relational_reasoning", ("11",)),
    ]
    assert case.steps[2].depends_on == ("s2",)
    assert any("no area" in what for what in report.left_out)
    assert case.original["scene"]["objects"]["12"]["w"] == 0  # type: ignore[index]


def test_coco_counts_leave_crowds_out_and_cut_boxes_at_the_edge(tmp_path: Path) -> None:
    case = only("coco", tmp_path)
    assert [(o.id, o.box) for o in case.objects] == [
        ("dog-1", (4.5, 6, 14.5, 18)),
        ("dog-2", (50, 6, 64, 18)),
    ]
    assert [(s.question, s.answer) for s in case.steps] == [
        ('How many things of the kind "dog" are there?', "2")
    ]
    assert case.answer == "dog"


def test_whatsup_captions_are_shown_in_an_order_that_gives_nothing_away(tmp_path: Path) -> None:
    report, cases = imported("whatsup", tmp_path)
    assert report.cases == 4
    for case, record in zip(cases, p.whatsup_a(), strict=True):
        assert case.answer == record["caption_options"][0]
        assert sorted(case.choices) == sorted(record["caption_options"])
        assert case.original == record
    assert len({c.choices.index(c.answer) for c in cases}) > 1
    assert [c.kind for c in cases] == ["left", "right", "on", "under"]


def test_whatsup_pairs_of_captions_name_their_coco_photograph(tmp_path: Path) -> None:
    p.put(tmp_path / "in/coco_qa_two_obj.json", p.WHATSUP_COCO)
    p.put(tmp_path / "in/val2017/000000397133.jpg", p.jpeg())
    report = import_cases("whatsup", tmp_path / "out", place=tmp_path / "in", split="coco_two")
    case = load_cases(tmp_path / "out")[0]
    assert report.cases == 1
    assert case.image == "images/val2017/000000397133.jpg"
    assert case.answer == "A photo of a bench to the left of a dog"
    assert case.original == {"row": p.WHATSUP_COCO[0]}


def test_spatialeval_options_are_read_from_the_text(tmp_path: Path) -> None:
    case = only("spatialeval", tmp_path)
    assert case.choices == ("Northeast", "Northwest", "Southwest", "Southeast")
    assert (case.answer, case.kind) == ("Northeast", "spatialmap")


def test_3dsrbench_pictures_come_out_of_base64_byte_for_byte(tmp_path: Path) -> None:
    case = only("3dsrbench", tmp_path)
    assert (tmp_path / "out" / case.image).read_bytes() == p.jpeg()
    assert (case.answer, case.choices, case.kind) == (
        "red hat",
        ("baseball glove", "red hat"),
        "height_higher",
    )
    assert case.original is not None
    assert case.original["qid"] == "VIN6MS3J"
    assert "Choose one: baseball glove; red hat." in case.question


def test_spatial457_takes_its_level_from_the_file(tmp_path: Path) -> None:
    case = only("spatial457", tmp_path)
    assert (case.answer, case.choices, case.kind) == ("True", ("True", "False"), "L3_2d_spatial")


def test_cvbench_letters_become_the_option(tmp_path: Path) -> None:
    case = only("cvbench", tmp_path)
    assert (case.answer, case.kind) == ("1", "2D/Count")
    assert case.original == p.CVBENCH


def test_blink_rows_keep_all_their_pictures(tmp_path: Path) -> None:
    two = p.BLINK | {"idx": "val_Jigsaw_1", "image_2": {"bytes": p.jpeg(), "path": None}}
    p._parquet(tmp_path / "in/val-0.parquet", [p.BLINK, two])
    report = import_cases("blink", tmp_path / "out", place=tmp_path / "in")
    assert (report.rows, report.cases, report.refused, report.several_pictures) == (2, 2, 0, 1)
    cases = load_cases(tmp_path / "out")
    assert [len(c.pictures) for c in cases] == [1, 2]
    assert cases[0].answer == "yes"
    assert cases[1].original is not None
    assert cases[1].original["image_2"] == {"picture": "the file beside the case"}
    assert validate(tmp_path / "out") == []


def test_viewspatial_keeps_letters_in_the_question_and_words_in_the_answer(tmp_path: Path) -> None:
    case = only("viewspatial", tmp_path)
    assert case.answer == "front-up"
    assert case.question.endswith("refrigerator?\nA. right\nB. front-up\nC. back-left\nD. front")
    own = registry.rule("viewspatial")
    said = {"B": True, "front-up": False, "It is A\n(b)": True, "front\nno idea": False}
    assert {t: own.judge(case, t) for t in said} == said


def test_omnispatial_reads_the_letter_behind_answer_else_a(tmp_path: Path) -> None:
    case = only("omnispatial", tmp_path)
    assert (case.answer, case.image) == ("right", "images/Dynamic_Reasoning/7.png")
    table = registry.rule("omnispatial")([case], {case.id: "A would be left.\nAnswer: B"})
    assert table[0].value == 1.0
    assert [r.group for r in table] == ["all", "task: Dynamic_Reasoning", "sub-task: Motion_Analysis", "all"]


def test_robospatial_points_have_to_lie_in_the_polygon(tmp_path: Path) -> None:
    _, cases = imported("robospatial", tmp_path)
    yes, point = cases
    assert (yes.answer, yes.choices) == ("yes", ("yes", "no"))
    assert point.objects[0].box == (16, 12, 48, 36)
    own = registry.rule("robospatial")
    assert [own.judge(yes, t) for t in ("Yes, it is", "no", "It is yes")] == [True, False, False]
    said = {"[(0.5, 0.5)]": True, "at [0.3,0.3]": True, "(0.9, 0.5)": False, "the table": False}
    assert {t: own.judge(point, t) for t in said} == said


def test_mindcube_and_mmsi_hold_all_pictures_and_read_options_from_the_question(tmp_path: Path) -> None:
    cube = only("mindcube", tmp_path / "cube")
    assert (cube.answer, cube.kind, len(cube.pictures)) == ("Blue door", "around", 2)
    mmsi = only("mmsi", tmp_path / "mmsi")
    assert (mmsi.answer, mmsi.choices, len(mmsi.pictures)) == ("Front", ("Left", "Right", "Front", "Back"), 2)
    assert mmsi.original is not None
    assert mmsi.original["images"] == [{"picture": "the file beside the case"}] * 2
    assert registry.rule("mmsi").judge(mmsi, "``C``")
    assert registry.rule("mindcube").judge(cube, "<answer>B. Blue door</answer>")


def test_vsibench_takes_frames_evenly_and_scores_numbers_by_how_near_they_are(tmp_path: Path) -> None:
    report, cases = imported("vsibench", tmp_path)
    assert report.several_pictures == 2
    names = [p.image.rpartition("/")[2] for p in cases[0].pictures]
    assert len(names) == 32
    assert (names[0], names[1], names[-1]) == ("000.jpg", "001.jpg", "039.jpg")
    table = registry.rule("vsibench")(list(cases), {cases[0].id: "3", cases[1].id: "B."})
    assert table[0].value == pytest.approx((0.6 + 1.0) / 2)
    assert cases[1].answer == "right"


def test_vsibench_without_frames_says_so(tmp_path: Path) -> None:
    p.put(tmp_path / "in/test.jsonl", p.VSIBENCH)
    report = import_cases("vsibench", tmp_path / "out", place=tmp_path / "in")
    assert report.without_picture == 2
    assert any("frames: none beside the rows" in what for what in report.left_out)


@pytest.mark.parametrize("name", ["where2place", "refspatial"])
def test_points_are_scored_by_the_mask_which_the_case_keeps(name: str, tmp_path: Path) -> None:
    case = only(name, tmp_path)
    assert case.objects[0].box == (32, 0, 64, 48)
    own = registry.rule(name)
    assert own([case], {case.id: "[(0.75, 0.5), (0.25, 0.5)]"})[0].value == 0.5
    assert own([case], {case.id: case.answer})[0].value == 1.0
    assert own([case], {case.id: "to the right"})[0].value == 0.0
    assert own([case], {case.id: "(1.0, 0.5)"})[0].value == 0.0


def test_spatialviz_finds_its_picture_by_its_fields(tmp_path: Path) -> None:
    case = only("spatialviz", tmp_path)
    assert (case.answer, case.kind) == ("the third", "MentalRotation/2DRotation")
    own = registry.rule("spatialviz")
    said = {
        "<think>A</think><answer>C</answer>": True,
        "C": True,
        "Answer: C, not B": False,
        "the third": False,
    }
    assert {t: own.judge(case, t) for t in said} == said


def test_embspatial_answers_are_counted_from_zero(tmp_path: Path) -> None:
    case = only("embspatial", tmp_path)
    assert case.answer == "The door is left of the stair."
    assert case.original is not None
    assert case.original["objects"] == p.EMBSPATIAL["objects"]
    assert case.original["image"] == {"picture": "the file beside the case"}


def test_sphere_leading_questions_become_steps(tmp_path: Path) -> None:
    report, cases = imported("sphere", tmp_path)
    assert (report.rows, report.cases, report.merged) == (4, 4, 0)
    hidden, *leading, counted = cases
    assert [c.kind for c in leading] == ["object_occlusion-intermediate"] * 2
    assert [c.question for c in leading] == [s.question for s in hidden.steps]
    assert [(s.question, s.answer, s.function) for s in hidden.steps] == [
        ("Which item is smaller? Ketchup bottle or salt shaker?", "salt shaker", "relational_reasoning"),
        ("Is the ketchup bottle transparent? No or yes?", "no", "attribute_perception"),
    ]
    assert report.guessed == {"functions of steps: from their skills": 1}
    assert (counted.question, counted.choices) == (
        "How many cups are there? Give the answer in number format.",
        (),
    )
    assert hidden.original == {"question": p.SPHERE[0], "leading": p.SPHERE[1:3]}


def test_sphere_questions_outside_reasoning_are_each_a_case(tmp_path: Path) -> None:
    """As in position_only.json: ``4`` beside ``4.a`` and ``4.b``, no skills; ``1.1`` leads nowhere there."""
    names = ("4", "4.a", "4.b", "5.a", "1.1", "6")
    asked = [p.sphere(n, f"Where is it ({n})?", ["Left", "right"], "left", [], "pos") for n in names]
    for one in asked:
        del one["metadata"]["skill"]
    p._pic(tmp_path / "in", "test2017/000000000183.jpg")
    p.put(tmp_path / "in/single_skill/position_only.json", asked)
    report = import_cases("sphere", tmp_path / "out", place=tmp_path / "in", split="single_skill")
    cases = load_cases(tmp_path / "out")
    assert (report.rows, report.cases, report.refused) == (6, 6, 0)
    assert {(c.kind, c.answer, c.steps) for c in cases} == {("position_only", "Left", ())}


def test_spheres_average_is_the_authors_over_final_questions(tmp_path: Path) -> None:
    """main_process_results.py, written out: twelve numbers, the two counting tasks as one."""
    draw, made, right = random.Random(0), [], {}
    common: dict = {"image": "a", "width": 1, "height": 1, "question": "?", "answer": "yes"}
    share: dict[str, float] = {}
    for group in sphere.GROUPS.values():
        for task in (t for names in group for t in names):
            count, hits = draw.randint(5, 30), 0
            for i in range(count):
                for name in (str(i), f"{i}.1"):
                    kind = f"{task}-intermediate" if "." in name and task.startswith("object") else task
                    made.append(Case(id=f"{task}-{name}", **common, kind=kind))
                    right[made[-1].id] = draw.random() < 0.6
                    hits += right[made[-1].id] and kind == task
            share[task] = hits / (count if task.startswith("object") else 2 * count)
    paired = "counting_only-paired-"
    counting = [share[f"{paired}{pair}_and_counting"] for pair in ("position", "distance")]
    single = [share["position_only"], sum(counting) / 2, share["distance_only"], share["size_only"]]
    double = [share[t] for t in ("position_and_counting", "distance_and_counting", "distance_and_size")]
    reasoning = [share["object_occlusion"], share["object_manipulation"]]
    numbers = [x for part in (single, double, reasoning) for x in (*part, sum(part) / len(part))]
    table = sphere.table(made, right)
    assert (table[0].score, table[0].value) == ("average", pytest.approx(sum(numbers) / 12))


def test_multihopspatial_boxes_the_answer_and_never_names_it(tmp_path: Path) -> None:
    case = only("multihopspatial", tmp_path)
    assert (
        case.question == "Which thing is left of the mug that is on the desk? "
        "Choose one: the pen; the lamp; the book; the cup."
    )
    assert case.answer == "the lamp"
    assert case.choices == ("the pen", "the lamp", "the book", "the cup")
    assert [(o.name, o.box) for o in case.objects] == [("the lamp", (10, 12, 30, 42))]
    assert case.named == ()


def test_any_table_goes_through_a_map_of_columns(tmp_path: Path) -> None:
    case = only("table", tmp_path)
    assert (case.question, case.answer, case.image) == ("Where is it?", "left", "images/a.png")


def test_cvbench_is_read_from_the_hubs_parquet_files_before_its_lines(tmp_path: Path) -> None:
    """Both lie in the hub's folder, by names in small letters; only the Parquet files hold the pictures."""
    row = p.CVBENCH | {"image": {"bytes": p.jpeg(), "path": None}}
    p._parquet(tmp_path / "in/test_2d.parquet", [row])
    p.put(tmp_path / "in/test_2d.jsonl", [p.CVBENCH])
    report = import_cases("cvbench", tmp_path / "out", place=tmp_path / "in", split="2D")
    assert (report.rows, report.cases, report.pictures) == (1, 1, 1)


def test_spatial457_is_read_from_the_second_versions_parquet_files(tmp_path: Path) -> None:
    row = p.SPATIAL457["questions"][0] | {"image": {"bytes": p.jpeg(), "path": None}, "answer": "False"}
    p._parquet(tmp_path / "in/L3_2D_spatial/validation-00000-of-00001.parquet", [row])
    report = import_cases("spatial457", tmp_path / "out", place=tmp_path / "in", split="L3_2D_spatial")
    case = load_cases(tmp_path / "out")[0]
    assert (report.rows, report.cases, report.pictures) == (1, 1, 1)
    assert (case.answer, case.choices, case.kind) == ("False", ("True", "False"), "L3_2d_spatial")


def test_spatial457_answers_may_be_true_and_false_of_json(tmp_path: Path) -> None:
    row = p.SPATIAL457["questions"][0] | {"answer": True}
    p.put(tmp_path / "in/questions/L1_single.json", {"questions": [row]})
    p._pic(tmp_path / "in", "images/superCLEVR_new_000001.png")
    import_cases("spatial457", tmp_path / "out", place=tmp_path / "in", split="L1_single")
    case = load_cases(tmp_path / "out")[0]
    assert (case.answer, case.choices, case.kind) == ("true", ("true", "false"), "L1_single")


def test_a_gqa_thing_whose_attributes_are_no_list_is_refused_and_stops_nothing(tmp_path: Path) -> None:
    scenes = deepcopy(p.GQA_SCENES)
    (scene,) = scenes.values()
    next(iter(scene["objects"].values()))["attributes"] = 5
    place = p.folder(tmp_path / "in", "gqa")
    p.put(place / "sceneGraphs/val_sceneGraphs.json", scenes)
    with pytest.raises(DataError, match="attributes: wrong value, found 5, expected a list"):
        import_cases("gqa", tmp_path / "out", place=place, split="val_balanced")


def test_gqa_programs_with_blank_and_untrimmed_arguments_are_read(tmp_path: Path) -> None:
    """The form of real programs: ``small `` with a blank, nothing for ``and``, objects by their ids."""
    (record,) = p.GQA.values()
    program = [
        {"operation": "select", "dependencies": [], "argument": "man (10)"},
        {"operation": "relate", "dependencies": [0], "argument": "dog,on the edge of,s (11)"},
        {"operation": "verify color", "dependencies": [1], "argument": "brown"},
        {"operation": "verify size", "dependencies": [1], "argument": "small "},
        {"operation": "and", "dependencies": [2, 3], "argument": ""},
    ]
    asked = record | {"semantic": program, "question": "Is the dog both brown and small?", "answer": "yes"}
    place = p.folder(tmp_path / "in", "gqa")
    p.put(place / "val_balanced_questions.json", {"1": asked})
    report = import_cases("gqa", tmp_path / "out", place=place, split="val_balanced")
    (case,) = load_cases(tmp_path / "out")
    assert [(s.question, s.answer) for s in case.steps] == [
        ("Is there anything in the picture that is called man?", "yes"),
        ("What is on the edge of the man?", "dog"),
    ]
    assert report.left_out["steps: of verify, whose answer the record does not hold"] == 1
    assert case.choices == ("yes", "no")


def test_a_benchmark_is_one_file_and_one_row() -> None:
    """Every module that describes a source is a row of the registry, and holds its reader and its rule."""
    folder = Path(registry.__file__).parent
    described = {f.stem for f in folder.glob("*.py") if "\nSOURCES = (" in f.read_text("utf-8")}
    assert described == set(registry.MODULES)
    for source in sources().values():
        assert source.build.__module__.startswith("headscope.benchmarks.")
        own = source.rule.tabulate.__module__
        assert own in (source.build.__module__, "headscope.benchmarks.rule")
