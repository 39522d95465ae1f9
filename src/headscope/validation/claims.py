"""Are claims right? The muting experiment end to end on models whose heads are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from headscope.asking.items import Item
from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader, Reading
from headscope.errors import StudyError
from headscope.experiments.ablation import Rankings, ablate
from headscope.experiments.ablation_result import MutingTest
from headscope.experiments.causal import causal_scores
from headscope.experiments.context import ExperimentContext
from headscope.experiments.settings import AblationSettings, CausalSettings
from headscope.models.geometry import Head, parse_head
from headscope.models.vlm import load_model
from headscope.records import Record
from headscope.storage import Ledger, Row, read_json
from headscope.validation.claim_cases import ClaimSizes, claim_cases
from headscope.validation.planted.harder_build import build_harder
from headscope.validation.planted.harder_plan import GROUP
from headscope.validation.planted.questions import PLACE

POINTS = 20.0  # of the planted effect by which power is measured
OWN, OTHER = "own", "other"  # whose causal scores a function's heads are chosen by
WHOLE, PART = "whole", "part"  # muting costs the whole function, or ``POINTS``
SAMPLE = 8  # head sets on which the short cut is checked against the model, for each function
CLOSE = 0.005  # share of answers that may differ there: guesses between answers that are as good as tied
MAX_TOKENS = 1  # every answer of the planted world is one word


@dataclass(frozen=True)
class ClaimSettings:
    """How much :func:`claims_on_known_answers` does.

    Attributes:
        sizes: pictures and questions of each function.
        ablation: of the muting experiment; as in studies, but for what a claim does not rest on.
        runs: arm and effect of each run of the experiment; arm ``other`` gives each function the scores of
            another.
    """

    sizes: ClaimSizes = field(default_factory=ClaimSizes)
    ablation: AblationSettings = AblationSettings(
        random_draws=200,
        main_draws=0,
        damage_draws=2,
        neutral_pictures=2,
        divergence_items=3,
        rankings=("causal", "specific"),
        mutes=("zero",),
        scopes=(),
        main_contexts=(),
        select_items=40,
        test_items=100,
        max_new_tokens=MAX_TOKENS,
        rows=512,
    )
    runs: tuple[tuple[str, str], ...] = ((OWN, PART), (OTHER, WHOLE))
    batch_size: int = 100


class KnownClaim(Record):
    """What was claimed of one function of one planted model, and whether it is right.

    Attributes:
        level, seed, function: which.
        arm: ``own`` or ``other`` scores chose the heads. effect: ``part`` or ``whole``.
        planted, true_points: how many heads serve the function, and the points that muting them all costs on
            the very questions of the test.
        heads, true_heads: those tested, and those among them that serve the function.
        drop_points, due_points: points lost under the tested heads, and under ``true_heads`` alone.
        claimed, verdict: of the experiment.
        right: whether the tested heads may be called specialists: none is a generalist, and those that serve
            the function account for at least half of the loss.
        random_sets, random_claimed: random sets of the same layers, and those that would be claimed.
    """

    level: str
    seed: int
    function: str
    arm: str
    effect: str
    planted: int
    true_points: float
    heads: tuple[str, ...] = ()
    true_heads: tuple[str, ...] = ()
    drop_points: float = 0.0
    due_points: float = 0.0
    claimed: bool = False
    verdict: str = ""
    right: bool = False
    random_sets: int = 0
    random_claimed: int = 0


@dataclass(frozen=True)
class _Ranked:
    """Causal scores in the form of an atlas."""

    rankings: Rankings
    default_ranking: str = "causal"


@dataclass
class Memory:
    """What one set of items was already read as, by the heads that matter."""

    clean: Row = field(default_factory=dict)
    readings: dict[tuple[Head, ...], Reading] = field(default_factory=dict)


class PassingLedger(Ledger):
    """Keeps nothing on disk: what a planted model was read as stands in :class:`Memory`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return False

    def put(self, key: str, value: Any) -> Any:
        """The value itself."""
        return value


