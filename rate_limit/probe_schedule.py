"""Schedule of probes: when to check whether a limit has risen.

A failed probe costs a few rejected calls and no throughput, so the share of calls that may be rejected sets
the interval. It is long for a limit that was met repeatedly, shorter for one that was met once, and shortest
after the limit fell, because another client may have taken the rest and may end within a minute.
"""

_PROBE_SHARE = 0.0025
"""The part of all calls that probes may have rejected in the long run."""
_PROBE_SHARE_AFTER_FALL = 0.02
_REJECTION_DELAY_S = 0.3
"""Calls that leave before the first rejection of a probe arrives are rejected, too."""
_FALL_FACTOR = 0.85
_MAX_INTERVAL_S = 1_800.0
_NAMED_INTERVAL_S = 900.0
_FALL_FORGOTTEN_S = 600.0
_STEADY_WINDOW_S = 45.0


class ProbeSchedule:
    """Times of the probes of one limit."""

    def __init__(self) -> None:
        self.limit_before_fall: float | None = None
        """The limit before it fell; None if it did not fall."""
        self._fell_s: float | None = None
        self._times_found = 0
        self._had_full_window = False
        self._found_s: float | None = None
        self._due_s: float | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether the limit was met more than once, or held for a minute without a rejection."""
        return self._times_found >= 2 or (self._times_found == 1 and self._had_full_window)

    def mark_confirmed(self) -> None:
        """Record that another run confirmed the limit."""
        self._times_found = 3
        self._had_full_window = True

    def on_limit_found(
        self, limit: float, previous: float | None, now_s: float, *, is_measured: bool = False
    ) -> None:
        """Record that the limit was met, and its previous estimate.

        ``is_measured``: two rejections gave it together, so that it counts as met again.
        """
        if previous is not None and limit < _FALL_FACTOR * previous and self.is_confirmed:
            self.on_limit_fell(previous)
        elif previous is not None and not 0.96 * previous <= limit <= 1.04 * previous:
            self._times_found, self._had_full_window = 1, False
        else:
            self._times_found += 1
        if is_measured:
            self._times_found = max(2, self._times_found)
        self._found_s = now_s
        if self.limit_before_fall is not None:
            self._fell_s = now_s if self._fell_s is None else self._fell_s
            if limit >= 0.95 * self.limit_before_fall or now_s - self._fell_s > _FALL_FORGOTTEN_S:
                self.limit_before_fall = self._fell_s = None

    def on_limit_fell(self, previous: float) -> None:
        """Record that the limit fell."""
        self.limit_before_fall = max(previous, self.limit_before_fall or 0.0)
        self._fell_s = None
        self._times_found = 1
        self._had_full_window = False

    def on_window_full(self, now_s: float) -> None:
        """Record that a whole window at the limit passed without a rejection."""
        self._had_full_window = self._had_full_window or (
            self._found_s is not None and now_s - self._found_s >= _STEADY_WINDOW_S
        )

    def schedule_next(self, now_s: float, sent_per_s: float, *, is_named: bool) -> None:
        """Update the time of the next probe; ``sent_per_s`` is the calls a second that the limit allows."""
        self._due_s = now_s + self._interval_s(sent_per_s, is_named=is_named)

    def is_due(self, now_s: float) -> bool:
        """Return whether to probe now."""
        return self._due_s is not None and now_s >= self._due_s

    def _interval_s(self, sent_per_s: float, *, is_named: bool) -> float:
        cost = 1.0 + _REJECTION_DELAY_S * sent_per_s
        if self.limit_before_fall is not None:
            soon_s = cost / (_PROBE_SHARE_AFTER_FALL * sent_per_s)
            return min(90.0, max(15.0, soon_s))
        rarely_s = min(_MAX_INTERVAL_S, max(60.0, cost / (_PROBE_SHARE * sent_per_s)))
        if is_named:
            return max(rarely_s, _NAMED_INTERVAL_S)
        if self._times_found <= 1:
            return min(90.0, max(20.0, rarely_s / 4.0))
        return rarely_s / 2.0 if self._times_found == 2 else rarely_s
