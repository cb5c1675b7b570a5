"""When is it worth to ask whether a limit still stands?

A failed probe costs a few refused calls and nothing else, so the share of calls that may be refused says
how often: rarely at a limit that was met again and again, soon at one that was met once, and very soon
after it fell, because whoever took the rest may be gone in a minute. This file does not know how to probe.
"""

_SHARE = 0.0025
"""Of all calls, what probing may have refused in the long run."""
_SHARE_AFTER_FALL = 0.02
_HEARD_LATE_S = 0.3
"""What left before the first refusal of a probe was heard is refused too."""
_FALL = 0.85
_LONGEST_S = 1_800.0
_NAMED_S = 900.0
_FALL_FORGOTTEN_S = 600.0
_STEADY_S = 45.0


class Schedule:
    """The times of the probes of one limit."""

    def __init__(self) -> None:
        self.fell_from: float | None = None
        """What the limit was before it fell."""
        self._fell_s: float | None = None
        self._meetings = 0
        self._was_full = False
        self._met_s: float | None = None
        self._due_s: float | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether the limit was met more than once, or stayed clean for a minute."""
        return self._meetings >= 2 or (self._meetings == 1 and self._was_full)

    def trust(self) -> None:
        """Take a limit for confirmed that another night confirmed."""
        self._meetings = 3
        self._was_full = True

    def met(self, limit: float, before: float | None, now_s: float, *, is_measured: bool = False) -> None:
        """Note that the limit was met, and where it was believed to be.

        ``is_measured``: two refusals tell it together, so that it counts as met again.
        """
        if before is not None and limit < _FALL * before and self.is_confirmed:
            self.fell(before)
        elif before is not None and not 0.96 * before <= limit <= 1.04 * before:
            self._meetings, self._was_full = 1, False
        else:
            self._meetings += 1
        if is_measured:
            self._meetings = max(2, self._meetings)
        self._met_s = now_s
        if self.fell_from is not None:
            self._fell_s = now_s if self._fell_s is None else self._fell_s
            if limit >= 0.95 * self.fell_from or now_s - self._fell_s > _FALL_FORGOTTEN_S:
                self.fell_from = self._fell_s = None

    def fell(self, before: float) -> None:
        """Note that less passes than did before."""
        self.fell_from = max(before, self.fell_from or 0.0)
        self._fell_s = None
        self._meetings = 1
        self._was_full = False

    def was_full(self, now_s: float) -> None:
        """Note that a whole window at the limit passes without a refusal."""
        self._was_full = self._was_full or (self._met_s is not None and now_s - self._met_s >= _STEADY_S)

    def plan(self, now_s: float, sent_per_s: float, *, named: bool) -> None:
        """Set the time of the next probe; ``sent_per_s`` is how many calls a second the limit allows."""
        self._due_s = now_s + self._pause_s(sent_per_s, named=named)

    def is_due(self, now_s: float) -> bool:
        """Tell whether to probe now."""
        return self._due_s is not None and now_s >= self._due_s

    def _pause_s(self, sent_per_s: float, *, named: bool) -> float:
        cost = 1.0 + _HEARD_LATE_S * sent_per_s
        if self.fell_from is not None:
            soon_s = cost / (_SHARE_AFTER_FALL * sent_per_s)
            return min(90.0, max(15.0, soon_s))
        rarely_s = min(_LONGEST_S, max(60.0, cost / (_SHARE * sent_per_s)))
        if named:
            return max(rarely_s, _NAMED_S)
        if self._meetings <= 1:
            return min(90.0, max(20.0, rarely_s / 4.0))
        return rarely_s / 2.0 if self._meetings == 2 else rarely_s
