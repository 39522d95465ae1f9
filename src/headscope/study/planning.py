"""How much a study will ask, and how long that takes here: counted, then timed on a few questions."""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.data.cases import Cases
from headscope.errors import StudyError
from headscope.functions import MAIN, Taxonomy
from headscope.records import JsonObject
from headscope.study.sizes import Size
from headscope.study.stages import stage_settings

if TYPE_CHECKING:
    from headscope.asking.items import Item
    from headscope.models.vlm import VLM

_SCANNED = 32  # heads that are timed of a scan
_EDITS = 16  # edits that are timed together
QUARTERS = 4 * 32  # of the heads of all layers, of a model that is not at hand
_SOME = 2  # prompts that edited readings are timed on


@dataclass(frozen=True)
class StageWork:
    """What one stage asks of the model.

    Attributes:
        stage: its name.
        answers: prompts that are answered as they are.
        scans: prompts that are read once for every head, muted alone.
        edited: prompts times edits, at most: candidates that coincide are read once.
    """

    stage: str
    answers: int = 0
    scans: int = 0
    edited: int = 0


@dataclass(frozen=True)
class UnitSeconds:
    """Seconds of one unit of work on one model, device and batch size: see :class:`StageWork`."""

    answer: float
    scan: float
    edited: float

    def of(self, work: StageWork) -> float:
        """Seconds of a stage; the probes' own arithmetic and the report are not in it."""
        return work.answers * self.answer + work.scans * self.scan + work.edited * self.edited


@dataclass(frozen=True)
class _Asked:
    """What a study will ask about, without a model."""

    cases: Cases
    splits: Mapping[str, str]
    size: Size
    taxonomy: Taxonomy
    seed: int
    quarters: int

    def settings(self, stage: str) -> Any:
        return stage_settings(stage, self.size)

    def choose(
        self,
        split: str,
        most: int,
        main_contexts: Sequence[str] = (),
        held_out: bool = False,
        contexts: Sequence[str] = ("gold",),
    ) -> dict[str, int]:
        """Function -> questions that an experiment would choose."""
        from headscope.experiments.items import choose_items

        asked = self.taxonomy, most, self.seed, main_contexts, held_out, contexts
        found = choose_items(self.cases, self.splits, split, *asked)
        return {name: len(items) for name, items in found.items()}


def stage_work(
    cases: Cases,
    splits: Mapping[str, str],
    size: Size,
    taxonomy: Taxonomy,
    seed: int = 0,
    quarters: int = QUARTERS,
) -> tuple[StageWork, ...]:
    """Count what every stage of a study will ask; nothing is loaded or asked.

    Args:
        cases, splits: the data, and case id -> ``fit``, ``select`` or ``test``.
        size: how much is read.
        taxonomy: the functions.
        seed: of the choice of questions, as the study's.
        quarters: parts of the heads of all decoder layers; of an unknown model, a usual number.

    Example:
        >>> from headscope.data.splits import assign_splits
        >>> from headscope.functions import DEFAULT
        >>> from headscope.study.sizes import size_named
        >>> stage_work(cases, assign_splits(cases, 0), size_named("quick"), DEFAULT)  # doctest: +SKIP
    """
    asked = _Asked(cases, splits, size, taxonomy, seed, quarters)
    return tuple(count(asked) for count in (_capture, _causal, _attend, _ablate, _emphasize, _wake, _overlay))


def _capture(asked: _Asked) -> StageWork:
    from headscope.asking.items import make_items
    from headscope.study.first_stages import CONTEXTS, MAIN_CONTEXTS

    shown = len(make_items(asked.cases, asked.taxonomy, CONTEXTS, MAIN_CONTEXTS))
    blank = len(make_items(asked.cases, asked.taxonomy, ("gold",), ()))
    return StageWork("capture", shown + blank)


def _causal(asked: _Asked) -> StageWork:
    s = asked.settings("causal")
    prompts = sum(asked.choose(s.split, s.max_items).values())
    return StageWork("causal", answers=prompts, scans=prompts)


def _attend(asked: _Asked) -> StageWork:
    s = asked.settings("attend")  # at most: questions that name nothing with a box are not asked
    return StageWork("attend", sum(asked.choose(s.split, s.max_items).values()))


