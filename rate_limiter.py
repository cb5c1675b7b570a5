"""When may the next request start?

A quota belongs to the project, not to the image that met it. So one object decides for everybody:
a pace (``rpm``, evenly spaced, no burst) and a pause that a 429 opens for as long as the server
asks. Decisions are taken in synchronous methods that return how long to wait; only ``acquire``
awaits. This file knows neither images nor HTTP.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from errors import ApiFailure, ErrorKind, FatalError, StopReason

log = logging.getLogger(__name__)

UNHINTED_PAUSE_S = 5.0
"""How long everybody waits after a 429 that names no time, in seconds."""


class RateLimiter:
    """One pace and one pause for all requests of a run.

    Args:
        rpm: the most requests a minute, evenly spaced; None for no limit of our own.
        sleep: waits for so many seconds; may raise to end the wait (the run stops).
    """

    def __init__(self, *, rpm: float | None, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._spacing_s = 60.0 / rpm if rpm else 0.0
        self._sleep = sleep
        self._turn = asyncio.Lock()  # first come, first served; held only by the one who waits next
        # The only mutable state. It changes in _take and refused alone, never across an await.
        self._next_s = 0.0
        self._paused_until_s = 0.0
        self._daily_quota_obeyed_at_s: float | None = None

    async def acquire(self) -> None:
        """Return when the caller may send one request."""
        async with self._turn:
            # A pause may begin while we sleep, hence the loop.
            while (wait_s := self._wait_s(self._now_s())) > 0.0:
                await self._sleep(wait_s)
            self._take(self._now_s())

    def refused(self, failure: ApiFailure) -> None:
        """Hear of a failed call: a 429 makes everybody wait until the moment the server named.

        Raises:
            FatalError: a daily quota is refused again after its own hint was obeyed once. One
                refusal proves little: bodies were seen that name a quota per day and ask for 36 s
                (gemini-api.md, section 3, 2026-08).
        """
        if failure.kind is not ErrorKind.RATE_LIMITED:
            return
        now_s = self._now_s()
        pause_s = UNHINTED_PAUSE_S if failure.retry_after_s is None else failure.retry_after_s
        if _is_daily(failure):
            self._meet_daily_quota(failure, now_s, pause_s)
        if now_s + pause_s > self._paused_until_s:
            if self._paused_until_s <= now_s:
                quotas = ", ".join(failure.quota_ids) or failure.detail
                log.info("the service limits requests: everybody waits %.0f s (%s)", pause_s, quotas)
            self._paused_until_s = now_s + pause_s

    def paused_s(self) -> float:
        """Return how many seconds the present pause still lasts; 0.0 when there is none."""
        return max(0.0, self._paused_until_s - self._now_s())

    def _meet_daily_quota(self, failure: ApiFailure, now_s: float, pause_s: float) -> None:
        if self._daily_quota_obeyed_at_s is None:
            self._daily_quota_obeyed_at_s = now_s + pause_s
        elif now_s >= self._daily_quota_obeyed_at_s:
            raise FatalError(StopReason.DAILY_QUOTA, failure.detail, retry_after_s=failure.retry_after_s)

    def _wait_s(self, now_s: float) -> float:
        return max(self._next_s, self._paused_until_s) - now_s

    def _take(self, now_s: float) -> None:
        self._next_s = max(self._next_s, now_s) + self._spacing_s if self._spacing_s else now_s

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _is_daily(failure: ApiFailure) -> bool:
    """Tell a quota per day that stands alone; beside one per minute the latter is what binds."""
    daily = any("PerDay" in quota for quota in failure.quota_ids)
    return daily and not any("PerMinute" in quota for quota in failure.quota_ids)
