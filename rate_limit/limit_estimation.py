"""What does one refusal say about the limit?

The naive answer, "less than we sent in the last minute", is wrong by a factor: a window of the clock may
have begun ten seconds ago, and a bucket lets far more pass at first. The hint tells which it is. Where
Google counts in windows, "come back in h seconds" means that the window which is full began a minute
before that moment, so what was taken since then *is* the limit, to the request; it holds for windows that
slide as well, where h ends when the oldest request leaves. Where it fills a bucket, h is the time for one
request to drip in: short, and no window at all; then what passed between two refusals is the limit.

Pure functions of what was sent. This file does not decide what to do about it.
"""

from dataclasses import dataclass
from enum import Enum, auto

from rate_limit.request_log import MINUTE_S, RequestLog, SentRequest
from rate_limit.types import Unit

_SHORT_DRIP_S = 0.5
_MAX_DRIP_S = 15.0
"""Before anything is known, a hint up to this long may be a bucket's; a slower one is learned later."""
_PAIR_S = (4.0, 55.0)
"""Two refusals this far apart bound a stretch in which a bucket gave all it had."""
_MIN_PAIR_S = 0.1
_SURE_FACTOR, _WEAK_FACTOR = 8.0, 2.0
"""How many times longer than the doubt about its ends a shorter stretch must be: to be believed from now on,
and to be better than nothing while a limit is new."""
_RECENT_S = 10.0
_LEAP = 1.5
"""A pace so far above the old limit was not carried by what a bucket had saved."""
_ALIKE_HINTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One refused request, as one dimension sees it."""

    request: SentRequest
    sent_s: float
    hint_s: float | None
    named_limit: float | None
    """The limit that the service named."""
    received_s: float | None = None
    """When the refusal arrived; None for at once."""

    @property
    def uncertainty_s(self) -> float:
        """Return by how much the moment may be wrong at which it was refused: between leave and reply."""
        return 0.0 if self.received_s is None else self.received_s - self.sent_s

    @property
    def is_precise(self) -> bool:
        """Return whether the hint is more than a round number, which is of no help."""
        return self.hint_s is not None and self.hint_s > 0.0 and self.hint_s != round(self.hint_s)

    @property
    def relief_s(self) -> float:
        """Return when it would not have been refused."""
        return self.sent_s + (self.hint_s if self.is_precise and self.hint_s else 0.0)


class Phase(Enum):
    """What the pace is doing."""

    CLIMB = auto()
    HOLD = auto()
    PROBE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The refusal before."""

    phase: Phase
    sent_s: float
    relief_s: float
    asked: float
    """What the quota had taken until then, since the beginning, and what it refused then."""
    window: float
    """What it had taken in the window that the hint names."""
    uncertainty_s: float = 0.0
    """By how much these moments may be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEstimate:
    """What a refusal says the limit is, each minute."""

    per_minute: float
    is_bucket: bool
    anchor: Anchor
    """What the next refusal is measured from."""
    is_measured: bool = False
    """Two exact hints of a bucket tell it together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationContext:
    """What the refusal met."""

    unit: Unit
    phase: Phase
    pace: float | None
    limit: float | None
    is_bucket: bool
    """What the refusals before said."""
    anchor: Anchor | None
    is_new: bool
    """No limit was known until a moment ago."""
    was_raised: bool
    """The refusal before raised the limit."""
    recent_hints_s: tuple[float, ...]
    """Of the refusals before, latest last."""
    longest_hint_s: float
    """Of all that were exact."""
    others: float
    """What other runs on the key took in the last minute."""


def estimate_limit(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext
) -> LimitEstimate:
    """Return what the refusal says about the limit."""
    hint_s = rejection.hint_s
    if hint_s is None or _is_constant(hint_s, context.recent_hints_s):
        back_s = MINUTE_S
    else:
        back_s = min(MINUTE_S, MINUTE_S - hint_s)
    # Never far below the whole minute: a hint may be about something else than the window.
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
    """Tell whether the refusal measures a bucket anew, however soon it comes after the one before."""
    return (
        context.is_bucket
        and rejection.is_precise
        and _rate_between_rejections(rejection, request_log, context) is not None
    )


