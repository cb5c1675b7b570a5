"""Which pace finds a limit that nobody told, and keeps to it?

The usual answer halves a pace at every refusal and creeps up again; it oscillates between too much and
too little, and pays for each swing. Here a refusal is a measurement (``evidence``), and its result is
held like a ceiling of the user's own. Three phases:

    CLIMB   up from a limit that has risen, in ever larger steps, until it refuses again; and the state
            before any limit is met, in which this paces nothing (``opening`` does)
    HOLD    just below the limit, evenly spaced, and never more than the limit in any minute
    PROBE   slowly above it. Refused: it is still there, and the next probe comes later. A minute above
            it stays clean: the limit has risen, so climb.

A failed probe costs a few refusals and no throughput, so their share alone decides how often to probe:
rarely at a limit that was met again and again, soon after it fell without a reason. Nothing grows while
something else than this pace holds requests back. This file does not know what else that may be.
"""

import dataclasses
import math

from rate_limit.limit_detection import Strikes
from rate_limit.limit_estimation import (
    Anchor,
    Context,
    Estimate,
    Phase,
    Refused,
    drips_anew,
    limit_at,
)
from rate_limit.probe_schedule import Schedule
from rate_limit.request_log import MINUTE_S, Sending, Sendings
from rate_limit.types import LearnedLimit, Unit

_MARGIN = {Unit.REQUESTS: 0.995, Unit.TOKENS: 1.0}
"""Of the limit, what the pace takes; in tokens, the fullness of each minute binds first."""
_PART = 0.25
"""Of a request's tokens, what may overflow a measured window: else it is never full, as none fits exactly."""
_CLIMB_FACTOR = 1.5
_FIRST_FACTOR = 1.15
"""Where a limit was known and has risen, the steps begin smaller."""
_CLIMB_STEP_S = 4.0
_EPISODE_S = 5.0
"""Refusals this close together are one event: a burst of them is not many times as much news."""
_LIFT = (0.03, 0.01, 0.45)
"""How far above the limit a probe begins, how much it adds each second, and where it ends."""
_PROBE_S = 53.0
_PROOF = 1.08
"""A probe is clean when so many times the limit passed within a minute, and one request more."""
_RAISED = 1.03
_OURS = 0.9
"""Of a named limit, what passes before a refusal where nobody else uses it."""
_CREDIT_S = 1.0
"""A late start may be made up for by so much, but by no more than one request."""
_BOUND_S = 5.0
_NEW_S = 20.0
"""For so long after a limit was first met, less sure measurements correct it, too."""


