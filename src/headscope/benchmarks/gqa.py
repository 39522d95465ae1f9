"""GQA: questions about photographs, with semantic programs and scene graphs.

Format: https://cs.stanford.edu/people/dorarad/gqa/download.html. Questions: an object of id -> {question,
answer, imageId, semantic: [{operation, argument, dependencies}], annotations: {question, answer,
fullAnswer: {word: object id}}, types}. Scene graphs: an object of image id -> {width, height, objects: {id:
{name, x, y, w, h, attributes, relations: [{name, object}]}}}. Written from the published description; no
file of it was at hand to check. A program argument names its object: ``dog (123)``; ``(-)`` means that
there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headscope.benchmarks.importing.files import mapping, rows_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow, derived_step
from headscope.data.fields import ForeignRecord, RecordError, box_from_xywh, size_of, take, text_of
from headscope.data.pictures import show
from headscope.data.schema import Object, Step

YES_NO = ("yes", "no")
_ARGUMENT = re.compile(r"^(?P<text>.*?)\s*\((?P<id>[\d,]+|-|scene)\)$")
_PLACES = ("hposition", "vposition")


def rows(place: ImportPlace) -> Iterator[SourceRow]:
    """Questions, each with the scene graph of its photograph where that is there."""
    graphs: dict[str, ForeignRecord] = {}
    for folder in (place.root / "sceneGraphs", place.root):
        for path in sorted(folder.glob("*sceneGraphs*.json")):
            graphs |= {str(r.value["_key"]): r.value for r in mapping(path) if r.value and r.fault is None}
    for row in rows_of(place):
        image = row.value.get("imageId")
        graph = graphs.get(image) if isinstance(image, str) else None
        yield row._replace(
            value={"question": row.value, "scene": graph} if graph else {"question": row.value}
        )


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question; its program as steps, its scene graph as things with boxes."""
    record, scene = take(row.value, "question", dict), row.value.get("scene")
    answer = text_of(record, "answer")
    image = text_of(record, "imageId")
    objects: tuple[Object, ...] = ()
    left: list[str] = []
    derived: list[str] = []
    size = None
    if scene is None:
        left.append("boxes: no scene graph of the photograph")
    else:
        size = size_of(scene, "scene.")
        objects, notes = _objects(take(scene, "objects", dict, "scene."), size)
        derived += ["objects: boxes from the scene graph", *(n for n in notes if "cut" in n)]
        left += [n for n in notes if "cut" not in n]
    steps, skipped = _steps(record, {o.id: o for o in objects})
    left += skipped
    if steps:
        derived.append("steps: from the program")
    return CaseDraft(
        id=f"gqa-{text_of(record, '_key')}",
        question=text_of(record, "question"),
        answer=answer,
        choices=YES_NO if answer in YES_NO else (),
        kind=_kind(record),
        picture=f"{image}.jpg",
        size=size,
        objects=objects,
        named=_named(record, {o.id for o in objects}),
        steps=steps,
        original=row.value,
        derived=tuple(derived),
        left_out=tuple(left),
    )


def _kind(record: ForeignRecord) -> str:
    types = record.get("types")
    parts = [types.get(k) for k in ("structural", "semantic")] if isinstance(types, dict) else []
    return "/".join(p for p in parts if isinstance(p, str))


def _named(record: ForeignRecord, known: set[str]) -> tuple[str, ...]:
    """The things that the question's words stand for."""
    notes = record.get("annotations")
    words = notes.get("question") if isinstance(notes, dict) else None
    found = [v for v in words.values() if isinstance(v, str)] if isinstance(words, dict) else []
    return tuple(dict.fromkeys(i for i in found if i in known))


def _objects(raw: ForeignRecord, size: tuple[int, int]) -> tuple[tuple[Object, ...], set[str]]:
    found, notes = [], set()
    for key, thing in raw.items():
        at = f"scene.objects[{show(key)}]."
        corner = [take(thing, k, float, at) for k in ("x", "y", "w", "h")]
        name = text_of(thing, "name", at)
        try:
            box, cut = box_from_xywh(corner, f"{at}box", size)
        except RecordError:
            notes.add("boxes: of things that lie outside the photograph, or have no area")
            continue
        if cut:
            notes.add("objects: box cut at the picture's edge")
        some = isinstance(thing, dict) and thing.get("attributes")
        given = take(thing, "attributes", list, at) if some else []
        words = [a for a in given if isinstance(a, str)]
        attributes = {f"attribute {i}": a for i, a in enumerate(words, 1)}
        found.append(Object(id=key, name=name, box=box, attributes=attributes))
    return tuple(found), notes


