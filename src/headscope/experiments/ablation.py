"""The muting experiment: does a function die when its heads are muted, and not when random heads are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headscope.edits.edits import Edit, Operation, mute
from headscope.edits.named import Reference, named_edits, need_mean
from headscope.engine.readings import Reader, Reading
from headscope.errors import StudyError
from headscope.experiments.ablation_result import (
    COLUMNS,
    AblationResult,
    LayerDamage,
    MutingTest,
    Specificity,
)
from headscope.experiments.candidates import (
    RULE,
    SPECIFIC,
    Dose,
    LayerKey,
    Scores,
    candidates,
    read_doses,
    read_layers,
    specific_scores,
)
from headscope.experiments.choices import freeze
from headscope.experiments.claim_parts import ClaimParts, OwnReadings, read_own
from headscope.experiments.context import ExperimentContext
from headscope.experiments.controls import CLAIM_SETS, Controls, draw
from headscope.experiments.effects import ControlledEffect, Effect, drops, flat
from headscope.experiments.general_damage import DivergenceReader
from headscope.experiments.item_answers import AnswerLog
from headscope.experiments.resample import RESAMPLE, read_resampled
from headscope.experiments.settings import AblationSettings
from headscope.experiments.significance import (
    ClaimBounds,
    Evidence,
    against_controls,
    claim,
    effect,
    p_among_random,
    q_over_functions,
)
from headscope.functions import MAIN
from headscope.models.geometry import Head, parse_head
from headscope.models.ways import kept_ways
from headscope.statistics.ranking import strongest
from headscope.storage import Row, fingerprint
from headscope.workers import share_out

FILE = "ablation.json"
STAGE = "ablation"
ALONE = "alone"  # in gold context the answer may also be read from the text before the question
HEADROOM = 10.0  # points of forced choice above guessing, below which nothing can be lost
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
    """Mute each function's heads and put the damage to the test (docs/concepts.md).

    1. On ``select``: layers that carry everything are left out; of every ranking and k,
       :data:`candidates.RULE` picks one head set per function.
    2. The pick is frozen in ``choices.json``; only then is ``test`` read.
    3. On ``test``: free answers and forced choice lost, against random sets of the same layers, beyond the
       other functions, without general damage; random sets put through the same test; other ways to mute;
       other scopes; the main questions.

    Writes ``ablation.json``, ``ablation-answers.json`` and their tables
    (docs/file-formats-interventions.md); resumes.

    Raises:
        StudyError: no function has items on both ``select`` and ``test``, or no ranking is there.
        StoreError: work with other settings, or another frozen choice, is in the folder.
    """
    made = _Ablation(context, atlas, settings)
    with kept_ways(context.vlm, context.folder):
        made.choose()
        result = made.test()
    made.answers.save(context.folder)
    result.save(context.folder / FILE)
    return result


@dataclass
class _Ablation:
    context: ExperimentContext
    atlas: Ranked
    settings: AblationSettings
    heads: dict[str, tuple[Head, ...]] = field(default_factory=dict)
    doses: dict[str, Dose] = field(default_factory=dict)
    layers: dict[LayerKey, LayerDamage] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    answers: AnswerLog = field(default_factory=AnswerLog)

    def __post_init__(self) -> None:
        s, every = self.settings, self.context.taxonomy.functions
        unknown = [f for f in s.functions if f not in every]
        if unknown:
            raise StudyError(f"ablate: asked for functions {unknown}; there are: {', '.join(every)}")
        self.bounds = ClaimBounds(s.alpha, s.unreadable_limit, s.divergence_limit)
        self.rankings = self._rankings()
        self.ledger = self.context.ledger("ablate", s, rankings_used=fingerprint(self.rankings))
        self.readers = {split: self._open(split) for split in ("select", "test")}
        self.measured = [f for f in every if all(f in self.readers[split] for split in self.readers)]
        for name in every:
            lacking = [split for split in self.readers if name not in self.readers[split]]
            if lacking:
                self.skipped[name] = f"no items on {' and '.join(lacking)}"
            elif s.functions and name not in s.functions:
                self.skipped[name] = "not among the functions to test; measured as one of the others"
            elif not self._scores(name):
                self.skipped[name] = "no ranking of heads"
        self.functions = [f for f in every if f not in self.skipped]
        if not self.functions:
            raise StudyError(f"ablate: nothing to test: {self.skipped}; give more cases, or probe first")

    def _rankings(self) -> dict[str, Scores]:
        found: dict[str, Scores] = {}
        for name in self.settings.rankings:
            scores = self.atlas.rankings.get("causal" if name == SPECIFIC else name)
            if scores:
                found[name] = specific_scores(scores) if name == SPECIFIC else scores
        return found

    def _scores(self, name: str) -> dict[str, Sequence[float | None]]:
        given = {r: scores[name] for r, scores in self.rankings.items() if scores.get(name)}
        return {r: row for r, row in given.items() if strongest(row, 1)}

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
        """What layers and candidates cost on ``select``, and the frozen choice."""
        s, geometry = self.settings, self.context.vlm.geometry
        readers = {f: self.readers["select"][f] for f in self.measured}
        self.layers = read_layers(geometry, readers, s.layer_rounds, s.layer_limit, self.context.seed)
        out = [key for key, layer in self.layers.items() if layer.left_out]
        wanted = {f: candidates(geometry, self._scores(f), s.ks, out) for f in self.functions}
        for name in [f for f, some in wanted.items() if not some]:
            self.skipped[name] = (
                f"no heads to try: the layers that are not left out ({len(self.layers) - len(out)} of "
                f"{len(self.layers)}) hold fewer than every k, at a quarter of their heads"
            )
            self.functions.remove(name)
            del wanted[name]
        self.doses = read_doses(readers, wanted)
        choice = {
            f: {"ranking": d.chosen.ranking, "k": d.chosen.k, "heads": [str(h) for h in d.chosen.heads]}
            for f, d in self.doses.items()
        }
        left_out = [f"{key[0]} layer {key[1]} {key[2]}" for key in out]
        kept = freeze(self.context.folder, STAGE, {"rule": RULE, "left_out": left_out, "functions": choice})
        self.heads = {f: tuple(parse_head(h) for h in c["heads"]) for f, c in kept["functions"].items()}

    # test -------------------------------------------------------------------------------------------------

    def test(self) -> AblationResult:
        """Everything that is read on ``test``, with the frozen heads alone."""
        own = {name: self._own(name) for name in self.functions}
        parts = ClaimParts(
            {f: self.readers["test"][f] for f in self.measured}, self._divergence(), self._seed
        )
        held = {name: self._against_controls(name, own[name]) for name in self.functions}
        p_claim = {name: _greatest(*held[name]) for name in self.functions}
        why_not = {name: self._why_not(name, own[name].controls) for name in self.functions}
        # A p of what cannot be tested is no test: it is left out of the correction too.
        q = q_over_functions({f: None if why_not[f] else p for f, p in p_claim.items()})
        names = [name for name in self.settings.mutes if name != RESAMPLE]
        mean = self._mean() if need_mean(names) else None
        ways = named_edits(names, Reference(self.settings.small, mean))
        self._read_ahead(list(ways.values()))
        results = {}
        for name in self.functions:
            found, p_random = held[name]
            claimed = self._claim(name, own[name], found, parts, q[name], why_not[name])
            asked = {"p_random": p_random, "p_claim": p_claim[name], "q": q[name]}
            results[name] = self._tested(name, found, ways).model_copy(update={**asked, **claimed})
        table = [[self._effect("specificity", f, g) for g in self.measured] for f in self.functions]
        for name, dose in self.doses.items():
            self._dose_rows(name, dose)
        return AblationResult(
            settings=self.context.recorded(self.settings),
            rule=RULE,
            functions=results,
            claimed=tuple(f for f, result in results.items() if result.claimed),
            skipped=self.skipped,
            layers=tuple(self.layers.values()),
            specificity=Specificity.of(self.functions, self.measured, table),
            dose={f: d.record() for f, d in self.doses.items()},
        ).with_rows(self.rows)

    @property
    def _seed(self) -> int:
        return self.context.seed

    def _own(self, name: str) -> OwnReadings:
        s, reader = self.settings, self.readers["test"][name]
        draws = (s.draws, s.random_draws)
        return read_own(reader, self.context.vlm.geometry, self.heads[name], draws, self._seed, name)

    def _divergence(self) -> DivergenceReader:
        s, readers = self.settings, {f: self.readers["test"][f] for f in self.measured}
        cases = list({i.case.id: i.case for r in readers.values() for i in r.items}.values())
        return DivergenceReader(
            self.context.vlm,
            [self.context.cases.picture(case, 0) for case in cases[: s.neutral_pictures]],
            {f: r.items[: s.divergence_items] for f, r in readers.items()},
            lambda item: self.context.cases.shown(item.case),
            self.ledger,
            self.context.batch_size,
        )

    def _against_controls(self, name: str, own: OwnReadings) -> tuple[ControlledEffect, float | None]:
        """The function's own heads against controls, and p among random sets that may share heads."""
        reader = self.readers["test"][name]
        hurt = effect(reader.clean, own.edited, reader.groups, self._seed)
        held = against_controls(reader.clean, own.edited, own.control_readings, own.controls)
        lost = drops(reader.clean, [own.edited, *own.random_readings])
        first, *others = zip(lost.points, lost.forced, strict=True)
        controls = drops(reader.clean, own.control_readings)
        for i, heads in enumerate(own.controls.draws):
            values = {"drop_points": controls.points[i], "margin_drop": controls.margin[i]}
            values["forced_drop_points"] = controls.forced[i]
            self._row("control", name, name, heads, draw=i, **values)
        return ControlledEffect(**hurt.content(), **held), p_among_random(first, others)

    def _why_not(self, name: str, controls: Controls) -> str:
        """Why the function cannot be tested on this model; empty where it can."""
        reader, found = self.readers["test"][name], self.doses[name].chosen
        if found.sets < CLAIM_SETS:
            return f"only {found.sets} sets match the layers of its heads, a claim needs {CLAIM_SETS}"
        if not controls.layer_matched:
            return f"no control sets match the layers of its heads ({controls.reason})"
        counts = [len(item.choices) for item in reader.items]
        if min(counts) < 2:
            return "some of its questions have no choices, so that forced choice is not defined"
        clean, chance = 100 * float(reader.clean.forced.mean()), 100 * float(np.mean([1 / c for c in counts]))
        if clean < chance + HEADROOM:
            return f"the model hardly does it: {clean:.0f} % by forced choice, guessing gives {chance:.0f} %"
        return ""

    def _claim(
        self,
        name: str,
        own: OwnReadings,
        found: ControlledEffect,
        parts: ClaimParts,
        q: float | None,
        why_not: str,
    ) -> dict[str, object]:
        """The fields of a test that say what may be claimed, and what that rests on."""
        others = parts.elsewhere(name, own.heads)
        some = tuple(dict.fromkeys(own.controls.draws))[: self.settings.damage_draws]
        damage = parts.damage(name, own.heads, own.edited, some)
        evidence = Evidence(
            why_not=why_not,
            distinct=found.sets,
            q=q,
            free=found.drop_points,
            free_low=found.ci[0],
            forced=found.forced_drop_points,
            forced_low=found.forced_ci[0],
            beyond_low=others.beyond_ci[0],
            damage=damage,
            worst=others.worst,
            worst_points=others.worst_points,
        )
        claimed, verdict = claim(evidence, self.bounds)
        random = None if why_not else parts.random_sets(name, own, self.bounds, some)
        held = {"elsewhere": others, "damage": damage, "random_sets": random}
        return {"claimed": claimed, "verdict": verdict, "not_testable": why_not, **held}

    def _read_ahead(self, ways: list[Operation]) -> None:
        """What is asked at scope ``all`` below, read together: all functions' heads, all ways to mute."""
        asked = {n: r for n, r in self.readers["test"].items() if n in self.measured or n.startswith(MAIN)}
        every = [Edit(heads, _ZERO) for heads in self.heads.values()]
        edits = {n: [*every, *(Edit(self.heads[n], w) for w in ways if n in self.functions)] for n in asked}
        share_out(
            list(asked),
            lambda name: asked[name].read_each(edits[name]),
            lambda name: asked[name].has_read(edits[name]),
        )

    def _tested(self, name: str, held: ControlledEffect, ways: Mapping[str, Operation]) -> MutingTest:
        """Everything about one function's heads but the claim."""
        mean, lost = held.control_mean, held.drop_points
        mutes = {m: self._effect("mute", name, name, what=w, mute=m) for m, w in ways.items()}
        if RESAMPLE in self.settings.mutes:
            mutes |= self._resampled(name)
        scopes = {s: self._effect("scope", name, name, scope=s) for s in self.settings.scopes}
        found = MutingTest(
            ranking=self.doses[name].chosen.ranking,
            k=len(self.heads[name]),
            heads=tuple(str(h) for h in self.heads[name]),
            **held.content(),
            excess_points=None if mean is None or lost is None else lost - mean,
            mutes=mutes,
            scopes=scopes,
            main=self._main(name),
        )
        alone = f"{name}@{ALONE}"
        if alone not in self.readers["test"]:
            return found
        return found.model_copy(update={"alone": self._held(name, alone, "alone")})

    def _resampled(self, name: str) -> dict[str, Effect]:
        """The function's heads with z of other cases asked in the same words; empty where none match."""
        reader, s = self.readers["test"][name], self.settings

        def compute() -> Row:
            pool = self.context.choose("fit", s.resample_items, (), s.held_out).get(name, [])
            picture = lambda item: self.context.cases.shown(item.case)  # noqa: E731
            asked = reader.items, pool, picture, self.heads[name], self._seed, s.max_new_tokens
            found = read_resampled(self.context.vlm, *asked)
            return {"kept": found.kept, "reading": found.reading.to_json()}

        labels = [str(h) for h in self.heads[name]]
        stored = self.ledger.get_or(f"resample {name} {fingerprint(labels)}", compute)
        kept = stored["kept"]
        if not kept:
            return {}
        groups, read = [reader.groups[i] for i in kept], Reading.from_json(stored["reading"])
        found = effect(reader.clean.part(kept), read, groups, self._seed)
        self.answers.add_items([reader.items[i] for i in kept], read, RESAMPLE, name, "all")
        self._row("mute", name, name, self.heads[name], mute=RESAMPLE, **flat(found))
        return {RESAMPLE: found}

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
        self.answers.add(reader, edited, mute, muted, scope)
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
            names = ("drop_points", "forced_drop_points", "elsewhere_points", "score")
            values = {column: getattr(c, column) for column in names}
            self._row("dose", name, name, c.heads, split="select", ranking=c.ranking, n=dose.n, **values)


def _greatest(held: ControlledEffect, p_random: float | None) -> float | None:
    """The greatest p against controls and among random sets; None where there are no draws."""
    found = [p for p in (held.p, held.forced_p, p_random) if p is not None]
    return max(found, default=None)
