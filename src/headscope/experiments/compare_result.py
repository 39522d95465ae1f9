"""The result of holding two atlases side by side: ``compare.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from headscope.records import Artefact, Interval, JsonValue, Number, Record
from headscope.storage import Row

if TYPE_CHECKING:
    import pandas as pd


class Compared(Record):
    """One of the two atlases.

    Attributes:
        model, revision, data: what it was made from.
        heads, layers: heads, and attention layers.
    """

    model: str
    revision: str
    data: str
    heads: int
    layers: int


class Overlap(Record):
    """The strongest heads that both atlases name for a function.

    Attributes:
        k, shared: how many were taken of each, and how many of these are the same.
        share, ci: ``shared / k``, and its 95 % Wilson interval with heads as trials.
        heads: labels of those that are the same, the strongest of this atlas first.
        expected: the share that two random sets have on average.
        p, q: hypergeometric p of at least as many, and that after Benjamini and Hochberg over functions.
    """

    k: int
    shared: int
    share: float
    ci: Interval
    heads: tuple[str, ...] = ()
    expected: float
    p: Number
    q: Number = None


class RankAgreement(Record):
    """Spearman correlation of two rankings, over heads or over parts of the depth.

    Attributes:
        rho, ci: the correlation, and its 95 % bootstrap interval; heads are resampled.
        n: heads, or parts of the depth.
    """

    rho: Number
    ci: Interval
    n: int


class DepthAgreement(RankAgreement):
    """The same over relative depth.

    Attributes:
        depth: middle of each part, 0 to 1.
        here, there: mean rank of its heads, 0 the weakest of the model and 1 the strongest.
    """

    depth: tuple[float, ...]
    here: tuple[Number, ...]
    there: tuple[Number, ...]


class FunctionComparison(Record):
    """One function in both atlases.

    Attributes:
        overlap, over_heads: null where the models have not the same heads.
        over_depth: over relative depth.
    """

    overlap: Overlap | None = None
    over_heads: RankAgreement | None = None
    over_depth: DepthAgreement


class ClaimSide(Record):
    """What one study claims of a function's heads.

    Attributes:
        claimed, verdict: whether they may be called functional, and the reason in words.
        heads: which were muted.
        drop_points, ci, n: points lost, their 95 % interval, questions.
        q: after Benjamini and Hochberg over the functions of that study.
    """

    claimed: bool
    verdict: str
    heads: tuple[str, ...]
    drop_points: Number
    ci: Interval
    n: int
    q: Number = None


class ClaimSides(Record):
    """What both studies claim of one function.

    Attributes:
        here, there: null where that study has not tested it.
    """

    here: ClaimSide | None = None
    there: ClaimSide | None = None


class MeanAgreement(Record):
    """A mean over functions.

    Attributes:
        value, ci, n: the mean, its 95 % bootstrap interval (functions are resampled), functions.
    """

    value: Number
    ci: Interval
    n: int


class CompareResult(Artefact):
    """One study's atlas beside another's.

    Attributes:
        settings: all of them, seed among them.
        ranking: the ranking of both.
        here, there: the two atlases.
        same_heads: whether both models have the same heads, so that heads can be compared one by one.
        functions: function -> how far the two agree.
        skipped: function -> why it could not be compared.
        mean_overlap, mean_over_depth: over functions.
        claims: function -> what both claim, where two studies were compared by name; the stage leaves it out.
    """

    schema_: Literal["headscope/compare/1"] = Field(default="headscope/compare/1", alias="schema")
    settings: dict[str, JsonValue]
    ranking: str
    here: Compared
    there: Compared
    same_heads: bool
    functions: dict[str, FunctionComparison]
    skipped: dict[str, str] = Field(default_factory=dict)
    mean_overlap: MeanAgreement | None = None
    mean_over_depth: MeanAgreement
    claims: dict[str, ClaimSides] = Field(default_factory=dict)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a function: ``rho`` over heads with ``n``, heads in common, ``depth_rho``, both claims."""
        import pandas as pd

        names = dict.fromkeys([*self.functions, *self.claims])
        return pd.DataFrame([{"function": name, **self._row(name)} for name in names])

    def _row(self, name: str) -> Row:
        found, sides = self.functions.get(name), self.claims.get(name)
        heads, overlap, depth = (
            getattr(found, part, None) for part in ("over_heads", "overlap", "over_depth")
        )
        row: Row = {
            **{column: getattr(heads, column, None) for column in ("rho", "n")},
            **dict(zip(("rho_low", "rho_high"), getattr(heads, "ci", (None, None)), strict=True)),
            **{column: getattr(overlap, column, None) for column in ("k", "shared", "expected", "p", "q")},
            "shared_heads": ",".join(overlap.heads) if overlap else None,
            **{f"depth_{column}": getattr(depth, column, None) for column in ("rho", "n")},
        }
        for where in ("here", "there"):
            side = getattr(sides, where, None)
            for column in ("claimed", "drop_points", "n", "q"):
                row[f"{column}_{where}"] = getattr(side, column, None)
        return row
