"""CLEVR and Super-CLEVR: questions about rendered scenes, with scene graphs and (CLEVR) functional
programs.

Formats: https://github.com/facebookresearch/clevr-dataset-gen and cs.stanford.edu/people/jcjohns/clevr
(questions, scenes), https://github.com/Lizw14/Super-CLEVR (read from real files: ``pixel_coords`` is [[x,
y, depth], [width, height]], the sample questions have no ``program``). A scene holds centres, not boxes;
none are made up. Split ``scenes`` imports the scenes themselves, each a case that counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from headscope.benchmarks.importing.files import array, rows_of
from headscope.benchmarks.importing.programs import (
    Node,
    Phrase,
    Scene,
    UnknownFunction,
    execute,
    noun_of,
    scene_of,
)
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow, derived_step
from headscope.data.fields import Cell, ForeignRecord, RecordError, take, text_of
from headscope.data.jsonstream import Decoder
from headscope.data.pictures import show
from headscope.data.schema import Step
from headscope.errors import DataError

YES_NO = ("yes", "no")
COUNTS = tuple(str(n) for n in range(11))
_NO_BOX = "boxes: scenes hold centres, not boxes"
_ABOUT = {"color": "colour", "size": "size", "shape": "shape", "material": "material"}


def rows(place: ImportPlace) -> Iterator[SourceRow]:
    """Questions, each with its scene; or the scenes alone."""
    if place.split == "scenes" or place.files[0].parent.name == "scenes":
        for path in place.files:
            yield from _scene_rows(path)
        return
    scenes = _scenes(place.root, place.split)
    for row in rows_of(place):
        name = row.value.get("image_filename")
        scene = scenes.get(name) if isinstance(name, str) else None
        yield row._replace(
            value={"question": row.value, "scene": scene} if scene else {"question": row.value}
        )


def _scene_rows(path: Path) -> Iterator[SourceRow]:
    """A file of all scenes (CLEVR) or of one (Super-CLEVR)."""
    if path.parent.name == "scenes" and not path.name.startswith("CLEVR_"):
        try:
            value, odd = Decoder().loads(path.read_text("utf-8"))
        except UnicodeDecodeError as exc:
            raise DataError(f"{path}: asked for a scene, found bytes that are not UTF-8") from exc
        whole: ForeignRecord = {"scene": value} if isinstance(value, dict) else {}
        fault = odd if whole or odd else RecordError("scene", "wrong value", show(value), "an object").finding
        yield SourceRow(str(path), 1, whole, "", fault)
    else:
        yield from (row._replace(value={"scene": row.value}) for row in array(path, "scenes"))


def _scenes(root: Path, split: str) -> dict[str, ForeignRecord]:
    """Scenes by the file name of their picture."""
    folder = next((f for f in (root / "scenes", root.parent / "scenes") if f.is_dir()), None)
    found: dict[str, ForeignRecord] = {}
    for path in sorted(folder.glob(f"*{split}*.json" if split else "*.json")) if folder else ():
        for row in _scene_rows(path):
            scene = row.value.get("scene")
            if row.fault is None and isinstance(scene, dict) and isinstance(scene.get("image_filename"), str):
                found[scene["image_filename"]] = scene
    return found


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """A question with the steps of its program; or a scene with counts."""
    scene = row.value.get("scene")
    if "question" not in row.value:
        return _of_scene(take(row.value, "scene", dict), row)
    record = take(row.value, "question", dict)
    image = text_of(record, "image_filename")
    answer = _answer(record)
    left = [_NO_BOX]
    steps: tuple[Step, ...] = ()
    if not isinstance(record.get("program"), list) or not record["program"]:
        left.append("steps: the question has no program")
    elif scene is None:
        left.append("steps: the program's scene is not there")
    else:
        steps, why = _steps(record["program"], scene_of(take(row.value, "scene", dict)), answer)
        left += why
    number = record.get("question_index", row.line)
    return CaseDraft(
        id=f"{place.source.name}-{image.rsplit('.', 1)[0]}-{number}",
        question=text_of(record, "question"),
        answer=answer,
        choices=YES_NO if answer in YES_NO else COUNTS if answer in COUNTS else (),
        kind=str(record.get("template_filename") or record.get("question_family_index", "")).removesuffix(
            ".json"
        ),
        picture=image,
        steps=steps,
        original=row.value,
        derived=("steps: from the program, run on the scene",) if steps else (),
        left_out=tuple(left),
    )


def _steps(program: list[Cell], graph: Scene, answer: str) -> tuple[tuple[Step, ...], list[str]]:
    """The program's steps, and what had to be left out."""
    try:
        nodes = execute(program, graph)
    except UnknownFunction:
        return (), ["steps: the program has functions that CLEVR does not have"]
    found = _said(nodes[-1].value)
    if found != answer:
        raise RecordError("answer", "not what the program finds", show(answer), show(found))
    return program_steps(nodes), []


