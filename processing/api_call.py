"""What does one call take, and who hears how it ended?

A slot, money for its worst case, leave from the pacer, the image's bytes, the request. The naive
order (read the file, then wait for a turn) holds the bytes of a hundred images while a quota of ten a
minute lets one of them go; and a call whose end is told to one part and not to the other leaks slots,
money or pace. Here each is taken in this order, and given back in one place whatever way the call ends.

An answer keeps its slot until it is stored: however slow the disk, a kill costs at most as many
answers as there are slots. This file knows nothing of retries, prompts or files written.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from errors import TRANSIENT, ApiFailure, ErrorKind, FatalError
from models import Attempt, Generation, GenerationRequest, Parameter, Usage
from processing.image_loader import ImageCache
from processing.image_state import ImageState
from processing.stop_signal import StopSignal
from utils.image_validator import ImageFacts, load_for_upload


class GenerativeModel(Protocol):
    """Answers one request."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Return the answer; raise ApiFailure for this image or FatalError for the run."""
        ...


class Permit(Protocol):
    """Leave to send one request; exactly one of its three ends is told."""

    def on_sent(self) -> None:
        """Hear that the request leaves now."""
        ...

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Hear that it was answered."""
        ...

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Hear that it failed; may raise FatalError."""
        ...

    def release(self) -> None:
        """Hear that it was not sent, or cut off."""
        ...


class Limiter(Protocol):
    """Decides when a request may start."""

    async def acquire(self, *, tokens: int, retry: bool = False) -> Permit:
        """Return when the caller may send one request of about so many input tokens."""
        ...


class Reservation(Protocol):
    """Money set aside for one request; exactly one of its three ends is told."""

    @property
    def max_output_tokens(self) -> int | None:
        """What the answer may take at most, so that it costs no more than is set aside; None: unbounded."""
        ...

    def settle(self, usage: Usage) -> None:
        """Hear what was billed."""
        ...

    def settle_unknown(self) -> None:
        """Hear that it was sent and may be billed, though nobody knows how much."""
        ...

    def release(self, *, sent: bool) -> None:
        """Hear that nothing was billed."""
        ...


class Budget(Protocol):
    """Holds what the run may still spend."""

    async def reserve(self, *, input_tokens: int, wants_long_answer: bool = False) -> Reservation:
        """Set aside the worst case of one request; raise FatalError when that would overrun the cap.

        ``wants_room``: an answer as long as the model can make it, as far as there is money for it.
        """
        ...


class TokenEstimator(Protocol):
    """Tells how many input tokens a request takes."""

    def __call__(self, *, width: int, height: int, prompt: str) -> int:
        """Return the tokens of a picture of so many pixels together with the prompt."""
        ...


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
        grant.on_failure(failure, seconds=clock() - start_s, upload_bytes=len(request.image))
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
    """Makes one call at a time for each caller.

    Args:
        model: answers a request.
        limiter: says when a request may start.
        purse: says whether there is money for it.
        expected_tokens: tells how many input tokens it will likely take, for the pace.
        most_tokens: tells how many it cannot exceed, for the money.
        stop: ends the run early.
        utcnow: the wall clock, for the record only.
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
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._budget = budget
        self._estimate_tokens = estimate_tokens
        self._estimate_max_tokens = estimate_max_tokens
        self._stop = stop
        self._utcnow = utcnow
        self.image_cache = ImageCache()
        """Images that were read a moment ago and wait for their first call."""
        self.in_flight = 0
        """Requests that were sent and not yet answered."""
        self.served_count = 0
        """Requests that the service took on, whatever it answered: no quota or outage stood in their way."""
        self.last_first_call_s = 0.0
        """When an image's first call was last sent, by the loop's clock."""
        self.cancelled_count = 0
        """Requests that were cancelled in flight; they may be billed all the same."""

    async def call(self, state: ImageState, facts: ImageFacts, timeout_s: float) -> Generation:
        """Ask with the story's present prompt.

        Raises:
            ApiFailure: the call failed.
            FatalError: it showed that the run cannot go on, or there is no money for it.
            RunStoppedError: the run stopped before it was sent.
            UnreadableImage: the file changed or vanished since it was inspected.
        """
        self._stop.raise_if_requested()
        async with self._grant(state, facts) as grant:
            data = self.image_cache.pop(state.job.key)
            if data is None:
                data = await asyncio.to_thread(load_for_upload, state.job.path, facts)
                self._stop.raise_if_requested()
            request = GenerationRequest(
                key=state.job.key,
                image=data,
                mime_type=facts.send_mime_type,
                prompt=state.prompt.text,
                timeout_s=timeout_s,
                max_output_tokens=grant.reservation.max_output_tokens,
                parameters=state.prompt.parameters,
            )
            self.in_flight += 1
            try:
                return await send(partial(self._generate, state), request, grant)
            finally:
                self.in_flight -= 1

    @asynccontextmanager
    async def _grant(self, state: ImageState, facts: ImageFacts) -> AsyncIterator[CallGrant]:
        """Reserve the worst case, then wait for the permit."""
        prompt, width, height = state.prompt.text, facts.width, facts.height
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
        try:
            generation = await self._model.generate(request)
        except ApiFailure as failure:
            state.record_failure(started, seconds=clock() - start_s, failure=failure)
            self.served_count += _is_served(failure)
            raise
        except asyncio.CancelledError:
            self.cancelled_count += 1
            raise
        except FatalError as error:
            state.record_fatal_error(started, seconds=clock() - start_s, error=error)
            raise
        self.served_count += 1
        state.record_answer(started, seconds=clock() - start_s, usage=generation.usage)
        return generation


def _is_served(failure: ApiFailure) -> bool:
    return failure.kind not in TRANSIENT


def _can_be_billed(failure: ApiFailure) -> bool:
    """Tell whether work may have been done and billed though its usage never arrived.

    A timed-out call is probably billed, and so is one whose answer was cut off (gemini-api.md,
    sections 1.3 and 6, November 2026); what the service refused with a status of its own is not.
    """
    is_answer_lost = failure.kind in {ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.MALFORMED}
    return failure.reached_server and is_answer_lost
