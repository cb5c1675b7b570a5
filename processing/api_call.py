"""What does one call take, and who hears how it ended?

A slot, money for its worst case, leave from the pacer, the image's bytes, the request. The naive
order (read the file, then wait for a turn) holds the bytes of a hundred images while a quota of ten a
minute lets one of them go; and a call whose end is told to one part and not to the other leaks slots,
money or pace. Here each is taken in this order, and given back in one place whatever way the call ends.

An answer keeps its slot until it is stored: however slow the disk, a kill costs at most as many
answers as there are slots. This file knows nothing of retries, prompts or files written.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from errors import ApiFailure, ErrorKind, FatalError
from models import Attempt, Generation, GenerationRequest, Parameter, Usage
from processing.image_loader import ImageShelf
from processing.image_state import Story
from processing.stop_signal import Stop
from utils.image_validator import ImageFacts, load_for_upload


class Model(Protocol):
    """Answers one request."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Return the answer; raise ApiFailure for this image or FatalError for the run."""
        ...


class Permit(Protocol):
    """Leave to send one request; exactly one of its three ends is told."""

    def sent(self) -> None:
        """Hear that the request leaves now."""
        ...

    def answered(self, *, input_tokens: int, seconds: float) -> None:
        """Hear that it was answered."""
        ...

    def failed(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Hear that it failed; may raise FatalError."""
        ...

    def unused(self) -> None:
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

    def lost(self) -> None:
        """Hear that it was sent and may be billed, though nobody knows how much."""
        ...

    def unused(self, *, sent: bool) -> None:
        """Hear that nothing was billed."""
        ...


class Purse(Protocol):
    """Holds what the run may still spend."""

    async def reserve(self, *, input_tokens: int, wants_room: bool = False) -> Reservation:
        """Set aside the worst case of one request; raise FatalError when that would overrun the cap.

        ``wants_room``: an answer as long as the model can make it, as far as there is money for it.
        """
        ...


class Estimate(Protocol):
    """Tells how many input tokens a request takes."""

    def __call__(self, *, width: int, height: int, prompt: str) -> int:
        """Return the tokens of a picture of so many pixels together with the prompt."""
        ...


@dataclass(slots=True, kw_only=True)
class Leave:
    """All that one request was given, so that its end is told to everybody once."""

    permit: Permit
    reservation: Reservation
    is_sent: bool = field(default=False, init=False)
    is_over: bool = field(default=False, init=False)

    def sent(self) -> None:
        """Hear that the request leaves now."""
        self.is_sent = True
        self.permit.sent()

    def answered(self, usage: Usage, seconds: float) -> None:
        """Hear that it was answered."""
        self.is_over = True
        self.reservation.settle(usage)
        self.permit.answered(input_tokens=usage.input_tokens, seconds=seconds)

    def failed(self, failure: ApiFailure, usage: Usage, seconds: float, upload_bytes: int) -> None:
        """Hear that it failed; may raise FatalError."""
        self.is_over = True
        if usage != Usage():
            self.reservation.settle(usage)
        elif _may_be_billed(failure):
            self.reservation.lost()
        else:
            self.reservation.unused(sent=failure.reached_server)
        self.permit.failed(failure, seconds=seconds, upload_bytes=upload_bytes)

    def abandoned(self, *, may_be_billed: bool) -> None:
        """Give everything back, unless the end was told already."""
        if self.is_over:
            return
        self.is_over = True
        if may_be_billed and self.is_sent:
            self.reservation.lost()
        else:
            self.reservation.unused(sent=self.is_sent)
        self.permit.unused()


class Caller:
    """Makes calls, never more at a time than there are slots.

    Args:
        model: answers a request.
        limiter: says when a request may start.
        purse: says whether there is money for it.
        expected_tokens: tells how many input tokens it will likely take, for the pace.
        most_tokens: tells how many it cannot exceed, for the money.
        stop: ends the run early.
        max_concurrent: how many slots there are.
        utcnow: the wall clock, for the record only.
    """

    def __init__(
        self,
        *,
        model: Model,
        limiter: Limiter,
        purse: Purse,
        expected_tokens: Estimate,
        most_tokens: Estimate,
        stop: Stop,
        max_concurrent: int,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._purse = purse
        self._expected_tokens = expected_tokens
        self._most_tokens = most_tokens
        self._stop = stop
        self._slots = asyncio.Semaphore(max_concurrent)
        self._utcnow = utcnow
        self.shelf = ImageShelf()
        """Images that were read a moment ago and wait for their first call."""
        self.in_flight = 0
        """Requests that were sent and not yet answered."""
        self.served = 0
        """Requests that the service took on, whatever it answered: no quota or outage stood in their way."""
        self.last_begun_s = 0.0
        """When an image's first call was last sent, by the loop's clock."""
        self.cut_off = 0
        """Requests that were cancelled in flight; they may be billed all the same."""

    async def call(self, story: Story, facts: ImageFacts, timeout_s: float) -> Generation:
        """Ask with the story's present prompt.

        Raises:
            ApiFailure: the call failed.
            FatalError: it showed that the run cannot go on, or there is no money for it.
            RunStoppedError: the run stopped before it was sent.
            UnreadableImage: the file changed or vanished since it was inspected.
        """
        await self._slots.acquire()
        with ExitStack() as slot:
            slot.callback(self._slots.release)
            self._stop.check()
            async with self._leave(story, facts) as leave:
                data = self.shelf.take(story.job.key)
                if data is None:
                    data = await asyncio.to_thread(load_for_upload, story.job.path, facts)
                    self._stop.check()
                request = GenerationRequest(
                    key=story.job.key,
                    image=data,
                    mime_type=facts.send_mime_type,
                    prompt=story.prompt.text,
                    timeout_s=timeout_s,
                    max_output_tokens=leave.reservation.max_output_tokens,
                    parameters=story.prompt.parameters,
                )
                self.in_flight += 1
                try:
                    generation = await self._send(story, request, leave)
                finally:
                    self.in_flight -= 1
            story.slot = slot.pop_all()
            return generation

    @asynccontextmanager
    async def _leave(self, story: Story, facts: ImageFacts) -> AsyncIterator[Leave]:
        """Hold money and a turn; whatever is not used goes back."""
        prompt, width, height = story.prompt.text, facts.width, facts.height
        most = self._most_tokens(width=width, height=height, prompt=prompt)
        wants_room = Parameter.MORE_OUTPUT_TOKENS in story.prompt.parameters
        reservation = await self._purse.reserve(input_tokens=most, wants_room=wants_room)
        expected = self._expected_tokens(width=width, height=height, prompt=prompt)
        with ExitStack() as unless_granted:
            unless_granted.callback(reservation.unused, sent=False)
            permit = await self._limiter.acquire(tokens=expected, retry=bool(story.attempts))
            unless_granted.pop_all()
        leave = Leave(permit=permit, reservation=reservation)
        try:
            yield leave
        finally:
            leave.abandoned(may_be_billed=False)

    async def _send(self, story: Story, request: GenerationRequest, leave: Leave) -> Generation:
        """Send the request; write down how it ended, whatever way it ended."""
        clock = asyncio.get_running_loop().time
        start_s = clock()
        begun = Attempt(
            number=len(story.attempts) + 1,
            started_at=self._utcnow(),
            seconds=0.0,
            prompt=story.prompt,
            timeout_s=request.timeout_s,
        )
        if begun.number == 1:
            self.last_begun_s = start_s
        leave.sent()
        try:
            generation = await self._model.generate(request)
        except ApiFailure as failure:
            story.refused(begun, seconds=clock() - start_s, failure=failure)
            self.served += _was_served(failure)
            leave.failed(failure, story.attempts[-1].usage, clock() - start_s, len(request.image))
            raise
        except asyncio.CancelledError:
            self.cut_off += 1
            leave.abandoned(may_be_billed=True)
            raise
        except FatalError as error:
            story.ended_run(begun, seconds=clock() - start_s, error=error)
            raise
        self.served += 1
        story.answered(begun, seconds=clock() - start_s, usage=generation.usage)
        leave.answered(generation.usage, clock() - start_s)
        return generation


_NOT_SERVED = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT})


def _was_served(failure: ApiFailure) -> bool:
    return failure.kind not in _NOT_SERVED


def _may_be_billed(failure: ApiFailure) -> bool:
    """Tell whether work may have been done and billed though its usage never arrived.

    A timed-out call is probably billed, and so is one whose answer was cut off (gemini-api.md,
    sections 1.3 and 6, November 2026); what the service refused with a status of its own is not.
    """
    lost_on_the_way = failure.kind in {ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.MALFORMED}
    return failure.reached_server and lost_on_the_way
