"""Uplift of edits over asking again: effect size and confidence intervals.

Each share has its Wilson interval. The uplift is the difference between images that got their first edit and
the control group, compared only among equal control shares, with Newcombe's interval. See docs/adr/0011.
Sources: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209; R. G. Newcombe, Stat. Med. 17 (1998) 873, method
10; G. Zou and A. Donner, Stat. Med. 27 (2008) 1693, for sums over groups.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from prompts.policy import ControlAssignment

Z_95 = 1.959964
"""Quantile of the standard normal distribution for intervals that hold in 95 of 100 cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessCount:
    """Number of tries, and how many of them were rescues."""

    tries: int = 0
    rescues: int = 0

    def with_try(self, *, rescued: bool) -> "SuccessCount":
        """Return the count after one more try."""
        return SuccessCount(tries=self.tries + 1, rescues=self.rescues + rescued)

    @property
    def interval(self) -> Interval:
        """The share of rescues with its Wilson interval."""
        return wilson_interval(self.rescues, self.tries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplift:
    """Rescues by the first edit and by asking again, among images that failed consistently."""

    edited: SuccessCount
    asked_again: SuccessCount
    difference: Interval | None
    """In shares of images, from -1 to 1; None if no group has both kinds."""

    @property
    def is_significant(self) -> bool:
        """Whether the edits are better than asking again: the whole interval lies above 0."""
        return self.difference is not None and self.difference.low > 0.0


def wilson_interval(rescues: int, tries: int, z: float = Z_95) -> Interval:
    """Return the share and its Wilson interval; 0 to 1 if nothing was tried.

    See https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval.
    """
    if tries == 0:
        return Interval(estimate=0.0, low=0.0, high=1.0)
    share, shrink = rescues / tries, 1.0 + z * z / tries
    middle = (share + z * z / (2 * tries)) / shrink
    arm = z / shrink * sqrt(share * (1.0 - share) / tries + z * z / (4 * tries * tries))
    # At both ends the bound is exact, and rounding errors would miss it.
    return Interval(
        estimate=share,
        low=0.0 if rescues == 0 else middle - arm,
        high=1.0 if rescues == tries else middle + arm,
    )


def newcombe_interval(treated: SuccessCount, control: SuccessCount) -> Interval:
    """Return the difference of two shares with Newcombe's interval."""
    return _weighted_difference([(1.0, treated, control)])


class UpliftEstimator:
    """Counts of both groups; memory does not grow with the number of images."""

    def __init__(self) -> None:
        self._groups: dict[float, dict[bool, SuccessCount]] = {}

    def add(self, assignment: ControlAssignment, *, rescued: bool) -> None:
        """Add the outcome of one image."""
        group = self._groups.setdefault(
            assignment.control_share, {True: SuccessCount(), False: SuccessCount()}
        )
        group[assignment.is_control] = group[assignment.is_control].with_try(rescued=rescued)

    def estimate(self) -> Uplift:
        """Return the uplift of edits over asking again, as far as it is known."""
        groups = self._groups.values()
        compared = [(one[False], one[True]) for one in groups if one[False].tries and one[True].tries]
        images = sum(treated.tries + control.tries for treated, control in compared)
        parts = [((one.tries + other.tries) / images, one, other) for one, other in compared]
        return Uplift(
            edited=_add_counts(one[False] for one in groups),
            asked_again=_add_counts(one[True] for one in groups),
            difference=_weighted_difference(parts) if parts else None,
        )


def estimate_uplift(assignments: Iterable[tuple[ControlAssignment, bool]]) -> Uplift:
    """Return the uplift from pairs of an image's group and whether it was rescued."""
    estimator = UpliftEstimator()
    for assignment, rescued in assignments:
        estimator.add(assignment, rescued=rescued)
    return estimator.estimate()


def _add_counts(counts: Iterable[SuccessCount]) -> SuccessCount:
    parts = list(counts)
    return SuccessCount(tries=sum(one.tries for one in parts), rescues=sum(one.rescues for one in parts))


def _weighted_difference(parts: Iterable[tuple[float, SuccessCount, SuccessCount]]) -> Interval:
    """Return the weighted sum of the differences between treated and control, with its interval."""
    estimate = below = above = 0.0
    for weight, treated, control in parts:
        one, other = treated.interval, control.interval
        estimate += weight * (one.estimate - other.estimate)
        below += weight**2 * ((one.estimate - one.low) ** 2 + (other.high - other.estimate) ** 2)
        above += weight**2 * ((one.high - one.estimate) ** 2 + (other.estimate - other.low) ** 2)
    return Interval(estimate=estimate, low=estimate - sqrt(below), high=estimate + sqrt(above))
