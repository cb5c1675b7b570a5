"""Quotas of a project: how much it may request, and how long it has to wait.

Every method gets the instant as `now_s`, seconds on any clock that does not go back, so the same quotas
serve the HTTP server and simulations in virtual time. Google does not publish how its windows work; the
three usual ways stand here side by side.
"""

import copy
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_ROUNDING_S = 1e-9
"""A client that waits exactly as long as the hint says must not come a rounding error too early."""
_DAY_HINT_S = 60.0
"""Bodies about a day's quota hint at the next minute (docs/api-facts.md, section 3.4, body A)."""


class Meter(Protocol):
    """One way to count against a limit."""

    @property
    def limit(self) -> int:
        """Return the amount that is allowed for each window."""

    def wait_s(self, now_s: float, amount: int) -> float:
        """Return the seconds until the amount fits: 0 = now, infinite = it never will."""

    def take(self, now_s: float, amount: int) -> None:
        """Count an amount that fits."""


class FixedWindow:
    """At most `limit` in each window of the clock; all of it is free again at the window's end."""

    def __init__(self, limit: int, window_s: float = 60.0) -> None:
        self.limit = limit
        self._window_s = window_s
        self._window = -1
        self._used = 0

    def wait_s(self, now_s: float, amount: int) -> float:
        """Return the seconds until the amount fits."""
        if amount > self.limit:
            return math.inf
        if self._used_in(self._number(now_s)) + amount <= self.limit:
            return 0.0
        return (self._number(now_s) + 1) * self._window_s - now_s

    def take(self, now_s: float, amount: int) -> None:
        """Count an amount that fits."""
        number = self._number(now_s)
        self._used = self._used_in(number) + amount
        self._window = number

    def _number(self, now_s: float) -> int:
        return math.floor((now_s + _ROUNDING_S) / self._window_s)

    def _used_in(self, number: int) -> int:
        return self._used if number == self._window else 0


class SlidingWindow:
    """At most `limit` within any stretch of `window_s` seconds."""

    def __init__(self, limit: int, window_s: float = 60.0) -> None:
        self.limit = limit
        self._window_s = window_s
        self._taken: deque[tuple[float, int]] = deque()
        self._used = 0

    def wait_s(self, now_s: float, amount: int) -> float:
        """Return the seconds until the amount fits."""
        if amount > self.limit:
            return math.inf
        self._forget(now_s)
        excess = self._used + amount - self.limit
        for at_s, taken in self._taken:
            if excess <= 0:
                break
            excess -= taken
            wait_s = at_s + self._window_s - now_s
            if excess <= 0:
                return wait_s
        return 0.0

    def take(self, now_s: float, amount: int) -> None:
        """Count an amount that fits."""
        self._forget(now_s)
        self._taken.append((now_s, amount))
        self._used += amount

    def _forget(self, now_s: float) -> None:
        while self._taken and self._taken[0][0] + self._window_s <= now_s + _ROUNDING_S:
            self._used -= self._taken.popleft()[1]


class TokenBucket:
    """A steady `limit` for each window, and at most `burst` at once (default: the whole limit)."""

    def __init__(self, limit: int, window_s: float = 60.0, burst: int | None = None) -> None:
        self.limit = limit
        self._per_s = limit / window_s
        self._burst = limit if burst is None else burst
        self._level = float(self._burst)
        self._at_s = 0.0

    def wait_s(self, now_s: float, amount: int) -> float:
        """Return the seconds until the amount fits."""
        if amount > self._burst or not self._per_s:
            return math.inf
        missing = amount - self._level_at(now_s)
        return 0.0 if missing <= _ROUNDING_S * self._per_s else missing / self._per_s

    def take(self, now_s: float, amount: int) -> None:
        """Count an amount that fits."""
        self._level = self._level_at(now_s) - amount
        self._at_s = now_s

    def _level_at(self, now_s: float) -> float:
        return min(self._burst, self._level + (now_s - self._at_s) * self._per_s)


class Unit(StrEnum):
    """What a quota counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One limit of a project for a model, under the name Google gives it."""

    meter: Meter
    """How it counts; copied before use, so one quota can serve several servers."""
    unit: Unit = Unit.REQUESTS
    per_day: bool = False

    @property
    def metric(self) -> str:
        """Return Google's name of what is counted."""
        counted = "requests" if self.unit is Unit.REQUESTS else "input_token_count"
        return f"generativelanguage.googleapis.com/generate_content_free_tier_{counted}"

    @property
    def quota_id(self) -> str:
        """Return Google's name of the limit; the ids for tokens put the period last."""
        period = "PerDay" if self.per_day else "PerMinute"
        if self.unit is Unit.REQUESTS:
            return f"GenerateRequests{period}PerProjectPerModel-FreeTier"
        return f"GenerateContentInputTokensPerModel{period}-FreeTier"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRejection:
    """A request that did not fit."""

    violations: tuple[Quota, ...]
    retry_s: float
    """The hint that Google would give, in seconds."""


class QuotaBook:
    """All quotas of a project: a request passes all of them, or is counted by none."""

    def __init__(self, quotas: Sequence[Quota] = ()) -> None:
        self._quotas = tuple(quotas)
        self._meters: tuple[Meter, ...] = tuple(copy.deepcopy(quota.meter) for quota in quotas)

    def admit(self, now_s: float, tokens: int) -> QuotaRejection | None:
        """Record one request with so many input tokens, or return why it is rejected."""
        counted = [(quota, meter, _amount(quota, tokens)) for quota, meter in self._pairs()]
        waits = [(quota, meter.wait_s(now_s, amount)) for quota, meter, amount in counted]
        refused = [(quota, wait_s) for quota, wait_s in waits if wait_s > 0]
        if refused:
            return _refusal(now_s, refused)
        for _, meter, amount in counted:
            meter.take(now_s, amount)
        return None

    def _pairs(self) -> Iterator[tuple[Quota, Meter]]:
        return zip(self._quotas, self._meters, strict=True)


def _amount(quota: Quota, tokens: int) -> int:
    return 1 if quota.unit is Unit.REQUESTS else tokens


def _refusal(now_s: float, refused: Sequence[tuple[Quota, float]]) -> QuotaRejection:
    return QuotaRejection(
        violations=tuple(quota for quota, _ in refused),
        retry_s=max(_hint_s(now_s, quota, wait_s) for quota, wait_s in refused),
    )


def _hint_s(now_s: float, quota: Quota, wait_s: float) -> float:
    if quota.per_day or math.isinf(wait_s):
        return min(wait_s, _DAY_HINT_S - now_s % _DAY_HINT_S)
    return wait_s