class KnownReader(Reader):
    """A reader that takes a short cut where the answer is known: heads that do not matter are left alone.

    Of the heads that an edit mutes only those that serve the reader's function (or all functions) are muted,
    and equal remainders are read once. What muting the others does to correctness is nothing;
    :func:`check_short_cut` sees to that for every model.

    Attributes:
        matters: heads that serve the function or all functions.
        alike: whether they are interchangeable, so that only their number counts.
        memories: of this model, by the items' name; readers of equal items share one.
    """

    def __init__(
        self,
        *args: Any,
        matters: Collection[Head],
        alike: bool,
        memories: dict[str, Memory],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.matters, self.alike = frozenset(matters), alike
        self.memory = memories.setdefault(self._name, Memory())

    def remainder(self, edit: Edit) -> tuple[Head, ...]:
        """The heads of an edit that matter here."""
        found = sorted(set(edit.heads) & self.matters)
        return tuple(sorted(self.matters)[: len(found)] if self.alike else found)

    def _run(self, edits: Sequence[Edit]) -> list[Reading]:
        heads, known = [self.remainder(e) for e in edits], self.memory.readings
        missing = [h for h in dict.fromkeys(heads) if h and h not in known]
        if missing:
            read = super()._run([Edit(h, edits[0].what, edits[0].scope) for h in missing])
            known |= dict(zip(missing, read, strict=True))
        return [known[h] if h else self.clean for h in heads]

    def _run_clean(self) -> Row:
        self.memory.clean = self.memory.clean or super()._run_clean()
        return self.memory.clean


@dataclass(frozen=True)
class KnownContext(ExperimentContext):
    """An experiment on a planted model.

    Attributes:
        truth: the content of ``truth.json``.
        memories: see :class:`KnownReader`.
    """

    truth: Mapping[str, Any] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)

    def ledger(self, name: str, settings: Any, **more: Any) -> Ledger:
        """One that writes nothing."""
        return PassingLedger(self.folder / name)

    def readers(
        self,
        items: Mapping[str, list[Item]],
        ledger: Ledger,
        settings: Any,
        strategies: Collection[str] = (),
    ) -> dict[str, Reader]:
        """One reader a function, of whole runs: few different sets are left."""
        short = self.truth["level"] != "leaky"  # there every head matters a little
        plain = super().readers(items, ledger, settings, ())
        return {f: self._known(f, r, settings) if short else r for f, r in plain.items()}

    def _known(self, name: str, plain: Reader, settings: Any) -> Reader:
        function = name.split("@")[0]
        served = [h["label"] for h in self.truth["heads"] if function in h["functions"]]
        return KnownReader(
            self.vlm,
            plain.items,
            lambda item: self.cases.image(item.case),
            plain.ledger,
            batch_size=self.batch_size,
            rows=settings.rows,
            max_new_tokens=settings.max_new_tokens,
            groups=self.groups,
            strategies=(),
            matters=[parse_head(h) for h in (*served, *self.truth["generalists"])],
            alike=self.truth["level"] == "distributed" and function == PLACE,
            memories=self.memories,
        )


def claims_on_known_answers(
    folder: str | Path, level: str, seed: int, settings: ClaimSettings = ClaimSettings()
) -> list[KnownClaim]:
    """Run the causal scan and the muting experiment on one planted model, and judge every claim.

    1. A model of the second version (:func:`build_harder`); questions that all need its heads (``whole``).
    2. The same with questions of which so many need the heads that muting them costs ``POINTS`` (``part``).
    3. The causal scan on ``select``, and :func:`ablate`: on ``part`` with each function's own scores
       (``own``), on ``whole`` with those of another function (``other``).

    Args:
        folder: gets the model, the pictures and every experiment's artefacts.
        level: one of ``HARDER_LEVELS``.
        seed: of the model and the pictures.

    Returns:
        One record a function, arm and effect.

    Raises:
        StudyError: an unknown level; or muting a head that does not matter changed an answer.
    """
    folder = Path(folder)
    model = build_harder(folder / "model", level, seed)
    vlm, truth = load_model(model, prove=False), read_json(model / "truth.json")

    def context(effect: str, shares: Mapping[str, float]) -> KnownContext:
        cases = claim_cases(folder / effect / "data", level, seed, settings.sizes, shares)
        return KnownContext(
            vlm,
            cases,
            cases.splits,
            folder / effect,
            seed=seed,
            batch_size=settings.batch_size,
            truth=truth,
        )

    whole = context(WHOLE, {})
    check_short_cut(whole, settings, seed)
    shares = shares_for(whole, settings)
    made = {WHOLE: whole, PART: context(PART, shares)}
    return [claim for arm, effect in settings.runs for claim in _judged(made[effect], arm, effect, settings)]


