"""The atlas: heads x functions with scores, intervals, significance, and the provenance to repeat them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from headscope import notebook
from headscope.errors import StudyError
from headscope.models.geometry import Head
from headscope.records import Artefact, Record
from headscope.statistics.ranking import BY_SIZE, strongest
from headscope.statistics.resampling import spearman
from headscope.storage import Row

if TYPE_CHECKING:
    import pandas as pd

RANKINGS = ("joint", "independent", "causal")  # of the contract; "answer" is a fourth way to rank
WAYS = (*RANKINGS, "answer", "attention", "patching")

Scores = dict[str, list[float | None]]  # function -> one number per head, flat order; None: not computed
Intervals = dict[str, list[tuple[float, float] | None]]


class AtlasHead(Record):
    """One head.

    Attributes:
        layer, head, tower, site: its address.
        label: such as ``L3H5``.
        width: of its z.
    """

    layer: int
    head: int
    tower: str = "decoder"
    site: str = "self"
    label: str
    width: int


class AnswerScores(Record):
    """Whether heads hold the answers of one function.

    Attributes:
        score, interval: balanced accuracy of the step's answer from the head alone, less the better of two
            rivals, and its interval.
        accuracy: the first term.
        question, blank: the rivals: the bag of the question's words, and the same head's z on a blank
            picture (null if it was not captured).
        chance: what guessing would give.
        n, images: steps and images.
        domains: sets of answers that were told apart.
    """

    score: list[float | None]
    interval: list[tuple[float, float] | None]
    accuracy: list[float | None]
    question: float | None
    blank: list[float | None] | None
    chance: float | None
    n: int
    images: int
    domains: list[Row]


class Sparsity(Record):
    """How few heads serve a function, by one criterion.

    Attributes:
        significant, share, ci: heads selected, their share of all, its Wilson interval with heads as trials.
        gini: of the scores' sizes (AUROC above 0.5, other scores above 0, importance by size).
        effective: effective number of heads, (sum of sizes)^2 / sum of squares; null where all are 0.
        above: fixed cut in nats -> share of all heads with at least that effect; causal scores only.
        by_layer: heads selected in each attention layer.
    """

    significant: int
    share: float
    ci: tuple[float | None, float | None]
    gini: float | None
    effective: float | None = None
    above: dict[str, float] = Field(default_factory=dict)
    by_layer: list[int]


class Contrast(Record):
    """Spatial functions against the others; the unit is the function.

    Attributes:
        spatial, other, difference: means over functions, and the one less the other.
        relabel_p: two-sided, among all ways to call as many functions spatial.
        ways: how many there are; with 3 of 9 functions p cannot fall below 1/84.
    """

    spatial: float
    other: float
    difference: float
    relabel_p: float
    ways: int


class Scarcity(Contrast):
    """Effective number of heads of spatial functions less that of the others, by one criterion's scores.

    Attributes:
        functions: those compared.
        effective: function -> effective number of heads.
        above: fixed cut in nats -> the same contrast of the share of heads above it; causal scores only.
    """

    functions: list[str]
    effective: dict[str, float]
    above: dict[str, Contrast] = Field(default_factory=dict)


class Correlation(Record):
    """Spearman correlation of two rankings over the heads.

    Attributes:
        function, a, b: of which function, and which rankings (the joint one by size).
        rho, n: the correlation, and the heads that have both.
    """

    function: str
    a: str
    b: str
    rho: float | None
    n: int


class Provenance(BaseModel):
    """What an atlas was made from; further keys are kept, all settings among them.

    Attributes:
        model, revision, data: name and revision of the model, fingerprint of the cases.
        seed, readout, contexts: of the probes.
        splits: split -> steps and images.
        versions: of packages.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str = ""
    revision: str = ""
    data: str = ""
    seed: int = 0
    readout: str = ""
    contexts: list[str] = Field(default_factory=list)
    splits: dict[str, dict[str, int]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class Atlas(Artefact):
    """Which heads serve which function. Every list over heads is in the flat order of ``heads``.

    Attributes:
        heads: every head, in flat order.
        functions: functions that occur, in the taxonomy's order.
        spatial: those of the spatial group.
        from_picture: those whose answer needs the picture; null: all.
        default_ranking: the ranking that ``top`` follows: ``causal`` if there is one, else ``independent``,
            unless set.
        default_criterion: the criterion that ``functional`` follows: ``causal`` if it can be judged, else
            ``decoding``.
        level: false discovery rate at which a head counts as selected.
        rankings: ``joint``, ``independent``, ``causal``, ``attention`` (share on what questions name), and
            ``patching`` where pairs were patched before: a table each (null or absent: not computed).
        intervals: the same names: intervals of those scores.
        p, significance: ``independent``, ``answer``, ``causal``: p-values, and q after Benjamini and Hochberg
            over heads.
        selected: criterion -> function -> one true or false per head; null: could not be judged.
        control, selectivity: tables: AUROC on the control task, and AUROC less that.
        answers: function -> whether heads hold its answers; functions without two answers that occur often
            enough are absent.
        elbow: ranking -> function -> number of heads before the elbow of the sorted sizes.
        correlations: of each two rankings.
        sparsity: criterion -> function -> how few heads.
        scarcity: criterion -> spatial functions against the others.
        joint: the joint probe: ``accuracy`` (on ``test``, with ``accuracy_ci``), ``majority``, ``shuffled``,
            ``accuracy_select``, ``epochs`` and so on.
        independent: ``accuracy`` and ``control_accuracy`` per head over all functions, ``majority``, mean and
            spread of the null, ``logistic``.
        provenance: what it was made from.

    Example:
        >>> import headscope as hs
        >>> from headscope.models.embedded import atlas_file
        >>> atlas = hs.Atlas.load(atlas_file())
        >>> strongest = atlas.top("counting", 2, by="causal")
        >>> table = atlas.to_dataframe().query("function == 'counting'").sort_values("causal")
        >>> list(table["label"][:-3:-1]) == [str(head) for head in strongest]
        True
    """

    schema_: Literal["headscope/atlas/2"] = Field(default="headscope/atlas/2", alias="schema")
    heads: list[AtlasHead]
    functions: list[str]
    spatial: list[str] = Field(default_factory=list)
    from_picture: list[str] | None = None  # functions whose answer needs the picture; None: all
    default_ranking: str = "independent"
    default_criterion: str = "decoding"
    level: float = 0.05
    rankings: dict[str, Scores | None] = Field(default_factory=dict)
    intervals: dict[str, Intervals] = Field(default_factory=dict)
    p: dict[str, Scores] = Field(default_factory=dict)
    significance: dict[str, Scores] = Field(default_factory=dict)
    selected: dict[str, dict[str, list[bool] | None]] = Field(default_factory=dict)
    control: Scores = Field(default_factory=dict)
    selectivity: Scores = Field(default_factory=dict)
    answers: dict[str, AnswerScores] = Field(default_factory=dict)
    elbow: dict[str, dict[str, int]] = Field(default_factory=dict)
    correlations: list[Correlation] = Field(default_factory=list)
    sparsity: dict[str, dict[str, Sparsity]] = Field(default_factory=dict)
    scarcity: dict[str, Scarcity] = Field(default_factory=dict)
    joint: Row = Field(default_factory=dict)
    independent: Row = Field(default_factory=dict)
    provenance: Provenance = Field(default_factory=Provenance)

    def __repr__(self) -> str:
        """Short: an atlas holds thousands of scores."""
        return f"Atlas({self._about()})"

    __str__ = __repr__

    def _about(self) -> str:
        ways = [way for way in WAYS if any(self.has(way, f) for f in self.functions)]
        name = f"{self.provenance.model}, " if self.provenance.model else ""
        shape = (
            f"{len(self.heads)} heads in {len(self._rows_of_map())} layers x {len(self.functions)} functions"
        )
        return f"{name}{shape}; rankings: {', '.join(ways) or 'none'}"

    def _rows_of_map(self) -> dict[tuple[str, int, str], int]:
        """Attention layer -> its row of a head map."""
        return {
            site: i for i, site in enumerate(dict.fromkeys((h.tower, h.layer, h.site) for h in self.heads))
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: a map of all heads for each function, and its strongest ones."""
        layers, way = self._rows_of_map(), self.default_ranking
        places = [(layers[h.tower, h.layer, h.site], h.head) for h in self.heads]
        maps = []
        for function in self.functions[: notebook.ROWS]:
            if self.has(way, function):
                scores = [float(x) if np.isfinite(x) else None for x in self.scores(function)]
                best = strongest(self.strength(function, way), 3)
                note = " ".join(self.heads[i].label for i in best)
                maps.append(notebook.head_map(function, dict(zip(places, scores, strict=True)), note))
        line = notebook.heading("Atlas", self._about(), f"maps: {way}, blue above 0, strongest below")
        return f"{line}<div>{''.join(maps)}</div>"

    @property
    def default_scarcity(self) -> Scarcity | None:
        """Spatial functions against the others by the default criterion; None where there are not both."""
        return self.scarcity.get(self.default_criterion)

    def scores(self, function: str, by: str | None = None) -> NDArray[np.float64]:
        """Scores of one ranking, (head,), NaN where not computed.

        Args:
            function: one of ``functions``.
            by: ``joint``, ``independent``, ``causal``, ``answer``, ``attention`` or ``patching``; None: the
                default one.

        Raises:
            StudyError: an unknown function, or a ranking that was not computed.
        """
        way = by or self.default_ranking
        self._known(function)
        found: list[float | None] | None = None
        if way == "answer" and function in self.answers:
            found = self.answers[function].score
        elif way != "answer":
            found = (self.rankings.get(way) or {}).get(function)
        if found is None:
            have = [w for w in WAYS if self.has(w, function)]
            raise StudyError(
                f"asked for heads of {function} by the {way} ranking, which this atlas does not hold; "
                f"it holds {have or 'none'}: name one of them, or run the stage that computes it"
            )
        return np.array([np.nan if s is None else s for s in found], dtype=np.float64)

    def strength(self, function: str, by: str | None = None) -> NDArray[np.float64]:
        """What heads are ordered by, (head,): the magnitude for the joint probe, the score elsewhere."""
        found = self.scores(function, by)
        return np.abs(found) if (by or self.default_ranking) in BY_SIZE else found

    def top(self, function: str, k: int, by: str | None = None) -> list[Head]:
        """The ``k`` strongest heads for a function, strongest first; ties go to the earlier head.

        Heads without a score are never among them, so that fewer than ``k`` may come back.

        Raises:
            StudyError: an unknown function, or a ranking that was not computed.
        """
        return [self._head(i) for i in strongest(self.strength(function, by), k)]

    def functional(self, function: str, by: str | None = None) -> list[Head]:
        """The heads that pass a criterion at the atlas's level, strongest first.

        Args:
            by: ``joint``, ``independent``, ``answer``, ``decoding`` or ``causal``
                (docs/file-formats-atlas.md);
                None: the atlas's default criterion.

        Raises:
            StudyError: an unknown function, or a criterion that was not judged.
        """
        self._known(function)
        way = by or self.default_criterion
        chosen = (self.selected.get(way) or {}).get(function)
        if chosen is None:
            have = [c for c, table in self.selected.items() if table.get(function) is not None]
            raise StudyError(
                f"asked for functional heads of {function} by the criterion {way}, which this atlas does "
                f"not hold; it holds {have or 'none'}"
            )
        order = self.top(function, len(self.heads), "independent" if way == "decoding" else way)
        passed = {self._head(i) for i, yes in enumerate(chosen) if yes}
        return [head for head in order if head in passed]

    def ranking_correlations(self) -> list[Correlation]:
        """Spearman correlation over heads of each two rankings, by function (the joint one by size)."""
        found = []
        for function in self.functions:
            have = [way for way in WAYS if self.has(way, function)]
            for i, a in enumerate(have):
                for b in have[i + 1 :]:
                    left, right = self.strength(function, a), self.strength(function, b)
                    rho, n = spearman(left, right), int((np.isfinite(left) & np.isfinite(right)).sum())
                    found.append(
                        Correlation(function=function, a=a, b=b, rho=None if np.isnan(rho) else rho, n=n)
                    )
        return found

    def table(self) -> list[Row]:
        """One row per head and function: what ``atlas.parquet`` holds."""
        return list(self._table_rows())

    def to_dataframe(self) -> pd.DataFrame:
        """The same as a data frame, for sorting, joining and plotting."""
        import pandas as pd

        return pd.DataFrame(self.table())

    def content(self) -> Row:
        """The atlas in plain values, every field."""
        return self.model_dump(by_alias=True)

    def _known(self, function: str) -> None:
        if function not in self.functions:
            raise StudyError(f"asked for heads of {function!r}; this atlas holds {self.functions}")

    def has(self, way: str, function: str) -> bool:
        """Whether heads can be ranked this way for this function."""
        if way == "answer":
            return function in self.answers
        return (self.rankings.get(way) or {}).get(function) is not None

    def _head(self, index: int) -> Head:
        own = self.heads[index]
        return Head(own.layer, own.head, own.tower, own.site)

    def _table_rows(self) -> Iterator[Row]:
        for function in self.functions:
            columns: Row = {}
            for way in WAYS:
                columns[way] = self.scores(function, way).tolist() if self.has(way, function) else None
                pairs = self.intervals.get(way, {}).get(function)
                if way == "answer" and function in self.answers:
                    pairs = self.answers[function].interval
                for side, name in enumerate(("low", "high")):
                    columns[f"{way}_{name}"] = (
                        [None if x is None else x[side] for x in pairs] if pairs else None
                    )
                columns[f"{way}_q"] = self.significance.get(way, {}).get(function)
            columns |= {"control": self.control.get(function), "selectivity": self.selectivity.get(function)}
            for criterion, table in self.selected.items():
                columns[f"selected_{criterion}"] = table.get(function)
            for i, head in enumerate(self.heads):
                values = {name: None if column is None else column[i] for name, column in columns.items()}
                yield {**head.model_dump(), "function": function, **values}
