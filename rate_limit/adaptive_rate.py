"""Adaptive rate: find an unpublished limit, and stay just below it.

    CLIMB   raise the pace in growing steps until a rejection; also the phase while no limit is known,
            in which ``SlowStart`` sets the pace instead
    HOLD    stay just below the limit, evenly spaced, with at most the limit in any minute
    PROBE   raise the pace slowly above the limit; a minute without a rejection there leads to CLIMB

The pace rises only while requests wait for it and for nothing else. See docs/adr/0009.
"""

import dataclasses
import math

from rate_limit.limit_detection import LimitDetector
from rate_limit.limit_estimation import (
    Anchor,
    EstimationContext,
    LimitEstimate,
    Phase,
    Rejection,
    estimate_limit,
    remeasures_bucket,
)
from rate_limit.probe_schedule import ProbeSchedule
from rate_limit.request_log import MINUTE_S, RequestLog, SentRequest
from rate_limit.types import LearnedLimit, Unit

_MARGIN = {Unit.REQUESTS: 0.995, Unit.TOKENS: 1.0}
"""The part of the limit that the pace uses; in tokens, the window of each minute binds first."""
_OVERFLOW_SHARE = 0.25
"""The part of a request's tokens that may overflow a measured window, which no request fills exactly."""
_CLIMB_FACTOR = 1.5
_FIRST_CLIMB_FACTOR = 1.15
"""The first step up from a known limit that has risen is smaller."""
_CLIMB_STEP_S = 4.0
_EPISODE_S = 5.0
"""Rejections this close together are one event: a burst of them says no more than one."""
_PROBE_LIFT = (0.03, 0.01, 0.45)
"""Parts of the limit by which a probe exceeds it: at first, more each second, and at most."""
_PROBE_S = 53.0
_PROBE_PROOF = 1.08
"""A probe succeeds if so many times the limit, and one request more, was accepted within a minute."""
_RAISED_FACTOR = 1.03
_OWN_SHARE = 0.9
"""If at least this part of a named limit was accepted before a rejection, no other client uses it."""
_LATE_CREDIT_S = 1.0
"""How much of a late start the next request may make up for, but at most one request."""
_LIMITING_S = 5.0
_NEW_LIMIT_S = 20.0
"""For so long after a limit was first met, less certain measurements correct it, too."""


