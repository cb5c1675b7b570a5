"""Sliding window limit: the user's ``--rpm`` or ``--tpm``, exact in any 60 s.

A request counts from its grant on, because a disk and a thread may delay it: two requests granted a second
apart may leave together. It gets its time when it leaves. Proof: of all requests that leave within one
window, take the one that was granted last. At its grant, each of the others was either pending or had left
within the window, so it was counted.
"""

import math

from rate_limit.request_log import MINUTE_S, WIRE_S, RequestLog, SentRequest
from rate_limit.types import Unit


class SlidingWindowLimit:
    """One hard limit (a sliding window log).

    Args:
        unit: what it counts.
        per_minute: more than 0. A fraction of a request cannot be sent, so 2.5 a minute means two in
            any 60 s; below 1 it means one in any ``60 / per_minute`` seconds.
    """

    def __init__(self, unit: Unit, per_minute: float) -> None:
        self.per_minute = per_minute
        self._unit = unit
        window_s = MINUTE_S
        self._limit = per_minute
        if unit is Unit.REQUESTS:
            self._limit = max(1.0, float(math.floor(per_minute + 1e-9)))
            window_s = max(MINUTE_S, MINUTE_S / per_minute)
        self._spacing_s = window_s / self._limit
        self._request_log = RequestLog(window_s + WIRE_S, retention_s=0.0, counts_rejected=True)
        self._next_start_s = -math.inf

    def earliest_start_s(self, amount: float, now_s: float) -> float | None:
        """Return when the amount may start; None if unknown: a granted request has to leave first."""
        fits_s = self._request_log.earliest_fit_s(self._unit, amount, self._limit, now_s)
        return None if fits_s is None else max(now_s, self._next_start_s, fits_s)

    def on_granted(self, request: SentRequest, now_s: float) -> None:
        """Record a granted request."""
        self._request_log.on_granted(request)
        self._next_start_s = max(self._next_start_s, now_s) + request.amount(self._unit) * self._spacing_s

    def on_sent(self, request: SentRequest, now_s: float) -> None:
        """Record when the request left."""
        self._request_log.on_sent(request, now_s)

    def release(self, request: SentRequest) -> None:
        """Remove a request that never left."""
        self._request_log.release(request)

    def on_billed(self, request: SentRequest, tokens: float, now_s: float) -> None:
        """Update the estimate to the tokens that were billed."""
        self._request_log.on_billed(request, tokens, now_s)
