"""Adaptive rate limiter: one pace and one pause for all requests of a run.

The decisions are synchronous (``pacer``); this module only queues the callers, first come, first served. The
first in the queue sleeps until its wait may be over, and checks again. A waiting caller holds no slot and no
image bytes. See docs/adr/0009.
"""

import asyncio
import logging
import math
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
        rpm: the most requests in any minute; None if unlimited by the user.
        tpm: the most input tokens in any minute; None if unlimited by the user.
        max_concurrent: the most calls in flight.
        sleep: waits for so many seconds; may raise to end the wait (the run stops).
        wait_for: waits until an event is set; may raise as well.
        outage_patience_s: how long nothing may be answered before the run ends.
        max_wait_s: longest wait that the service may ask for before the run ends.
        learned: limits that an earlier run learned; None if unknown.
        is_adaptive: False to obey ``rpm``, ``tpm`` and the server's hints alone.
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
        max_wait_s: float = math.inf,
        learned: LearnedLimits | None = None,
        is_adaptive: bool = True,
    ) -> None:
        settings = PacerSettings(
            rpm=rpm,
            tpm=tpm,
            max_concurrent=max_concurrent,
            outage_patience_s=outage_patience_s,
            max_wait_s=max_wait_s,
            is_adaptive=is_adaptive,
        )
        self._pacer = Pacer(settings, learned or LearnedLimits())
        self._sleep = sleep
        self._wait_for = wait_for
        self._queue_lock = asyncio.Lock()  # first come, first served; its holder waits next
        self._retry_lock = asyncio.Lock()  # the same for retries that must be earned first
        self._call_ended = asyncio.Event()
        self._waiting = 0
        self._current_wait: Wait | None = None
        self._waited_s = dict.fromkeys(WaitCause, 0.0)

    async def acquire(self, *, tokens: int, retry: bool = False) -> "Permit":
        """Wait until one request may be sent; return its permit.

        A retry may be held back while the service is in distress; other requests pass it then.

        Args:
            tokens: estimated input tokens.
            retry: True if the image was sent before.
        """
        self._waiting += 1
        try:
            if not retry or self._pacer.retry_wait(_now_s()) is None:
                return await self._wait_and_grant(tokens, retry=retry)
            async with self._retry_lock:  # one retry at a time takes what the answers earned
                await self._wait_until_retry_earned()
                return await self._wait_and_grant(tokens, retry=True)
        finally:
            self._waiting -= 1

    def stats(self) -> RateLimitStats:
        """Return the state of the limiter."""
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
            outage=pacer.health.outage,
            waited_s=dict(self._waited_s),
            rejections=dict(pacer.rejections),
            requests=counts.requests,
            rejected=counts.rejected,
            wasted_upload_bytes=counts.wasted_upload_bytes,
        )

    def on_connected(self, seconds: float) -> None:
        """Record how long it took to reach the service; a rejection takes hardly longer."""
        self._pacer.on_connected(seconds)
        self._call_ended.set()  # the wait for a call to end may be shorter now

    def limits_to_save(self) -> LearnedLimits:
        """Return the limits that the next run starts from."""
        return self._pacer.limits_to_save()

    def update_peers(self, now_s: float, peers: Sequence[PeerStatus]) -> None:
        """Update the status of other runs on the same key; empty if there is none."""
        self._pacer.update_peers(now_s, peers)

    def own_status(self, now_s: float) -> PeerStatus:
        """Return the status of this run for other runs on the same key."""
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
        """Wait until a request may start; return the last cause of waiting, None if there was no wait."""
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
    """Permission to send one request; ends with one of ``on_success``, ``on_failure`` and ``release``."""

    __slots__ = ("_call_ended", "_pacer", "_request")

    def __init__(self, request: SentRequest, pacer: Pacer, call_ended: asyncio.Event) -> None:
        self._request = request
        self._pacer = pacer
        self._call_ended = call_ended

    def on_sent(self) -> None:
        """Record that the request is sent now."""
        self._pacer.on_sent(self._request, _now_s())

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Record an answer, its billed input tokens and its latency."""
        self._call_ended.set()
        self._pacer.on_success(self._request, _now_s(), input_tokens=input_tokens, seconds=seconds)

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Record that the call failed.

        Raises:
            FatalError: nothing more can be done in this run.
        """
        self._call_ended.set()
        if failure.kind is ErrorKind.RATE_LIMITED:
            self._pacer.counts.wasted_upload_bytes += upload_bytes
            self._log_throttling(failure)
        elif (
            failure.kind is ErrorKind.NETWORK
            and not failure.reached_server
            and failure.detail != self._pacer.health.outage
        ):
            log.info("%s; it is tried again", failure.detail)
        self._pacer.on_failure(self._request, failure, _now_s(), seconds=seconds)

    def release(self) -> None:
        """Record that the request was not sent, or was cancelled."""
        self._call_ended.set()
        self._pacer.release(self._request, _now_s())

    def _log_lost_way(self, failure: ApiFailure) -> None:
        """Log at once, and once for each reason, which host cannot be reached and why."""
        if failure.detail != self._pacer.health.outage:
            log.info("%s; it is tried again", failure.detail)

    def _log_throttling(self, failure: ApiFailure) -> None:
        if self._pacer.paused_until_s() <= _now_s():
            quotas = ", ".join(failure.quota_ids) or failure.detail
            log.info("the service limits requests: all calls wait (%s)", quotas)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
