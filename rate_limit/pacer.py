"""May the next request start, and if not, what is it waiting for?

One object for all requests of a run, because quotas belong to the project. Each part knows one reason to
wait; this file asks them in turn, and tells all of them what became of a request. Every method returns at
once: who waits, and how, is the business of ``rate_limiter``.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from errors import ApiFailure, ErrorKind
from rate_limit import cooldown
from rate_limit.adaptive_rate import Learning
from rate_limit.limit_estimation import Refused
from rate_limit.request_log import MINUTE_S, WIRE_S, Sending, Sendings
from rate_limit.retry_budget import RetryShare
from rate_limit.service_health import Health
from rate_limit.sliding_window import Ceiling
from rate_limit.slow_start import Opening
from rate_limit.strategy import Fixed, Strategy
from rate_limit.types import LearnedLimit, LearnedLimits, Neighbour, Unit, Wait, WaitCause

_RATIO_WEIGHT = 0.02
_ACTIVE_S = 5.0


@dataclass(slots=True, kw_only=True)
class Settings:
    """What the user decided."""

    rpm: float | None
    tpm: float | None
    max_concurrent: int
    outage_patience_s: float
    learning: bool


@dataclass(slots=True)
class Counts:
    """What it cost so far; whoever asks may read it at any time."""

    requests: int = 0
    refused: int = 0
    wasted_upload_bytes: int = 0


class Pacer:
    """All reasons to wait."""

    def __init__(self, settings: Settings, learned: LearnedLimits) -> None:
        self._ceilings = {
            unit: Ceiling(unit, limit)
            for unit, limit in ((Unit.REQUESTS, settings.rpm), (Unit.TOKENS, settings.tpm))
            if limit is not None
        }
        self._strategies: dict[Unit, Strategy] = {
            Unit.REQUESTS: _strategy(settings, Unit.REQUESTS, learned.requests),
            Unit.TOKENS: _strategy(settings, Unit.TOKENS, learned.tokens),
        }
        seen = learned.requests.per_minute if learned.requests else None
        self._opening = Opening(seen_rpm=seen) if settings.learning else None
        self._portion = 1.0
        self._sendings = Sendings(MINUTE_S + WIRE_S)
        self._pause = cooldown.Pause()
        self.health = Health(
            max_concurrent=settings.max_concurrent,
            outage_patience_s=settings.outage_patience_s,
            latency_s=learned.latency_s,
        )
        self._retries = RetryShare()
        self._binding: Unit | None = None
        self._billed_ratio = 1.0
        self._mean_tokens = 0.0
        self._held_s = -math.inf
        self.counts = Counts()
        self.refusals: Counter[str] = Counter()

    def retry_wait(self, now_s: float) -> Wait | None:
        """Return what a retry waits for before it joins the queue; None for nothing."""
        if not self.health.is_distressed(now_s):
            return None
        free_s = self._retries.free_at_s(now_s)
        return Wait(cause=WaitCause.OUTAGE, until_s=free_s) if free_s > now_s else None

    def wait(self, now_s: float, tokens: float) -> Wait | None:
        """Return what the next request waits for; None when it may start."""
        return (
            self._wait_for_pause(now_s)
            or self._wait_for_service(now_s)
            or self._wait_for_ceilings(now_s, tokens)
            or self._wait_for_answers(now_s)
            or self._wait_for_pace(now_s, tokens)
        )

    def grant(self, now_s: float, tokens: float, *, retry: bool, held: WaitCause | None) -> Sending:
        """Let one request start; ``held`` is what it waited for last."""
        sending = Sending(estimated_tokens=tokens, tokens=tokens * self._billed_ratio, retry=retry)
        self._mean_tokens += 0.1 * (sending.tokens - self._mean_tokens)
        self._sendings.grant(sending)
        for ceiling in self._ceilings.values():
            ceiling.grant(sending, now_s)
        for unit, strategy in self._strategies.items():
            strategy.granted(sending, now_s, was_held=held is WaitCause.PACE and self._binding is unit)
        if held is WaitCause.PACE:
            self._held_s = now_s
        if self._opening:
            self._opening.granted(now_s, self.health.latency_s, in_flight=self.health.in_flight)
        self._retries.granted(now_s, retry=retry)
        self.health.began(now_s)
        return sending

    def reached(self, seconds: float) -> None:
        """Hear how long it took to reach the service."""
        if self._opening:
            self._opening.reached(seconds)

    def sent(self, sending: Sending, now_s: float) -> None:
        """Hear that a request leaves now."""
        self.counts.requests += 1
        self._sendings.sent(sending, now_s)
        for ceiling in self._ceilings.values():
            ceiling.sent(sending, now_s)
        self.health.sent(now_s)

    def answered(self, sending: Sending, now_s: float, *, input_tokens: int, seconds: float) -> None:
        """Hear of an answer."""
        self.health.ended(now_s, sending.sent_s)
        self.health.alive(now_s, seconds)
        self._served()
        if input_tokens > 0:
            self._bill(sending, float(input_tokens), now_s)

    def failed(self, sending: Sending, failure: ApiFailure, now_s: float, *, seconds: float) -> None:
        """Hear of a call without a good answer.

        Raises:
            FatalError: the day's quota is spent, or nothing is answered any more.
        """
        self.health.ended(now_s, sending.sent_s)
        if failure.kind is ErrorKind.RATE_LIMITED:
            self._refuse(sending, failure, now_s)
        elif not failure.reached_server:
            self._sendings.refused(sending, now_s)
        elif _is_answer(failure):
            self.health.alive(now_s, None)
            self._served()
        self.health.failed(failure, now_s, seconds, retry=sending.retry)

    def unused(self, sending: Sending, now_s: float) -> None:
        """Forget a request that never left, or whose end nobody will hear of."""
        self.health.ended(now_s, sending.sent_s)
        if sending.sent_s is None:
            self._sendings.unused(sending)
            for ceiling in self._ceilings.values():
                ceiling.unused(sending)

    def learned(self) -> LearnedLimits:
        """Return what the next night starts from."""
        return LearnedLimits(
            requests=self._strategies[Unit.REQUESTS].known(),
            tokens=self._strategies[Unit.TOKENS].known(),
            latency_s=self.health.latency_s,
        )

    def limits(self) -> LearnedLimits:
        """Return the limits that were met, confirmed or not."""
        return LearnedLimits(
            requests=self._strategies[Unit.REQUESTS].met(), tokens=self._strategies[Unit.TOKENS].met()
        )

    def pace_rpm(self) -> float | None:
        """Return the requests a minute that may start, whatever limits them."""
        paces = [
            pace / (1.0 if unit is Unit.REQUESTS else max(1.0, self._mean_tokens))
            for unit in Unit
            for pace in (self._strategies[unit].pace, self._ceiling_of(unit))
            if pace is not None
        ]
        return min(paces, default=None)

    def paused_until_s(self) -> float:
        """Return when the last pause ends or ended."""
        return self._pause.until_s

    def hear_of_others(self, now_s: float, others: Sequence[Neighbour]) -> None:
        """Hear what other runs on the key do: their calls count, their pause is ours."""
        for other in others:
            if other.paused_until_s is not None and other.paused_until_s > now_s:
                self._pause.join(other.paused_until_s)
            for unit in Unit:
                limit = _limit_of(other.limits, unit)
                if limit is not None:
                    self._strategies[unit].meet(limit)
        pace = self.pace_rpm() or math.inf
        part = portion(pace, [other.demand_rpm for other in others]) if math.isfinite(pace) else 1.0
        self._portion = part
        self._strategies[Unit.REQUESTS].beside(portion=part, others=sum(o.requests_60s for o in others))
        self._strategies[Unit.TOKENS].beside(portion=part, others=sum(o.tokens_60s for o in others))

    def tell(self, now_s: float) -> Neighbour:
        """Return what other runs on the key should know of this one."""
        requests = self._sendings.total(Unit.REQUESTS, now_s)
        is_held = now_s - self._held_s <= _ACTIVE_S or self._pause.until_s > now_s
        return Neighbour(
            requests_60s=requests,
            tokens_60s=self._sendings.total(Unit.TOKENS, now_s),
            demand_rpm=math.inf if is_held else 1.1 * requests,
            paused_until_s=self._pause.until_s if self._pause.until_s > now_s else None,
            limits=self.learned(),
        )

    def _wait_for_pause(self, now_s: float) -> Wait | None:
        until_s = self._pause.until_s
        return Wait(cause=WaitCause.QUOTA, until_s=until_s) if until_s > now_s else None

    def _wait_for_service(self, now_s: float) -> Wait | None:
        probe_s = self.health.probe_at_s()
        if probe_s is not None and probe_s > now_s:
            return Wait(cause=WaitCause.OUTAGE, until_s=probe_s if math.isfinite(probe_s) else None)
        if self.health.in_flight >= self.health.concurrency(now_s, self.pace_rpm()):
            return Wait(cause=WaitCause.CONCURRENCY, until_s=None)
        return None

    def _wait_for_ceilings(self, now_s: float, tokens: float) -> Wait | None:
        for unit, ceiling in self._ceilings.items():
            # An estimate that proved too high is no leave to overrun a limit of the user's.
            amount = 1.0 if unit is Unit.REQUESTS else tokens * max(1.0, self._billed_ratio)
            free_s = ceiling.free_at_s(amount, now_s)
            if free_s is None or free_s > now_s:
                return Wait(cause=WaitCause.CEILING, until_s=free_s)
        return None

    def _wait_for_answers(self, now_s: float) -> Wait | None:
        """Until a limit is met, answers say how many requests may follow."""
        if self._opening is None or any(strategy.pace is not None for strategy in self._strategies.values()):
            return None
        free_s = self._opening.free_at_s(now_s, in_flight=self.health.in_flight, portion=self._portion)
        if free_s is None:
            return Wait(cause=WaitCause.CONCURRENCY, until_s=None)
        return Wait(cause=WaitCause.PACE, until_s=free_s) if free_s > now_s else None

    def _served(self) -> None:
        self._pause.accepted()
        if self._opening:
            self._opening.answered()
        for strategy in self._strategies.values():
            strategy.served()

    def _wait_for_pace(self, now_s: float, tokens: float) -> Wait | None:
        for unit, strategy in self._strategies.items():
            amount = 1.0 if unit is Unit.REQUESTS else tokens * self._billed_ratio
            free_s = strategy.free_at_s(amount, now_s, self._sendings)
            if free_s is None or free_s > now_s:
                self._binding = unit
                return Wait(cause=WaitCause.PACE, until_s=free_s)
        return None

    def _ceiling_of(self, unit: Unit) -> float | None:
        ceiling = self._ceilings.get(unit)
        return None if ceiling is None else ceiling.per_minute

    def _bill(self, sending: Sending, tokens: float, now_s: float) -> None:
        if sending.estimated_tokens > 0.0:
            ratio = min(20.0, max(0.05, tokens / sending.estimated_tokens))
            self._billed_ratio += _RATIO_WEIGHT * (ratio - self._billed_ratio)
        self._sendings.billed(sending, tokens, now_s)
        for ceiling in self._ceilings.values():
            ceiling.billed(sending, tokens, now_s)
        sending.tokens = tokens

    def _refuse(self, sending: Sending, failure: ApiFailure, now_s: float) -> None:
        self._sendings.refused(sending, now_s)
        self.counts.refused += 1
        self.refusals.update(failure.quota_ids or ("unnamed",))
        self._notice(sending, failure, now_s)
        if self._opening:
            self._opening.refused(self.health.in_flight)
        longer_s = self._pause.refused(failure, now_s)
        self.health.excuse(max(0.0, longer_s - 60.0))

    def _notice(self, sending: Sending, failure: ApiFailure, now_s: float) -> None:
        for unit in cooldown.units(failure):
            refused = Refused(
                sending=sending,
                sent_s=now_s if sending.sent_s is None else sending.sent_s,
                hint_s=failure.retry_after_s,
                named=cooldown.named_limit(failure, unit),
                heard_s=now_s,
            )
            self._strategies[unit].refused(refused, now_s, self._sendings)


def _strategy(settings: Settings, unit: Unit, start: LearnedLimit | None) -> Strategy:
    return Learning(unit, start=start) if settings.learning else Fixed()


def _limit_of(limits: LearnedLimits, unit: Unit) -> LearnedLimit | None:
    return limits.requests if unit is Unit.REQUESTS else limits.tokens


def _is_answer(failure: ApiFailure) -> bool:
    return failure.kind not in {ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT}


def portion(pace: float, demands: Sequence[float]) -> float:
    """Return the part (above 0, at most 1) of a pace that is ours, which can use all of it.

    Args:
        pace: what all runs together may start each minute.
        demands: what each other run could use each minute; may be infinite.
    """
    left, hungry = pace, len(demands) + 1
    for demand in sorted(demands):
        if demand >= left / hungry:
            break
        left -= max(0.0, demand)
        hungry -= 1
    return left / hungry / pace if pace > 0.0 else 1.0
