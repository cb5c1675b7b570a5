"""When do refusals prove that there is a limit, and not just a refusal?

Believing the first one is the naive way, and costs a night: gateways refuse one call in twenty at random,
and a canned body names a limit that nobody keeps; whoever then halts at what had passed until that moment
crawls at twenty a minute through a quota of thousands. A real quota gives itself away by its hints, which
must agree with what was sent:

    a window of the clock    two hints point at ends of windows that lie whole minutes apart
    a window that slides     the hint is the moment when the oldest request of the minute leaves it
    a bucket                 hints are as short as one request takes to drip in, and never round numbers
    a named limit            it is what had just passed

Without usable hints it takes three refusals in a row with one call at most let through between them, or so
many that it does not matter why. This file does not know what is done about a limit.
"""

import math
from collections import deque
from dataclasses import dataclass

from rate_limit.limit_estimation import Rejection
from rate_limit.request_log import MINUTE_S, RequestLog
from rate_limit.types import Unit

_TRAVEL_JITTER_S = 1.5
"""Requests travel up to this unequally long, so that moments agree only so far."""
_NAMED_TOLERANCE = (0.95, 1.05)
_MIN_NAMED = 30.0
"""Requests: with fewer it may be chance that as many had passed."""
_BUCKET_HINT_S, _SLOW_BUCKET_HINT_S = 1.0, 15.0
_MIN_CONSECUTIVE = 3
_MANY_SHARE = 0.3
_OUTCOMES_KEPT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    sent_s: float
    hint_s: float | None

    @property
    def is_precise(self) -> bool:
        """Whether the hint is more than a round number, which anybody may have made up."""
        return self.hint_s is not None and self.hint_s > 0.0 and self.hint_s != round(self.hint_s)


class LimitDetector:
    """The refusals of one unit that are not believed yet."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._last: _Sample | None = None
        self._consecutive = 0
        self._outcomes: deque[bool] = deque(maxlen=_OUTCOMES_KEPT)

    def on_accepted(self) -> None:
        """Hear of a call that the quota let pass."""
        self._outcomes.append(False)

    def confirms(self, rejection: Rejection, request_log: RequestLog) -> bool:
        """Count a refusal; tell whether there is a limit indeed."""
        self._outcomes.append(True)
        last, sample = self._last, _Sample(sent_s=rejection.sent_s, hint_s=rejection.hint_s)
        if last is not None and sample.sent_s - last.sent_s < _BUCKET_HINT_S / 10.0:
            return self._has_many_rejections()  # they left together: one event
        self._count_consecutive(sample, request_log, rejection.request.amount(self._unit))
        self._last = sample
        return (
            self._matches_named_limit(rejection, request_log)
            or self._matches_sliding_window(sample, request_log)
            or self._has_many_rejections()
            or self._consecutive >= _MIN_CONSECUTIVE
            or (last is not None and self._hints_agree(last, sample))
            or self._matches_named_bucket(rejection, request_log)
        )

    def _count_consecutive(self, sample: _Sample, request_log: RequestLog, amount: float) -> None:
        if self._last is None:
            self._consecutive = 1
            return
        accepted_between = request_log.sum_accepted(self._unit, self._last.sent_s, sample.sent_s)
        self._consecutive = self._consecutive + 1 if accepted_between <= amount else 1

    def _matches_named_limit(self, rejection: Rejection, request_log: RequestLog) -> bool:
        """What had passed within the minute is just what the service names."""
        if rejection.named_limit is None or rejection.named_limit < _MIN_NAMED * rejection.request.amount(
            self._unit
        ):
            return False
        accepted = request_log.sum_accepted(self._unit, rejection.sent_s - MINUTE_S, rejection.sent_s)
        spare = 0.0 if self._unit is Unit.REQUESTS else rejection.request.amount(self._unit)
        lower, upper = _NAMED_TOLERANCE
        return lower * rejection.named_limit - spare <= accepted <= upper * rejection.named_limit

    def _matches_sliding_window(self, sample: _Sample, request_log: RequestLog) -> bool:
        oldest_s = request_log.first_accepted_s(sample.sent_s - MINUTE_S)
        if sample.hint_s is None or not sample.is_precise or oldest_s is None or oldest_s >= sample.sent_s:
            return False
        return abs(oldest_s + MINUTE_S - sample.sent_s - sample.hint_s) <= _TRAVEL_JITTER_S

    def _hints_agree(self, last: _Sample, sample: _Sample) -> bool:
        if last.hint_s is None or sample.hint_s is None:
            return False
        longest_s = max(last.hint_s, sample.hint_s)
        is_short = longest_s <= (_SLOW_BUCKET_HINT_S if self._consecutive > 1 else _BUCKET_HINT_S)
        if is_short and last.is_precise and sample.is_precise and last.hint_s != sample.hint_s:
            return True
        ends_apart_s = (sample.sent_s + sample.hint_s) - (last.sent_s + last.hint_s)
        off_s = abs(ends_apart_s - MINUTE_S * round(ends_apart_s / MINUTE_S))
        apart = ends_apart_s >= MINUTE_S / 2.0 or sample.sent_s - last.sent_s >= 2.0 * _TRAVEL_JITTER_S
        return apart and off_s <= _TRAVEL_JITTER_S and longest_s > 2.0 * _TRAVEL_JITTER_S

    def _matches_named_bucket(self, rejection: Rejection, request_log: RequestLog) -> bool:
        """The hint is about as long as one request takes to drip into a bucket of the named limit."""
        sample = self._last
        if sample is None or sample.hint_s is None or rejection.named_limit is None or not sample.is_precise:
            return False
        drip_s = MINUTE_S * rejection.request.amount(self._unit) / rejection.named_limit
        accepted = request_log.sum_accepted(self._unit, rejection.sent_s - MINUTE_S, rejection.sent_s)
        # A much shorter one would be a rare chance; more likely somebody made it up.
        return 0.1 * drip_s <= sample.hint_s <= 1.1 * drip_s and accepted <= rejection.named_limit

    def _has_many_rejections(self) -> bool:
        outcomes = self._outcomes
        return len(outcomes) >= _OUTCOMES_KEPT and sum(outcomes) >= math.ceil(_MANY_SHARE * _OUTCOMES_KEPT)