def _ablate(asked: _Asked) -> StageWork:
    from headscope.experiments.ablation import ALONE

    s = asked.settings("ablate")
    select = asked.choose("select", s.select_items, (), s.held_out)
    test = asked.choose("test", s.test_items, s.main_contexts, s.held_out, ("gold", ALONE))
    measured = [f for f in asked.taxonomy.functions if f in select and f in test]
    functions = [f for f in measured if not s.functions or f in s.functions]
    pairs = bool(asked.settings("patch").pairs)  # without them there is no ranking by patching
    rankings = [r for r in s.rankings if pairs or r != "patching"]
    candidates = len(rankings) * len(s.ks) * len(functions)
    edited = sum(select[f] for f in measured) * (candidates + asked.quarters * s.layer_rounds)
    for name in functions:
        edited += test[name] * (s.draws + s.random_draws + len(s.mutes) + len(s.scopes))
        edited += sum(test[f] for f in measured)
        edited += test.get(f"{name}@{ALONE}", 0) * (1 + s.main_draws)
        controls = s.main_draws if name in asked.taxonomy.spatial else 0
        edited += sum(test.get(f"{MAIN}@{c}", 0) for c in s.main_contexts) * (1 + controls)
    means = sum(asked.choose("fit", s.mean_items).values()) if "mean" in s.mutes else 0
    return StageWork("ablate", sum(select.values()) + sum(test.values()) + means, edited=edited)


def _emphasize(asked: _Asked) -> StageWork:
    s = asked.settings("emphasize")
    select = asked.choose("select", s.select_items, (), s.held_out)
    test = asked.choose("test", s.test_items, (), s.held_out)
    side = asked.choose("test", s.side_items, s.main_contexts, s.held_out)
    functions = [f for f in asked.taxonomy.functions if f in select and f in test]
    options = (1 + len(s.ks)) * (len(s.scales) + len(s.strengths))  # the ablation's heads beside the ks
    # At most: which functions have headroom is known once they are asked.
    edited = sum(select[f] * options + test[f] * (1 + s.random_sets) for f in functions)
    edited += sum(side.values()) * len(functions)
    prompts = sum(select.values()) + sum(test.values()) + sum(side.values())
    return StageWork("emphasize", prompts, edited=edited)


def _wake(asked: _Asked) -> StageWork:
    from headscope.experiments.waking.questions import choose, questions_of
    from headscope.pointing.boxes import CaseBoxes
    from headscope.pointing.naming import NAMED

    s, source = asked.settings("wake"), CaseBoxes(asked.seed)
    found = {
        split: questions_of(asked.cases, asked.splits, split, asked.taxonomy, source, s)
        for split in ("select", "test")
    }
    select = choose(found["select"], s.select_items, asked.seed)
    test = choose(found["test"], s.max_items, asked.seed)
    tested = min(s.mediation_items, sum(q.kind == NAMED for q in test))
    # plain, the fixed style, the chosen one where it is another, and every control that there is room for
    shown = len(select) * (1 + len(s.styles)) + len(test) * (3 + len(s.controls))
    shown += 2 * min(s.wrong_names, len(found["test"]))
    # plain and pointed at, with the spatial heads muted and with random ones: whole runs
    return StageWork("wake", shown + 2 * tested * (1 + s.mediation_draws))


def _overlay(asked: _Asked) -> StageWork:
    from headscope.asking.items import make_items

    # At most: which cases are read depends on the answers.
    here = [c for c in asked.cases if asked.splits[c.id] == "test" and not c.more]
    questions = Counter(item.case.id for item in make_items(here, asked.taxonomy, ("gold",)))
    most = questions.most_common(asked.settings("overlay").cases)
    return StageWork("overlay", sum(n for _, n in most))


