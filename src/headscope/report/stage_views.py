"""What the report knows of muting, turning up and pointing, in one plain form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, in the same unit, and the number of observations behind it."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    @property
    def clear_of_zero(self) -> bool:
        """True if there is an interval and zero is outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class MuteTest:
    """The heads of a function muted, on test, against random heads."""

    function: str
    measured: str  # the function itself, or main
    k: int
    heads: tuple[str, ...]
    ranking: str
    drop: Estimate  # percentage points of accuracy lost
    margin: Estimate | None  # nats of margin lost
    before: float | None  # accuracy 0..1
    after: float | None
    controls: tuple[float, ...]  # points lost under each random draw, where kept
    draws: int
    distinct: int  # how many of the draws differ: what p rests on
    mean: float | None  # over the draws
    greatest: float | None
    layer_matched: bool | None
    p: float | None
    p_signflip: float | None
    reason: str = ""  # why controls are not layer-matched, or what else to know of them
    q: float | None = None  # false discovery rate over functions
    claimed: bool | None = None  # the stage's own verdict, with its reason in words
    verdict: str = ""

    @property
    def excess(self) -> float | None:
        """Points lost beyond the mean control."""
        return None if self.mean is None else self.drop.value - self.mean


@dataclass(frozen=True)
class DosePoint:
    """Loss when the first k heads of a ranking are muted, on select."""

    function: str
    ranking: str
    k: int
    drop: float
    control: float | None  # mean of the random draws
    chosen: bool = False


@dataclass(frozen=True)
class Variant:
    """One way of editing the same heads: what is done, and at which positions."""

    function: str
    what: str
    scope: str
    drop: Estimate


@dataclass(frozen=True)
class Matrix:
    """Change of accuracy (points, losses negative) for each row's edit on each column's function."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    change: tuple[tuple[Estimate | None, ...], ...]


@dataclass(frozen=True)
class AblationView:
    """Everything that muting showed."""

    split: str = "test"
    tests: tuple[MuteTest, ...] = ()
    dose: tuple[DosePoint, ...] = ()
    variants: tuple[Variant, ...] = ()
    specificity: Matrix | None = None
    rule: str = ""  # how heads were chosen on select
    skipped: dict[str, str] = field(default_factory=dict)  # function -> why it was not tested
    held_out: bool | None = None  # whether cases new to the model came in


@dataclass(frozen=True)
class Emphasis:
    """One edit meant to help, chosen on select, judged on test."""

    function: str
    edit: str
    strength: float
    heads: tuple[str, ...]
    scope: str
    source: str  # where the heads come from: a ranking, or the ablation
    delta: Estimate  # points gained on the function
    margin: Estimate | None  # nats of margin gained
    before: float | None  # accuracy 0..1
    after: float | None
    p: float | None  # sign flip by image
    others: dict[str, Estimate]  # points gained on every other measured function, main questions last

    @property
    def worst(self) -> tuple[str, float] | None:
        """The function, other than the one aimed at, that changed most for the worse."""
        found = [(f, e.value) for f, e in self.others.items() if not f.startswith("main")]
        return min(found, key=lambda pair: pair[1]) if found else None


@dataclass(frozen=True)
class OptionPoint:
    """Gain on select of one option that was tried."""

    function: str
    edit: str
    strength: float
    k: int
    source: str
    delta: float
    chosen: bool = False


@dataclass(frozen=True)
class EmphasisView:
    """Everything that turning heads up showed; the headline was chosen on select."""

    headline: str
    items: tuple[Emphasis, ...]
    tried: tuple[OptionPoint, ...] = ()
    rule: str = ""
    held_out: bool | None = None


POPULATIONS = {"all": "all", "in_training_range": "as many things as trained on", "beyond": "more things"}


@dataclass(frozen=True)
class WakeDelta:
    """Change of accuracy from one kind of picture to another, on one set of questions."""

    variant: str  # the marked picture: a style or a control
    against: str  # plain, or a control
    by: str  # population, crowding, function, beyond_by_function, main_by_context, pointing, select
    subset: str  # which population, bin, function, ...
    delta: Estimate
    before: float | None = None  # accuracy 0..1
    after: float | None = None
    p: float | None = None  # sign flip by image
    margin: Estimate | None = None


@dataclass(frozen=True)
class HeadGain:
    """How much a head did more when pictures were marked."""

    head: str
    spatial: bool
    gain: float | None  # relative change of contribution norm
    attention: float | None = None  # relative change of attention mass on the objects' tokens


@dataclass(frozen=True)
class GroupGain:
    """Relative change of contribution or attention, by group of heads, on one set of questions."""

    measure: str
    subset: str
    spatial: Estimate
    other: Estimate
    difference: Estimate


@dataclass(frozen=True)
class WakeExample:
    """One question before and after marking."""

    case: str
    question: str
    truth: str
    style: str
    before: dict[str, Any]  # answer, margin, correct
    after: dict[str, Any]
    boxes: tuple[tuple[float, float, float, float], ...]
    woken: dict[str, float]  # group of heads -> relative growth of its mean contribution on this question
    function: str = ""


@dataclass(frozen=True)
class WakeView:
    """Everything that pointing showed."""

    style: str = "both"  # fixed in advance
    chosen: str = "both"  # chosen on select
    controls: tuple[str, ...] = ()
    population: str = "all"  # that of the headline numbers
    deltas: tuple[WakeDelta, ...] = ()
    gains: tuple[HeadGain, ...] = ()
    groups: tuple[GroupGain, ...] = ()
    examples: tuple[WakeExample, ...] = ()
    caveats: tuple[str, ...] = ()
    trained_things: tuple[int, int] | None = None
    unread: str = ""  # why no question of test could be pointed at

    def delta(self, variant: str, subset: str | None = None, against: str = "plain") -> WakeDelta | None:
        """The change of a variant on one population (None: the headline's)."""
        wanted = (variant, against, "population", subset or self.population)
        return next((d for d in self.deltas if (d.variant, d.against, d.by, d.subset) == wanted), None)

    def group(self, measure: str = "contribution", subset: str | None = None) -> GroupGain | None:
        """The gain of spatial and other heads on one set of questions (None: the headline's)."""
        wanted = (measure, subset or self.population)
        return next((g for g in self.groups if (g.measure, g.subset) == wanted), None)
