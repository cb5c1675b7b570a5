"""Retry budget: in distress, one retry for every ten first tries.

The retries of all images together are a multiple of the traffic in an outage, and prolong it. Without first
tries, one retry starts every 30 s, so that no image waits for ever.
Source: Google, Site Reliability Engineering, chapter 21, https://sre.google/sre-book/handling-overload/.
"""

import math

_EARNED_PER_FIRST_TRY = 0.1
_MAX_EARNED = 2.0
_MAX_WAIT_S = 30.0


class RetryBudget:
    """The number of retries that may start, earned by first tries."""

    def __init__(self) -> None:
        self._earned = 1.0
        self._last_start_s = -math.inf

    def on_granted(self, now_s: float, *, retry: bool) -> None:
        """Record a granted request."""
        self._last_start_s = now_s
        if retry:
            self._earned = max(0.0, self._earned - 1.0)
        else:
            self._earned = min(_MAX_EARNED, self._earned + _EARNED_PER_FIRST_TRY)

    def earliest_start_s(self, now_s: float) -> float:
        """Return when a retry may start in distress, unless first tries earn it earlier."""
        return now_s if self._earned >= 1.0 else max(now_s, self._last_start_s + _MAX_WAIT_S)