class AdaptiveRate:
    """The learned pace for one unit.

    A rejection measures the limit (``limit_estimation``), and the pace then holds it. So the pace does not
    oscillate as with AIMD (https://en.wikipedia.org/wiki/Additive_increase/multiplicative_decrease).

    Args:
        unit: what is paced.
        start: the limit that another run learned; None if unknown.
    """

    def __init__(self, unit: Unit, *, start: LearnedLimit | None) -> None:
        self._unit = unit
        self._pace: float | None = None
        self._detector = LimitDetector(unit)
        self._limit: float | None = None
        self._named_limit: float | None = None
        self._phase = Phase.CLIMB
        self._phase_since_s: float | None = None
        self._next_start_s = -math.inf
        self._last_paced_s = -math.inf
        self._last_cut_s = -math.inf
        self._anchor: Anchor | None = None
        self._is_bucket = False
        self._was_raised = False
        self._recent_hints_s: tuple[float, ...] = ()
        self._longest_hint_s = 0.0
        self._limit_found_s = math.inf
        self._climb_factor = _CLIMB_FACTOR
        self._max_per_minute = 0.0
        self._mean_amount = 1.0 if unit is Unit.REQUESTS else 1_000.0
        self._share = 1.0
        self._others = 0.0
        self._schedule = ProbeSchedule()
        if start is not None and (start.named or start.confirmed):
            self._start_at(start)

    @property
    def pace(self) -> float | None:
        """Units a minute that may start now, for all runs on the key; None if unlimited."""
        return self._pace

    def earliest_start_s(self, amount: float, now_s: float, request_log: RequestLog) -> float | None:
        """Return when the amount may start; None if unknown: a granted request has to leave first."""
        self._advance(now_s, request_log)
        if self._pace is None:
            return now_s
        start_s = max(now_s, self._next_start_s)
        if self._limit is None or self._phase is Phase.CLIMB or self._is_bucket:
            return start_s
        # After a burst that still fills the window, even the right pace is too fast.
        window_limit = max(self._limit, self._pace) * self._share
        if self._unit is Unit.TOKENS and self._named_limit is not None:
            window_limit -= 0.5 * self._mean_amount  # a named limit is exact: estimates must not exceed it
        elif self._unit is Unit.TOKENS:
            window_limit += _OVERFLOW_SHARE * self._mean_amount
        if self._unit is Unit.REQUESTS:
            window_limit = max(1.0, math.ceil(window_limit - 0.1))
        fits_s = request_log.earliest_fit_s(self._unit, amount, window_limit, now_s)
        return None if fits_s is None else max(start_s, fits_s)

    def on_granted(self, request: SentRequest, now_s: float, *, was_paced: bool) -> None:
        """Record a granted request; ``was_paced``: this strategy is what it had waited for."""
        if was_paced:
            self._last_paced_s = now_s
        self._mean_amount += 0.1 * (request.amount(self._unit) - self._mean_amount)
        if self._pace is not None:
            spacing_s = MINUTE_S / (self._pace * self._share) * request.amount(self._unit)
            self._next_start_s = (
                max(self._next_start_s, now_s - min(_LATE_CREDIT_S, self._spacing_s())) + spacing_s
            )

    def on_rejected(self, rejection: Rejection, now_s: float, request_log: RequestLog) -> None:
        """Record that the quota for this unit rejected a request."""
        if rejection.is_precise and rejection.hint_s is not None:
            self._longest_hint_s = max(self._longest_hint_s, rejection.hint_s)
        context = self._context(now_s)
        if self._is_same_episode(rejection, now_s, request_log, context):
            self._correct_anchor(rejection)
            return
        estimate = estimate_limit(rejection, request_log, context)
        if self._may_stem_from_earlier_run(rejection, request_log):
            self._anchor, self._last_cut_s = estimate.anchor, now_s
            return
        if self._limit is None and not self._detector.confirms(rejection, request_log):
            self._anchor = estimate.anchor
            return
        is_vague = estimate.is_bucket and context.is_new and not estimate.is_measured
        if self._anchor is None or not is_vague:
            self._anchor = estimate.anchor  # else the older anchor stays: a longer stretch measures better
        if rejection.hint_s is not None:
            self._recent_hints_s = (*self._recent_hints_s[-4:], rejection.hint_s)
        self._hold_limit(estimate, rejection, now_s)

    def _is_same_episode(
        self, rejection: Rejection, now_s: float, request_log: RequestLog, context: EstimationContext
    ) -> bool:
        if rejection.sent_s <= self._last_cut_s:
            return True
        return now_s - self._last_cut_s < _EPISODE_S and not remeasures_bucket(
            rejection, request_log, context
        )

    def _may_stem_from_earlier_run(self, rejection: Rejection, request_log: RequestLog) -> bool:
        """Return whether requests of an earlier run may have filled the window of a known limit."""
        first_sent_s = request_log.first_sent_s
        is_first = self._limit is not None and self._anchor is None
        return is_first and first_sent_s is not None and rejection.sent_s - first_sent_s < MINUTE_S

    def _hold_limit(self, estimate: LimitEstimate, rejection: Rejection, now_s: float) -> None:
        """Update the limit to the estimate, and start to hold it."""
        if self._limit is None:
            self._limit_found_s = now_s
        self._is_bucket = estimate.is_bucket
        limit = self._choose_limit(estimate, rejection.named_limit)
        self._was_raised = self._limit is not None and limit > _RAISED_FACTOR * self._limit
        self._schedule.on_limit_found(limit, self._limit, now_s, is_measured=estimate.is_measured)
        self._limit = limit
        self._last_cut_s = now_s
        if self._is_bucket:
            # A bucket then holds one request; waiting for a second keeps an early one from rejection.
            self._next_start_s = rejection.relief_s + MINUTE_S * self._mean_amount / (limit * self._share)
        self._enter_phase(Phase.HOLD, now_s)

    def _spacing_s(self) -> float:
        """Return the seconds between requests; infinite for tokens, as a small one may follow a big one."""
        largest = 1.0 if self._unit is Unit.REQUESTS else math.inf
        return MINUTE_S / (self._pace * self._share) * largest if self._pace else 0.0

    def on_accepted(self) -> None:
        """Record that the quota accepted a request."""
        self._detector.on_accepted()

    def set_share(self, *, share: float, others: float) -> None:
        """Update the part of the pace that is ours, and the amount that peers used in the last minute."""
        self._share = share
        self._others = others

    def current_limit(self) -> LearnedLimit | None:
        """Return the limit as it is estimated now; None if unknown."""
        if self._limit is None:
            return None
        return LearnedLimit(
            per_minute=self._limit, named=self._named_limit is not None, confirmed=self._schedule.is_confirmed
        )

    def limit_to_save(self) -> LearnedLimit | None:
        """Return what the next run starts from: the limit, or what was seen to pass; None if unknown."""
        if self._limit is not None:
            return self._trusted_limit()
        if self._max_per_minute > 0.0 and self._unit is Unit.REQUESTS:
            return LearnedLimit(per_minute=self._max_per_minute)
        return None

    def _trusted_limit(self) -> LearnedLimit | None:
        current, before = self.current_limit(), self._schedule.limit_before_fall
        if current is None or current.named or current.confirmed:
            return current
        # One rejection may be far off: a run without a limit starts better than one with a wrong limit.
        return LearnedLimit(per_minute=max(current.per_minute, before)) if before else None

    def adopt_limit(self, limit: LearnedLimit) -> None:
        """Update the limit to one that another run on the key has met, if none is known here."""
        if self._limit is None and (limit.named or limit.confirmed):
            self._start_at(limit)

    def _start_at(self, start: LearnedLimit) -> None:
        self._limit = start.per_minute
        self._limit_found_s = -math.inf
        self._named_limit = start.per_minute if start.named else None
        self._schedule.mark_confirmed()
        self._phase = Phase.HOLD
        self._pace = self._limit * _MARGIN[self._unit]

    def _context(self, now_s: float) -> EstimationContext:
        return EstimationContext(
            unit=self._unit,
            phase=self._phase,
            pace=self._pace,
            limit=self._limit,
            is_bucket=self._is_bucket,
            anchor=self._anchor,
            is_new=now_s - self._limit_found_s < _NEW_LIMIT_S,
            was_raised=self._was_raised,
            recent_hints_s=self._recent_hints_s,
            longest_hint_s=self._longest_hint_s,
            others=self._others,
        )

    def _smooth(self, measured: float) -> float:
        """Return a mean of old limit and measurement: a window of tokens is full to within one request."""
        known = self._limit
        if self._unit is Unit.REQUESTS or known is None or abs(measured - known) > 0.03 * known:
            return measured
        return 0.7 * known + 0.3 * measured

    def _damp_drop(self, measured: float) -> float:
        """Return the measurement, but at least half of a limit that was confirmed for minutes."""
        is_established = (
            self._limit is not None and self._phase is not Phase.CLIMB and self._schedule.is_confirmed
        )
        return max(measured, 0.5 * self._limit) if is_established and self._limit is not None else measured

    def _correct_anchor(self, rejection: Rejection) -> None:
        """Remove an amount from the anchor that counted as accepted, and was rejected later."""
        anchor = self._anchor
        if anchor is not None and rejection.sent_s < anchor.sent_s:
            asked = anchor.asked - rejection.request.amount(self._unit)
            self._anchor = dataclasses.replace(anchor, asked=asked)

    def _choose_limit(self, estimate: LimitEstimate, named: float | None) -> float:
        """Return the limit: the named one, unless so little passed that another client must use the rest."""
        named = self._named_limit if named is None else named
        passed = max(estimate.per_minute, estimate.anchor.window)
        if named is not None and (passed >= _OWN_SHARE * named or self._phase is Phase.CLIMB):
            self._named_limit = named
            self._is_bucket = False
            return named
        measured = estimate.per_minute if estimate.is_bucket else self._smooth(estimate.per_minute)
        believed = self._damp_drop(measured)  # first, since a fall makes the old limit unconfirmed
        if named is not None:
            self._schedule.on_limit_fell(named)
        self._named_limit = None
        return believed

    def _advance(self, now_s: float, request_log: RequestLog) -> None:
        if self._phase_since_s is None:
            self._enter_phase(self._phase, now_s)
        total = request_log.window_total(self._unit, now_s)
        self._max_per_minute = max(self._max_per_minute, total)
        if self._pace is None:
            return
        if self._phase is Phase.CLIMB:
            self._climb(now_s)
        elif self._phase is Phase.HOLD:
            self._hold(now_s, total)
        else:
            self._probe(now_s, total)

    def _climb(self, now_s: float) -> None:
        pace, since_s = self._pace, self._phase_since_s
        if pace is None or since_s is None:
            return
        step_s = max(_CLIMB_STEP_S, 2.0 * MINUTE_S * self._mean_amount / (pace * self._share))
        if now_s - since_s >= step_s:
            self._phase_since_s = now_s
            if self._is_limiting(now_s):
                self._pace = pace * self._climb_factor
                self._climb_factor = min(_CLIMB_FACTOR, 1.0 + 1.5 * (self._climb_factor - 1.0))

    def _hold(self, now_s: float, total: float) -> None:
        if self._limit is None:
            return
        others = self._others
        if total + others >= 0.95 * self._limit - self._mean_amount:
            self._schedule.on_window_full(now_s)
        if self._schedule.is_due(now_s) and self._is_limiting(now_s):
            self._enter_phase(Phase.PROBE, now_s)

    def _probe(self, now_s: float, total: float) -> None:
        if self._limit is None or self._phase_since_s is None:
            return
        if not self._is_limiting(now_s):
            self._enter_phase(Phase.HOLD, now_s)
            return
        begin, slope, max_lift = _PROBE_LIFT
        probed_s = now_s - self._phase_since_s
        lift = min(max_lift, begin + slope * probed_s)
        # A small limit rises by whole requests, or no minute would show the difference.
        self._pace = self._limit * (1.0 + lift) + 2.0 * self._mean_amount * lift / max_lift
        if probed_s >= _PROBE_S and total + self._others >= _PROBE_PROOF * self._limit + self._mean_amount:
            self._named_limit = None
            self._climb_factor = _FIRST_CLIMB_FACTOR
            self._enter_phase(Phase.CLIMB, now_s)

    def _enter_phase(self, phase: Phase, now_s: float) -> None:
        self._phase = phase
        self._phase_since_s = now_s
        if phase is Phase.HOLD and self._limit is not None:
            self._pace = self._limit * _MARGIN[self._unit]
            sent_per_s = self._limit / MINUTE_S / self._mean_amount
            self._schedule.schedule_next(now_s, sent_per_s, is_named=self._named_limit is not None)

    def _is_limiting(self, now_s: float) -> bool:
        """Return whether requests wait for this pace and for nothing else."""
        pace = self._pace or 1.0
        return now_s - self._last_paced_s <= max(
            _LIMITING_S, 2.5 * MINUTE_S * self._mean_amount / (pace * self._share)
        )
