"""The muting experiment: does a function die when its heads are muted, and not when random heads are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headscope.edits.edits import Edit, Operation, mute
from headscope.edits.named import Reference, named_edits, need_mean
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.experiments.ablation_result import (
    COLUMNS,
    AblationResult,
    DoseCurve,
    MutingTest,
    Specificity,
)
from headscope.experiments.candidates import RULE, Candidate, Dose, candidates, read_doses
from headscope.experiments.choices import freeze
from headscope.experiments.context import ExperimentContext
from headscope.experiments.controls import draw
from headscope.experiments.effects import ControlledEffect, Effect, drops, flat
from headscope.experiments.settings import AblationSettings
from headscope.experiments.significance import (
    against_controls,
    claim,
    effect,
    p_among_random,
    q_over_functions,
)
from headscope.functions import MAIN
from headscope.models.geometry import Head, parse_head
from headscope.models.ways import kept_ways
from headscope.storage import Row, fingerprint

FILE = "ablation.json"
STAGE = "ablation"
ALONE = "alone"  # in gold context the answer may also be read from the text before the question
_ZERO = mute()
Rankings = Mapping[str, Mapping[str, Sequence[float | None]] | None]


class Ranked(Protocol):
    """What the experiments ask of an atlas."""

    @property
    def rankings(self) -> Rankings:
        """Name -> function -> score per head in flat order."""

    @property
    def default_ranking(self) -> str:
        """The ranking to follow where none is named."""


def ablate(
    context: ExperimentContext, atlas: Ranked, settings: AblationSettings = AblationSettings()
) -> AblationResult:
    """Mute each function's heads and hold the damage against random heads (docs/concepts.md).

    1. On ``select``: every ranking and k with a few controls; :data:`candidates.RULE` picks one head set per
       function.
    2. The pick is frozen in ``choices.json``; only then is ``test`` read.
    3. On ``test``: drop of accuracy and margin with intervals by image, sign-flip p, place among the control
       draws; other ways to mute; other scopes; every other function (specificity); the main questions.

    Writes ``ablation.json`` and ``ablation.parquet`` (docs/file-formats-interventions.md); resumes.

    Raises:
        StudyError: no function has items on both ``select`` and ``test``, or no ranking is there.
        StoreError: work with other settings, or another frozen choice, is in the folder.
    """
    made = _Ablation(context, atlas, settings)
    with kept_ways(context.vlm, context.folder):
        made.choose()
        result = made.test()
    result.save(context.folder / FILE)
    return result


@dataclass
class _Ablation:
    context: ExperimentContext
    atlas: Ranked
    settings: AblationSettings
    heads: dict[str, tuple[Head, ...]] = field(default_factory=dict)
    doses: dict[str, Dose] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        used = fingerprint(self._rankings())
        self.ledger = self.context.ledger("ablate", self.settings, rankings_used=used)
        self.readers = {split: self._open(split) for split in ("select", "test")}
        for name in self.context.taxonomy.functions:
            lacking = [s for s in ("select", "test") if name not in self.readers[s]]
            if lacking or not self._candidates(name):
                self.skipped[name] = (
                    f"no items on {' and '.join(lacking)}" if lacking else "no ranking of heads"
                )
        self.functions = [f for f in self.context.taxonomy.functions if f not in self.skipped]
        if not self.functions:
            raise StudyError(f"ablate: nothing to test: {self.skipped}; give more cases, or probe first")

    def _rankings(self) -> dict[str, Mapping[str, Sequence[float | None]]]:
        found = {name: self.atlas.rankings.get(name) for name in self.settings.rankings}
        return {name: scores for name, scores in found.items() if scores}

    def _candidates(self, name: str) -> list[Candidate]:
        rankings = {r: scores[name] for r, scores in self._rankings().items() if scores.get(name)}
        return candidates(self.context.vlm.geometry, rankings, self.settings.ks)

    def _open(self, split: str) -> dict[str, Reader]:
        s, test = self.settings, split == "test"
        items = self.context.choose(
            split,
            s.test_items if test else s.select_items,
            s.main_contexts if test else (),
            s.held_out,
            ("gold", ALONE) if test else ("gold",),
        )
        return self.context.readers(items, self.ledger, s)

    # select -----------------------------------------------------------------------------------------------

    def choose(self) -> None:
        """Dose curves on ``select``, and the frozen choice."""
        s, geometry = self.settings, self.context.vlm.geometry
        for name in self.functions:
            reader, wanted = self.readers["select"][name], self._candidates(name)
            self.doses[name] = read_doses(geometry, reader, name, wanted, s.select_draws, self.context.seed)
        chosen = {f: d.chosen for f, d in self.doses.items()}
        choice = {
            f: {"ranking": c.ranking, "k": c.k, "heads": [str(h) for h in c.heads]} for f, c in chosen.items()
        }
        frozen = freeze(self.context.folder, STAGE, {"rule": RULE, "functions": choice})["functions"]
        self.heads = {f: tuple(parse_head(h) for h in c["heads"]) for f, c in frozen.items()}

    # test -------------------------------------------------------------------------------------------------

    def test(self) -> AblationResult:
        """Everything that is read on ``test``, with the frozen heads alone."""
        claims = {name: self._claim(name) for name in self.functions}
        q = q_over_functions({name: held.p for name, (held, _) in claims.items()})
        mean = self._mean() if need_mean(self.settings.mutes) else None
        ways = named_edits(self.settings.mutes, Reference(self.settings.small, mean))
        self._read_ahead(list(ways.values()))
        results = {}
        for name, (held, p_random) in claims.items():
            results[name] = self._tested(name, held, p_random, q[name], ways)
        specificity = self._specificity()
        for name, dose in self.doses.items():
            self._dose_rows(name, dose)
        return AblationResult(
            settings=self.context.recorded(self.settings),
            rule=RULE,
            functions=results,
            claimed=tuple(f for f, result in results.items() if result.claimed),
            skipped=self.skipped,
            specificity=specificity,
            dose={
                f: DoseCurve(n=d.n, candidates=tuple(c.record() for c in d.candidates))
                for f, d in self.doses.items()
            },
        ).with_rows(self.rows)

    def _read_ahead(self, ways: list[Operation]) -> None:
        """What is asked at scope ``all`` below, read together: all functions' heads, all ways to mute."""
        for name, reader in self.readers["test"].items():
            own = [Edit(self.heads[name], way) for way in ways] if name in self.functions else []
            if own or name.startswith(MAIN):
                reader.read_each([*(Edit(heads, _ZERO) for heads in self.heads.values()), *own])

    def _claim(self, name: str) -> tuple[ControlledEffect, float | None]:
        """The function's own heads against controls, and p among random sets that may share heads."""
        s, seed, reader = self.settings, self.context.seed, self.readers["test"][name]
        geometry = self.context.vlm.geometry
        edited = reader.read(Edit(self.heads[name], mute()))
        hurt = effect(reader.clean, edited, reader.groups, seed)
        controls = draw(geometry, self.heads[name], s.draws, seed + 1)
        readings = reader.read_many(controls.draws, mute(), label=f"controls: {name}")
        held = against_controls(reader.clean, edited, readings, controls)
        p_random = p_among_random(reader, geometry, self.heads[name], s.draws, seed + 3)
        points, margins = drops(reader.clean, readings)
        for i, heads in enumerate(controls.draws):
            self._row("control", name, name, heads, draw=i, drop_points=points[i], margin_drop=margins[i])
        return ControlledEffect(**hurt.content(), **held), p_random

    def _tested(
        self,
        name: str,
        held: ControlledEffect,
        p_random: float | None,
        q: float | None,
        ways: Mapping[str, Operation],
    ) -> MutingTest:
        """Everything about one function's heads but what they do to other functions."""
        mean, lost = held.control_mean, held.drop_points
        excess = None if mean is None or lost is None else lost - mean
        sure, words = claim(
            q=q,
            distinct=held.sets,
            low=held.ci[0],
            excess=excess,
            p_random=p_random,
            alpha=self.settings.alpha,
        )
        mutes = {m: self._effect("mute", name, name, what=w, mute=m) for m, w in ways.items()}
        scopes = {s: self._effect("scope", name, name, scope=s) for s in self.settings.scopes}
        main = self._main(name)
        found = MutingTest(
            ranking=self.doses[name].chosen.ranking,
            k=len(self.heads[name]),
            heads=tuple(str(h) for h in self.heads[name]),
            **held.content(),
            p_random=p_random,
            excess_points=excess,
            q=q,
            claimed=sure,
            verdict=words,
            mutes=mutes,
            scopes=scopes,
            main=main,
        )
        alone = f"{name}@{ALONE}"
        if alone not in self.readers["test"]:
            return found
        return found.model_copy(update={"alone": self._held(name, alone, "alone")})

    def _mean(self) -> NDArray[np.float64]:
        def compute() -> list[list[float]]:
            found: list[list[float]] = self.context.mean_on_fit(self.settings.mean_items).tolist()
            return found

        return np.array(self.ledger.get_or("means on fit", compute), dtype=np.float64)

    def _main(self, name: str) -> dict[str, ControlledEffect]:
        draws = self.settings.main_draws if name in self.context.taxonomy.spatial else 0
        measured = {context: f"{MAIN}@{context}" for context in self.settings.main_contexts}
        return {
            context: self._held(name, question, "main", draws)
            for context, question in measured.items()
            if question in self.readers["test"]
        }

    def _held(self, name: str, measured: str, phase: str, draws: int | None = None) -> ControlledEffect:
        """Effect on other questions than the claim's, against a few controls."""
        reader = self.readers["test"][measured]
        draws = self.settings.main_draws if draws is None else draws
        found, held = self._effect(phase, name, measured), {}
        if draws:
            controls = draw(self.context.vlm.geometry, self.heads[name], draws, self.context.seed + 2)
            readings = reader.read_many(controls.draws, mute(), label=f"controls: {measured}")
            edited = reader.read(Edit(self.heads[name], mute()))
            held = against_controls(reader.clean, edited, readings, controls)
        return ControlledEffect(**found.content(), **held)

    def _specificity(self) -> Specificity:
        table = [[self._effect("specificity", f, g) for g in self.functions] for f in self.functions]
        return Specificity.of(self.functions, table)

    def _effect(
        self,
        phase: str,
        muted: str,
        measured: str,
        what: Operation | None = None,
        scope: str = "all",
        mute: str = "zero",
    ) -> Effect:
        reader = self.readers["test"][measured]
        edited = reader.read(Edit(self.heads[muted], what or _ZERO, scope))
        found = effect(reader.clean, edited, reader.groups, self.context.seed)
        self._row(phase, muted, measured, self.heads[muted], scope=scope, mute=mute, **flat(found))
        return found

    # the table --------------------------------------------------------------------------------------------

    def _row(self, phase: str, muted: str, measured: str, heads: Sequence[Head], **values: object) -> None:
        base = {"phase": phase, "split": "test", "muted": muted, "measured": measured}
        base |= {"heads": ",".join(map(str, heads)), "ranking": self.doses[muted].chosen.ranking}
        row = {**dict.fromkeys(COLUMNS), "scope": "all", "mute": "zero", **base, "k": len(heads), **values}
        self.rows.append(row)

    def _dose_rows(self, name: str, dose: Dose) -> None:
        for c in dose.candidates:
            values = {"drop_points": c.drop_points, "margin_drop": c.margin_drop, "n": dose.n}
            values |= {"control_points": c.control_points, "control_margin": c.control_margin}
            self._row("dose", name, name, c.heads, split="select", ranking=c.ranking, **values)
