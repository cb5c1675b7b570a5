"""Estimate of a limit from one rejection and the requests that were sent before it.

Fixed or sliding window: "retry in h seconds" says that the full window began 60 - h seconds ago, so what was
accepted since then is the limit. Token bucket: h is short, the time in which one request drips in, and what
was accepted between two rejections is the limit. All functions are pure. See docs/adr/0009.
"""

from dataclasses import dataclass
from enum import Enum, auto

from rate_limit.request_log import MINUTE_S, RequestLog, SentRequest
from rate_limit.types import Unit

_SHORT_DRIP_S = 0.5
_MAX_DRIP_S = 15.0
"""While no limit is known, a hint up to this long may be a bucket's; a slower bucket is found later."""
_PAIR_S = (4.0, 55.0)
"""Between two rejections this far apart, a bucket gave all that it had."""
_MIN_PAIR_S = 0.1
_SURE_FACTOR, _WEAK_FACTOR = 8.0, 2.0
"""How many times the uncertainty of its ends a shorter stretch must last: to be a measurement, and to be
better than none while a limit is new."""
_RECENT_S = 10.0
_LEAP = 1.5
"""A pace so many times the old limit cannot come from the burst that a bucket had saved."""
_ALIKE_HINTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One rejected request, for one unit."""

    request: SentRequest
    sent_s: float
    hint_s: float | None
    named_limit: float | None
    """The limit that the service named; None if unknown."""
    received_s: float | None = None
    """When the rejection arrived; None if unknown, which counts as at once."""

    @property
    def uncertainty_s(self) -> float:
        """Seconds between departure and reply: the moment of the rejection is uncertain by these."""
        return 0.0 if self.received_s is None else self.received_s - self.sent_s

    @property
    def is_precise(self) -> bool:
        """Whether the hint is no round number, which would be of no help."""
        return self.hint_s is not None and self.hint_s > 0.0 and self.hint_s != round(self.hint_s)

    @property
    def relief_s(self) -> float:
        """The instant at which the request would have been accepted."""
        return self.sent_s + (self.hint_s if self.is_precise and self.hint_s else 0.0)


class Phase(Enum):
    """The phase of an ``AdaptiveRate``."""

    CLIMB = auto()
    HOLD = auto()
    PROBE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The rejection from which the next one is measured."""

    phase: Phase
    sent_s: float
    relief_s: float
    asked: float
    """Amount that the quota had accepted since the start of the run, and the amount that it rejected then."""
    window: float
    """Amount that it had accepted in the window that the hint names."""
    uncertainty_s: float = 0.0
    """Seconds by which these moments are uncertain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEstimate:
    """The limit that a rejection points at."""

    per_minute: float
    is_bucket: bool
    anchor: Anchor
    """Where the next rejection is measured from."""
    is_measured: bool = False
    """Two exact hints of a bucket gave it together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationContext:
    """State of the ``AdaptiveRate`` at a rejection."""

    unit: Unit
    phase: Phase
    pace: float | None
    limit: float | None
    is_bucket: bool
    """The earlier rejections came from a bucket."""
    anchor: Anchor | None
    is_new: bool
    """The limit was first met a moment ago."""
    was_raised: bool
    """The previous rejection raised the limit."""
    recent_hints_s: tuple[float, ...]
    """Hints of the previous rejections, latest last."""
    longest_hint_s: float
    """Longest of all exact hints."""
    others: float
    """Amount that peers used in the last minute."""


def estimate_limit(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext
) -> LimitEstimate:
    """Return the limit that the rejection points at."""
    hint_s = rejection.hint_s
    if hint_s is None or _is_constant(hint_s, context.recent_hints_s):
        back_s = MINUTE_S
    else:
        back_s = min(MINUTE_S, MINUTE_S - hint_s)
    # Not far below the amount of the whole minute: the hint may be about something else than the window.
    window = max(
        _count_accepted(rejection, request_log, context, back_s),
        0.3 * _count_accepted(rejection, request_log, context, MINUTE_S),
    )
    found = (
        _estimate_bucket_rate(rejection, request_log, context, window)
        if _may_be_bucket(rejection, context)
        else None
    )
    asked = _count_asked(rejection, request_log, context.unit)
    return LimitEstimate(
        per_minute=max(1.0, found or window),
        is_bucket=found is not None,
        is_measured=found is not None and _is_measured(rejection, context),
        anchor=Anchor(
            phase=context.phase,
            sent_s=rejection.sent_s,
            relief_s=rejection.relief_s,
            asked=asked,
            window=window,
            uncertainty_s=rejection.uncertainty_s,
        ),
    )


def remeasures_bucket(rejection: Rejection, request_log: RequestLog, context: EstimationContext) -> bool:
    """Return whether the rejection measures a bucket anew, however soon it follows the previous one."""
    return (
        context.is_bucket
        and rejection.is_precise
        and _rate_between_rejections(rejection, request_log, context) is not None
    )


def _estimate_bucket_rate(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext, window: float
) -> float | None:
    """Return the rate at which a bucket fills; None if the rejection looks like that of a window."""
    limit = context.limit
    if limit is None:
        drip = _initial_bucket_rate(rejection, request_log, context)
        return drip if drip > 1.1 * window else None
    between = _rate_between_rejections(rejection, request_log, context)
    if not context.is_bucket:
        # No window overflows while its limit is held in every minute. One rejection may be random, unless
        # the previous one had just raised the limit.
        stays = abs(window - limit) <= 0.03 * limit and not (context.was_raised or _was_holding(context))
        return between if context.phase is Phase.HOLD and not stays else None
    if between is not None and _is_exact(rejection, context):
        return None if _is_the_same_window(context, window) else between
    recent = _recent_rate(rejection, request_log, context, _RECENT_S)
    climbed = context.phase is Phase.CLIMB and recent >= _LEAP * limit
    return recent if climbed else max(limit, between or 0.0)


