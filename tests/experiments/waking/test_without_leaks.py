"""A model that reads the box gains nothing in the headline; absent names; what muting leaves of the gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import headscope as hs
from headscope.asking.ask import is_right
from headscope.asking.items import Item
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking import measuring
from headscope.experiments.waking.experiment import wake
from headscope.experiments.waking.questions import WakeSettings, questions_of
from headscope.experiments.waking.wake_result import WakeResult
from headscope.experiments.waking.wrong_name import misnamed
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM
from headscope.pointing.boxes import CaseBoxes
from headscope.pointing.look import Look

WHITE = 255
FROZEN = {"spatial_perception": ("L1H0", "L1H2"), "counting": ("L0H0",)}
SETTINGS = WakeSettings(
    max_items=400, select_items=40, draws=100, attention=False, styles=("both",), wrong_names=60,
    mediation_draws=3, head_sets=10, main_contexts=("alone",), controls=("equal_area",),
)  # fmt: skip


def boxes_seen(image: Image.Image) -> list[tuple[int, int, int, int]]:
    """Every hollow white rectangle of a picture, from its pixels alone."""
    white = (np.array(image) == WHITE).all(axis=2)
    labels, _ = ndimage.label(white)
    found = []
    for rows, columns in ndimage.find_objects(labels):
        part = white[rows, columns]
        sides = (part[0], part[-1], part[:, 0], part[:, -1])
        if min(part.shape) > 8 and all(side.all() for side in sides):
            found.append((columns.start, rows.start, columns.stop, rows.stop))
    return found


def place_said(image: Image.Image) -> str:
    """The place of the only visible box, in one of nine words; without a single box, nothing of use."""
    seen = boxes_seen(image)
    if len(seen) != 1:
        return "nothing"
    (x0, y0, x1, y1), (width, height) = seen[0], image.size
    words = (
        ("top", "", "bottom")[int((y0 + y1) / 2 * 3 // height)],
        ("left", "", "right")[int((x0 + x1) / 2 * 3 // width)],
    )
    return " ".join(w for w in words if w) or "middle"


@dataclass(frozen=True)
class Seen:
    """What the double is shown, and which heads are muted meanwhile."""

    image: Image.Image
    variant: str
    muted: tuple[str, ...]


@dataclass
class Double:
    """Stands in for the model: answers by what it is shown and which of its heads are muted."""

    vlm: VLM
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    variants: dict[str, str] = field(default_factory=dict)
    edits: list[tuple[str, ...]] = field(default_factory=list)
    says: Any = None

    def show(self, variant: str, image: Image.Image, question: Any, look: Look, seed: int) -> Any:
        made = SHOW(variant, image, question, look, seed)
        if made is not None:
            self.pictures[question.item.id] = made.image
            self.variants[question.item.id] = variant
        return made

    def ask(self, vlm: VLM, encoded: Any, items: Sequence[Item], *, edit: Any = None, **_: Any) -> Any:
        heads = tuple(map(str, edit.heads)) if edit else ()
        self.edits += [heads] if heads and heads not in self.edits else []
        rows = [self.row(item, heads) for item in items]
        z = np.ones((len(items), len(vlm.geometry.heads), vlm.geometry.max_width))
        return SimpleNamespace(rows=rows, z={"prompt_last": z})

    def row(self, item: Item, heads: tuple[str, ...]) -> dict[str, Any]:
        seen = Seen(self.pictures[item.id], self.variants[item.id], heads)
        said = self.says(item, seen)
        answer = item.parse(said)
        right = is_right(item, answer)
        case, step = item.case, item.step
        about = {"item": item.id, "case": case.id, "step": step.id, "context": item.context}
        about |= {"function": item.function, "kind": case.kind, "things": case.things, "held_out": ""}
        about |= {"wording": step.wording, "question": item.question, "truth": item.truth}
        margin = 1.0 if right else -1.0
        return {**about, "text": said, "answer": answer, "correct": right, "margin": margin, "logprob": -1.0}


SHOW = measuring.show


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> hs.Cases:
    return hs.draw_scenes(tmp_path_factory.mktemp("scenes"), 90, seed=21, card=False)


def read(
    says: Any, tiny: VLM, scenes: hs.Cases, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[WakeResult, Double]:
    """The whole experiment on a double; its heads are frozen by an ablation made up."""
    double = Double(tiny, says=says)
    monkeypatch.setattr(measuring, "show", double.show)
    monkeypatch.setattr(measuring, "ask", double.ask)
    splits = {case.id: "select" if i % 5 == 0 else "test" for i, case in enumerate(scenes)}
    context = ExperimentContext(tiny, scenes, splits, folder, seed=3)
    tests = {f: SimpleNamespace(heads=heads) for f, heads in FROZEN.items()}
    return wake(context, None, cast(AblationResult, SimpleNamespace(functions=tests)), SETTINGS), double


def test_a_model_that_reports_the_place_of_the_only_visible_box_gains_nothing_in_the_headline(
    tiny: VLM, scenes: hs.Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = read(lambda item, seen: place_said(seen.image), tiny, scenes, tmp_path, monkeypatch)
    headline = found.summary.pointing.headline
    assert headline.n > 100
    assert (headline.plain, headline.delta_points) == (0, 0)
    assert headline.forced_delta_points == 0
    assert found.summary.pointing.leaky.n >= 80
    assert found.summary.pointing.leaky.delta_points > 50
    places = found.test["both"].by_leak["place"]
    assert places is not None
    assert places.accuracy > 75  # all but those that ask which way a thing looks
    named = found.wrong_name
    assert named.n > 40
    assert named.share_plain == 0
    assert named.share > 95
    assert found.summary.pointing.controls.wrong_name == named.delta_points == named.share


def test_a_model_that_goes_by_the_name_gives_no_place_for_an_absent_thing(
    tiny: VLM, scenes: hs.Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_name(item: Item, seen: Seen) -> str:
        there = [o for o in item.case.objects if o.box and f" {o.name}" in item.question]
        return there[0].attributes["place"] if there else "nothing"

    found, _ = read(by_name, tiny, scenes, tmp_path, monkeypatch)
    assert found.wrong_name.n > 40
    assert found.wrong_name.share == found.wrong_name.share_plain == 0


def test_the_gain_is_read_again_with_the_frozen_spatial_heads_muted(
    tiny: VLM, scenes: hs.Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The double is right where something is pointed at, on even cases only while L1H2 is not muted."""

    def says(item: Item, seen: Seen) -> str:
        lost = "L1H2" in seen.muted and int(item.case.id.split("-")[-1]) % 2 == 0
        return item.truth if seen.variant == "both" and not lost else "nothing"

    found, double = read(says, tiny, scenes, tmp_path, monkeypatch)
    left = found.mediation
    assert left.heads == FROZEN["spatial_perception"]  # those of counting are not spatial
    assert found.spatial_heads == left.heads
    rows = [r for r in found.rows if r["variant"] == "both" and r["pointing"] == "named" and not r["leak"]]
    odd = np.array([int(r["case"].split("-")[-1]) % 2 for r in rows])
    assert left.gain.n == left.muted.n == len(rows) > 100
    assert left.gain.delta_points == 100
    assert left.muted.delta_points == pytest.approx(100 * odd.mean())
    assert left.mediated_points == pytest.approx(100 - 100 * odd.mean())
    assert left.ci[0] < left.mediated_points < left.ci[1]
    assert found.summary.pointing.with_spatial_heads_muted == left.muted.delta_points
    others = [heads for heads in double.edits if heads != left.heads]
    assert others == [("L1H1", "L1H3")]  # the one set of two other heads of the layer
    assert (left.random_sets, left.random_mean, left.p) == (1, 100, 0.5)


def test_a_question_with_another_name_asks_the_same_of_a_thing_that_is_not_there(scenes: hs.Cases) -> None:
    splits = dict.fromkeys((c.id for c in scenes), "test")
    asked = questions_of(scenes, splits, "test", DEFAULT, CaseBoxes(), SETTINGS)
    names = sorted({o.name for c in scenes for o in c.objects})
    changed = 0
    for question in asked:
        made = misnamed(question, names, seed=1)
        if question.item.function != "spatial_perception":
            assert made is None
            continue
        if made is None:
            continue
        changed += 1
        (thing,) = (question.item.case.object(i) for i in question.target.objects)
        (other,) = (n for n in names if question.item.question.replace(thing.name, n) == made.item.question)
        assert other not in {o.name for o in question.item.case.objects}
        assert made.item.truth == question.item.truth
        assert made.target == question.target
        assert misnamed(question, names, seed=1) == made
    assert changed > 100
