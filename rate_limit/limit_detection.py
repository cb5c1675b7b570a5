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

from rate_limit.limit_estimation import Refused
from rate_limit.request_log import MINUTE_S, Sendings
from rate_limit.types import Unit

_TRAVEL_S = 1.5
"""Requests travel up to this unequally long, so that moments agree only so far."""
_NAMED = (0.95, 1.05)
_LEAST_NAMED = 30.0
"""Requests: with fewer it may be chance that as many had passed."""
_BUCKET_HINT_S, _SLOW_BUCKET_HINT_S = 1.0, 15.0
_IN_A_ROW = 3
_MANY = 0.3
_AMONG = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strike:
    sent_s: float
    hint_s: float | None

    @property
    def is_precise(self) -> bool:
        """Whether the hint is more than a round number, which anybody may have made up."""
        return self.hint_s is not None and self.hint_s > 0.0 and self.hint_s != round(self.hint_s)


class Strikes:
    """The refusals of one unit that are not believed yet."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._last: _Strike | None = None
        self._in_a_row = 0
        self._ends: deque[bool] = deque(maxlen=_AMONG)

    def served(self) -> None:
        """Hear of a call that the quota let pass."""
        self._ends.append(False)

    def believes(self, refused: Refused, sendings: Sendings) -> bool:
        """Count a refusal; tell whether there is a limit indeed."""
        self._ends.append(True)
        last, strike = self._last, _Strike(sent_s=refused.sent_s, hint_s=refused.hint_s)
        if last is not None and strike.sent_s - last.sent_s < _BUCKET_HINT_S / 10.0:
            return self._is_flooded()  # they left together: one event
        self._count_row(strike, sendings, refused.sending.amount(self._unit))
        self._last = strike
        return (
            self._is_named(refused, sendings)
            or self._slides(strike, sendings)
            or self._is_flooded()
            or self._in_a_row >= _IN_A_ROW
            or (last is not None and self._agree(last, strike))
            or self._drips_as_named(refused, sendings)
        )

    def _count_row(self, strike: _Strike, sendings: Sendings, amount: float) -> None:
        if self._last is None:
            self._in_a_row = 1
            return
        between = sendings.taken(self._unit, self._last.sent_s, strike.sent_s)
        self._in_a_row = self._in_a_row + 1 if between <= amount else 1

    def _is_named(self, refused: Refused, sendings: Sendings) -> bool:
        """What had passed within the minute is just what the service names."""
        if refused.named is None or refused.named < _LEAST_NAMED * refused.sending.amount(self._unit):
            return False
        taken = sendings.taken(self._unit, refused.sent_s - MINUTE_S, refused.sent_s)
        spare = 0.0 if self._unit is Unit.REQUESTS else refused.sending.amount(self._unit)
        least, most = _NAMED
        return least * refused.named - spare <= taken <= most * refused.named

    def _slides(self, strike: _Strike, sendings: Sendings) -> bool:
        oldest_s = sendings.oldest_s(strike.sent_s - MINUTE_S)
        if strike.hint_s is None or not strike.is_precise or oldest_s is None or oldest_s >= strike.sent_s:
            return False
        return abs(oldest_s + MINUTE_S - strike.sent_s - strike.hint_s) <= _TRAVEL_S

    def _agree(self, last: _Strike, strike: _Strike) -> bool:
        if last.hint_s is None or strike.hint_s is None:
            return False
        longest_s = max(last.hint_s, strike.hint_s)
        is_short = longest_s <= (_SLOW_BUCKET_HINT_S if self._in_a_row > 1 else _BUCKET_HINT_S)
        if is_short and last.is_precise and strike.is_precise and last.hint_s != strike.hint_s:
            return True
        ends_apart_s = (strike.sent_s + strike.hint_s) - (last.sent_s + last.hint_s)
        off_s = abs(ends_apart_s - MINUTE_S * round(ends_apart_s / MINUTE_S))
        apart = ends_apart_s >= MINUTE_S / 2.0 or strike.sent_s - last.sent_s >= 2.0 * _TRAVEL_S
        return apart and off_s <= _TRAVEL_S and longest_s > 2.0 * _TRAVEL_S

    def _drips_as_named(self, refused: Refused, sendings: Sendings) -> bool:
        """The hint is about as long as one request takes to drip into a bucket of the named limit."""
        strike = self._last
        if strike is None or strike.hint_s is None or refused.named is None or not strike.is_precise:
            return False
        drip_s = MINUTE_S * refused.sending.amount(self._unit) / refused.named
        taken = sendings.taken(self._unit, refused.sent_s - MINUTE_S, refused.sent_s)
        # A much shorter one would be a rare chance; more likely somebody made it up.
        return 0.1 * drip_s <= strike.hint_s <= 1.1 * drip_s and taken <= refused.named

    def _is_flooded(self) -> bool:
        ends = self._ends
        return len(ends) >= _AMONG and sum(ends) >= math.ceil(_MANY * _AMONG)