def _was_holding(context: EstimationContext) -> bool:
    return context.anchor is not None and context.anchor.phase is Phase.HOLD


def _is_the_same_window(context: EstimationContext, window: float) -> bool:
    """Return whether the window is as full as at the previous rejection: not random while the pace varies."""
    before = context.anchor.window if context.anchor else 0.0
    return abs(window - before) <= 0.01 * before


def _count_accepted(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext, back_s: float
) -> float:
    """Return the amount that was accepted in so many seconds before the rejected request left."""
    if back_s <= 0.0:
        return 0.0
    sent_s, unit = rejection.sent_s, context.unit
    own = request_log.sum_accepted(unit, sent_s - back_s - _slack_s(rejection, context), sent_s)
    if unit is Unit.TOKENS:
        # The rejected amount did not fit any more, so the limit lies somewhere within it.
        own += 0.5 * rejection.request.amount(unit)
    # The whole minute of the peers counts: waiting for the same moment, they send together.
    return own + context.others


def _slack_s(rejection: Rejection, context: EstimationContext) -> float:
    """Return the seconds by which a window may seem to begin too late: requests travel unequally long.

    The oldest request of a sliding window leaves it at the very moment that the hint names. To miss it costs
    a tenth of a limit of ten, so the slack grows with the spacing of requests.
    """
    pace = context.pace or MINUTE_S
    return min(2.0, max(0.1, 0.4 * MINUTE_S * rejection.request.amount(context.unit) / pace))


def _is_constant(hint_s: float, recent_s: tuple[float, ...]) -> bool:
    """Return whether the service always gives the same hint, which is then of no use."""
    latest = recent_s[1 - _ALIKE_HINTS :]
    return len(latest) == _ALIKE_HINTS - 1 and all(abs(hint_s - other) < 0.01 * hint_s for other in latest)


def _may_be_bucket(rejection: Rejection, context: EstimationContext) -> bool:
    """Return whether the hint is as short as a bucket's; a missing hint may be a bucket's as well."""
    hint_s = rejection.hint_s
    if hint_s is None:
        return context.limit is not None
    if context.limit is None or context.is_bucket:
        return hint_s < _MAX_DRIP_S
    drip_s = MINUTE_S * rejection.request.amount(context.unit) / context.limit
    return hint_s < _SHORT_DRIP_S or hint_s <= 1.5 * drip_s


def _rate_between_rejections(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext
) -> float | None:
    """Return the rate a minute since the previous rejection, a bucket empty at both; None if unknown.

    At the end of each hint the bucket held just the rejected amount. So two rejections need not lie far
    apart if the moments at which they happened are known well.
    """
    if context.anchor is None:
        return None
    span_s = rejection.relief_s - context.anchor.relief_s
    given = _count_asked(rejection, request_log, context.unit) - context.anchor.asked
    if given <= 0.0:
        return None
    if span_s >= _PAIR_S[0]:
        return given / span_s * MINUTE_S + context.others
    uncertainty_s = rejection.uncertainty_s + context.anchor.uncertainty_s
    is_short = span_s < max(_MIN_PAIR_S, _WEAK_FACTOR * uncertainty_s)
    if is_short or not context.is_new or not rejection.is_precise:
        return None
    return given / span_s * MINUTE_S + context.others


def _is_measured(rejection: Rejection, context: EstimationContext) -> bool:
    """Return whether two rejections give a bucket's rate exactly enough."""
    if context.anchor is None or not rejection.is_precise:
        return False
    uncertainty_s = rejection.uncertainty_s + context.anchor.uncertainty_s
    return rejection.relief_s - context.anchor.relief_s >= max(_MIN_PAIR_S, _SURE_FACTOR * uncertainty_s)


def _is_exact(rejection: Rejection, context: EstimationContext) -> bool:
    """Return whether a bucket stayed below full since the previous rejection; a full one loses its inflow."""
    is_holding = context.phase is Phase.HOLD
    return is_holding or context.anchor is None or rejection.relief_s - context.anchor.relief_s <= _PAIR_S[1]


def _count_asked(rejection: Rejection, request_log: RequestLog, unit: Unit) -> float:
    return request_log.sum_accepted_before(unit, rejection.sent_s) + rejection.request.amount(unit)


def _recent_rate(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext, span_s: float
) -> float:
    accepted = request_log.sum_accepted(context.unit, rejection.sent_s - span_s, rejection.sent_s)
    return accepted * MINUTE_S / span_s + context.others


def _initial_bucket_rate(rejection: Rejection, request_log: RequestLog, context: EstimationContext) -> float:
    """Return the rate of a bucket that was met while no limit was known, per minute.

    A request waits no longer than it takes to drip in, so the hint bounds the rate; a hint in whole
    seconds is rounded and does not.
    """
    if not rejection.is_precise:
        return 0.5 * _recent_rate(rejection, request_log, context, 5.0)
    drip_s = max(rejection.hint_s or 0.0, context.longest_hint_s)
    max_rate = MINUTE_S * rejection.request.amount(context.unit) / drip_s + context.others
    between = _rate_between_rejections(rejection, request_log, context)
    return min(max_rate, between or max_rate)