def _answer(record: ForeignRecord) -> str:
    value = record.get("answer")
    return _said(value) if isinstance(value, bool) else text_of(record, "answer")


def _said(value: object) -> str:
    return YES_NO[not value] if isinstance(value, bool) else str(value)


def program_steps(nodes: list[Node]) -> tuple[Step, ...]:
    """A step for every node that finds something out, but the last (the main question itself)."""
    steps: list[Step] = []
    place: dict[int, tuple[str, ...]] = {}  # node -> the steps that it rests on
    for i, node in enumerate(nodes):
        before = tuple(dict.fromkeys(s for k in node.inputs for s in place[k]))
        asked = _ask(node, nodes) if i < len(nodes) - 1 else None
        if asked is None or any(s.question == asked[0] for s in steps):
            same = next((s.id for s in steps if asked and s.question == asked[0]), None)
            place[i] = (same,) if same else before
            continue
        question, answer, choices, function, wording = asked
        more = {"choices": choices, "depends_on": before}
        step = derived_step(len(steps) + 1, question, answer, function, wording=wording, **more)
        steps.append(step)
        place[i] = (step.id,)
    return tuple(steps)


def _ask(node: Node, nodes: list[Node]) -> tuple[str, str, tuple[str, ...], str, str] | None:
    """(question, answer, choices, function, wording) of a node, where it is worth a step."""
    name, _, tail = node.function.partition("_")
    if node.function in ("relate", "union", "intersect") or name == "same":
        function = {"relate": "relational_reasoning", "same": "attribute_perception"}.get(name, "counting")
        count = len(node.value)
        return f"How many {node.words.many} are there?", str(count), _counts(count), function, f"{name}/0"
    if node.function == "unique":
        return f"Is there a {node.words.one}?", "yes", YES_NO, "object_recognition", "present/0"
    if node.function == "count":
        return (
            f"How many {node.words.many} are there?",
            str(node.value),
            _counts(node.value),
            "counting",
            "count/1",
        )
    if node.function == "exist":
        return f"Is there a {node.words.one}?", _said(node.value), YES_NO, "object_recognition", "present/0"
    if name == "query":
        question = f"What is the {_ABOUT[tail]} of the {node.words.one}?"
        return question, node.value, (), "attribute_perception", "query/0"
    return None


def _counts(count: int) -> tuple[str, ...]:
    return COUNTS if count < len(COUNTS) else ()


def _of_scene(scene: ForeignRecord, row: SourceRow) -> CaseDraft:
    graph: Scene = scene_of(scene)
    image = text_of(scene, "image_filename", "scene.")
    if not graph.things:
        raise RecordError("scene.objects", "nothing to ask about", "no objects", "a thing")
    steps: list[Step] = []
    for key in ("shape", "color", "material"):
        for value, count in sorted(Counter(t[key] for t in graph.things).items()):
            words = Phrase(noun=noun_of(value)) if key == "shape" else Phrase((value,))
            question = f"How many {words.many} are there?"
            choices, number = _counts(count), len(steps) + 1
            steps.append(
                derived_step(number, question, str(count), "counting", choices=choices, wording="count/1")
            )
    total = len(graph.things)
    return CaseDraft(
        id=f"scene-{image.rsplit('.', 1)[0]}",
        question="How many things are in the picture?",
        answer=str(total),
        choices=_counts(total),
        kind="scene",
        picture=image,
        steps=tuple(steps),
        original=row.value,
        derived=("question and steps: counts from the scene graph",),
        left_out=(_NO_BOX,),
    )


def _source(name: str, title: str, licence: str, size: str, files: tuple[str, ...], get: str) -> Source:
    return Source(
        name=name,
        title=title,
        licence=licence,
        size=size,
        fields=(
            "questions (question, answer, program, image_filename), scenes (objects, relationships, "
            "directions)"
        ),
        boxes="none (centres only)",
        steps="from functional programs, run on the scene graph",
        scored="accuracy, by question family",
        get=get,
        splits=("train", "val", "scenes") if name == "clevr" else ("scenes",),
        files=files,
        layout="member:questions",
        many=True,
        pictures=("images/{split}", "images"),
        rows=rows,
        build=build,
    )


SOURCES = (
    _source(
        "clevr",
        "CLEVR",
        "CC-BY-4.0",
        "70,000 / 15,000 scenes with 699,989 / 149,991 questions (train / val)",
        ("questions/CLEVR_{split}_questions.json", "*questions*.json", "{split}/*.json"),
        "get CLEVR_v1.0.zip from cs.stanford.edu/people/jcjohns/clevr and unpack it",
    ),
    _source(
        "super_clevr",
        "Super-CLEVR",
        "CC-BY-4.0 (code BSD)",
        "30,000 scenes with about 10 questions each",
        ("*questions*.json", "{split}/*.json"),
        "get the scenes, questions and images that github.com/Lizw14/Super-CLEVR links to",
    ),
)
