"""How much of what is sent may be retries?

Each image's own retries are few, but in an outage those of all images together are a multiple of the
traffic, and hold the service down. So in distress a retry must be earned by ten first tries; where there
are none left, one goes every half minute, so that nobody starves. This file does not know what distress is.

Source: Google, Site Reliability Engineering, chapter 21, "Handling Overload" (a retry budget of 10 %).
"""

import math

_EARNED_PER_FIRST_TRY = 0.1
_MAX_EARNED = 2.0
_MAX_WAIT_S = 30.0


class RetryBudget:
    """The right to send retries, earned by first tries."""

    def __init__(self) -> None:
        self._earned = 1.0
        self._last_start_s = -math.inf

    def on_granted(self, now_s: float, *, retry: bool) -> None:
        """Count a request."""
        self._last_start_s = now_s
        if retry:
            self._earned = max(0.0, self._earned - 1.0)
        else:
            self._earned = min(_MAX_EARNED, self._earned + _EARNED_PER_FIRST_TRY)

    def earliest_start_s(self, now_s: float) -> float:
        """Return when a retry may start in distress, unless enough first tries earn it before."""
        return now_s if self._earned >= 1.0 else max(now_s, self._last_start_s + _MAX_WAIT_S)
