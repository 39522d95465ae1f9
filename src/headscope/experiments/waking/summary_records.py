"""The blocks of the study's summary that are about pointing."""

from __future__ import annotations

from headscope.records import Interval, Number, Record


class BothSummary(Record):
    """The style ``both`` in a few numbers.

    Attributes:
        delta_points, ci: change of accuracy against the plain picture.
        random_box_delta_points, equal_area_delta_points, reverse_mask_delta_points: that of controls.
        delta_points_in_training_range: on pictures with as many things as the model states it was trained on;
            left out where it states nothing.
        head_gain_spatial, head_gain_other: relative change of contribution, medians over heads.
    """

    delta_points: Number = None
    ci: Interval | None = None
    random_box_delta_points: Number = None
    equal_area_delta_points: Number = None
    reverse_mask_delta_points: Number = None
    delta_points_in_training_range: Number = None
    head_gain_spatial: Number = None
    head_gain_other: Number = None


class PointingHeadline(Record):
    """Pointing on the questions whose answer neither boxes nor window tell.

    Attributes:
        n, pictures: questions, and pictures that they show.
        plain: percent right on the plain picture.
        delta_points, ci: change with the style ``both``, its 95 % interval by picture.
        forced_delta_points, forced_ci: the same by forced choice.
    """

    n: int = 0
    pictures: int = 0
    plain: Number = None
    delta_points: Number = None
    ci: Interval = (None, None)
    forced_delta_points: Number = None
    forced_ci: Interval = (None, None)


class PointingControls(Record):
    """Changes in percentage points under the controls of the headline, on its questions.

    Attributes:
        equal_area, other_boxes, empty_window: change of accuracy against the plain picture.
        wrong_name: how much more often the place of the boxed thing is given for that of an absent one.
        wrong_name_share: how often it is, percent.
    """

    equal_area: Number = None
    other_boxes: Number = None
    wrong_name: Number = None
    empty_window: Number = None
    wrong_name_share: Number = None


class PointingLeaky(Record):
    """Pointing on the questions that boxes or window answer.

    Attributes:
        n, delta_points: questions, and the change of accuracy.
    """

    n: int = 0
    delta_points: Number = None


class PointingSummary(Record):
    """Pointing in a few numbers.

    Attributes:
        headline, controls, leaky: its parts.
        with_spatial_heads_muted: what pointing gains on the headline's questions with these heads muted.
    """

    headline: PointingHeadline = PointingHeadline()
    controls: PointingControls = PointingControls()
    leaky: PointingLeaky = PointingLeaky()
    with_spatial_heads_muted: Number = None


class WakeSummary(Record):
    """The blocks of the study's summary.

    Attributes:
        both: the style ``both``, its controls and its heads.
        pointing: the headline, its controls, and what is left out of it.
    """

    both: BothSummary
    pointing: PointingSummary = PointingSummary()
