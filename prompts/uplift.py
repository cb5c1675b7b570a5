"""How much were the edits worth over simply asking again, and how sure is that?

The naive answer reports the share of repaired images. Some of them would have been answered anyway, by the
same words asked once more; and seven rescues of ten tries look like the same 70 % as seven hundred of a
thousand.

Every share has its Wilson interval. The worth of the edits is the difference between images whose first
edit was allowed and images where the coin kept the words (``policy``), compared only among equal shares of
the control, with the interval that Newcombe makes of two Wilson intervals; over several groups the squares
of its arms add up with the squares of the weights. Nothing here knows where the counts come from.

Sources: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209; R. G. Newcombe, Stat. Med. 17 (1998) 873, method
10; G. Zou and A. Donner, Stat. Med. 27 (2008) 1693, for sums.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from prompts.policy import ControlAssignment

Z_95 = 1.959964
"""For intervals that hold in 95 of 100 cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and the interval it stands in."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessCount:
    """Tries and how many of them were rescues."""

    tries: int = 0
    rescues: int = 0

    def with_try(self, *, rescued: bool) -> "SuccessCount":
        """Return the tally after one more try."""
        return SuccessCount(tries=self.tries + 1, rescues=self.rescues + rescued)

    @property
    def interval(self) -> Interval:
        """The share of rescues."""
        return wilson_interval(self.rescues, self.tries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplift:
    """What the first edit did over asking again, among images that failed consistently."""

    edited: SuccessCount
    asked_again: SuccessCount
    difference: Interval | None
    """In shares of images, from -1 to 1; None where no group has both kinds."""

    @property
    def is_significant(self) -> bool:
        """True when the edits are better than asking again beyond chance."""
        return self.difference is not None and self.difference.low > 0.0


def wilson_interval(rescues: int, tries: int, z: float = Z_95) -> Interval:
    """Return the share and its Wilson interval; 0 to 1 where nothing was tried."""
    if tries == 0:
        return Interval(estimate=0.0, low=0.0, high=1.0)
    share, shrink = rescues / tries, 1.0 + z * z / tries
    middle = (share + z * z / (2 * tries)) / shrink
    arm = z / shrink * sqrt(share * (1.0 - share) / tries + z * z / (4 * tries * tries))
    # The ends are exact there, and rounding would put them a hair beside.
    return Interval(
        estimate=share,
        low=0.0 if rescues == 0 else middle - arm,
        high=1.0 if rescues == tries else middle + arm,
    )


def newcombe_interval(treated: SuccessCount, control: SuccessCount) -> Interval:
    """Return the difference of two shares with Newcombe's interval."""
    return _weighted_difference([(1.0, treated, control)])


class UpliftEstimator:
    """Counts the images of both sides; its memory does not grow with them."""

    def __init__(self) -> None:
        self._groups: dict[float, dict[bool, SuccessCount]] = {}

    def add(self, assignment: ControlAssignment, *, rescued: bool) -> None:
        """Count one image."""
        group = self._groups.setdefault(
            assignment.control_share, {True: SuccessCount(), False: SuccessCount()}
        )
        group[assignment.is_control] = group[assignment.is_control].with_try(rescued=rescued)

    def estimate(self) -> Uplift:
        """Return the worth of edits over asking again, as far as it is known."""
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
    """Return the worth of edits over asking again, of every trial with whether it was a rescue."""
    estimator = UpliftEstimator()
    for assignment, rescued in assignments:
        estimator.add(assignment, rescued=rescued)
    return estimator.estimate()


def _add_counts(counts: Iterable[SuccessCount]) -> SuccessCount:
    parts = list(counts)
    return SuccessCount(tries=sum(one.tries for one in parts), rescues=sum(one.rescues for one in parts))


def _weighted_difference(parts: Iterable[tuple[float, SuccessCount, SuccessCount]]) -> Interval:
    """Return the weighted sum of differences between treated and control."""
    estimate = below = above = 0.0
    for weight, treated, control in parts:
        one, other = treated.interval, control.interval
        estimate += weight * (one.estimate - other.estimate)
        below += weight**2 * ((one.estimate - one.low) ** 2 + (other.high - other.estimate) ** 2)
        above += weight**2 * ((one.high - one.estimate) ** 2 + (other.estimate - other.low) ** 2)
    return Interval(estimate=estimate, low=estimate - sqrt(below), high=estimate + sqrt(above))
