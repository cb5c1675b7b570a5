"""When is it worth to ask whether a limit still stands?

A failed probe costs a few refused calls and nothing else, so the share of calls that may be refused says
how often: rarely at a limit that was met again and again, soon at one that was met once, and very soon
after it fell, because whoever took the rest may be gone in a minute. This file does not know how to probe.
"""

_PROBE_SHARE = 0.0025
"""Of all calls, what probing may have refused in the long run."""
_PROBE_SHARE_AFTER_FALL = 0.02
_REJECTION_DELAY_S = 0.3
"""What left before the first refusal of a probe was heard is refused too."""
_FALL_FACTOR = 0.85
_MAX_INTERVAL_S = 1_800.0
_NAMED_INTERVAL_S = 900.0
_FALL_FORGOTTEN_S = 600.0
_STEADY_WINDOW_S = 45.0


class ProbeSchedule:
    """The times of the probes of one limit."""

    def __init__(self) -> None:
        self.limit_before_fall: float | None = None
        """What the limit was before it fell."""
        self._fell_s: float | None = None
        self._times_found = 0
        self._had_full_window = False
        self._found_s: float | None = None
        self._due_s: float | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether the limit was met more than once, or stayed clean for a minute."""
        return self._times_found >= 2 or (self._times_found == 1 and self._had_full_window)

    def mark_confirmed(self) -> None:
        """Take a limit for confirmed that another night confirmed."""
        self._times_found = 3
        self._had_full_window = True

    def on_limit_found(
        self, limit: float, previous: float | None, now_s: float, *, is_measured: bool = False
    ) -> None:
        """Note that the limit was met, and where it was believed to be.

        ``is_measured``: two refusals tell it together, so that it counts as met again.
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
        """Note that less passes than did before."""
        self.limit_before_fall = max(previous, self.limit_before_fall or 0.0)
        self._fell_s = None
        self._times_found = 1
        self._had_full_window = False

    def on_window_full(self, now_s: float) -> None:
        """Note that a whole window at the limit passes without a refusal."""
        self._had_full_window = self._had_full_window or (
            self._found_s is not None and now_s - self._found_s >= _STEADY_WINDOW_S
        )

    def schedule_next(self, now_s: float, sent_per_s: float, *, is_named: bool) -> None:
        """Set the time of the next probe; ``sent_per_s`` is how many calls a second the limit allows."""
        self._due_s = now_s + self._interval_s(sent_per_s, is_named=is_named)

    def is_due(self, now_s: float) -> bool:
        """Tell whether to probe now."""
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