class Learning:
    """The learned pace for one unit.

    Args:
        unit: what is paced.
        start: what another night learned; None for nothing.
    """

    def __init__(self, unit: Unit, *, start: LearnedLimit | None) -> None:
        self._unit = unit
        self._pace: float | None = None
        self._strikes = Strikes(unit)
        self._limit: float | None = None
        self._named: float | None = None
        self._phase = Phase.CLIMB
        self._phase_s: float | None = None
        self._next_s = -math.inf
        self._held_s = -math.inf
        self._cut_s = -math.inf
        self._anchor: Anchor | None = None
        self._is_bucket = False
        self._was_raised = False
        self._hints_s: tuple[float, ...] = ()
        self._longest_hint_s = 0.0
        self._first_met_s = math.inf
        self._climb_factor = _CLIMB_FACTOR
        self._most_a_minute = 0.0
        self._amount = 1.0 if unit is Unit.REQUESTS else 1_000.0
        self._portion = 1.0
        self._others = 0.0
        self._schedule = Schedule()
        if start is not None and (start.named or start.confirmed):
            self._begin_at(start)

    @property
    def pace(self) -> float | None:
        """Units a minute that may start now, for all runs on the key; None for no limit."""
        return self._pace

    def free_at_s(self, amount: float, now_s: float, sendings: Sendings) -> float | None:
        """Return when the amount may start; None for not before a granted request has left."""
        self._advance(now_s, sendings)
        if self._pace is None:
            return now_s
        free_s = max(now_s, self._next_s)
        if self._limit is None or self._phase is Phase.CLIMB or self._is_bucket:
            return free_s
        # Even a right pace is too fast behind a burst that still fills the window.
        most = max(self._limit, self._pace) * self._portion
        if self._unit is Unit.TOKENS and self._named is not None:
            most -= 0.5 * self._amount  # known exactly, so the estimates must not overrun it
        elif self._unit is Unit.TOKENS:
            most += _PART * self._amount
        if self._unit is Unit.REQUESTS:
            most = max(1.0, math.ceil(most - 0.1))
        fits_s = sendings.fits_at_s(self._unit, amount, most, now_s)
        return None if fits_s is None else max(free_s, fits_s)

    def granted(self, sending: Sending, now_s: float, *, was_held: bool) -> None:
        """Count a request; ``was_held`` says that this pace is what it had waited for."""
        if was_held:
            self._held_s = now_s
        self._amount += 0.1 * (sending.amount(self._unit) - self._amount)
        if self._pace is not None:
            spacing_s = MINUTE_S / (self._pace * self._portion) * sending.amount(self._unit)
            self._next_s = max(self._next_s, now_s - min(_CREDIT_S, self._spacing_s())) + spacing_s

    def refused(self, refused: Refused, now_s: float, sendings: Sendings) -> None:
        """Hear that the quota for this unit refused a request."""
        if refused.is_precise and refused.hint_s is not None:
            self._longest_hint_s = max(self._longest_hint_s, refused.hint_s)
        context = self._context(now_s)
        if self._is_no_news(refused, now_s, sendings, context):
            self._correct_anchor(refused)
            return
        estimate = limit_at(refused, sendings, context)
        if self._is_about_the_past(refused, sendings):
            self._anchor, self._cut_s = estimate.anchor, now_s
            return
        if self._limit is None and not self._strikes.believes(refused, sendings):
            self._anchor = estimate.anchor
            return
        is_vague = estimate.is_bucket and context.is_new and not estimate.is_measured
        if self._anchor is None or not is_vague:
            self._anchor = estimate.anchor  # else the longer stretch from the one before will tell more
        if refused.hint_s is not None:
            self._hints_s = (*self._hints_s[-4:], refused.hint_s)
        self._hold_at(estimate, refused, now_s)

    def _is_no_news(self, refused: Refused, now_s: float, sendings: Sendings, context: Context) -> bool:
        if refused.sent_s <= self._cut_s:
            return True
        return now_s - self._cut_s < _EPISODE_S and not drips_anew(refused, sendings, context)

    def _is_about_the_past(self, refused: Refused, sendings: Sendings) -> bool:
        """Tell whether what filled a known limit may have been sent before this run began: by another one."""
        begun_s = sendings.begun_s
        is_first = self._limit is not None and self._anchor is None
        return is_first and begun_s is not None and refused.sent_s - begun_s < MINUTE_S

    def _hold_at(self, estimate: Estimate, refused: Refused, now_s: float) -> None:
        """Keep from now on to what a refusal says the limit is."""
        if self._limit is None:
            self._first_met_s = now_s
        self._is_bucket = estimate.is_bucket
        limit = self._judge(estimate, refused.named)
        self._was_raised = self._limit is not None and limit > _RAISED * self._limit
        self._schedule.met(limit, self._limit, now_s, is_measured=estimate.is_measured)
        self._limit = limit
        self._cut_s = now_s
        if self._is_bucket:
            # At that moment it holds one request; with two, one that comes early is not refused.
            self._next_s = refused.relief_s + MINUTE_S * self._amount / (limit * self._portion)
        self._enter(Phase.HOLD, now_s)

    def _spacing_s(self) -> float:
        """How far apart requests are; those of tokens differ, so a small one may follow a late big one."""
        largest = 1.0 if self._unit is Unit.REQUESTS else math.inf
        return MINUTE_S / (self._pace * self._portion) * largest if self._pace else 0.0

    def served(self) -> None:
        """Hear that the quota took a request."""
        self._strikes.served()

    def beside(self, *, portion: float, others: float) -> None:
        """Hear which part of the pace is ours, and what others took in the last minute."""
        self._portion = portion
        self._others = others

    def met(self) -> LearnedLimit | None:
        """Return the limit as it is believed to be now; None while none was met."""
        if self._limit is None:
            return None
        return LearnedLimit(
            per_minute=self._limit, named=self._named is not None, confirmed=self._schedule.is_confirmed
        )

    def known(self) -> LearnedLimit | None:
        """Return what the next night starts from: the limit, or what was seen to pass."""
        if self._limit is not None:
            return self._known_limit()
        if self._most_a_minute > 0.0 and self._unit is Unit.REQUESTS:
            return LearnedLimit(per_minute=self._most_a_minute)
        return None

    def _known_limit(self) -> LearnedLimit | None:
        met, before = self.met(), self._schedule.fell_from
        if met is None or met.named or met.confirmed:
            return met
        # One refusal may be mistaken by far: to begin a night knowing nothing is better.
        return LearnedLimit(per_minute=max(met.per_minute, before)) if before else None

    def meet(self, limit: LearnedLimit) -> None:
        """Hear of a limit that another run on the key has met."""
        if self._limit is None and (limit.named or limit.confirmed):
            self._begin_at(limit)

    def _begin_at(self, start: LearnedLimit) -> None:
        self._limit = start.per_minute
        self._first_met_s = -math.inf
        self._named = start.per_minute if start.named else None
        self._schedule.trust()
        self._phase = Phase.HOLD
        self._pace = self._limit * _MARGIN[self._unit]

    def _context(self, now_s: float) -> Context:
        return Context(
            unit=self._unit,
            phase=self._phase,
            pace=self._pace,
            limit=self._limit,
            is_bucket=self._is_bucket,
            anchor=self._anchor,
            is_new=now_s - self._first_met_s < _NEW_S,
            was_raised=self._was_raised,
            recent_hints_s=self._hints_s,
            longest_hint_s=self._longest_hint_s,
            others=self._others,
        )

    def _smooth(self, measured: float) -> float:
        """A window of tokens is full to within a request, more or less; requests are counted one by one."""
        known = self._limit
        if self._unit is Unit.REQUESTS or known is None or abs(measured - known) > 0.03 * known:
            return measured
        return 0.7 * known + 0.3 * measured

    def _believable(self, measured: float) -> float:
        """A limit that stood for minutes is not given up for one measurement of a few seconds."""
        stood = self._limit is not None and self._phase is not Phase.CLIMB and self._schedule.is_confirmed
        return max(measured, 0.5 * self._limit) if stood and self._limit is not None else measured

    def _correct_anchor(self, refused: Refused) -> None:
        """What left before the first refusal counted as taken; some of it was only not yet refused."""
        anchor = self._anchor
        if anchor is not None and refused.sent_s < anchor.sent_s:
            asked = anchor.asked - refused.sending.amount(self._unit)
            self._anchor = dataclasses.replace(anchor, asked=asked)

    def _judge(self, estimate: Estimate, named: float | None) -> float:
        """Return the limit: the named one, unless so little passed that somebody else has the rest."""
        named = self._named if named is None else named
        passed = max(estimate.per_minute, estimate.anchor.window)
        if named is not None and (passed >= _OURS * named or self._phase is Phase.CLIMB):
            self._named = named
            self._is_bucket = False
            return named
        measured = estimate.per_minute if estimate.is_bucket else self._smooth(estimate.per_minute)
        believed = self._believable(measured)  # before the fall makes the old limit unconfirmed
        if named is not None:
            self._schedule.fell(named)
        self._named = None
        return believed

    def _advance(self, now_s: float, sendings: Sendings) -> None:
        if self._phase_s is None:
            self._enter(self._phase, now_s)
        total = sendings.total(self._unit, now_s)
        self._most_a_minute = max(self._most_a_minute, total)
        if self._pace is None:
            return
        if self._phase is Phase.CLIMB:
            self._climb(now_s)
        elif self._phase is Phase.HOLD:
            self._hold(now_s, total)
        else:
            self._probe(now_s, total)

    def _climb(self, now_s: float) -> None:
        pace, since_s = self._pace, self._phase_s
        if pace is None or since_s is None:
            return
        step_s = max(_CLIMB_STEP_S, 2.0 * MINUTE_S * self._amount / (pace * self._portion))
        if now_s - since_s >= step_s:
            self._phase_s = now_s
            if self._is_bound(now_s):
                self._pace = pace * self._climb_factor
                self._climb_factor = min(_CLIMB_FACTOR, 1.0 + 1.5 * (self._climb_factor - 1.0))

    def _hold(self, now_s: float, total: float) -> None:
        if self._limit is None:
            return
        others = self._others
        if total + others >= 0.95 * self._limit - self._amount:
            self._schedule.was_full(now_s)
        if self._schedule.is_due(now_s) and self._is_bound(now_s):
            self._enter(Phase.PROBE, now_s)

    def _probe(self, now_s: float, total: float) -> None:
        if self._limit is None or self._phase_s is None:
            return
        if not self._is_bound(now_s):
            self._enter(Phase.HOLD, now_s)
            return
        begin, slope, most = _LIFT
        probed_s = now_s - self._phase_s
        lift = min(most, begin + slope * probed_s)
        # A small limit is lifted by whole requests, or no minute would show it.
        self._pace = self._limit * (1.0 + lift) + 2.0 * self._amount * lift / most
        if probed_s >= _PROBE_S and total + self._others >= _PROOF * self._limit + self._amount:
            self._named = None
            self._climb_factor = _FIRST_FACTOR
            self._enter(Phase.CLIMB, now_s)

    def _enter(self, phase: Phase, now_s: float) -> None:
        self._phase = phase
        self._phase_s = now_s
        if phase is Phase.HOLD and self._limit is not None:
            self._pace = self._limit * _MARGIN[self._unit]
            sent_per_s = self._limit / MINUTE_S / self._amount
            self._schedule.plan(now_s, sent_per_s, named=self._named is not None)

    def _is_bound(self, now_s: float) -> bool:
        """Tell whether requests wait for this pace and for nothing else."""
        pace = self._pace or 1.0
        return now_s - self._held_s <= max(_BOUND_S, 2.5 * MINUTE_S * self._amount / (pace * self._portion))
