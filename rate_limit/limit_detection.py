"""Detection of a limit: whether rejections prove one, or come at random.

Hints of a real quota agree with what was sent (docs/adr/0009):
    fixed window     two hints point at ends of windows that lie whole minutes apart
    sliding window   the hint is the moment at which the oldest request of the minute leaves the window
    token bucket     hints are as short as one request takes to drip in, and never round numbers
    named limit      it is what had just passed
"""

import math
from collections import deque
from dataclasses import dataclass

from rate_limit.limit_estimation import Rejection
from rate_limit.request_log import MINUTE_S, RequestLog
from rate_limit.types import Unit

_TRAVEL_JITTER_S = 1.5
"""Requests travel unequally long, so that moments agree only within this."""
_NAMED_TOLERANCE = (0.95, 1.05)
_MIN_NAMED = 30.0
"""Requests: of a smaller limit, the same number may have passed at random."""
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
        """Whether the hint is no round number; a gateway may have made up a round one."""
        return self.hint_s is not None and self.hint_s > 0.0 and self.hint_s != round(self.hint_s)


class LimitDetector:
    """Decides from the rejections of one unit whether there is a limit.

    Without usable hints, a limit is confirmed by three rejections in a row with at most one request accepted
    between each two, or by 30 % of the last 40 outcomes.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._last: _Sample | None = None
        self._consecutive = 0
        self._outcomes: deque[bool] = deque(maxlen=_OUTCOMES_KEPT)

    def on_accepted(self) -> None:
        """Record a request that the quota accepted."""
        self._outcomes.append(False)

    def confirms(self, rejection: Rejection, request_log: RequestLog) -> bool:
        """Record a rejection; return whether there is a limit."""
        self._outcomes.append(True)
        last, sample = self._last, _Sample(sent_s=rejection.sent_s, hint_s=rejection.hint_s)
        if last is not None and sample.sent_s - last.sent_s < _BUCKET_HINT_S / 10.0:
            return self._has_many_rejections()  # requests that left together are one event
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
        """Return whether the amount accepted within the minute is the limit that the service names."""
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
        """Return whether the hint is the time in which one request drips into a bucket of the named limit."""
        sample = self._last
        if sample is None or sample.hint_s is None or rejection.named_limit is None or not sample.is_precise:
            return False
        drip_s = MINUTE_S * rejection.request.amount(self._unit) / rejection.named_limit
        accepted = request_log.sum_accepted(self._unit, rejection.sent_s - MINUTE_S, rejection.sent_s)
        # A much shorter hint is rare; more likely a gateway made it up.
        return 0.1 * drip_s <= sample.hint_s <= 1.1 * drip_s and accepted <= rejection.named_limit

    def _has_many_rejections(self) -> bool:
        outcomes = self._outcomes
        return len(outcomes) >= _OUTCOMES_KEPT and sum(outcomes) >= math.ceil(_MANY_SHARE * _OUTCOMES_KEPT)
