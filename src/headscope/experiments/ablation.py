"""The muting experiment: does a function die when its heads are muted, and not when random heads are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.data.cases import Cases
from headscope.edits.edits import Edit, Operation, mute
from headscope.edits.named import Reference, named_edits, need_mean
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.experiments.candidates import RULE, Candidate, Dose, candidates, read_doses
from headscope.experiments.causal import identity
from headscope.experiments.chance import p_among_random
from headscope.experiments.choices import freeze
from headscope.experiments.controls import draw
from headscope.experiments.effects import COLUMNS, against_controls, drops, effect, flat, verdict
from headscope.experiments.items import choose_items, mean_on_fit, open_readers
from headscope.experiments.settings import AblationSettings
from headscope.functions import DEFAULT, MAIN, Taxonomy
from headscope.models.geometry import Head, parse_head
from headscope.models.ways import kept_ways
from headscope.statistics.resampling import benjamini_hochberg
from headscope.storage import Ledger, fingerprint, write_json, write_table

SCHEMA = "headscope/ablation/1"
STAGE = "ablation"


def ablate(
    vlm: Any,
    cases: Cases,
    splits: Mapping[str, str],
    atlas: Any,
    folder: str | Path,
    *,
    taxonomy: Taxonomy = DEFAULT,
    settings: AblationSettings | None = None,
    **knobs: Any,
) -> dict[str, Any]:
    """Mute each function's heads and hold the damage against random heads (docs/concepts.md).

    1. On ``select``: every ranking and k with a few controls; :data:`candidates.RULE` picks one head set per
       function.
    2. The pick is frozen in ``choices.json``; only then is ``test`` read.
    3. On ``test``: drop of accuracy and margin with intervals by image, sign-flip p, place among the control
       draws; other ways to mute; other scopes; every other function (specificity); the main questions.

    Writes ``ablation.json`` and ``ablation.parquet`` (docs/file-formats-interventions.md); resumes.

    Args:
        atlas: anything with ``rankings``: name -> function -> score per head in flat order.
        settings: see :class:`AblationSettings`; single ones can be given by name.

    Returns:
        The content of ``ablation.json``.

    Raises:
        StudyError: no function has items on both ``select`` and ``test``, or no ranking is there.
        StoreError: work with other settings, or another frozen choice, is in the folder.
    """
    made = _Ablation(
        vlm, cases, splits, atlas, Path(folder), taxonomy, replace(settings or AblationSettings(), **knobs)
    )
    with kept_ways(vlm, folder):
        made.choose()
        made.test()
    return made.write()


@dataclass
class _Ablation:
    vlm: Any
    cases: Cases
    splits: Mapping[str, str]
    atlas: Any
    folder: Path
    taxonomy: Taxonomy
    settings: AblationSettings
    heads: dict[str, tuple[Head, ...]] = field(default_factory=dict)
    doses: dict[str, Dose] = field(default_factory=dict)
    frozen: dict[str, Any] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        about = {
            **asdict(self.settings),
            **identity(self.vlm, self.cases),
            "rankings_used": fingerprint(self._rankings()),
        }
        self.ledger = Ledger(self.folder / "ablate", about)
        self.readers = {split: self._open(split) for split in ("select", "test")}
        for name in self.taxonomy.functions:
            lacking = [s for s in ("select", "test") if name not in self.readers[s]]
            if lacking or not self._candidates(name):
                self.skipped[name] = (
                    f"no items on {' and '.join(lacking)}" if lacking else "no ranking of heads"
                )
        self.functions = [f for f in self.taxonomy.functions if f not in self.skipped]
        if not self.functions:
            raise StudyError(f"ablate: nothing to test: {self.skipped}; give more cases, or probe first")

    def _rankings(self) -> dict[str, dict[str, list[float]]]:
        return {
            name: self.atlas.rankings[name]
            for name in self.settings.rankings
            if self.atlas.rankings.get(name)
        }

    def _candidates(self, name: str) -> list[Candidate]:
        rankings = {r: scores[name] for r, scores in self._rankings().items() if scores.get(name)}
        return candidates(self.vlm.geometry, rankings, self.settings.ks)

    def _open(self, split: str) -> dict[str, Reader]:
        s = self.settings
        size = s.select_items if split == "select" else s.test_items
        contexts = s.main_contexts if split == "test" else ()
        asked = ("gold", ALONE) if split == "test" else ("gold",)
        items = choose_items(
            self.cases, self.splits, split, self.taxonomy, size, s.seed, contexts, s.held_out, asked
        )
        bounds: dict[str, Any] = {k: getattr(s, k) for k in ("batch_size", "rows", "max_new_tokens")}
        return open_readers(self.vlm, self.cases, items, self.ledger, **bounds)

    # select -----------------------------------------------------------------------------------------------

    def choose(self) -> None:
        """Dose curves on ``select``, and the frozen choice."""
        s, geometry = self.settings, self.vlm.geometry
        for name in self.functions:
            reader, wanted = self.readers["select"][name], self._candidates(name)
            self.doses[name] = read_doses(geometry, reader, name, wanted, s.select_draws, s.seed)
        chosen = {f: d.chosen.to_json() for f, d in self.doses.items()}
        choice = {f: {key: c[key] for key in ("ranking", "k", "heads")} for f, c in chosen.items()}
        self.frozen = freeze(self.folder, STAGE, {"rule": RULE, "functions": choice})["functions"]
        self.heads = {f: tuple(parse_head(h) for h in c["heads"]) for f, c in self.frozen.items()}

    # test -------------------------------------------------------------------------------------------------

    def test(self) -> None:
        """Everything that is read on ``test``, with the frozen heads alone."""
        for name in self.functions:
            self.results[name] = self._claim(name)
        self._correct()
        mean = self._mean() if need_mean(self.settings.mutes) else None
        ways = named_edits(self.settings.mutes, Reference(self.settings.small, mean))
        self._read_ahead(list(ways.values()))
        for name in self.functions:
            self.results[name]["mutes"] = self._mutes(name, ways)
            self.results[name]["scopes"] = self._scopes(name)
            self.results[name]["main"] = self._main(name)
            if f"{name}@{ALONE}" in self.readers["test"]:
                self.results[name][ALONE] = self._held(name, f"{name}@{ALONE}", "alone")
        self.specificity = self._specificity()

    def _read_ahead(self, ways: list[Operation]) -> None:
        """What is asked at scope ``all`` below, read together: all functions' heads, all ways to mute."""
        for name, reader in self.readers["test"].items():
            own = [Edit(self.heads[name], way) for way in ways] if name in self.functions else []
            if own or name.startswith(MAIN):
                reader.read_each([*(Edit(heads, _ZERO) for heads in self.heads.values()), *own])

    def _claim(self, name: str) -> dict[str, Any]:
        s, reader = self.settings, self.readers["test"][name]
        edited = reader.read(Edit(self.heads[name], mute()))
        hurt = effect(reader.clean, edited, reader.groups, s.seed)
        controls = draw(self.vlm.geometry, self.heads[name], s.draws, s.seed + 1)
        readings = reader.read_many(controls.draws, mute(), label=f"controls: {name}")
        held = against_controls(reader.clean, edited, readings, controls)
        held["p_random"] = p_among_random(reader, self.vlm.geometry, self.heads[name], s.draws, s.seed + 3)
        points, margins = drops(reader.clean, readings)
        for i, heads in enumerate(controls.draws):
            self._row("control", name, name, heads, draw=i, drop_points=points[i], margin_drop=margins[i])
        return {
            **{k: self.frozen[name][k] for k in ("ranking", "k", "heads")},
            **asdict(hurt),
            **held,
            "excess_points": hurt.drop_points - held["control_mean"] if s.draws else None,
        }

    def _correct(self) -> None:
        """False discovery rate over functions, and the verdict in words."""
        held = [f for f in self.functions if self.results[f]["p"] is not None]
        q = benjamini_hochberg([self.results[f]["p"] for f in held])
        for name, value in zip(held, q, strict=True):
            self.results[name]["q"] = float(value)
        for name in self.functions:
            result = self.results[name]
            result.setdefault("q", None)
            result["claimed"], result["verdict"] = verdict(result, self.settings.alpha)

    def _mean(self) -> NDArray[np.float64]:
        s = self.settings

        def compute() -> list[list[float]]:
            asked = self.vlm, self.cases, self.splits, self.taxonomy
            found: list[list[float]] = mean_on_fit(
                *asked, max_items=s.mean_items, seed=s.seed, batch_size=s.batch_size
            ).tolist()
            return found

        return np.array(self.ledger.get_or("means on fit", compute), dtype=np.float64)

    def _mutes(self, name: str, ways: Mapping[str, Operation]) -> dict[str, Any]:
        return {m: self._effect("mute", name, name, what=w, mute=m) for m, w in ways.items()}

    def _scopes(self, name: str) -> dict[str, Any]:
        return {s: self._effect("scope", name, name, scope=s) for s in self.settings.scopes}

    def _main(self, name: str) -> dict[str, Any]:
        s = self.settings
        found = {}
        for context in s.main_contexts:
            measured = f"{MAIN}@{context}"
            if measured not in self.readers["test"]:
                continue
            spatial = name in self.taxonomy.spatial
            found[context] = self._held(name, measured, "main", s.main_draws if spatial else 0)
        return found

    def _held(self, name: str, measured: str, phase: str, draws: int | None = None) -> dict[str, Any]:
        """Effect on other questions than the claim's, against a few controls."""
        s, reader = self.settings, self.readers["test"][measured]
        draws = s.main_draws if draws is None else draws
        found = self._effect(phase, name, measured)
        if draws:
            controls = draw(self.vlm.geometry, self.heads[name], draws, s.seed + 2)
            readings = reader.read_many(controls.draws, mute(), label=f"controls: {measured}")
            edited = reader.read(Edit(self.heads[name], mute()))
            found.update(against_controls(reader.clean, edited, readings, controls))
        return found

    def _specificity(self) -> dict[str, Any]:
        table = [[self._effect("specificity", f, g) for g in self.functions] for f in self.functions]
        columns = ("drop_points", "ci", "margin_drop", "margin_ci", "n")
        cells = {c: [[cell[c] for cell in row] for row in table] for c in columns}
        return {"muted": self.functions, "measured": self.functions, **cells}

    def _effect(
        self,
        phase: str,
        muted: str,
        measured: str,
        what: Operation | None = None,
        scope: str = "all",
        mute: str = "zero",
    ) -> dict[str, Any]:
        reader = self.readers["test"][measured]
        edited = reader.read(Edit(self.heads[muted], what or _ZERO, scope))
        found = asdict(effect(reader.clean, edited, reader.groups, self.settings.seed))
        self._row(phase, muted, measured, self.heads[muted], scope=scope, mute=mute, **flat(found))
        return found

    # artefacts --------------------------------------------------------------------------------------------

    def _row(self, phase: str, muted: str, measured: str, heads: Sequence[Head], **values: Any) -> None:
        base: dict[str, Any] = {"phase": phase, "split": "test", "muted": muted, "measured": measured}
        base |= {
            "heads": ",".join(map(str, heads)),
            "k": len(heads),
            "ranking": self.frozen[muted]["ranking"],
        }
        self.rows.append({**dict.fromkeys(COLUMNS), "scope": "all", "mute": "zero", **base, **values})

    def write(self) -> dict[str, Any]:
        """Write both artefacts; the JSON comes back."""
        doses = {
            f: {"n": d.n, "candidates": [c.to_json() for c in d.candidates]} for f, d in self.doses.items()
        }
        content = {
            "schema": SCHEMA,
            "settings": asdict(self.settings),
            "rule": RULE,
            "functions": self.results,
            "claimed": [f for f in self.functions if self.results[f]["claimed"]],
            "skipped": self.skipped,
            "specificity": self.specificity,
            "dose": doses,
        }
        for name, dose in self.doses.items():
            for c in dose.candidates:
                values = {"drop_points": c.drop_points, "margin_drop": c.margin_drop, "n": dose.n}
                values |= {"control_points": c.control_points, "control_margin": c.control_margin}
                self._row("dose", name, name, c.heads, split="select", ranking=c.ranking, **values)
        write_table(self.folder / "ablation.parquet", self.rows)
        write_json(self.folder / "ablation.json", content)
        return content


_ZERO = mute()
ALONE = "alone"  # in gold context the answer may also be read from the text before the question
