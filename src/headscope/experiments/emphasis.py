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
from headscope.experiments.effects import Gain, flat
from headscope.experiments.emphasis_result import (
    COLUMNS,
    EmphasisResult,
    EmphasisTest,
    Headline,
    Steering,
)
from headscope.experiments.options import RULE, Option, best, directions, options, read_options
from headscope.experiments.settings import EmphasisSettings
from headscope.experiments.significance import effect
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
    """Turn each function's heads up, or steer them; choose on ``select``, judge once on ``test``.

    Every function's chosen edit is read on every function and on the main questions, so that gains stand
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
    headline: str = ""

    def __post_init__(self) -> None:
        self.ranking, self.scores = self._ranking()
        tests = self.ablation.functions if self.ablation is not None else {}
        self.ablated = {f: tuple(parse_head(h) for h in test.heads) for f, test in tests.items()}
        used = fingerprint([self.ranking, self.scores])
        self.ledger = self.context.ledger("emphasize", self.settings, ranking_used=used)
        self.readers = {split: self._open(split) for split in ("select", "test")}
        here = [f for f in self.context.taxonomy.functions if all(f in r for r in self.readers.values())]
        self.functions = [f for f in here if any(self._sets(f).values())]
        if not self.functions:
            raise StudyError("emphasize: no function has items on select and test and a ranking; probe first")
        captured = self.context.folder / "capture"
        self.directions: dict[str, Direction] = directions(captured, self.functions, self.settings.readout)

    def _ranking(self) -> tuple[str, Mapping[str, Sequence[float | None]]]:
        held = {name: r for name, r in self.atlas.rankings.items() if r}
        wanted = self.settings.ranking or self.atlas.default_ranking or next(iter(held), "")
        if wanted not in held:
            raise StudyError(
                f"emphasize: no ranking {wanted!r} in the atlas; it holds {list(held) or 'none'}"
            )
        return wanted, held[wanted]

    def _open(self, split: str) -> dict[str, Reader]:
        s = self.settings
        size, contexts = (s.select_items, ()) if split == "select" else (s.test_items, s.main_contexts)
        return self.context.readers(self.context.choose(split, size, contexts, s.held_out), self.ledger, s)

    def _sets(self, name: str) -> dict[str, Sequence[tuple[Head, ...]]]:
        found: dict[str, Sequence[tuple[Head, ...]]] = {}
        if name in self.ablated:
            found["ablation"] = [self.ablated[name]]
        scores = self.scores.get(name)
        if scores:
            geometry = self.context.vlm.geometry
            ranked = candidates(geometry, {self.ranking: scores}, self.settings.ks)
            found[self.ranking] = [c.heads for c in ranked]
        return found

    def choose(self) -> None:
        """Read every option on ``select`` and freeze the best of each function."""
        s = self.settings
        for name in self.functions:
            direction, reader = self.directions[name], self.readers["select"][name]
            strengths = s.strengths if direction.vectors is not None else ()
            wanted = options(self._sets(name), s.scales, strengths, (s.scale_scope, s.steer_scope))
            self.tried[name] = read_options(reader, name, wanted, direction)
            self.chosen[name] = best(self.tried[name])
            for option in self.tried[name]:
                gains = {"delta_points": option.gain_points, "margin_delta": option.margin_gain}
                self._row("select", name, name, option, split="select", n=len(reader), **gains)
        self.headline = max(
            self.functions, key=lambda f: (self.chosen[f].gain_points, self.chosen[f].margin_gain)
        )
        said = {f: o.record().content() for f, o in self.chosen.items()}
        picked = {f: {k: o[k] for k in CHOSEN} for f, o in said.items()}
        freeze(self.context.folder, STAGE, {"rule": RULE, "headline": self.headline, "functions": picked})

    def test(self) -> EmphasisResult:
        """Read the frozen edits on ``test``: their own function, all others, main questions."""
        edits = {f: self.chosen[f].made(self.directions[f]) for f in self.functions}
        for reader in self.readers["test"].values():
            for scope in dict.fromkeys(e.scope for e in edits.values()):
                reader.read_each([e for e in edits.values() if e.scope == scope])
        results = {name: self._judged(name, edit) for name, edit in edits.items()}
        return EmphasisResult(
            settings=self.context.recorded(self.settings),
            rule=RULE,
            ranking=self.ranking,
            headline=Headline.of(self.headline, results[self.headline]),
            functions=results,
        ).with_rows(self.rows)

    def _judged(self, name: str, edit: Edit) -> EmphasisTest:
        own = self._gain("test", name, name, edit)
        others = {g: self._gain("side", name, g, edit) for g in self.functions if g != name}
        mains = [m for m in self.readers["test"] if m.startswith(MAIN)]
        points = {g: found.delta_points or 0.0 for g, found in others.items()}
        worst = min(points, key=points.__getitem__) if points else None
        direction = self.directions[name]
        return EmphasisTest(
            **self.chosen[name].record().content(),
            **own.content(),
            worst_side_effect=worst,
            worst_side_effect_points=others[worst].delta_points if worst else None,
            side_effects=others,
            main={m.split("@")[1]: self._gain("main", name, m, edit) for m in mains},
            steering=Steering(right=direction.right, wrong=direction.wrong, reason=direction.reason),
            tried=tuple(o.record() for o in self.tried[name]),
        )

    def _gain(self, phase: str, name: str, measured: str, edit: Edit) -> Gain:
        reader = self.readers["test"][measured]
        found = Gain.of(effect(reader.clean, reader.read(edit), reader.groups, self.context.seed))
        self._row(phase, name, measured, self.chosen[name], **flat(found))
        return found

    def _row(self, phase: str, name: str, measured: str, option: Option, **values: object) -> None:
        base = {"phase": phase, "split": "test", "function": name, "measured": measured}
        said = option.record().content()
        base |= {c: said[c] for c in ("edit", "strength", "scope", "source", "k")}
        self.rows.append({**dict.fromkeys(COLUMNS), **base, "heads": ",".join(said["heads"]), **values})
