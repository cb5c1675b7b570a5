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
from rate_limit.pacer import Pacer, Settings
from rate_limit.request_log import Sending
from rate_limit.types import LearnedLimits, Neighbour, PacingFigures, Wait, WaitCause

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 3_600.0


class RateLimiter:
    """One pace and one pause for all requests of a run.

    Args:
        rpm: the most requests in any minute; None for no limit of the user's.
        tpm: the most input tokens in any minute; None for no limit of the user's.
        max_concurrent: the most calls in flight.
        sleep: waits for so many seconds; may raise to end the wait (the run stops).
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
        outage_patience_s: float = 900.0,
        learned: LearnedLimits | None = None,
        learning: bool = True,
    ) -> None:
        settings = Settings(
            rpm=rpm,
            tpm=tpm,
            max_concurrent=max_concurrent,
            outage_patience_s=outage_patience_s,
            learning=learning,
        )
        self._pacer = Pacer(settings, learned or LearnedLimits())
        self._sleep = sleep
        self._turn = asyncio.Lock()  # first come, first served; held only by the one who waits next
        self._retry_turn = asyncio.Lock()  # the same for retries that must be earned first
        self._ended = asyncio.Event()
        self._waiting = 0
        self._waits_for: Wait | None = None
        self._waited_s = dict.fromkeys(WaitCause, 0.0)

    async def acquire(self, *, tokens: int, retry: bool = False) -> "Permit":
        """Return when the caller may send one request of so many input tokens (estimated).

        A retry may be held back while the service is in distress; everybody else passes it then.
        """
        self._waiting += 1
        try:
            if not retry or self._pacer.retry_wait(_now_s()) is None:
                return await self._queue(tokens, retry=retry)
            async with self._retry_turn:  # else all retries would take what only one has earned
                await self._earn_retry()
                return await self._queue(tokens, retry=True)
        finally:
            self._waiting -= 1

    def figures(self) -> PacingFigures:
        """Return how the pacing stands now."""
        pacer, wait, counts = self._pacer, self._waits_for, self._pacer.counts
        known = pacer.limits()
        return PacingFigures(
            pace_rpm=pacer.pace_rpm(),
            limit_rpm=known.requests.per_minute if known.requests else None,
            limit_tpm=known.tokens.per_minute if known.tokens else None,
            limit_is_named=any(limit.named for limit in (known.requests, known.tokens) if limit),
            concurrency=pacer.health.concurrency(_now_s(), pacer.pace_rpm()),
            in_flight=pacer.health.in_flight,
            waiting=self._waiting,
            waiting_for=wait.cause if wait else None,
            waiting_until_s=wait.until_s if wait else None,
            waited_s=dict(self._waited_s),
            refusals=dict(pacer.refusals),
            requests=counts.requests,
            refused=counts.refused,
            wasted_upload_bytes=counts.wasted_upload_bytes,
        )

    def reached(self, seconds: float) -> None:
        """Hear how long it took to reach the service; a refusal will not take much longer."""
        self._pacer.reached(seconds)
        self._ended.set()  # whoever waits for a call to end may wait for less now

    def learned(self) -> LearnedLimits:
        """Return what the next night starts from."""
        return self._pacer.learned()

    def hear_of_others(self, now_s: float, others: Sequence[Neighbour]) -> None:
        """Hear what other runs on the same key do; none once they are gone."""
        self._pacer.hear_of_others(now_s, others)

    def tell(self, now_s: float) -> Neighbour:
        """Return what other runs on the same key should know."""
        return self._pacer.tell(now_s)

    async def _queue(self, tokens: int, *, retry: bool) -> "Permit":
        async with self._turn:
            held = await self._wait_for_leave(tokens)
            sending = self._pacer.grant(_now_s(), tokens, retry=retry, held=held)
        return Permit(sending, self._pacer, self._ended)

    async def _earn_retry(self) -> None:
        while (wait := self._pacer.retry_wait(_now_s())) is not None and wait.until_s is not None:
            await self._sleep(wait.until_s - _now_s())

    async def _wait_for_leave(self, tokens: int) -> WaitCause | None:
        """Return what was waited for last; None for nothing. Things may change meanwhile, hence the loop."""
        held: WaitCause | None = None
        try:
            while (wait := self._pacer.wait(_now_s(), tokens)) is not None:
                self._waits_for, held = wait, wait.cause
                begun_s = _now_s()
                try:
                    await self._wait(wait)
                finally:
                    self._waited_s[wait.cause] += _now_s() - begun_s
        finally:
            self._waits_for = None
        return held

    async def _wait(self, wait: Wait) -> None:
        if wait.until_s is not None:
            await self._sleep(min(_LONGEST_SLEEP_S, wait.until_s - _now_s()))
            return
        self._ended.clear()
        # The sleep is there for its other purpose: it raises when the run stops.
        sleep = asyncio.ensure_future(self._sleep(_LONGEST_SLEEP_S))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((sleep, ended), return_when=asyncio.FIRST_COMPLETED)
            if sleep.done():
                sleep.result()
        finally:
            sleep.cancel()
            ended.cancel()


class Permit:
    """Leave for one request; exactly one of ``answered``, ``failed`` and ``unused`` ends it."""

    __slots__ = ("_ended", "_pacer", "_sending")

    def __init__(self, sending: Sending, pacer: Pacer, ended: asyncio.Event) -> None:
        self._sending = sending
        self._pacer = pacer
        self._ended = ended

    def sent(self) -> None:
        """Say that the request leaves now."""
        self._pacer.sent(self._sending, _now_s())

    def answered(self, *, input_tokens: int, seconds: float) -> None:
        """Say that an answer came, what it was billed for and how long it took."""
        self._ended.set()
        self._pacer.answered(self._sending, _now_s(), input_tokens=input_tokens, seconds=seconds)

    def failed(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Say that the call failed.

        Raises:
            FatalError: nothing more can be done in this run.
        """
        self._ended.set()
        if failure.kind is ErrorKind.RATE_LIMITED:
            self._pacer.counts.wasted_upload_bytes += upload_bytes
            self._announce(failure)
        self._pacer.failed(self._sending, failure, _now_s(), seconds=seconds)

    def unused(self) -> None:
        """Say that the request was not sent, or was cut off."""
        self._ended.set()
        self._pacer.unused(self._sending, _now_s())

    def _announce(self, failure: ApiFailure) -> None:
        if self._pacer.paused_until_s() <= _now_s():
            quotas = ", ".join(failure.quota_ids) or failure.detail
            log.info("the service limits requests: everybody waits (%s)", quotas)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
