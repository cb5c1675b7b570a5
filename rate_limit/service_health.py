"""Service health: a circuit breaker, and the limit of calls in flight.

A quota rejects in milliseconds and says when to come back. A service in distress answers late, with 503 or
not at all, and more calls make it worse. So a few failures among many answers change nothing; a burst lowers
the number of calls in flight; if nothing is answered any more, all callers wait and single calls probe the
service. An outage that outlasts the user's patience ends the run.
"""

import math
from collections import deque

from errors import NO_REPLY, TRANSIENT, ApiFailure, Cause, ErrorKind, FatalError, StopReason

_MIN_CONCURRENCY = 4
_HEADROOM = 2.0
"""Calls that may be in flight, as a multiple of pace times latency."""
_FIRST_LATENCY_S = 10.0
_LATENCY_WEIGHT = 0.1
_BURST_S = 10.0
_BURST_FAILURES = 4
_BURST_SHARE = 0.2
_CAP_CUT = 0.7
_CAP_STEP_S = 5.0
_DISTRESS_S = 30.0
_DISTRESS_FAILURES = 5
_DISTRESS_SHARE = 0.3
_DEAD_FAILURES = 6
"""Failures in a row, without an answer between, after which all callers wait."""
_DEAD_S = 3.0
_FIRST_PROBE_S = 5.0
_MAX_PROBE_S = 60.0
_IDLE_S = 150.0
"""A longer stretch without any call is not part of an outage."""
_MAX_LONG_WAITS = 3
"""Replies in a row that ask for a longer wait than the user allows, after which the run ends."""
_MIN_FIRST_TRIES = 2
"""An outage needs so many first tries that failed: one image alone proves nothing about the service."""


