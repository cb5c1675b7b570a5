"""How does a run find its pace while nothing is known, without paying for the search?

A climb by the clock wastes a fast service: a minute goes by before what the first second of answers would
have allowed. All slots at once drown in a small quota. So answers are the clock: a few requests leave
together, each answer lets two follow, and these are spread over the time that an answer takes. A refusal
leaves a quarter of what was in flight. This file does not know which refusals say anything about a limit.
"""

import math

INITIAL_WINDOW = 6.0
"""Requests that may leave before anything was answered. Most quotas allow more in any minute, and where one
allows two, four refusals are the price of the whole search."""
_MAX_INITIAL_WINDOW = 64.0
_OBSERVED_SHARE = 0.1
"""Where so much a minute was seen to pass another night, this part of it may leave at once."""
_MIN_WINDOW = 1.0
_CONNECTS_PER_REJECTION = 4.0
"""A refusal takes so many times as long as a connection does: that is made, then the image is sent."""
_MIN_REJECTION_S = 0.008
"""However near the service is, it needs time to refuse."""


class SlowStart:
    """The window of a run that has met no limit; it grows with every answer.

    Args:
        seen_rpm: what another night saw to pass in a minute, without meeting a limit; None for nothing.
    """

    def __init__(self, *, observed_rpm: float | None) -> None:
        self._window = min(_MAX_INITIAL_WINDOW, max(INITIAL_WINDOW, _OBSERVED_SHARE * (observed_rpm or 0.0)))
        self._next_start_s = -math.inf
        self._is_spacing = False
        self._was_rejected = False
        self._last_start_s = -math.inf
        self._connect_s = math.inf

    def earliest_start_s(self, now_s: float, *, in_flight: int, share: float) -> float | None:
        """Return when a request may start; None for not before a call in flight has ended."""
        if in_flight < max(_MIN_WINDOW, self._window * share):
            return max(now_s, self._next_start_s)
        if self._was_rejected or not math.isfinite(self._connect_s):
            return None
        return max(
            now_s, self._last_start_s + max(_MIN_REJECTION_S, _CONNECTS_PER_REJECTION * self._connect_s)
        )

    def on_connected(self, seconds: float) -> None:
        """Hear how long it took to reach the service; the quickest time is the way, the rest is waiting."""
        self._connect_s = min(self._connect_s, seconds)

    def on_granted(self, now_s: float, latency_s: float | None, *, in_flight: int) -> None:
        """Count a request beside so many in flight; with it, the window holds no less."""
        self._last_start_s = now_s
        self._window = max(self._window, in_flight + 1.0)
        if self._is_spacing and latency_s is not None:
            self._next_start_s = now_s + latency_s / self._window

    def on_accepted(self) -> None:
        """Let one more be in flight."""
        self._is_spacing = True
        self._window += 1.0

    def on_rejected(self, in_flight: int) -> None:
        """Begin again with a quarter of what is in flight."""
        self._is_spacing = self._was_rejected = True
        self._window = max(_MIN_WINDOW, min(self._window, in_flight + 1.0) / 4.0)
