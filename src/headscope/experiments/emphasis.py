"""The emphasis experiment: does a function improve when its heads are turned up, and at what price?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headscope.edits.edits import Edit
from headscope.edits.means import Direction
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.experiments.ablation import Ranked
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.candidates import candidates
from headscope.experiments.choices import freeze
from headscope.experiments.context import ExperimentContext
from headscope.experiments.controls import Controls, draw
from headscope.experiments.effects import Gain, flat
from headscope.experiments.emphasis_result import (
    COLUMNS,
    EmphasisResult,
    EmphasisTest,
    Headline,
    Headroom,
    Steering,
)
from headscope.experiments.options import RULE, Option, best, directions, options, read_options
from headscope.experiments.settings import EmphasisSettings
from headscope.experiments.significance import (
    EMPHASIS_SETS,
    effect,
    emphasis_claim,
    gain_among_sets,
    q_over_functions,
)
from headscope.functions import MAIN
from headscope.models.geometry import Head, parse_head
from headscope.models.ways import kept_ways
from headscope.storage import Row, fingerprint

FILE = "emphasis.json"
STAGE = "emphasis"
CHOSEN = ("edit", "strength", "scope", "source", "k", "heads")


def emphasize(
    context: ExperimentContext,
    atlas: Ranked,
    ablation: AblationResult | None = None,
    settings: EmphasisSettings = EmphasisSettings(),
) -> EmphasisResult:
    """Turn up the heads of functions with headroom, or steer them; choose on ``select``, judge on ``test``.

    A function is tried where its accuracy on ``select`` lies within ``headroom``: at the ceiling nothing can
    be gained, and a gain of 0.0 would say nothing. Every chosen edit is held against the same edit of random
    head sets of the same layers, and read on every function and on the main questions, so that gains stand
    beside their side effects. Writes ``emphasis.json`` and ``emphasis.parquet``
    (docs/file-formats-interventions.md); resumes from ``emphasize/``. Steering directions come from
    ``capture/`` in the study folder.

    Args:
        ablation: its heads are tried beside those of the ranking; None: these alone.

    Raises:
        StudyError: no function has items on both ``select`` and ``test``, or no ranking is there.
        StoreError: work with other settings, or another frozen choice, is in the folder.
    """
    made = _Emphasis(context, atlas, ablation, settings)
    with kept_ways(context.vlm, context.folder):
        made.choose()
        result = made.test()
    result.save(context.folder / FILE)
    return result


@dataclass
class _Emphasis:
    context: ExperimentContext
    atlas: Ranked
    ablation: AblationResult | None
    settings: EmphasisSettings
    tried: dict[str, list[Option]] = field(default_factory=dict)
    chosen: dict[str, Option] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    headroom: dict[str, Headroom] = field(default_factory=dict)
    headline: str = ""

    def __post_init__(self) -> None:
        self.ranking, self.scores = self._ranking()
        tests = self.ablation.functions if self.ablation is not None else {}
        self.ablated = {f: tuple(parse_head(h) for h in test.heads) for f, test in tests.items()}
        used = fingerprint([self.ranking, self.scores])
        self.ledger = self.context.ledger("emphasize", self.settings, ranking_used=used)
        s = self.settings
        self.readers = {
            "select": self._open("select", s.select_items),
            "test": self._open("test", s.test_items),
            "side": self._open("test", s.side_items, s.main_contexts),
        }
        here = [f for f in self.context.taxonomy.functions if all(f in r for r in self.readers.values())]
        self.functions = [f for f in here if f in self.ablated or self.scores.get(f)]
        if not self.functions:
            raise StudyError("emphasize: no function has items on select and test and a ranking; probe first")
        captured = self.context.folder / "capture"
        self.directions: dict[str, Direction] = directions(captured, self.functions, s.readout)

    def _ranking(self) -> tuple[str, Mapping[str, Sequence[float | None]]]:
        held = {name: r for name, r in self.atlas.rankings.items() if r}
        wanted = self.settings.ranking or self.atlas.default_ranking or next(iter(held), "")
        if wanted not in held:
            raise StudyError(
                f"emphasize: no ranking {wanted!r} in the atlas; it holds {list(held) or 'none'}"
            )
        return wanted, held[wanted]

    def _open(self, split: str, most: int, main_contexts: tuple[str, ...] = ()) -> dict[str, Reader]:
        items = self.context.choose(split, most, main_contexts, self.settings.held_out)
        return self.context.readers(items, self.ledger, self.settings)

    def _sets(self, name: str) -> dict[str, list[tuple[Head, ...]]]:
        """Head sets to try for a function: those that leave enough random sets of the same layers."""
        geometry = self.context.vlm.geometry
        found: dict[str, list[tuple[Head, ...]]] = {}
        if name in self.ablated:
            found["ablation"] = [self.ablated[name]]
        scores = self.scores.get(name)
        if scores:
            ranked = candidates(geometry, {self.ranking: scores}, self.settings.ks)
            found[self.ranking] = [c.heads for c in ranked]
        return {source: [h for h in sets if self._controlled(h)] for source, sets in found.items()}

    def _controlled(self, heads: tuple[Head, ...]) -> bool:
        drawn = self._draw(heads)
        return drawn.layer_matched and drawn.distinct >= min(EMPHASIS_SETS, self.settings.random_sets)

    def _draw(self, heads: tuple[Head, ...]) -> Controls:
        return draw(self.context.vlm.geometry, heads, self.settings.random_sets, self.context.seed + 4)

    def _room(self, name: str) -> Headroom:
        """Whether a function can be tried, by what is read on ``select``."""
        reader, (low, high) = self.readers["select"][name], self.settings.headroom
        clean, why = reader.clean.accuracy, ""
        if clean > high:
            why = f"no headroom: more than {high:g} % right on select as it is"
        elif clean < low:
            why = f"below {low:g} % right on select: there may be nothing to turn up"
        elif not any(self._sets(name).values()):
            why = f"no head set leaves {EMPHASIS_SETS} random sets of the same layers"
        return Headroom(n=len(reader), clean=clean, testable=not why, reason=why)

    def choose(self) -> None:
        """Read every option on ``select`` and freeze the best of each function that has headroom."""
        s = self.settings
        self.headroom = {name: self._room(name) for name in self.functions}
        self.functions = [f for f in self.functions if self.headroom[f].testable]
        for name in self.functions:
            direction, reader = self.directions[name], self.readers["select"][name]
            strengths = s.strengths if direction.vectors is not None else ()
            wanted = options(self._sets(name), s.scales, strengths, (s.scale_scope, s.steer_scope))
            self.tried[name] = read_options(reader, name, wanted, direction)
            self.chosen[name] = best(self.tried[name])
            for option in self.tried[name]:
                gains = {"delta_points": option.gain_points, "margin_delta": option.margin_gain}
                self._row("select", name, name, option, split="select", n=len(reader), **gains)
        if self.functions:
            self.headline = max(
                self.functions, key=lambda f: (self.chosen[f].gain_points, self.chosen[f].margin_gain)
            )
        said = {f: o.record().content() for f, o in self.chosen.items()}
        picked = {f: {k: o[k] for k in CHOSEN} for f, o in said.items()}
        freeze(self.context.folder, STAGE, {"rule": RULE, "headline": self.headline, "functions": picked})

    def test(self) -> EmphasisResult:
        """Read the frozen edits on ``test``: own function, random heads, side effects."""
        edits = {f: self.chosen[f].made(self.directions[f]) for f in self.functions}
        for reader in self.readers["side"].values():
            for scope in dict.fromkeys(e.scope for e in edits.values()):
                reader.read_each([e for e in edits.values() if e.scope == scope])
        held = {name: self._among_random(name, edit) for name, edit in edits.items()}
        q = q_over_functions({name: found["p"] for name, found in held.items()})
        results = {name: self._judged(name, edits[name], held[name], q[name]) for name in edits}
        return EmphasisResult(
            settings=self.context.recorded(self.settings),
            rule=RULE,
            ranking=self.ranking,
            headroom=self.headroom,
            headline=Headline.of(self.headline, results[self.headline]) if results else None,
            functions=results,
        ).with_rows(self.rows)

    def _among_random(self, name: str, edit: Edit) -> Row:
        """The gain's place among random head sets of the same layers, turned up alike."""
        reader, option = self.readers["test"][name], self.chosen[name]
        controls = self._draw(option.heads)
        alike = [option.on(heads) for heads in controls.draws] if controls.layer_matched else []
        made = [o.made(self.directions[name]) for o in alike]
        readings = reader.read_edits(made, f"random heads: {name}")
        found = gain_among_sets(reader.clean, reader.read(edit), readings, controls)
        for i, (one, reading) in enumerate(zip(alike, readings, strict=True)):
            gained = reading.accuracy - reader.clean.accuracy
            self._row("random", name, name, one, draw=i, n=len(reader), delta_points=gained)
        return found

    def _judged(self, name: str, edit: Edit, held: Row, q: float | None) -> EmphasisTest:
        own = self._gain("test", name, name, edit)
        sure, words = emphasis_claim(
            q=q,
            sets=held["random_sets"],
            low=own.ci[0],
            forced_low=own.forced_ci[0],
            alpha=self.settings.alpha,
            matched=held["layer_matched"],
            why_not=held["reason"],
        )
        others = {g: self._gain("side", name, g, edit) for g in self.readers["side"] if g != name}
        steps = {g: found for g, found in others.items() if not g.startswith(MAIN)}
        points = {g: found.delta_points or 0.0 for g, found in steps.items()}
        worst = min(points, key=points.__getitem__) if points else None
        direction = self.directions[name]
        return EmphasisTest(
            **self.chosen[name].record().content(),
            **own.content(),
            **held,
            q=q,
            claimed=sure,
            verdict=words,
            worst_side_effect=worst,
            worst_side_effect_points=steps[worst].delta_points if worst else None,
            side_effects=steps,
            main={g.split("@")[1]: found for g, found in others.items() if g.startswith(MAIN)},
            steering=Steering(right=direction.right, wrong=direction.wrong, reason=direction.reason),
            tried=tuple(o.record() for o in self.tried[name]),
        )

    def _gain(self, phase: str, name: str, measured: str, edit: Edit) -> Gain:
        reader = self.readers["test" if phase == "test" else "side"][measured]
        found = Gain.of(effect(reader.clean, reader.read(edit), reader.groups, self.context.seed))
        said = "main" if measured.startswith(MAIN) else phase
        self._row(said, name, measured, self.chosen[name], **flat(found))
        return found

    def _row(self, phase: str, name: str, measured: str, option: Option, **values: object) -> None:
        base = {"phase": phase, "split": "test", "function": name, "measured": measured}
        said = option.record().content()
        base |= {c: said[c] for c in ("edit", "strength", "scope", "source", "k")}
        self.rows.append({**dict.fromkeys(COLUMNS), **base, "heads": ",".join(said["heads"]), **values})