class RecentOutcomes:
    """Outcomes of the calls of the last seconds."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0

    def add(self, now_s: float, *, failed: bool) -> None:
        """Add a call that ended, and remove old ones, since ``is_bad`` is called only after failures."""
        self._expire(now_s)
        self._outcomes.append((now_s, failed))
        self._failures += failed

    def is_bad(self, now_s: float, failures: int, share: float) -> bool:
        """Return whether so many failed, and so large a share."""
        self._expire(now_s)
        return self._failures >= failures and self._failures >= share * len(self._outcomes)

    def _expire(self, now_s: float) -> None:
        while self._outcomes and self._outcomes[0][0] + self._span_s <= now_s:
            self._failures -= self._outcomes.popleft()[1]


class ServiceHealth:
    """State of the service apart from its quotas.

    A circuit breaker (https://martinfowler.com/bliki/CircuitBreaker.html), open while ``next_probe_s`` lies
    ahead, half open while one probe is in flight.
    """

    def __init__(
        self,
        *,
        max_concurrent: int,
        outage_patience_s: float,
        latency_s: float | None,
        max_wait_s: float = math.inf,
    ) -> None:
        self._max_concurrent = max_concurrent
        self._patience_s = outage_patience_s
        self._max_wait_s = max_wait_s
        self._long_waits = 0
        self.latency_s = latency_s
        """Mean duration of an answered call; None if unknown."""
        self.in_flight = 0
        self._sent_in_flight = 0
        self._sent_sum_s = 0.0
        self._cap = float(max_concurrent)
        self._cap_changed_s = -math.inf
        self._burst = RecentOutcomes(_BURST_S)
        self._distress = RecentOutcomes(_DISTRESS_S)
        self._failure_streak = 0
        self._streak_since_s = 0.0
        self._next_probe_s: float | None = None
        """When the next probe may start; infinite while one is in flight; None while calls are answered."""
        self._is_probing = False
        self._probe_interval_s = _FIRST_PROBE_S
        self._outage_since_s: float | None = None
        self._first_tries = 0
        self._last_call_s = -math.inf
        self.outage = ""
        """Why the last call got no reply, in a few words; empty after a reply."""

    def on_granted(self, now_s: float) -> None:
        """Record a call that was granted."""
        if not self.in_flight and self._outage_since_s is not None and now_s - self._last_call_s > _IDLE_S:
            self._outage_since_s += now_s - self._last_call_s
        self.in_flight += 1
        if self._next_probe_s is not None:
            self._next_probe_s = math.inf
            self._is_probing = True

    def on_sent(self, now_s: float) -> None:
        """Record a call that left."""
        self._sent_in_flight += 1
        self._sent_sum_s += now_s

    def on_ended(self, now_s: float, sent_s: float | None) -> None:
        """Record a call that ended in any way."""
        self.in_flight -= 1
        self._last_call_s = now_s
        if sent_s is not None:
            self._sent_in_flight -= 1
            self._sent_sum_s -= sent_s
        if self._next_probe_s == math.inf and not self.in_flight:
            self._next_probe_s = now_s  # the probe was not sent or was cut off: another one may start

    def on_reply(self, now_s: float, seconds: float | None) -> None:
        """Record an answer of any kind; ``seconds`` is how long a good one took, else None."""
        if seconds is not None:
            known = self.latency_s
            self.latency_s = seconds if known is None else known + _LATENCY_WEIGHT * (seconds - known)
        self._record_outcome(now_s, failed=False)
        self.outage = ""
        self._outage_since_s = None
        self._first_tries = self._long_waits = 0
        self._reopen(now_s)

    def on_failure(self, failure: ApiFailure, now_s: float, seconds: float, *, retry: bool) -> None:
        """Record a call without an answer.

        Raises:
            FatalError: the service answered nothing for as long as the user's patience lasts, or asks
                again and again for a longer wait than the user allows.
        """
        if failure.cause is Cause.STOPPED:  # it says nothing about the service
            return
        since_s = now_s - seconds if self._outage_since_s is None else self._outage_since_s
        is_unanswered = failure.kind in TRANSIENT and not failure.extra_tries  # a refusal is a reply
        if is_unanswered:
            self._outage_since_s = since_s
        if failure.kind in NO_REPLY:
            self._check_wait(failure)
            self.outage = describe_outage(failure)
            self._record_outcome(now_s, failed=True)
            self._count_streak(now_s)
        elif failure.kind is ErrorKind.RATE_LIMITED:
            self._reopen(now_s)  # no answer, but a service that counts quotas is well
        if is_unanswered:
            self._first_tries += not retry
            self._check_patience(failure, now_s, since_s)

    def exclude_wait(self, seconds: float) -> None:
        """Remove from an outage the seconds that were waited for a quota."""
        if self._outage_since_s is not None:
            self._outage_since_s += seconds

    def next_probe_s(self) -> float | None:
        """Return when a probe may start; infinite while one is in flight; None while calls are answered."""
        return self._next_probe_s

    def patience_ends_s(self) -> float:
        """Return when an outage will have lasted for as long as the user's patience; infinite without one."""
        return math.inf if self._outage_since_s is None else self._outage_since_s + self._patience_s

    def is_distressed(self, now_s: float) -> bool:
        """Return whether retries would make it worse; a dead service gets single probes instead."""
        if self._failure_streak >= _DEAD_FAILURES and not self.in_flight:
            if self._next_probe_s is None:
                self._next_probe_s = self._later_probe_s(now_s)
            return False
        return self._distress.is_bad(now_s, _DISTRESS_FAILURES, _DISTRESS_SHARE)

    def allowed_concurrency(self, now_s: float, pace_rpm: float | None) -> int:
        """Return how many calls may be in flight at this pace."""
        self._raise_cap(now_s)
        allowed = min(float(self._max_concurrent), self._cap)
        if pace_rpm is not None:
            allowed = min(
                allowed, max(_MIN_CONCURRENCY, _HEADROOM * pace_rpm / 60.0 * self._likely_latency_s(now_s))
            )
        return max(1, math.floor(allowed))

    def _likely_latency_s(self, now_s: float) -> float:
        """Return the latency, or twice the mean age of the calls in flight if that is longer.

        Quick answers arrive first, so the mean of the answers alone is too short at first; a call in flight
        is at half of its time, on average.
        """
        in_flight_s = 2.0 * (now_s - self._sent_sum_s / self._sent_in_flight) if self._sent_in_flight else 0.0
        known = _FIRST_LATENCY_S if self.latency_s is None else self.latency_s
        return max(known, in_flight_s)

    def _record_outcome(self, now_s: float, *, failed: bool) -> None:
        self._burst.add(now_s, failed=failed)
        self._distress.add(now_s, failed=failed)
        if failed and now_s - self._cap_changed_s >= _CAP_STEP_S and self._is_burst(now_s):
            self._cap = max(1.0, _CAP_CUT * min(self._cap, self.in_flight + 1.0))
            self._cap_changed_s = now_s

    def _raise_cap(self, now_s: float) -> None:
        if self._cap < self._max_concurrent and now_s - self._cap_changed_s >= _CAP_STEP_S:
            self._cap_changed_s = now_s
            if not self._is_burst(now_s):
                self._cap = min(float(self._max_concurrent), 1.3 * self._cap + 1.0)

    def _is_burst(self, now_s: float) -> bool:
        return self._burst.is_bad(now_s, _BURST_FAILURES, _BURST_SHARE)

    def _count_streak(self, now_s: float) -> None:
        self._streak_since_s = now_s if not self._failure_streak else self._streak_since_s
        self._failure_streak += 1
        if self._is_probing:
            self._is_probing = False
            self._probe_interval_s = min(_MAX_PROBE_S, 2.0 * self._probe_interval_s)
            self._next_probe_s = self._later_probe_s(now_s)
        elif (
            self._next_probe_s is None
            and self._failure_streak >= _DEAD_FAILURES
            and now_s - self._streak_since_s >= _DEAD_S
        ):
            self._next_probe_s = self._later_probe_s(now_s)

    def _later_probe_s(self, now_s: float) -> float:
        """Return when the next probe may start: the last one comes when the user's patience ends."""
        probe_s, end_s = now_s + self._probe_interval_s, self.patience_ends_s()
        return end_s if now_s < end_s < probe_s else probe_s

    def _reopen(self, now_s: float) -> None:
        """Close the circuit breaker: the service replied, and few calls at first may be in flight."""
        was_dead = self._next_probe_s is not None or self._failure_streak >= _DEAD_FAILURES
        self._failure_streak = 0
        self._is_probing = False
        if was_dead:
            self._distress = RecentOutcomes(
                _DISTRESS_S
            )  # what failed before says nothing about a service that is back
            self._next_probe_s = None
            self._probe_interval_s = _FIRST_PROBE_S
            self._cap, self._cap_changed_s = float(min(_MIN_CONCURRENCY, self._max_concurrent)), now_s

    def _check_wait(self, failure: ApiFailure) -> None:
        """Raise FatalError after some requests for a long wait in a row; one alone may be an odd reply."""
        if (failure.retry_after_s or 0.0) > self._max_wait_s:
            self._long_waits += 1
            if self._long_waits >= _MAX_LONG_WAITS:
                raise FatalError(StopReason.LONG_WAIT, failure.detail, retry_after_s=failure.retry_after_s)

    def _check_patience(self, failure: ApiFailure, now_s: float, since_s: float) -> None:
        lasted_s = now_s - since_s
        if lasted_s >= self._patience_s and self._first_tries >= _MIN_FIRST_TRIES:
            message = (
                f"nothing was answered for {_format_duration(lasted_s)}; the last error: {failure.detail}"
            )
            raise FatalError(
                StopReason.OUTAGE, message, retry_after_s=failure.retry_after_s, cause=failure.cause
            )


def describe_outage(failure: ApiFailure) -> str:
    """Return in a few words why a call got no reply: the service, the time, or the way to it."""
    match failure.kind, failure.http_status:
        case ErrorKind.NETWORK, _:
            return failure.detail
        case ErrorKind.TIMEOUT, _:
            return "the service does not answer in time"
        case _, 503 | 529 | None:
            return "service overloaded"
        case _, status:
            return f"the service fails (HTTP {status})"


def _format_duration(seconds: float) -> str:
    """Return a duration in its larger unit, never as 0."""
    count, unit = (round(seconds), "second") if seconds < 120.0 else (round(seconds / 60.0), "minute")
    return f"{max(1, count)} {unit}{'' if count <= 1 else 's'}"
