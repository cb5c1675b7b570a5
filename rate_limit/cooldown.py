"""Cooldown: the pause of all callers after a rejection, and the end of a day's quota.

A quota belongs to the project, so one rejection pauses all requests. A quota per day is no proof by itself:
bodies were captured that name one and ask for 36 s. So its hint is obeyed once, and the same quota again
ends the run, and so does a wait that is longer than the user allows.
Source: docs/api-facts.md, sections 3.2 and 3.4 (body A), 2026-08.
"""

import math

from errors import ApiFailure, FatalError, StopReason
from rate_limit.types import Unit

UNHINTED_PAUSE_S = 5.0
"""Pause after a first 429 without a hint."""
_MAX_UNHINTED_S = 30.0
_HINT_MARGIN_S = 0.05
"""Added to every hint, so that no request comes back a rounding error too early."""


class Cooldown:
    """The pause that all callers keep.

    Args:
        max_wait_s: longest pause that the service may ask for.
    """

    def __init__(self, max_wait_s: float = math.inf) -> None:
        self._max_wait_s = max_wait_s
        self.until_s = -math.inf
        self._peers_until_s = -math.inf
        self._unhinted_s = UNHINTED_PAUSE_S
        self._daily_obeyed_s: dict[str, float] = {}

    def on_rejected(self, failure: ApiFailure, now_s: float) -> float:
        """Start or extend the pause; return by how many seconds it now ends later.

        Raises:
            FatalError: a daily quota rejects again after its own hint was obeyed, or the hint is too long.
        """
        pause_s = self._pause_s(failure, now_s)
        if (failure.retry_after_s or 0.0) > self._max_wait_s:
            raise _to_fatal(StopReason.DAILY_QUOTA if is_daily(failure) else StopReason.LONG_WAIT, failure)
        if is_daily(failure):
            self._check_daily_quota(failure, now_s, pause_s)
        before_s = max(self.until_s, now_s)
        self.until_s = max(self.until_s, now_s + pause_s)
        return max(0.0, self.until_s - before_s)

    def check_length(self, now_s: float) -> None:
        """Raise FatalError if another run extended the pause by too much."""
        left_s = self._peers_until_s - now_s
        if left_s > self._max_wait_s + _HINT_MARGIN_S:
            detail = "another run with the same key was told to wait"
            raise FatalError(StopReason.LONG_WAIT, detail, retry_after_s=left_s)

    def extend_to(self, until_s: float) -> None:
        """Extend the pause to that of another run."""
        self._peers_until_s = max(self._peers_until_s, until_s)
        self.until_s = max(self.until_s, until_s)

    def on_accepted(self) -> None:
        """Record that the quota accepted a request."""
        self._unhinted_s = UNHINTED_PAUSE_S

    def _pause_s(self, failure: ApiFailure, now_s: float) -> float:
        if failure.retry_after_s is not None:
            return failure.retry_after_s + _HINT_MARGIN_S
        pause_s = self._unhinted_s
        if now_s >= self.until_s:  # only the first of several that were rejected together
            self._unhinted_s = min(_MAX_UNHINTED_S, 1.5 * self._unhinted_s)
        return pause_s

    def _check_daily_quota(self, failure: ApiFailure, now_s: float, pause_s: float) -> None:
        for quota in failure.quota_ids:
            obeyed_s = self._daily_obeyed_s.setdefault(quota, now_s + pause_s)
            if now_s >= obeyed_s:
                raise _to_fatal(StopReason.DAILY_QUOTA, failure)


def _to_fatal(reason: StopReason, failure: ApiFailure) -> FatalError:
    return FatalError(
        reason,
        failure.detail,
        retry_after_s=failure.retry_after_s,
        quota_ids=failure.quota_ids,
        quota_value=failure.quota_value,
    )


def is_daily(failure: ApiFailure) -> bool:
    """Return whether only quotas per day are named; beside one per minute, that one binds."""
    daily = any(_is_per_day(quota) for quota in failure.quota_ids)
    return daily and not any("perminute" in _squeeze(quota) for quota in failure.quota_ids)


def _is_per_day(quota: str) -> bool:
    return "perday" in _squeeze(quota)


def _squeeze(quota: str) -> str:
    """Return a quota's name without what differs between its spellings ("PerDay", "per day")."""
    return quota.lower().replace(" ", "").replace("_", "")


def find_limited_units(failure: ApiFailure) -> tuple[Unit, ...]:
    """Return which limits per minute a rejection is about: requests if it does not say."""
    if is_daily(failure):
        return ()
    minutely = [quota for quota in failure.quota_ids if not _is_per_day(quota)]
    return tuple(dict.fromkeys(map(_unit_of, minutely))) or (Unit.REQUESTS,)


def find_named_limit(failure: ApiFailure, unit: Unit) -> float | None:
    """Return the limit that a rejection names, which is that of its first quota only; None if unknown."""
    if not failure.quota_value or not failure.quota_ids:
        return None
    first = failure.quota_ids[0]
    return float(failure.quota_value) if not _is_per_day(first) and _unit_of(first) is unit else None


def _unit_of(quota: str) -> Unit:
    return Unit.TOKENS if "token" in quota.lower() else Unit.REQUESTS
