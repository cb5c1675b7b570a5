"""A share of images with its interval, as documents show it."""

from dataclasses import dataclass

from prompts.uplift import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An estimate with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


def build_share(interval: Interval) -> Share:
    """Return the interval rounded to a hundredth of a percent."""
    return Share(
        estimate=round(interval.estimate, 4), low=round(interval.low, 4), high=round(interval.high, 4)
    )