def _estimate_bucket_rate(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext, window: float
) -> float | None:
    """Return the rate at which a bucket fills; None when the refusal looks like a window's."""
    limit = context.limit
    if limit is None:
        drip = _initial_bucket_rate(rejection, request_log, context)
        return drip if drip > 1.1 * window else None
    between = _rate_between_rejections(rejection, request_log, context)
    if not context.is_bucket:
        # No window overflows while its limit is held in every minute. Once may be chance, unless the
        # refusal before had just raised the limit.
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
    """Tell whether the window is as full as at the refusal before: no coincidence, while the pace varies."""
    before = context.anchor.window if context.anchor else 0.0
    return abs(window - before) <= 0.01 * before


def _count_accepted(
    rejection: Rejection, request_log: RequestLog, context: EstimationContext, back_s: float
) -> float:
    """Return what was taken in so many seconds before the refused request left."""
    if back_s <= 0.0:
        return 0.0
    sent_s, unit = rejection.sent_s, context.unit
    own = request_log.sum_accepted(unit, sent_s - back_s - _slack_s(rejection, context), sent_s)
    if unit is Unit.TOKENS:
        # What was refused did not fit any more, so the limit lies somewhere within it.
        own += 0.5 * rejection.request.amount(unit)
    # Others that wait for the same moment send together, not evenly over the minute.
    return own + context.others


def _slack_s(rejection: Rejection, context: EstimationContext) -> float:
    """Return by how much a window may seem to begin too late: requests do not travel equally fast.

    The oldest request of a sliding window leaves at the very moment that the hint names. Missing it costs
    a tenth of a limit of ten, so the slack grows with the distance of requests.
    """
    pace = context.pace or MINUTE_S
    return min(2.0, max(0.1, 0.4 * MINUTE_S * rejection.request.amount(context.unit) / pace))


def _is_constant(hint_s: float, recent_s: tuple[float, ...]) -> bool:
    """Tell whether the service always says the same, which then says nothing."""
    latest = recent_s[1 - _ALIKE_HINTS :]
    return len(latest) == _ALIKE_HINTS - 1 and all(abs(hint_s - other) < 0.01 * hint_s for other in latest)


def _may_be_bucket(rejection: Rejection, context: EstimationContext) -> bool:
    """Tell whether the hint is as short as a bucket's; silence may be a bucket's as well."""
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
    """Return what passed each minute since the refusal before: a bucket was empty at both.

    It was not quite empty, but at the end of each hint it held just what was refused. So two refusals need
    not lie far apart, if it is known well when they happened.
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
    """Tell whether a bucket's rate is known from two refusals, as well as it needs to be."""
    if context.anchor is None or not rejection.is_precise:
        return False
    uncertainty_s = rejection.uncertainty_s + context.anchor.uncertainty_s
    return rejection.relief_s - context.anchor.relief_s >= max(_MIN_PAIR_S, _SURE_FACTOR * uncertainty_s)


def _is_exact(rejection: Rejection, context: EstimationContext) -> bool:
    """Tell whether a bucket stayed low since the refusal before; where it was full, it lost something."""
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
    """Return how fast a bucket may fill that was met while the pace climbed.

    A request waits no longer than it takes to drip in, so the hint bounds the rate; a hint in whole
    seconds is rounded and does not.
    """
    if not rejection.is_precise:
        return 0.5 * _recent_rate(rejection, request_log, context, 5.0)
    drip_s = max(rejection.hint_s or 0.0, context.longest_hint_s)
    max_rate = MINUTE_S * rejection.request.amount(context.unit) / drip_s + context.others
    between = _rate_between_rejections(rejection, request_log, context)
    return min(max_rate, between or max_rate)
