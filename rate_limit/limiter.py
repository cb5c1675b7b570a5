"""When may the next request start?

A quota belongs to the project, not to the image that met it. So one object decides for everybody; the
naive ways, a pause for each image or a fixed number of calls at once, have most calls refused or most of
the limit unused. All decisions are taken by ``pacing`` in methods that return at once; here is only the
queue of those who wait. It is first come, first served: who is first sleeps until something may have
changed and asks again; the others wait for his place and hold nothing. This file knows neither images
nor HTTP.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from errors import ApiFailure, ErrorKind
from rate_limit.pacer import Pacer, PacerSettings
from rate_limit.request_log import SentRequest
from rate_limit.types import LearnedLimits, PeerStatus, RateLimitStats, Wait, WaitCause

log = logging.getLogger(__name__)

_MAX_SLEEP_S = 3_600.0


class RateLimiter:
    """One pace and one pause for all requests of a run.

    Args:
        rpm: the most requests in any minute; None for no limit of the user's.
        tpm: the most input tokens in any minute; None for no limit of the user's.
        max_concurrent: the most calls in flight.
        sleep: waits for so many seconds; may raise to end the wait (the run stops).
        wait_for: waits until an event is set; may raise as well.
        outage_patience_s: how long nothing may be answered before the run ends.
        learned: what another night learned; None for nothing.
        learning: False to obey ``rpm``, ``tpm`` and the server's hints alone.
    """

    def __init__(
        self,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        max_concurrent: int,
        sleep: Callable[[float], Awaitable[None]],
        wait_for: Callable[[asyncio.Event], Awaitable[object]],
        outage_patience_s: float = 900.0,
        learned: LearnedLimits | None = None,
        is_adaptive: bool = True,
    ) -> None:
        settings = PacerSettings(
            rpm=rpm,
            tpm=tpm,
            max_concurrent=max_concurrent,
            outage_patience_s=outage_patience_s,
            is_adaptive=is_adaptive,
        )
        self._pacer = Pacer(settings, learned or LearnedLimits())
        self._sleep = sleep
        self._wait_for = wait_for
        self._queue_lock = asyncio.Lock()  # first come, first served; held only by the one who waits next
        self._retry_lock = asyncio.Lock()  # the same for retries that must be earned first
        self._call_ended = asyncio.Event()
        self._waiting = 0
        self._current_wait: Wait | None = None
        self._waited_s = dict.fromkeys(WaitCause, 0.0)

    async def acquire(self, *, tokens: int, retry: bool = False) -> "Permit":
        """Return when the caller may send one request of so many input tokens (estimated).

        A retry may be held back while the service is in distress; everybody else passes it then.
        """
        self._waiting += 1
        try:
            if not retry or self._pacer.retry_wait(_now_s()) is None:
                return await self._wait_and_grant(tokens, retry=retry)
            async with self._retry_lock:  # else all retries would take what only one has earned
                await self._wait_until_retry_earned()
                return await self._wait_and_grant(tokens, retry=True)
        finally:
            self._waiting -= 1

    def stats(self) -> RateLimitStats:
        """Return how the pacing stands now."""
        pacer, wait, counts = self._pacer, self._current_wait, self._pacer.counts
        limits = pacer.current_limits()
        return RateLimitStats(
            pace_rpm=pacer.pace_rpm(),
            limit_rpm=limits.requests.per_minute if limits.requests else None,
            limit_tpm=limits.tokens.per_minute if limits.tokens else None,
            limit_is_named=any(limit.named for limit in (limits.requests, limits.tokens) if limit),
            concurrency=pacer.health.allowed_concurrency(_now_s(), pacer.pace_rpm()),
            in_flight=pacer.health.in_flight,
            waiting=self._waiting,
            waiting_for=wait.cause if wait else None,
            waiting_until_s=wait.until_s if wait else None,
            waited_s=dict(self._waited_s),
            rejections=dict(pacer.rejections),
            requests=counts.requests,
            rejected=counts.rejected,
            wasted_upload_bytes=counts.wasted_upload_bytes,
        )

    def on_connected(self, seconds: float) -> None:
        """Hear how long it took to reach the service; a refusal will not take much longer."""
        self._pacer.on_connected(seconds)
        self._call_ended.set()  # whoever waits for a call to end may wait for less now

    def limits_to_save(self) -> LearnedLimits:
        """Return what the next night starts from."""
        return self._pacer.limits_to_save()

    def update_peers(self, now_s: float, peers: Sequence[PeerStatus]) -> None:
        """Hear what other runs on the same key do; none once they are gone."""
        self._pacer.update_peers(now_s, peers)

    def own_status(self, now_s: float) -> PeerStatus:
        """Return what other runs on the same key should know."""
        return self._pacer.own_status(now_s)

    async def _wait_and_grant(self, tokens: int, *, retry: bool) -> "Permit":
        async with self._queue_lock:
            waited_for = await self._wait_until_allowed(tokens)
            request = self._pacer.grant(_now_s(), tokens, retry=retry, waited_for=waited_for)
        return Permit(request, self._pacer, self._call_ended)

    async def _wait_until_retry_earned(self) -> None:
        while (wait := self._pacer.retry_wait(_now_s())) is not None and wait.until_s is not None:
            await self._sleep(wait.until_s - _now_s())

    async def _wait_until_allowed(self, tokens: int) -> WaitCause | None:
        """Return what was waited for last; None for nothing. Things may change meanwhile, hence the loop."""
        waited_for: WaitCause | None = None
        try:
            while (wait := self._pacer.next_wait(_now_s(), tokens)) is not None:
                self._current_wait, waited_for = wait, wait.cause
                begun_s = _now_s()
                try:
                    await self._wait_once(wait)
                finally:
                    self._waited_s[wait.cause] += _now_s() - begun_s
        finally:
            self._current_wait = None
        return waited_for

    async def _wait_once(self, wait: Wait) -> None:
        if wait.until_s is not None:
            await self._sleep(min(_MAX_SLEEP_S, wait.until_s - _now_s()))
            return
        self._call_ended.clear()
        await self._wait_for(self._call_ended)


class Permit:
    """Leave for one request; exactly one of ``answered``, ``failed`` and ``unused`` ends it."""

    __slots__ = ("_call_ended", "_pacer", "_request")

    def __init__(self, request: SentRequest, pacer: Pacer, call_ended: asyncio.Event) -> None:
        self._request = request
        self._pacer = pacer
        self._call_ended = call_ended

    def on_sent(self) -> None:
        """Say that the request leaves now."""
        self._pacer.on_sent(self._request, _now_s())

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Say that an answer came, what it was billed for and how long it took."""
        self._call_ended.set()
        self._pacer.on_success(self._request, _now_s(), input_tokens=input_tokens, seconds=seconds)

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Say that the call failed.

        Raises:
            FatalError: nothing more can be done in this run.
        """
        self._call_ended.set()
        if failure.kind is ErrorKind.RATE_LIMITED:
            self._pacer.counts.wasted_upload_bytes += upload_bytes
            self._log_throttling(failure)
        self._pacer.on_failure(self._request, failure, _now_s(), seconds=seconds)

    def release(self) -> None:
        """Say that the request was not sent, or was cut off."""
        self._call_ended.set()
        self._pacer.release(self._request, _now_s())

    def _log_throttling(self, failure: ApiFailure) -> None:
        if self._pacer.paused_until_s() <= _now_s():
            quotas = ", ".join(failure.quota_ids) or failure.detail
            log.info("the service limits requests: everybody waits (%s)", quotas)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
