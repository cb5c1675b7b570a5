"""Slow start: the number of calls in flight while no limit is known.

A few requests leave together, each answer lets two follow, and these are spread over the time that an answer
takes. A rejection leaves a quarter of what was in flight. See docs/adr/0009.
"""

import math

INITIAL_WINDOW = 6.0
"""Requests that may leave before the first answer. Most quotas allow more in any minute; a quota of two a
minute rejects four, once."""
_MAX_INITIAL_WINDOW = 64.0
_OBSERVED_SHARE = 0.1
"""The part of the requests a minute that another run saw to pass, which may leave at once."""
_MIN_WINDOW = 1.0
_CONNECTS_PER_REJECTION = 4.0
"""A rejection takes so many times as long as a connection, since the image is sent after connecting."""
_MIN_REJECTION_S = 0.008
"""The shortest time in which a service on the same machine rejects."""


class SlowStart:
    """Window of calls in flight for a run that knows no limit; it grows by one with every answer.

    Named after TCP's slow start (https://www.rfc-editor.org/rfc/rfc5681#section-3.1).

    Args:
        observed_rpm: requests a minute that another run saw to pass, without meeting a limit; None if
            unknown.
    """

    def __init__(self, *, observed_rpm: float | None) -> None:
        self._window = min(_MAX_INITIAL_WINDOW, max(INITIAL_WINDOW, _OBSERVED_SHARE * (observed_rpm or 0.0)))
        self._next_start_s = -math.inf
        self._is_spacing = False
        self._was_rejected = False
        self._last_start_s = -math.inf
        self._connect_s = math.inf

    def earliest_start_s(self, now_s: float, *, in_flight: int, share: float) -> float | None:
        """Return when a request may start; None if unknown: a call in flight has to end first.

        Until the first rejection, silence counts too: one more request may start after the time in which
        a rejection of the last one would have arrived, however slow the answers are.
        """
        if in_flight < max(_MIN_WINDOW, self._window * share):
            return max(now_s, self._next_start_s)
        if self._was_rejected or not math.isfinite(self._connect_s):
            return None
        return max(
            now_s, self._last_start_s + max(_MIN_REJECTION_S, _CONNECTS_PER_REJECTION * self._connect_s)
        )

    def on_connected(self, seconds: float) -> None:
        """Record how long it took to connect; the shortest time counts, since longer ones include waiting."""
        self._connect_s = min(self._connect_s, seconds)

    def on_granted(self, now_s: float, latency_s: float | None, *, in_flight: int) -> None:
        """Record a granted request beside so many in flight; the window is at least as large as these."""
        self._last_start_s = now_s
        self._window = max(self._window, in_flight + 1.0)
        if self._is_spacing and latency_s is not None:
            self._next_start_s = now_s + latency_s / self._window

    def on_accepted(self) -> None:
        """Record an accepted request: one more may be in flight."""
        self._is_spacing = True
        self._window += 1.0

    def on_rejected(self, in_flight: int) -> None:
        """Record a rejection: the window becomes a quarter of what is in flight."""
        self._is_spacing = self._was_rejected = True
        self._window = max(_MIN_WINDOW, min(self._window, in_flight + 1.0) / 4.0)
