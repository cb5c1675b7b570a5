"""Which requests left in the last two minutes, and did the quota take them?

Counting answers is the naive way, and late: an answer comes up to a minute after its quota was taken,
a refusal after a quarter of a second. So a request counts as accepted from the moment it leaves, until a
refusal takes it back. This file does not know what limits are.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from rate_limit.types import Unit

MINUTE_S = 60.0
WIRE_S = 0.25
"""Requests arrive less evenly than they leave, so a window that must not overflow is longer by so much."""
_KEPT_S = 130.0
"""How far back a refusal may look: a window before the moment when its request left."""


@dataclass(slots=True, kw_only=True, eq=False)
class Sending:
    """One request, from the moment it is granted."""

    estimated_tokens: float
    tokens: float
    """The best estimate; what was billed once that is known."""
    retry: bool = False
    sent_s: float | None = None
    refused: bool = False

    def amount(self, unit: Unit) -> float:
        """Return what it takes of a limit."""
        return 1.0 if unit is Unit.REQUESTS else self.tokens


class Sendings:
    """Granted and sent requests, with totals that cost nothing to read."""

    def __init__(
        self, window_s: float = MINUTE_S, *, kept_s: float = _KEPT_S, counts_refused: bool = False
    ) -> None:
        self._window_s = window_s
        self._kept_s = kept_s
        self._counts_refused = counts_refused
        self._recent: deque[Sending] = deque()
        self._older: deque[Sending] = deque()
        self._pending = 0
        self._totals = dict.fromkeys(Unit, 0.0)
        """Pending and sent within the window."""
        self._ever = dict.fromkeys(Unit, 0.0)
        """Sent and not refused, since the beginning."""
        self.begun_s: float | None = None
        """When the first request left."""

    def grant(self, sending: Sending) -> None:
        """Count a request that may leave at any moment."""
        self._pending += 1
        self._add(sending, 1.0)

    def sent(self, sending: Sending, now_s: float) -> None:
        """Note the moment when it left."""
        self._pending -= 1
        self.begun_s = now_s if self.begun_s is None else self.begun_s
        sending.sent_s = now_s
        self._recent.append(sending)
        for unit in Unit:
            self._ever[unit] += sending.amount(unit)

    def unused(self, sending: Sending) -> None:
        """Forget a request that never left."""
        self._pending -= 1
        self._add(sending, -1.0)

    def refused(self, sending: Sending, now_s: float) -> None:
        """Take back a request that the quota did not count."""
        if self._is_recent(sending, now_s):
            self._add(sending, -1.0)
        for unit in Unit:
            self._ever[unit] -= sending.amount(unit)
        sending.refused = True

    def billed(self, sending: Sending, tokens: float, now_s: float) -> None:
        """Count what was billed in the place of ``sending.tokens``, which the caller replaces thereafter."""
        self._ever[Unit.TOKENS] += tokens - sending.tokens
        if self._is_recent(sending, now_s) and self._counts(sending):
            self._totals[Unit.TOKENS] += tokens - sending.tokens

    def taken_before(self, unit: Unit, until_s: float) -> float:
        """Return what the quota took of all requests that left before an instant of the last minute."""
        return self._ever[unit] - self.taken(unit, until_s, math.inf)

    def total(self, unit: Unit, now_s: float) -> float:
        """Return what is pending or left within the window that ends now."""
        self._forget(now_s)
        return self._totals[unit]

    def fits_at_s(self, unit: Unit, amount: float, limit: float, now_s: float) -> float | None:
        """Return when the amount fits under the limit; None for not before a pending request has left.

        An amount above the limit fits into an empty window.
        """
        excess = self.total(unit, now_s) + min(amount, limit) - limit
        if excess <= limit * 1e-9:
            return now_s
        for sending in self._recent:
            excess -= sending.amount(unit) if self._counts(sending) else 0.0
            if excess <= limit * 1e-9 and sending.sent_s is not None:
                return sending.sent_s + self._window_s
        return None

    def taken(self, unit: Unit, since_s: float, until_s: float) -> float:
        """Return what the quota took of requests that left from ``since_s`` on and before ``until_s``."""
        return sum(
            sending.amount(unit)
            for sending in self._all()
            if not sending.refused and sending.sent_s is not None and since_s <= sending.sent_s < until_s
        )

    def oldest_s(self, since_s: float) -> float | None:
        """Return when the first request left, from ``since_s`` on, that the quota took."""
        sent = (one.sent_s for one in self._all() if not one.refused and one.sent_s is not None)
        return next((at_s for at_s in sent if at_s >= since_s), None)

    def _counts(self, sending: Sending) -> bool:
        return self._counts_refused or not sending.refused

    def _all(self) -> Iterator[Sending]:
        yield from self._older
        yield from self._recent

    def _add(self, sending: Sending, sign: float) -> None:
        for unit in Unit:
            self._totals[unit] += sign * sending.amount(unit)

    def _is_recent(self, sending: Sending, now_s: float) -> bool:
        self._forget(now_s)
        return sending.sent_s is None or sending.sent_s + self._window_s > now_s

    def _forget(self, now_s: float) -> None:
        recent, older = self._recent, self._older
        while recent and (recent[0].sent_s or 0.0) + self._window_s <= now_s:
            left = recent.popleft()
            if self._counts(left):
                self._add(left, -1.0)
            older.append(left)
        while older and (older[0].sent_s or 0.0) + self._kept_s <= now_s:
            older.popleft()
        if not recent and not self._pending:
            self._totals = dict.fromkeys(Unit, 0.0)  # sums of fractions drift; an empty window does not
