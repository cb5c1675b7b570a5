"""Log of the requests of the last two minutes, and whether the quota accepted them.

A request counts as accepted from the moment it leaves until a rejection takes it back: an answer comes up
to a minute after its quota was taken, a rejection after a quarter of a second.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from rate_limit.types import Unit

MINUTE_S = 60.0
WIRE_S = 0.25
"""Requests arrive less evenly than they leave, so a window that must not overflow is longer by this."""
_RETENTION_S = 130.0
"""How far back a rejection looks: one window before its request left."""


@dataclass(slots=True, kw_only=True, eq=False)
class SentRequest:
    """One request, from the moment it is granted."""

    estimated_tokens: float
    tokens: float
    """The best estimate; the billed number once it is known."""
    is_retry: bool = False
    sent_s: float | None = None
    is_rejected: bool = False

    def amount(self, unit: Unit) -> float:
        """Return how much of a limit the request uses."""
        return 1.0 if unit is Unit.REQUESTS else self.tokens


class RequestLog:
    """Granted and sent requests, with running totals."""

    def __init__(
        self, window_s: float = MINUTE_S, *, retention_s: float = _RETENTION_S, counts_rejected: bool = False
    ) -> None:
        self._window_s = window_s
        self._retention_s = retention_s
        self._counts_rejected = counts_rejected
        self._recent: deque[SentRequest] = deque()
        self._older: deque[SentRequest] = deque()
        self._pending = 0
        self._totals = dict.fromkeys(Unit, 0.0)
        """Pending and sent within the window."""
        self._lifetime_totals = dict.fromkeys(Unit, 0.0)
        """Sent and not rejected, since the start of the run."""
        self.first_sent_s: float | None = None
        """When the first request left; None if not started."""

    def on_granted(self, request: SentRequest) -> None:
        """Record a granted request, which may leave at any moment."""
        self._pending += 1
        self._add(request, 1.0)

    def on_sent(self, request: SentRequest, now_s: float) -> None:
        """Record when the request left."""
        self._pending -= 1
        self.first_sent_s = now_s if self.first_sent_s is None else self.first_sent_s
        request.sent_s = now_s
        self._recent.append(request)
        for unit in Unit:
            self._lifetime_totals[unit] += request.amount(unit)

    def release(self, request: SentRequest) -> None:
        """Remove a request that never left."""
        self._pending -= 1
        self._add(request, -1.0)

    def on_rejected(self, request: SentRequest, now_s: float) -> None:
        """Record that the quota rejected a request; it counts no more."""
        if self._is_recent(request, now_s):
            self._add(request, -1.0)
        for unit in Unit:
            self._lifetime_totals[unit] -= request.amount(unit)
        request.is_rejected = True

    def on_billed(self, request: SentRequest, tokens: float, now_s: float) -> None:
        """Update the totals to the billed tokens; the caller replaces ``request.tokens`` afterwards."""
        self._lifetime_totals[Unit.TOKENS] += tokens - request.tokens
        if self._is_recent(request, now_s) and self._is_counted(request):
            self._totals[Unit.TOKENS] += tokens - request.tokens

    def sum_accepted_before(self, unit: Unit, until_s: float) -> float:
        """Return the amount accepted of all requests that left before an instant of the last minute."""
        return self._lifetime_totals[unit] - self.sum_accepted(unit, until_s, math.inf)

    def window_total(self, unit: Unit, now_s: float) -> float:
        """Return the amount that is pending, or left within the window that ends now."""
        self._expire(now_s)
        return self._totals[unit]

    def earliest_fit_s(self, unit: Unit, amount: float, limit: float, now_s: float) -> float | None:
        """Return when the amount fits under the limit; None if unknown: a pending request has to leave first.

        An amount above the limit fits into an empty window.
        """
        excess = self.window_total(unit, now_s) + min(amount, limit) - limit
        if excess <= limit * 1e-9:
            return now_s
        for request in self._recent:
            excess -= request.amount(unit) if self._is_counted(request) else 0.0
            if excess <= limit * 1e-9 and request.sent_s is not None:
                return request.sent_s + self._window_s
        return None

    def sum_accepted(self, unit: Unit, since_s: float, until_s: float) -> float:
        """Return the amount accepted of requests that left from ``since_s`` on and before ``until_s``."""
        return sum(
            request.amount(unit)
            for request in self._requests()
            if not request.is_rejected and request.sent_s is not None and since_s <= request.sent_s < until_s
        )

    def first_accepted_s(self, since_s: float) -> float | None:
        """Return when the first accepted request left, from ``since_s`` on; None if there is none."""
        accepted_s = (
            one.sent_s for one in self._requests() if not one.is_rejected and one.sent_s is not None
        )
        return next((at_s for at_s in accepted_s if at_s >= since_s), None)

    def _is_counted(self, request: SentRequest) -> bool:
        return self._counts_rejected or not request.is_rejected

    def _requests(self) -> Iterator[SentRequest]:
        yield from self._older
        yield from self._recent

    def _add(self, request: SentRequest, sign: float) -> None:
        for unit in Unit:
            self._totals[unit] += sign * request.amount(unit)

    def _is_recent(self, request: SentRequest, now_s: float) -> bool:
        self._expire(now_s)
        return request.sent_s is None or request.sent_s + self._window_s > now_s

    def _expire(self, now_s: float) -> None:
        recent, older = self._recent, self._older
        while recent and (recent[0].sent_s or 0.0) + self._window_s <= now_s:
            expired = recent.popleft()
            if self._is_counted(expired):
                self._add(expired, -1.0)
            older.append(expired)
        while older and (older[0].sent_s or 0.0) + self._retention_s <= now_s:
            older.popleft()
        if not recent and not self._pending:
            self._totals = dict.fromkeys(Unit, 0.0)  # sums of fractions drift: an empty window is exactly 0
