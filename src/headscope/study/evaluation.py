"""Evaluation of a model, plain and under an intervention, on the main questions of a folder of cases."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headscope.errors import DataError, StudyError
from headscope.storage import plain
from headscope.study.evaluation_result import (
    AnsweredRow,
    AnswerForm,
    EvaluatedData,
    EvaluatedModel,
    EvaluationResult,
    InterventionResult,
)

if TYPE_CHECKING:
    from PIL import Image

    from headscope.asking.answers import AnswerRow
    from headscope.asking.items import Item
    from headscope.data.cases import Cases
    from headscope.edits.edits import Edit
    from headscope.models.geometry import Head
    from headscope.models.placement import LoadOptions
    from headscope.models.vlm import VLM
    from headscope.pointing.boxes import CaseBoxes, Target

    Pointer = Callable[[list[Image.Image]], list[Image.Image]]


@dataclass(frozen=True)
class Intervention:
    """What is done to the model or to the picture.

    Attributes:
        kind: ``mute`` or ``bake`` (``what`` is a function of the study's taxonomy), ``wake`` (a style).
        heads: how many of the function's heads, strongest first by the study's atlas.
        factor: what a baked head's output is multiplied with.
    """

    kind: str
    what: str
    study: Path | None = None
    heads: int = 4
    factor: float = 1.5


@dataclass(frozen=True)
class Loading:
    """How the model is loaded and asked; ``options``: further ones of ``load_model``, in plain values."""

    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 32
    max_new_tokens: int = 16
    options: LoadOptions | None = None

    def load(self, model: str | Path) -> VLM:
        """The model, so loaded."""
        from headscope.study.record import load

        return load(str(model), self.device, self.dtype, self.options)


def evaluate(
    model: str,
    data: str | Path,
    intervention: Intervention | None = None,
    loading: Loading = Loading(),  # frozen
    *,
    limit: int | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> EvaluationResult:
    """Ask every main question alone, score by the source's own rule, and again under an intervention.

    A baked model is written to a temporary folder and loaded from there: what is scored is the checkpoint.

    Args:
        model: ``embedded``, a folder or a hub id.
        data: folder of cases.
        limit: the first so many cases only.

    Raises:
        DataError: no cases, or nothing to point at. StudyError: the study's atlas is missing or was made on
            another model. ModelError: the model cannot be loaded.
    """
    from headscope.asking.batches import refuse_untaken_pictures
    from headscope.asking.form import form_of, warnings_of
    from headscope.benchmarks.scores import difference, judged, score
    from headscope.data.cases import load_cases
    from headscope.data.splits import picture_groups

    cases = load_cases(data, taxonomy=None)
    if limit is not None:
        cases = cases[:limit]
    if not len(cases):
        raise DataError(f"{data}: no cases to evaluate on")
    vlm = loading.load(model)
    refuse_untaken_pictures(vlm, cases)
    images = picture_groups(cases)
    heads = _heads(intervention, vlm) if intervention and intervention.kind != "wake" else ()
    pictures = _pointing(cases, intervention) if intervention and intervention.kind == "wake" else {}
    announce(f"evaluate: {len(cases)} main questions, {len(set(images.values()))} pictures, {vlm.name}")
    said = answer_all(vlm, cases, loading)
    first, form = judged(_kept(said), cases.by_id), form_of(said)
    for warning in warnings_of(form):
        announce(f"evaluate: {warning}")
    intervened = None
    if intervention is not None:
        announce(f"evaluate: again with {describe(intervention)}")
        said = _changed(vlm, cases, intervention, heads, pictures, loading)
        changed = judged(_kept(said), cases.by_id)
        touched = set(pictures)
        intervened = InterventionResult(
            kind=intervention.kind,
            what=intervention.what,
            study=None if intervention.study is None else str(intervention.study),
            heads=intervention.heads,
            factor=intervention.factor,
            chosen=tuple(str(h) for h in heads),
            touched=len(touched) if intervention.kind == "wake" else len(cases),
            scores=score(changed, cases.by_id, images),
            difference=difference(first, changed, images),
            difference_touched=difference(first, changed, images, touched) if touched else None,
            rows=tuple(changed),
        )
    return EvaluationResult(
        model=EvaluatedModel(name=vlm.name, revision=vlm.revision),
        data=EvaluatedData(path=str(data), fingerprint=cases.fingerprint, cases=len(cases)),
        loading=plain(vars(loading)),
        plain=score(first, cases.by_id, images),
        form=None if form is None else AnswerForm(**vars(form)),
        intervention=intervened,
        rows=tuple(first),
    )


def describe(intervention: Intervention) -> str:
    """In words, for people."""
    if intervention.kind == "wake":
        return f"pictures that point at the named objects ({intervention.what})"
    action = "muted" if intervention.kind == "mute" else f"times {intervention.factor:g}, baked in"
    return f"the {intervention.heads} strongest heads of {intervention.what} {action}"


def answer_all(
    vlm: VLM,
    cases: Cases,
    loading: Loading,
    edit: Edit | None = None,
    pictures: Mapping[str, Pointer] | None = None,
) -> list[AnswerRow]:
    """Answer rows of all main questions, each asked alone, in the order of the cases.

    Args:
        edit: held on the model meanwhile.
        pictures: case id -> function that gives other pictures, where there are any.
    """
    from headscope.asking.ask import ask
    from headscope.asking.batches import encode_batch, plan_batches
    from headscope.asking.items import make_items
    from headscope.functions import DEFAULT
    from headscope.progress import track

    items = make_items(cases, DEFAULT, (), ("alone",))
    other = pictures or {}

    def show(item: Item) -> Image.Image | list[Image.Image]:
        if item.case.id not in other:
            return cases.shown(item.case)
        made = other[item.case.id](cases.images(item.case))
        return made if item.case.more else made[0]

    rows: dict[str, AnswerRow] = {}
    batches = plan_batches(items, loading.batch_size)
    for batch in track(batches, "evaluate", unit="batches"):
        encoded = encode_batch(vlm, batch, show)
        found = ask(vlm, encoded, batch, edit=edit, max_new_tokens=loading.max_new_tokens)
        rows |= {row["case"]: row for row in found.rows}
    return [rows[case.id] for case in cases]


def _changed(
    vlm: VLM,
    cases: Cases,
    intervention: Intervention,
    heads: tuple[Head, ...],
    pictures: Mapping[str, Pointer],
    loading: Loading,
) -> list[AnswerRow]:
    from headscope.edits.baking import bake
    from headscope.edits.edits import Edit, mute

    if intervention.kind == "mute":
        return answer_all(vlm, cases, loading, edit=Edit(heads, mute()))
    if intervention.kind == "wake":
        return answer_all(vlm, cases, loading, pictures=pictures)
    with tempfile.TemporaryDirectory(prefix="headscope-baked-") as folder:
        written = bake(vlm, heads, intervention.factor, Path(folder) / "model")
        return answer_all(loading.load(written), cases, loading)


def _heads(intervention: Intervention, vlm: VLM) -> tuple[Head, ...]:
    """The heads that the study's atlas names, on this very model."""
    from headscope.models.embedded import atlas_file
    from headscope.probing.atlas import Atlas

    study = intervention.study
    path = atlas_file() if study is None else study / "probe" / "atlas.json"
    if not path.exists():
        raise StudyError(f"{path}: no atlas there; run `headscope probe --study ...` first")
    atlas = Atlas.load(path)
    if atlas.provenance.revision != vlm.revision:
        raise StudyError(
            f"{path}: made on model revision {atlas.provenance.revision}, this one is {vlm.revision}; say "
            "the --study that was run on this model"
        )
    return tuple(atlas.top(intervention.what, intervention.heads))


def _pointing(cases: Cases, intervention: Intervention) -> dict[str, Pointer]:
    """Case id -> a function that points in its pictures, each box in the picture that it lies in.

    A picture without a box stays as it is; cases with nothing to point at are left out.
    """
    from headscope.pointing.boxes import CaseBoxes
    from headscope.pointing.styles import point

    source = CaseBoxes()
    found = dict(_pointable(cases, source))
    if not found:
        raise DataError(
            f"--wake {intervention.what}: no case has boxes of what its main question names, so there is "
            "nothing to point at"
        )

    def pointer(target: Target) -> Pointer:
        def pointed(number: int, image: Image.Image) -> Image.Image:
            boxes = target.within(number)
            return point(intervention.what, image, boxes).image if boxes else image

        return lambda images: [pointed(n, image) for n, image in enumerate(images)]

    return {case_id: pointer(target) for case_id, target in found.items()}


def _pointable(cases: Cases, source: CaseBoxes) -> Iterator[tuple[str, Target]]:
    for case in cases:
        target = source.target(case, case.main_step())
        if target.boxes:
            yield case.id, target


def _kept(rows: list[AnswerRow]) -> list[AnsweredRow]:
    names = AnsweredRow.model_fields
    return [AnsweredRow.model_validate({k: v for k, v in row.items() if k in names}) for row in rows]
