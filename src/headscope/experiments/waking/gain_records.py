"""What the experiment records of heads: how much more each does with pointing, and whether they wake."""

from __future__ import annotations

from headscope.records import Interval, Number, Record


class GainValue(Record):
    """A relative change, 0.1 for 10 percent.

    Attributes:
        value, ci: the change and its 95 % bootstrap interval by picture.
    """

    value: Number
    ci: Interval


class GroupGain(Record):
    """How much more heads do, by group.

    Attributes:
        spatial, other, difference: median over the spatial heads, over all others, and the one less the
            other.
    """

    spatial: GainValue
    other: GainValue
    difference: GainValue


class Gains(Record):
    """How much more heads do than on the plain picture.

    Attributes:
        images, n: pictures and questions.
        contribution: of what heads write into the residual stream.
        attention: of the attention on the named objects.
    """

    images: int
    n: int
    contribution: GroupGain
    attention: GroupGain


class HeadGain(Record):
    """One head, means per question.

    Attributes:
        head, spatial: its label, and whether it counts as spatial.
        contribution_plain, contribution_both, contribution_gain: contribution norm on plain pictures and with
            pointing, and its relative change.
        attention_plain, attention_both, attention_gain: the same for attention on the named objects.
    """

    head: str
    spatial: bool
    contribution_plain: Number = None
    contribution_both: Number = None
    contribution_gain: Number
    attention_plain: Number = None
    attention_both: Number = None
    attention_gain: Number = None


class WakingMeasure(Record):
    """One measure of waking: spatial heads against all others.

    Attributes:
        measure: ``contribution`` or ``attention``.
        against: the picture that pointing is held against.
        questions, n, images: which, how many, and pictures that they show.
        spatial, other, difference: median relative change over the spatial heads, over all others, and the
            one less the other.
        spatial_ci, ci: 95 % bootstrap intervals by picture, of the spatial heads' change and the difference.
        sets, p: distinct random head sets with as many heads per layer, and the share of them (and of the
            heads themselves) with at least that difference.
        q: p after Benjamini and Hochberg over the measures beside the primary one; null for that one.
    """

    measure: str
    against: str
    questions: str
    n: int
    images: int
    spatial: Number
    other: Number
    difference: Number
    ci: Interval
    spatial_ci: Interval = (None, None)
    sets: int
    p: Number
    q: Number = None


class Waking(Record):
    """Whether spatial heads wake: one primary measure, fixed in advance, and all others beside it.

    Attributes:
        primary: contribution of ``both`` over plain, on all questions that name all they need.
        others: further measures.
    """

    primary: WakingMeasure
    others: tuple[WakingMeasure, ...] = ()
