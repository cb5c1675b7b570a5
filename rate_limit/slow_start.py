"""How does a run find its pace while nothing is known, without paying for the search?

A climb by the clock wastes a fast service: a minute goes by before what the first second of answers would
have allowed. All slots at once drown in a small quota. So answers are the clock: a few requests leave
together, each answer lets two follow, and these are spread over the time that an answer takes. A refusal
leaves a quarter of what was in flight. This file does not know which refusals say anything about a limit.
"""

import math

FIRST = 6.0
"""Requests that may leave before anything was answered. Most quotas allow more in any minute, and where one
allows two, four refusals are the price of the whole search."""
_MOST_FIRST = 64.0
_SEEN_SHARE = 0.1
"""Where so much a minute was seen to pass another night, this part of it may leave at once."""
_LEAST = 1.0
_REACHES = 4.0
"""A refusal takes so many times as long as a connection does: that is made, then the image is sent."""
_SOONEST_S = 0.008
"""However near the service is, it needs time to refuse."""


class Opening:
    """The window of a run that has met no limit; it grows with every answer.

    Args:
        seen_rpm: what another night saw to pass in a minute, without meeting a limit; None for nothing.
    """

    def __init__(self, *, seen_rpm: float | None) -> None:
        self._window = min(_MOST_FIRST, max(FIRST, _SEEN_SHARE * (seen_rpm or 0.0)))
        self._next_s = -math.inf
        self._is_spread = False
        self._was_refused = False
        self._last_s = -math.inf
        self._reach_s = math.inf

    def free_at_s(self, now_s: float, *, in_flight: int, portion: float) -> float | None:
        """Return when a request may start; None for not before a call in flight has ended."""
        if in_flight < max(_LEAST, self._window * portion):
            return max(now_s, self._next_s)
        if self._was_refused or not math.isfinite(self._reach_s):
            return None
        return max(now_s, self._last_s + max(_SOONEST_S, _REACHES * self._reach_s))

    def reached(self, seconds: float) -> None:
        """Hear how long it took to reach the service; the quickest time is the way, the rest is waiting."""
        self._reach_s = min(self._reach_s, seconds)

    def granted(self, now_s: float, latency_s: float | None, *, in_flight: int) -> None:
        """Count a request beside so many in flight; with it, the window holds no less."""
        self._last_s = now_s
        self._window = max(self._window, in_flight + 1.0)
        if self._is_spread and latency_s is not None:
            self._next_s = now_s + latency_s / self._window

    def answered(self) -> None:
        """Let one more be in flight."""
        self._is_spread = True
        self._window += 1.0

    def refused(self, in_flight: int) -> None:
        """Begin again with a quarter of what is in flight."""
        self._is_spread = self._was_refused = True
        self._window = max(_LEAST, min(self._window, in_flight + 1.0) / 4.0)
