"""Pacer: whether the next request may start, and if not, what it waits for.

One object for all requests of a run, because quotas belong to the project. It asks each part in turn for a
reason to wait, and notifies all of them of how a request ended. Every method returns at once; ``limiter``
does the waiting. See docs/adr/0009.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from errors import NO_REPLY, ApiFailure, ErrorKind
from rate_limit import cooldown
from rate_limit.adaptive_rate import AdaptiveRate
from rate_limit.limit_estimation import Rejection
from rate_limit.request_log import MINUTE_S, WIRE_S, RequestLog, SentRequest
from rate_limit.retry_budget import RetryBudget
from rate_limit.service_health import ServiceHealth
from rate_limit.sliding_window import SlidingWindowLimit
from rate_limit.slow_start import SlowStart
from rate_limit.strategy import Strategy, Unlimited
from rate_limit.types import LearnedLimit, LearnedLimits, PeerStatus, Unit, Wait, WaitCause

_RATIO_WEIGHT = 0.02
_ACTIVE_S = 5.0


@dataclass(slots=True, kw_only=True)
class PacerSettings:
    """Settings of the user."""

    rpm: float | None
    tpm: float | None
    max_concurrent: int
    outage_patience_s: float
    is_adaptive: bool
    max_wait_s: float = math.inf


@dataclass(slots=True)
class RequestCounts:
    """Totals of the run so far."""

    requests: int = 0
    rejected: int = 0
    wasted_upload_bytes: int = 0


class Pacer:
    """All reasons to wait, for all requests of a run."""

    def __init__(self, settings: PacerSettings, learned: LearnedLimits) -> None:
        self._user_limits = {
            unit: SlidingWindowLimit(unit, limit)
            for unit, limit in ((Unit.REQUESTS, settings.rpm), (Unit.TOKENS, settings.tpm))
            if limit is not None
        }
        self._strategies: dict[Unit, Strategy] = {
            Unit.REQUESTS: _build_strategy(settings, Unit.REQUESTS, learned.requests),
            Unit.TOKENS: _build_strategy(settings, Unit.TOKENS, learned.tokens),
        }
        seen = learned.requests.per_minute if learned.requests else None
        self._slow_start = SlowStart(observed_rpm=seen) if settings.is_adaptive else None
        self._share = 1.0
        self._request_log = RequestLog(MINUTE_S + WIRE_S)
        self._cooldown = cooldown.Cooldown(settings.max_wait_s)
        self.health = ServiceHealth(
            max_concurrent=settings.max_concurrent,
            outage_patience_s=settings.outage_patience_s,
            max_wait_s=settings.max_wait_s,
            latency_s=learned.latency_s,
        )
        self._retry_budget = RetryBudget()
        self._binding: Unit | None = None
        self._billed_ratio = 1.0
        self._mean_tokens = 0.0
        self._last_paced_s = -math.inf
        self.counts = RequestCounts()
        self.rejections: Counter[str] = Counter()

    def retry_wait(self, now_s: float) -> Wait | None:
        """Return what a retry waits for before it joins the queue; None if it may join now."""
        end_s = self.health.patience_ends_s()  # then one more call decides whether the outage goes on
        if now_s >= end_s or not self.health.is_distressed(now_s):
            return None
        start_s = min(end_s, self._retry_budget.earliest_start_s(now_s))
        return Wait(cause=WaitCause.OUTAGE, until_s=start_s) if start_s > now_s else None

    def next_wait(self, now_s: float, tokens: float) -> Wait | None:
        """Return what the next request waits for; None if it may start now.

        Raises:
            FatalError: another run on the key pauses for longer than the user allows.
        """
        return (
            self._wait_for_cooldown(now_s)
            or self._wait_for_service(now_s)
            or self._wait_for_user_limits(now_s, tokens)
            or self._wait_for_slow_start(now_s)
            or self._wait_for_pace(now_s, tokens)
        )

    def grant(self, now_s: float, tokens: float, *, retry: bool, waited_for: WaitCause | None) -> SentRequest:
        """Record that one request starts, and return it; ``waited_for`` is what it waited for last."""
        request = SentRequest(estimated_tokens=tokens, tokens=tokens * self._billed_ratio, is_retry=retry)
        self._mean_tokens += 0.1 * (request.tokens - self._mean_tokens)
        self._request_log.on_granted(request)
        for user_limit in self._user_limits.values():
            user_limit.on_granted(request, now_s)
        for unit, strategy in self._strategies.items():
            strategy.on_granted(
                request, now_s, was_paced=waited_for is WaitCause.PACE and self._binding is unit
            )
        if waited_for is WaitCause.PACE:
            self._last_paced_s = now_s
        if self._slow_start:
            self._slow_start.on_granted(now_s, self.health.latency_s, in_flight=self.health.in_flight)
        self._retry_budget.on_granted(now_s, retry=retry)
        self.health.on_granted(now_s)
        return request

    def on_connected(self, seconds: float) -> None:
        """Record how long it took to connect."""
        if self._slow_start:
            self._slow_start.on_connected(seconds)

    def on_sent(self, request: SentRequest, now_s: float) -> None:
        """Record that a request leaves now."""
        self.counts.requests += 1
        self._request_log.on_sent(request, now_s)
        for user_limit in self._user_limits.values():
            user_limit.on_sent(request, now_s)
        self.health.on_sent(now_s)

    def on_success(self, request: SentRequest, now_s: float, *, input_tokens: int, seconds: float) -> None:
        """Record an answer."""
        self.health.on_ended(now_s, request.sent_s)
        self.health.on_reply(now_s, seconds)
        self._on_accepted()
        if input_tokens > 0:
            self._on_billed(request, float(input_tokens), now_s)

    def on_failure(self, request: SentRequest, failure: ApiFailure, now_s: float, *, seconds: float) -> None:
        """Record a call without a good answer.

        Raises:
            FatalError: the day's quota is spent, or an outage outlasted the user's patience.
        """
        self.health.on_ended(now_s, request.sent_s)
        if failure.kind is ErrorKind.RATE_LIMITED:
            self._on_rejected(request, failure, now_s)
        elif not failure.reached_server:
            self._request_log.on_rejected(request, now_s)
        elif _is_answer(failure):
            self.health.on_reply(now_s, None)
            self._on_accepted()
        self.health.on_failure(failure, now_s, seconds, retry=request.is_retry)

    def release(self, request: SentRequest, now_s: float) -> None:
        """Remove a request that never left, or that was cut off."""
        self.health.on_ended(now_s, request.sent_s)
        if request.sent_s is None:
            self._request_log.release(request)
            for user_limit in self._user_limits.values():
                user_limit.release(request)

    def limits_to_save(self) -> LearnedLimits:
        """Return what the next run starts from."""
        return LearnedLimits(
            requests=self._strategies[Unit.REQUESTS].limit_to_save(),
            tokens=self._strategies[Unit.TOKENS].limit_to_save(),
            latency_s=self.health.latency_s,
        )

    def current_limits(self) -> LearnedLimits:
        """Return the limits as they are estimated now, confirmed or not."""
        return LearnedLimits(
            requests=self._strategies[Unit.REQUESTS].current_limit(),
            tokens=self._strategies[Unit.TOKENS].current_limit(),
        )

    def pace_rpm(self) -> float | None:
        """Return the requests a minute that may start under all limits; None if unlimited."""
        paces = [
            pace / (1.0 if unit is Unit.REQUESTS else max(1.0, self._mean_tokens))
            for unit in Unit
            for pace in (self._strategies[unit].pace, self._user_limit(unit))
            if pace is not None
        ]
        return min(paces, default=None)

    def paused_until_s(self) -> float:
        """Return when the last pause ends or ended."""
        return self._cooldown.until_s

    def update_peers(self, now_s: float, peers: Sequence[PeerStatus]) -> None:
        """Update the status of the peers: their calls count, and their pause is ours."""
        for peer in peers:
            if peer.paused_until_s is not None and peer.paused_until_s > now_s:
                self._cooldown.extend_to(peer.paused_until_s)
            for unit in Unit:
                limit = _limit_of(peer.limits, unit)
                if limit is not None:
                    self._strategies[unit].adopt_limit(limit)
        pace = self.pace_rpm() or math.inf
        share = fair_share(pace, [other.demand_rpm for other in peers]) if math.isfinite(pace) else 1.0
        self._share = share
        self._strategies[Unit.REQUESTS].set_share(share=share, others=sum(o.requests_60s for o in peers))
        self._strategies[Unit.TOKENS].set_share(share=share, others=sum(o.tokens_60s for o in peers))

    def own_status(self, now_s: float) -> PeerStatus:
        """Return the status of this run, for its peers."""
        requests = self._request_log.window_total(Unit.REQUESTS, now_s)
        is_held = now_s - self._last_paced_s <= _ACTIVE_S or self._cooldown.until_s > now_s
        return PeerStatus(
            requests_60s=requests,
            tokens_60s=self._request_log.window_total(Unit.TOKENS, now_s),
            demand_rpm=math.inf if is_held else 1.1 * requests,
            paused_until_s=self._cooldown.until_s if self._cooldown.until_s > now_s else None,
            limits=self.limits_to_save(),
        )

    def _wait_for_cooldown(self, now_s: float) -> Wait | None:
        until_s = self._cooldown.until_s
        self._cooldown.check_length(now_s)
        return Wait(cause=WaitCause.QUOTA, until_s=until_s) if until_s > now_s else None

    def _wait_for_service(self, now_s: float) -> Wait | None:
        probe_s = self.health.next_probe_s()
        if probe_s is not None and probe_s > now_s:
            return Wait(cause=WaitCause.OUTAGE, until_s=probe_s if math.isfinite(probe_s) else None)
        if self.health.in_flight >= self.health.allowed_concurrency(now_s, self.pace_rpm()):
            return Wait(cause=WaitCause.CONCURRENCY, until_s=None)
        return None

    def _wait_for_user_limits(self, now_s: float, tokens: float) -> Wait | None:
        for unit, user_limit in self._user_limits.items():
            # An estimate that proved too high must not let requests exceed a limit of the user.
            amount = 1.0 if unit is Unit.REQUESTS else tokens * max(1.0, self._billed_ratio)
            start_s = user_limit.earliest_start_s(amount, now_s)
            if start_s is None or start_s > now_s:
                return Wait(cause=WaitCause.CEILING, until_s=start_s)
        return None

    def _wait_for_slow_start(self, now_s: float) -> Wait | None:
        """Return the wait of slow start, which counts until a limit is met; None if there is none."""
        if self._slow_start is None or any(
            strategy.pace is not None for strategy in self._strategies.values()
        ):
            return None
        start_s = self._slow_start.earliest_start_s(now_s, in_flight=self.health.in_flight, share=self._share)
        if start_s is None:
            return Wait(cause=WaitCause.CONCURRENCY, until_s=None)
        return Wait(cause=WaitCause.PACE, until_s=start_s) if start_s > now_s else None

    def _on_accepted(self) -> None:
        self._cooldown.on_accepted()
        if self._slow_start:
            self._slow_start.on_accepted()
        for strategy in self._strategies.values():
            strategy.on_accepted()

    def _wait_for_pace(self, now_s: float, tokens: float) -> Wait | None:
        for unit, strategy in self._strategies.items():
            amount = 1.0 if unit is Unit.REQUESTS else tokens * self._billed_ratio
            start_s = strategy.earliest_start_s(amount, now_s, self._request_log)
            if start_s is None or start_s > now_s:
                self._binding = unit
                return Wait(cause=WaitCause.PACE, until_s=start_s)
        return None

    def _user_limit(self, unit: Unit) -> float | None:
        user_limit = self._user_limits.get(unit)
        return None if user_limit is None else user_limit.per_minute

    def _on_billed(self, request: SentRequest, tokens: float, now_s: float) -> None:
        if request.estimated_tokens > 0.0:
            ratio = min(20.0, max(0.05, tokens / request.estimated_tokens))
            self._billed_ratio += _RATIO_WEIGHT * (ratio - self._billed_ratio)
        self._request_log.on_billed(request, tokens, now_s)
        for user_limit in self._user_limits.values():
            user_limit.on_billed(request, tokens, now_s)
        request.tokens = tokens

    def _on_rejected(self, request: SentRequest, failure: ApiFailure, now_s: float) -> None:
        self._request_log.on_rejected(request, now_s)
        self.counts.rejected += 1
        self.rejections.update(failure.quota_ids or ("unnamed",))
        self._notify_strategies(request, failure, now_s)
        if self._slow_start:
            self._slow_start.on_rejected(self.health.in_flight)
        longer_s = self._cooldown.on_rejected(failure, now_s)
        self.health.exclude_wait(max(0.0, longer_s - 60.0))

    def _notify_strategies(self, request: SentRequest, failure: ApiFailure, now_s: float) -> None:
        for unit in cooldown.find_limited_units(failure):
            rejection = Rejection(
                request=request,
                sent_s=now_s if request.sent_s is None else request.sent_s,
                hint_s=failure.retry_after_s,
                named_limit=cooldown.find_named_limit(failure, unit),
                received_s=now_s,
            )
            self._strategies[unit].on_rejected(rejection, now_s, self._request_log)


def _build_strategy(settings: PacerSettings, unit: Unit, start: LearnedLimit | None) -> Strategy:
    return AdaptiveRate(unit, start=start) if settings.is_adaptive else Unlimited()


def _limit_of(limits: LearnedLimits, unit: Unit) -> LearnedLimit | None:
    return limits.requests if unit is Unit.REQUESTS else limits.tokens


def _is_answer(failure: ApiFailure) -> bool:
    return failure.kind not in NO_REPLY


def fair_share(pace: float, demands: Sequence[float]) -> float:
    """Return the part (above 0, at most 1) of a pace that is ours, if this run could use all of it.

    Max-min fair share: https://en.wikipedia.org/wiki/Max-min_fairness.

    Args:
        pace: requests a minute that all runs together may start.
        demands: requests a minute that each peer could use; may be infinite.
    """
    remaining, claimants = pace, len(demands) + 1
    for demand in sorted(demands):
        if demand >= remaining / claimants:
            break
        remaining -= max(0.0, demand)
        claimants -= 1
    return remaining / claimants / pace if pace > 0.0 else 1.0