def unit_seconds(
    vlm: VLM, cases: Cases, taxonomy: Taxonomy, batch_size: int, seed: int = 0, edits: int = _EDITS
) -> UnitSeconds:
    """Time the three kinds of work on a few of the cases' own questions.

    A batch of answers, ``edits`` sets of four random heads muted on two prompts, and up to 32 heads of a
    scan of one prompt; each once to warm up, once timed. A scan's time is taken per head.

    Raises:
        StudyError: no question to time.
    """
    from headscope.asking.items import make_items

    items = make_items(cases[: max(batch_size, _SOME)], taxonomy, ("gold",), ("gold",))
    if not items:
        raise StudyError(
            "plan: the data hold no question that could be timed; give cases with steps or a question"
        )
    spread = [
        items[i * len(items) // min(batch_size, len(items))] for i in range(min(batch_size, len(items)))
    ]
    return UnitSeconds(
        answer=_answer_seconds(vlm, cases, spread),
        scan=_scan_seconds(vlm, cases, spread[len(spread) // 2]),
        edited=_edited_seconds(vlm, cases, spread[:: max(1, len(spread) // _SOME)][:_SOME], seed, edits),
    )


def _answer_seconds(vlm: VLM, cases: Cases, items: list[Item]) -> float:
    from headscope.asking.ask import ask
    from headscope.asking.batches import encode_batch

    def answer(some: list[Item]) -> float:
        start = time.perf_counter()
        ask(vlm, encode_batch(vlm, some, lambda i: cases.shown(i.case)), some, readouts=("prompt_last",))
        return time.perf_counter() - start

    answer(items[:1])
    return answer(items) / len(items)


def _scan_seconds(vlm: VLM, cases: Cases, item: Item) -> float:
    from headscope.edits.edits import mute
    from headscope.engine.engine import REPLAY, SHARED_PREFIX
    from headscope.engine.readings import Reader

    heads = [h for h in vlm.geometry.heads if h.tower == "decoder"]
    some = heads[:: max(1, len(heads) // _SCANNED)]
    with tempfile.TemporaryDirectory() as folder:
        both = (REPLAY, SHARED_PREFIX)
        reader = Reader(vlm, [item], lambda i: cases.shown(i.case), _ledger(folder), strategies=both)
        reader.read_many([(h,) for h in some[:2]], mute(0.5))  # the engine tries itself out
        start = time.perf_counter()
        reader.read_many([(h,) for h in some], mute())
        return (time.perf_counter() - start) / len(some) * len(heads)


def _edited_seconds(vlm: VLM, cases: Cases, items: list[Item], seed: int, edits: int) -> float:
    import numpy as np

    from headscope.edits.edits import mute
    from headscope.engine.readings import Reader

    heads = [h for h in vlm.geometry.heads if h.tower == "decoder"]
    draw = np.random.default_rng(seed)
    sets = [[heads[i] for i in draw.choice(len(heads), min(4, len(heads)), False)] for _ in range(edits)]
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(vlm, items, lambda i: cases.shown(i.case), _ledger(folder))
        reader.read_many(sets, mute(0.5))
        start = time.perf_counter()
        reader.read_many(sets, mute())
        return (time.perf_counter() - start) / (len(sets) * len(items))


def _ledger(folder: str) -> Any:
    from headscope.storage import Ledger

    return Ledger(Path(folder) / "plan", {"purpose": "timing"})


@dataclass(frozen=True)
class StudyPlan:
    """What a study will ask, and how long it should take where that was timed.

    Attributes:
        model: name of the model; empty where nothing was loaded.
        size: name of the size.
        cases: how many.
        stages: the work, in order.
        seconds: of one unit of each kind; None where nothing was timed.
        capture_bytes: what the capture writes at most; None where no model was loaded.
    """

    model: str
    size: str
    cases: int
    stages: tuple[StageWork, ...]
    seconds: UnitSeconds | None = None
    capture_bytes: int | None = None

    @property
    def hours(self) -> dict[str, float]:
        """Stage -> hours; empty where nothing was timed."""
        return {} if self.seconds is None else {w.stage: self.seconds.of(w) / 3600 for w in self.stages}

    def to_json(self) -> JsonObject:
        """Plain values, hours by stage and in all."""
        hours = self.hours
        return {**asdict(self), "hours": {**hours, "all": sum(hours.values())} if hours else None}


def plan_study(
    cases: Cases,
    size: Size,
    taxonomy: Taxonomy,
    *,
    vlm: VLM | None = None,
    batch_size: int = 64,
    seed: int = 0,
) -> StudyPlan:
    """Count a study's work and, with a model, time its units on this machine.

    Raises:
        DataError: the cases are too few to be split. StudyError: no question to time.
    """
    from headscope.capturing.shard_plan import estimate_bytes
    from headscope.data.splits import assign_splits
    from headscope.study.first_stages import READOUTS

    splits = {str(k): str(v) for k, v in assign_splits(cases, seed).items()}
    if vlm is None:
        return StudyPlan("", size.name, len(cases), stage_work(cases, splits, size, taxonomy, seed))
    heads = (site.n_heads for site in vlm.geometry.sites if site.tower == "decoder")
    quarters = sum(math.ceil(n / max(1, n // 4)) for n in heads)
    work = stage_work(cases, splits, size, taxonomy, seed, quarters)
    seconds = unit_seconds(vlm, cases, taxonomy, batch_size, seed)
    written = estimate_bytes(work[0].answers, vlm, READOUTS)
    return StudyPlan(vlm.name, size.name, len(cases), work, seconds, written)
