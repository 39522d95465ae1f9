"""The emphasis experiment: does a function improve when its heads are turned up, and at what price?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from headscope.data.cases import Cases
from headscope.edits.edits import Edit
from headscope.edits.means import Direction
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.experiments.ablation import STAGE as ABLATION
from headscope.experiments.candidates import candidates
from headscope.experiments.causal import identity
from headscope.experiments.choices import freeze, frozen
from headscope.experiments.effects import Effect, effect, flat
from headscope.experiments.items import choose_items, open_readers
from headscope.experiments.options import RULE, Option, best, directions, options, read_options
from headscope.experiments.settings import EmphasisSettings
from headscope.functions import DEFAULT, MAIN, Taxonomy
from headscope.models.geometry import Head, parse_head
from headscope.models.ways import kept_ways
from headscope.storage import Ledger, fingerprint, write_json, write_table

SCHEMA = "headscope/emphasis/1"
STAGE = "emphasis"
CHOSEN = ("edit", "strength", "scope", "source", "k", "heads")


def emphasize(
    vlm: Any,
    cases: Cases,
    splits: Mapping[str, str],
    atlas: Any,
    folder: str | Path,
    *,
    taxonomy: Taxonomy = DEFAULT,
    settings: EmphasisSettings | None = None,
    **knobs: Any,
) -> dict[str, Any]:
    """Turn each function's heads up, or steer them; choose on ``select``, judge once on ``test``.

    Every function's chosen edit is read on every function and on the main questions, so that gains stand
    beside their side effects. Writes ``emphasis.json`` and ``emphasis.parquet``
    (docs/file-formats-interventions.md); resumes from ``emphasize/``. Steering directions come from
    ``capture/`` in the study folder.

    Args:
        atlas: anything with ``rankings``: name -> function -> score per head in flat order.
        settings: see :class:`EmphasisSettings`; single ones can be given by name.

    Returns:
        The content of ``emphasis.json``.

    Raises:
        StudyError: no function has items on both ``select`` and ``test``, or no ranking is there.
        StoreError: work with other settings, or another frozen choice, is in the folder.
    """
    whole = replace(settings or EmphasisSettings(), **knobs)
    made = _Emphasis(vlm, cases, splits, atlas, Path(folder), taxonomy, whole)
    with kept_ways(vlm, folder):
        made.choose()
        made.test()
    return made.write()


@dataclass
class _Emphasis:
    vlm: Any
    cases: Cases
    splits: Mapping[str, str]
    atlas: Any
    folder: Path
    taxonomy: Taxonomy
    settings: EmphasisSettings
    tried: dict[str, list[Option]] = field(default_factory=dict)
    chosen: dict[str, Option] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    headline: str = ""

    def __post_init__(self) -> None:
        self.ranking, scores = self._ranking()
        self.ablated = (frozen(self.folder, ABLATION) or {"functions": {}})["functions"]
        about = {
            **asdict(self.settings),
            **identity(self.vlm, self.cases),
            "ranking_used": fingerprint([self.ranking, scores]),
        }
        self.ledger = Ledger(self.folder / "emphasize", about)
        self.readers = {split: self._open(split) for split in ("select", "test")}
        here = [f for f in self.taxonomy.functions if all(f in r for r in self.readers.values())]
        self.scores = scores
        self.functions = [f for f in here if any(self._sets(f).values())]
        if not self.functions:
            raise StudyError("emphasize: no function has items on select and test and a ranking; probe first")
        self.directions: dict[str, Direction] = directions(
            self.folder / "capture", self.functions, self.settings.readout
        )

    def _ranking(self) -> tuple[str, dict[str, list[float]]]:
        held = {name: r for name, r in self.atlas.rankings.items() if r}
        wanted = self.settings.ranking or getattr(self.atlas, "default_ranking", "") or next(iter(held), "")
        if wanted not in held:
            raise StudyError(
                f"emphasize: no ranking {wanted!r} in the atlas; it holds {list(held) or 'none'}"
            )
        return wanted, held[wanted]

    def _open(self, split: str) -> dict[str, Reader]:
        s = self.settings
        size, contexts = (s.select_items, ()) if split == "select" else (s.test_items, s.main_contexts)
        items = choose_items(
            self.cases, self.splits, split, self.taxonomy, size, s.seed, contexts, s.held_out
        )
        bounds: dict[str, Any] = {
            "batch_size": s.batch_size,
            "rows": s.rows,
            "max_new_tokens": s.max_new_tokens,
        }
        return open_readers(self.vlm, self.cases, items, self.ledger, **bounds)

    def _sets(self, name: str) -> dict[str, Sequence[tuple[Head, ...]]]:
        found: dict[str, Sequence[tuple[Head, ...]]] = {}
        if name in self.ablated:
            found["ablation"] = [tuple(parse_head(h) for h in self.ablated[name]["heads"])]
        if self.scores.get(name):
            ranked = candidates(self.vlm.geometry, {self.ranking: self.scores[name]}, self.settings.ks)
            found[self.ranking] = [c.heads for c in ranked]
        return found

    def choose(self) -> None:
        """Read every option on ``select`` and freeze the best of each function."""
        s = self.settings
        for name in self.functions:
            direction = self.directions[name]
            strengths = s.strengths if direction.vectors is not None else ()
            wanted = options(self._sets(name), s.scales, strengths, (s.scale_scope, s.steer_scope))
            self.tried[name] = read_options(self.readers["select"][name], name, wanted, direction)
            self.chosen[name] = best(self.tried[name])
            for option in self.tried[name]:
                gains = {"delta_points": option.gain_points, "margin_delta": option.margin_gain}
                self._row(
                    "select", name, name, option, split="select", n=len(self.readers["select"][name]), **gains
                )
        self.headline = max(
            self.functions, key=lambda f: (self.chosen[f].gain_points, self.chosen[f].margin_gain)
        )
        picked = {f: {k: o.to_json()[k] for k in CHOSEN} for f, o in self.chosen.items()}
        freeze(self.folder, STAGE, {"rule": RULE, "headline": self.headline, "functions": picked})

    def test(self) -> None:
        """Read the frozen edits on ``test``: their own function, all others, main questions."""
        edits = {f: self.chosen[f].made(self.directions[f]) for f in self.functions}
        for reader in self.readers["test"].values():
            for scope in dict.fromkeys(e.scope for e in edits.values()):
                reader.read_each([e for e in edits.values() if e.scope == scope])
        for name, edit in edits.items():
            own = self._gain("test", name, name, edit)
            others = {g: self._gain("side", name, g, edit) for g in self.functions if g != name}
            mains = [m for m in self.readers["test"] if m.startswith(MAIN)]
            worst = min(others, key=lambda g: others[g]["delta_points"]) if others else None
            self.results[name] = {
                **self.chosen[name].to_json(),
                **own,
                "worst_side_effect": worst,
                "worst_side_effect_points": others[worst]["delta_points"] if worst else None,
                "side_effects": others,
                "main": {m.split("@")[1]: self._gain("main", name, m, edit) for m in mains},
                "steering": {k: getattr(self.directions[name], k) for k in ("right", "wrong", "reason")},
                "tried": [o.to_json() for o in self.tried[name]],
            }

    def _gain(self, phase: str, name: str, measured: str, edit: Edit) -> dict[str, Any]:
        reader = self.readers["test"][measured]
        found = gain(effect(reader.clean, reader.read(edit), reader.groups, self.settings.seed))
        self._row(phase, name, measured, self.chosen[name], **flat(found))
        return found

    def _row(self, phase: str, name: str, measured: str, option: Option, **values: Any) -> None:
        base = {"phase": phase, "split": "test", "function": name, "measured": measured}
        said = option.to_json()
        base |= {c: said[c] for c in ("edit", "strength", "scope", "source", "k")}
        self.rows.append({**dict.fromkeys(COLUMNS), **base, "heads": ",".join(said["heads"]), **values})

    def write(self) -> dict[str, Any]:
        """Write both artefacts; the JSON comes back."""
        top = self.results[self.headline]
        kept = (
            "edit",
            "strength",
            "scope",
            "k",
            "heads",
            "delta_points",
            "ci",
            "n",
            "worst_side_effect_points",
        )
        content = {
            "schema": SCHEMA,
            "settings": asdict(self.settings),
            "rule": RULE,
            "ranking": self.ranking,
            "headline": {"function": self.headline, **{k: top[k] for k in (*kept, "worst_side_effect")}},
            "functions": self.results,
        }
        write_table(self.folder / "emphasis.parquet", self.rows)
        write_json(self.folder / "emphasis.json", content)
        return content


COLUMNS = (
    *(
        "phase",
        "split",
        "function",
        "measured",
        "edit",
        "strength",
        "scope",
        "source",
        "k",
        "heads",
        "n",
        "images",
    ),
    *("accuracy_clean", "accuracy", "delta_points", "ci_low", "ci_high", "p_paired"),
    *("margin_clean", "margin_delta", "margin_ci_low", "margin_ci_high", "margin_p_paired"),
)


def gain(change: Effect) -> dict[str, Any]:
    """An effect with its sign turned: positive where the edit helps."""
    flipped = {k: v for k, v in asdict(change).items() if "drop" not in k and "ci" not in k}
    low, high = change.ci
    margin_low, margin_high = change.margin_ci
    return {
        **flipped,
        "delta_points": 0.0 - change.drop_points,
        "ci": (0.0 - high, 0.0 - low),
        "margin_delta": 0.0 - change.margin_drop,
        "margin_ci": (0.0 - margin_high, 0.0 - margin_low),
    }
