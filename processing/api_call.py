"""One API call within its reservation, its permit and its deadline.

Money first, then the permit, then the image's bytes: a caller that waits for the rate limiter holds no bytes.
Whatever way a call ends, ``CallGrant`` notifies budget and rate limiter of it exactly once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from errors import TRANSIENT, ApiFailure, ErrorKind, FatalError
from models import (
    NO_OPTIONS,
    Attempt,
    Generation,
    GenerationOptions,
    GenerationRequest,
    ImageJob,
    Parameter,
    Usage,
)
from processing import stopped_call
from processing.access_check import AccessCheck
from processing.call_needs import Budget, GenerativeModel, Limiter, Permit, Reservation, TokenEstimator
from processing.image_loader import ImageLoader
from processing.image_state import ImageState
from processing.shortage_wait import ShortageWait
from processing.stop_signal import StopSignal
from utils.image_validator import ImageFacts, SystemShortage


@dataclass(slots=True, kw_only=True)
class CallGrant:
    """Permit and reservation of one request; both are notified of its end exactly once."""

    permit: Permit
    reservation: Reservation
    usage: Usage = field(default=Usage(), init=False)
    """What the reply said was used."""
    _is_sent: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)

    def on_sent(self) -> None:
        """Record that the request leaves now."""
        self._is_sent = True
        self.permit.on_sent()

    def on_success(self, usage: Usage, *, seconds: float) -> None:
        """Record the answer."""
        self._is_over = True
        self.usage = usage
        if usage == Usage():  # some gateways do not say what an answer took
            self.reservation.settle_unknown()
        else:
            self.reservation.settle(usage)
        self.permit.on_success(input_tokens=usage.input_tokens, seconds=seconds)

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int) -> None:
        """Record the failure; raise FatalError if the run cannot go on."""
        self._is_over = True
        self.usage = failure.usage
        if failure.usage != Usage():
            self.reservation.settle(failure.usage)
        elif _can_be_billed(failure):
            self.reservation.settle_unknown()
        else:
            self.reservation.release(sent=failure.reached_server)
        self.permit.on_failure(failure, seconds=seconds, upload_bytes=upload_bytes)

    def release(self, *, is_maybe_billed: bool = False) -> None:
        """Release both, unless the request is over already."""
        if self._is_over:
            return
        self._is_over = True
        if is_maybe_billed and self._is_sent:
            self.reservation.settle_unknown()
        else:
            self.reservation.release(sent=self._is_sent)
        self.permit.release()


@asynccontextmanager
async def grant_call(
    limiter: Limiter, reservation: Reservation, *, tokens: int, retry: bool
) -> AsyncIterator[CallGrant]:
    """Wait for a permit beside the reservation; release both at the end of the block if they are unused."""
    with ExitStack() as rollback:
        rollback.callback(reservation.release, sent=False)
        permit = await limiter.acquire(tokens=tokens, retry=retry)
        rollback.pop_all()
    grant = CallGrant(permit=permit, reservation=reservation)
    try:
        yield grant
    finally:
        grant.release()


async def send(
    generate: Callable[[GenerationRequest], Awaitable[Generation]],
    request: GenerationRequest,
    grant: CallGrant,
) -> Generation:
    """Send a request, and notify its permit and its reservation of the end, whichever it is.

    Raises:
        ApiFailure: the call failed.
        FatalError: it showed that the run cannot go on.
    """
    clock = asyncio.get_running_loop().time
    start_s = clock()
    grant.on_sent()
    try:
        generation = await generate(request)
    except ApiFailure as failure:
        grant.on_failure(failure, seconds=clock() - start_s, upload_bytes=request.sent.count)
        raise
    except asyncio.CancelledError:
        grant.release(is_maybe_billed=True)
        raise
    except FatalError:
        grant.release()
        raise
    grant.on_success(generation.usage, seconds=clock() - start_s)
    return generation


class ApiCaller:
    """Sends calls about images, and records each as an attempt of its image.

    Args:
        model: answers a request.
        limiter: decides when a request may start.
        budget: reserves the money for it.
        estimate_tokens: returns the input tokens to expect, for the rate limiter.
        estimate_max_tokens: returns an upper bound of them, for the budget.
        stop: ends the run early.
        utcnow: the wall clock, for the record only.
        loader: reads the images.
        options: of the model, sent with every call.
    """

    def __init__(
        self,
        *,
        model: GenerativeModel,
        limiter: Limiter,
        budget: Budget,
        estimate_tokens: TokenEstimator,
        estimate_max_tokens: TokenEstimator,
        stop: StopSignal,
        utcnow: Callable[[], datetime],
        loader: ImageLoader | None = None,
        options: GenerationOptions = NO_OPTIONS,
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._budget = budget
        self._estimate_tokens = estimate_tokens
        self._estimate_max_tokens = estimate_max_tokens
        self._stop = stop
        self._utcnow = utcnow
        self._access_check = AccessCheck()
        self._shortage = ShortageWait(stop)
        self._options = options
        self.loader = loader or ImageLoader()
        self.in_flight = 0
        """Requests that were sent and have not ended."""
        self.served_count = 0
        """Requests that met neither a quota nor an outage, whatever the answer."""
        self.last_first_call_s = 0.0
        """When an image's first call was last sent, by the loop's clock."""
        self.cancelled_count = 0
        """Requests that were cancelled in flight; they may be billed all the same."""

    async def call(self, state: ImageState, facts: ImageFacts, timeout_s: float) -> Generation:
        """Send one call with the present prompt of the image; return the answer.

        Raises:
            ApiFailure: the call failed.
            FatalError: the run cannot go on, or has no money for the call.
            RunStoppedError: the run stopped before the request was sent.
            UnreadableImage: the file changed or vanished since it was inspected.
            MemoryError: there is none left for the answer.
        """
        self._stop.raise_if_requested()
        # Memory first: a permit that waits for it would let the next one come too early.
        async with self.loader.hold_for_upload(facts), self._grant(state, facts) as grant:
            data = await self._load(state.job, facts)
            await self._shortage.until_answer_fits(self.in_flight)
            self._stop.raise_if_requested()
            request = GenerationRequest(
                key=state.job.key,
                image=data,
                mime_type=facts.send_mime_type,
                prompt=state.prompt.text,
                timeout_s=timeout_s,
                max_output_tokens=grant.reservation.max_output_tokens or self._options.max_output_tokens,
                parameters=state.prompt.parameters,
                options=self._options,
                size=facts.upload_size,
            )
            self.in_flight += 1
            try:
                return await send(partial(self._generate, state), request, grant)
            finally:
                self.in_flight -= 1

    async def _load(self, job: ImageJob, facts: ImageFacts) -> bytes:
        """Return the image's bytes; wait while the system is short of descriptors or memory."""
        while True:
            try:
                return await self.loader.load(job, facts)
            except SystemShortage as error:
                await self._shortage.before_retry(f"{job.key}: {error}")

    @asynccontextmanager
    async def _grant(self, state: ImageState, facts: ImageFacts) -> AsyncIterator[CallGrant]:
        """Reserve the worst case, then wait for the permit."""
        prompt, (width, height) = state.prompt.text, facts.upload_size
        max_tokens = self._estimate_max_tokens(width=width, height=height, prompt=prompt)
        wants_long_answer = Parameter.MORE_OUTPUT_TOKENS in state.prompt.parameters
        reservation = await self._budget.reserve(input_tokens=max_tokens, wants_long_answer=wants_long_answer)
        tokens = self._estimate_tokens(width=width, height=height, prompt=prompt)
        retry = bool(state.attempts)
        async with grant_call(self._limiter, reservation, tokens=tokens, retry=retry) as grant:
            yield grant

    async def _generate(self, state: ImageState, request: GenerationRequest) -> Generation:
        """Send the request to the model; record the attempt, however it ends."""
        clock = asyncio.get_running_loop().time
        start_s = clock()
        started = Attempt(
            number=len(state.attempts) + 1,
            started_at=self._utcnow(),
            seconds=0.0,
            prompt=state.prompt,
            timeout_s=request.timeout_s,
        )
        if started.number == 1:
            self.last_first_call_s = start_s

        def to_ended() -> Attempt:
            return replace(started, seconds=clock() - start_s, sent_bytes=request.sent.count)

        try:
            ask = partial(self._shortage.generate, self._model.generate)
            generation = await stopped_call.generate(ask, request)
        except ApiFailure as failure:
            state.record_failure(to_ended(), failure=failure)
            self.served_count += _is_served(failure)
            if failure.http_status == 200:
                self._access_check.on_answer()
            raise
        except asyncio.CancelledError:
            self.cancelled_count += 1
            raise
        except FatalError as error:
            refusal = self._access_check.to_failure(error, sent_s=start_s, now_s=clock())
            if refusal is None:
                state.record_fatal_error(to_ended(), error=error)
                raise
            state.record_failure(to_ended(), failure=refusal)
            raise refusal from None
        self._access_check.on_answer()
        self.served_count += 1
        state.record_answer(to_ended(), usage=generation.usage)
        return generation


def _is_served(failure: ApiFailure) -> bool:
    return failure.kind not in TRANSIENT


def _can_be_billed(failure: ApiFailure) -> bool:
    """Return True if the call may be billed although its usage never arrived.

    A timed-out call is probably billed, and so is one whose answer was cut off (docs/api-facts.md,
    section 3.7, November 2026); a call that the service rejected with a status of its own is not.
    """
    is_answer_lost = failure.kind in {ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.MALFORMED}
    is_refused = failure.kind is ErrorKind.NETWORK and (failure.http_status or 0) >= 400
    return failure.reached_server and is_answer_lost and not is_refused