def _judged(context: KnownContext, arm: str, effect: str, settings: ClaimSettings) -> list[KnownClaim]:
    """The claims of one run of the experiment."""
    s = settings.ablation
    scan = CausalSettings(max_items=s.select_items, rows=s.rows, max_new_tokens=s.max_new_tokens)
    scores = {f: list(c.margin_drop) for f, c in causal_scores(context, scan).functions.items()}
    if arm == OTHER:
        names = list(scores)
        scores = {f: scores[names[i - 1]] for i, f in enumerate(names)}
    asked = replace(context, folder=context.folder / arm)
    result = ablate(asked, _Ranked({"causal": scores}), s)
    return [
        _claim(asked, reader, f, result.functions.get(f), result.skipped.get(f, ""), arm, effect)
        for f, reader in _readers(asked, settings, "test").items()
    ]


def _readers(context: KnownContext, settings: ClaimSettings, split: str) -> dict[str, Reader]:
    most = settings.ablation.test_items if split == "test" else settings.ablation.select_items
    ledger = context.ledger("truth", settings)
    return context.readers(context.choose(split, most), ledger, settings.ablation)


def _lost(reader: Reader, heads: Sequence[str]) -> float:
    """Points of free answers lost without these heads."""
    if not heads:
        return 0.0
    edited = reader.read(Edit(tuple(parse_head(h) for h in heads), mute()))
    return reader.clean.accuracy - edited.accuracy


def _claim(
    context: KnownContext,
    reader: Reader,
    function: str,
    test: MutingTest | None,
    why: str,
    arm: str,
    effect: str,
) -> KnownClaim:
    """The experiment's verdict on one function beside the truth."""
    serving: Sequence[str] = context.truth["functions"][function]
    about = {"level": context.truth["level"], "seed": context.seed, "function": function, "arm": arm}
    claim = KnownClaim(
        **about, effect=effect, planted=len(serving), true_points=_lost(reader, serving), verdict=why
    )
    if test is None:
        return claim
    mine = tuple(h for h in test.heads if h in serving)
    lost, due = _lost(reader, test.heads), _lost(reader, mine)
    general = set(test.heads) & set(context.truth["generalists"])
    random = test.random_sets
    return claim.model_copy(
        update={
            "heads": test.heads,
            "true_heads": mine,
            "drop_points": lost,
            "due_points": due,
            "claimed": test.claimed,
            "verdict": test.verdict,
            "right": not general and bool(mine) and due >= lost / 2,
            "random_sets": random.sets if random else 0,
            "random_claimed": random.claimed if random else 0,
        }
    )


def shares_for(context: KnownContext, settings: ClaimSettings) -> dict[str, float]:
    """Function -> share of its questions that has to need its heads for muting them to cost ``POINTS``.

    From what muting them all costs where every question needs them, on ``select``.
    """
    found = {}
    for function, reader in _readers(context, settings, "select").items():
        lost = _lost(reader, context.truth["functions"][function])
        if lost:
            found[function] = min(1.0, POINTS / lost)
    return found


def check_short_cut(context: KnownContext, settings: ClaimSettings, seed: int) -> None:
    """See that heads which the readers leave alone change no answer, on random sets of all heads.

    Raises:
        StudyError: more than ``CLOSE`` of a function's answers are others than without the short cut.
    """
    rng = np.random.default_rng([seed, 14])
    heads = context.vlm.geometry.heads
    some = [rng.permutation(len(heads))[: 2 * GROUP].tolist() for _ in range(SAMPLE)]
    edits = [Edit(tuple(heads[i] for i in sorted(one)), mute()) for one in some]
    for function, reader in _readers(context, settings, "select").items():
        if not isinstance(reader, KnownReader):
            continue
        pairs = list(zip(reader.read_edits(edits), Reader._run(reader, edits), strict=True))
        other = max(
            float(np.mean([short.correct != true.correct for short, true in pairs])),
            float(np.mean([short.forced != true.forced for short, true in pairs])),
        )
        if other > CLOSE:
            raise StudyError(
                f"planted model {context.truth['level']} {seed}: muting heads that do not serve {function} "
                f"changes {100 * other:.1f} % of its answers; readings may not leave them out"
            )