def _steps(record: ForeignRecord, known: dict[str, Object]) -> tuple[tuple[Step, ...], list[str]]:
    program = record.get("semantic")
    if not isinstance(program, list) or not program:
        return (), ["steps: the question has no program"]
    steps: list[Step] = []
    names: list[str] = []  # what each node is called
    rests: list[tuple[str, ...]] = []
    skipped: set[str] = set()
    for i, node in enumerate(program):
        at = f"semantic[{i}]."
        operation, argument = text_of(node, "operation", at), take(node, "argument", str, at)
        inputs = take(node, "dependencies", list, at)
        if not all(type(k) is int and 0 <= k < i for k in inputs):
            raise RecordError(f"{at}dependencies", "no such node", show(inputs), "numbers of earlier nodes")
        before = tuple(dict.fromkeys(s for k in inputs for s in rests[k]))
        subject = names[inputs[0]] if inputs else ""
        asked, name = _ask(operation, argument, subject, known)
        names.append(name)
        if asked is None or i == len(program) - 1:
            if asked is None and i < len(program) - 1 and argument != "scene":
                skipped.add(f"steps: of {operation.split()[0]}, whose answer the record does not hold")
            rests.append(before)
            continue
        step = asked.model_copy(update={"id": f"s{len(steps) + 1}", "depends_on": before})
        steps.append(step)
        rests.append((step.id,))
    return tuple(steps), sorted(skipped)


def _ask(operation: str, argument: str, subject: str, known: dict[str, Object]) -> tuple[Step | None, str]:
    """The step of a node, where its answer stands in the record; and what the node's thing is called."""
    found = _ARGUMENT.match(argument)
    text, ids = (found["text"], found["id"]) if found else (argument, "")
    about = tuple(i for i in dict.fromkeys(ids.split(",")) if i in known)
    kind = operation.split()[0]
    if kind == "select" and ids and ids != "scene":
        there = ids != "-"
        question = f"Is there anything in the picture that is called {text}?"
        return _step(
            question, YES_NO[not there], YES_NO, "object_recognition", about, "present/0"
        ), f"the {text}"
    if kind == "filter":
        place = operation.split()[-1] in _PLACES
        function = "spatial_perception" if place else "attribute_perception"
        if text.startswith("not("):
            return None, subject
        return _step(
            f"Is {subject} {text}?", "yes", YES_NO, function, about, "filter/0"
        ) if subject else None, subject
    if kind == "relate" and ids not in ("", "-") and text.count(",") >= 2:
        name, relation, role = text.rsplit(",", 2)
        thing = known.get(ids.split(",")[0])
        called = name if name != "_" else thing.name if thing else ""
        if called and subject:
            who = (
                f"What is {relation} {subject}?"
                if role == "s"
                else f"{subject.capitalize()} is {relation} what?"
            )
            return _step(who, called, (), "relational_reasoning", about, "relate/0"), f"the {called}"
        return None, f"the {called}" if called else "it"
    return None, subject or "it"


def _step(
    question: str, answer: str, choices: tuple[str, ...], function: str, about: tuple[str, ...], wording: str
) -> Step:
    return derived_step(0, question, answer, function, choices=choices, objects=about, wording=wording)


SOURCES = (
    Source(
        name="gqa",
        title="GQA",
        licence="CC-BY-4.0; photographs from Visual Genome",
        size="943,000 / 132,062 / 12,578 balanced questions (train / val / testdev)",
        fields=(
            "question, answer, imageId, semantic, annotations, types; scene graphs: objects (x, y, w, "
            "h), relations"
        ),
        boxes="from scene graphs (train and val)",
        steps="from semantic programs",
        scored="accuracy, by structural and semantic type",
        get="get questions, scene graphs and images from cs.stanford.edu/people/dorarad/gqa and unpack them",
        splits=("train_balanced", "val_balanced", "testdev_balanced", "train_all", "val_all"),
        files=("{split}_questions.json", "questions/{split}_questions.json", "*questions*.json"),
        layout="mapping",
        rows=rows,
        build=build,
    ),
)
