"""What happens to one image, and to the whole batch?

The naive answer is one task for each image and one ``gather`` around them. With a million images
that is a million tasks; one slow image holds back the results of all; an image that waits after an
error keeps its place in the queue of requests; and an exception in one ends them all.

Here a few workers share one lazy iterator of images, so that there are never more tasks than
workers. Each worker takes an image through ``process`` to exactly one ``Outcome`` and hands that to
``keep`` before it takes the next. There are about twice as many workers as slots: an image that
backs off holds a worker, but neither a slot nor its bytes, and meanwhile every slot works. An answer
keeps its slot until it is stored, so that a kill never costs more answers than there are slots.

A run ends early in one way only: somebody asks ``Stop`` for it (a refused key, a signal). Calls in
flight are then finished, since they are paid for; waits end at once; images that have no answer
become ``Deferred``. What this file needs from outside it names as a Protocol; it imports no adapter.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import retry_handler
from errors import ApiFailure, FatalError
from models import (
    Attempt,
    Generation,
    GenerationRequest,
    ImageContent,
    ImageJob,
    Outcome,
    Prompt,
    Reused,
    StoredAnswer,
)
from retry_handler import RetryBudget, RetryEvent
from stopping import RunStoppedError, Stop
from story import Story
from utils.image_validator import ImageFacts, UnreadableImage, inspect_image, load_for_upload

log = logging.getLogger(__name__)

WORKERS_PER_SLOT = 2


class Model(Protocol):
    """Answers one request."""

    async def generate(self, request: GenerationRequest) -> Generation:
        """Return the answer; raise ApiFailure for this image or FatalError for the run."""
        ...


class Limiter(Protocol):
    """Decides when a request may start."""

    async def acquire(self) -> None:
        """Return when the caller may send one request."""
        ...

    def refused(self, failure: ApiFailure) -> None:
        """Hear of a failed call; may raise FatalError."""
        ...


class Reviser(Protocol):
    """Chooses the words of the next call."""

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call (maybe the same), or None to give the image up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What the user decided about calls."""

    prompt: Prompt
    max_concurrent: int
    max_retries: int
    timeout_s: float
    max_timeout_s: float = 600.0


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Processor:
    """Takes images to their outcomes, many at a time.

    Args:
        model: answers a request.
        limiter: says when a request may start.
        reviser: chooses other words after a failure that waiting cannot cure.
        recall: finds an answer that is already paid for, by the SHA-256 of the image's bytes.
        keep: stores an outcome; an image counts as finished when it returned.
        stop: ends the run early.
        calls: the user's settings.
        rng: the source of jitter.
        utcnow: the wall clock, for the record only.
    """

    def __init__(
        self,
        *,
        model: Model,
        limiter: Limiter,
        reviser: Reviser,
        recall: Callable[[str], Awaitable[StoredAnswer | None]],
        keep: Callable[[Outcome], Awaitable[None]],
        stop: Stop,
        calls: CallSettings,
        rng: random.Random,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._reviser = reviser
        self._recall = recall
        self._keep = keep
        self._stop = stop
        self._calls = calls
        self._rng = rng
        self._utcnow = utcnow
        self._turns: dict[str, _Turn] = {}
        self._slots = asyncio.Semaphore(calls.max_concurrent)
        self.in_flight = 0
        """Requests that were sent and not yet answered."""
        self.backing_off = 0
        """Images that wait for their next try."""
        self.cut_off = 0
        """Requests that were cancelled in flight; they may be billed all the same."""

    async def run(self, jobs: Iterator[ImageJob]) -> None:
        """Take every job to its outcome, or stop early.

        Raises:
            ExceptionGroup: whatever ``keep`` raised; nothing else escapes a worker but bugs.
        """
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS_PER_SLOT * self._calls.max_concurrent):
                workers.create_task(self._work(jobs))

    async def _work(self, jobs: Iterator[ImageJob]) -> None:
        while self._stop.cause is None and (job := next(jobs, None)) is not None:
            await self.process(job)

    async def process(self, job: ImageJob) -> None:
        """Take one image to its one outcome and keep that; raises nothing that the image or service did."""
        story = Story(job=job, prompt=self._calls.prompt)
        try:
            facts = await asyncio.to_thread(inspect_image, job.path)
        except UnreadableImage as error:
            await self._keep(story.unreadable(error))
            return
        # Copies of one image wait for the first to be kept, so that they find its answer.
        async with self._one_at_a_time(facts.sha256):
            try:
                await self._keep(await self._outcome(story, facts))
            finally:
                await story.slot.aclose()

    async def _outcome(self, story: Story, facts: ImageFacts) -> Outcome:
        story.content = _content(facts)
        try:
            known = await self._recall(facts.sha256)
            return Reused(job=story.job, answer=known) if known else await self._answer(story, facts)
        except UnreadableImage as error:  # it changed or vanished since it was inspected
            return story.unreadable(error)
        except RunStoppedError:
            return story.deferred("the run stopped before this image was answered")
        except FatalError as error:
            self._stop.ask(error)
            return story.deferred(error.detail)

    async def _answer(self, story: Story, facts: ImageFacts) -> Outcome:
        """Ask, with other words after a failure that words may cure, until there is nothing left to try."""
        budget = self._new_budget()
        while True:
            try:
                return story.succeeded(_content(facts), await self._ask(story, facts, budget))
            except ApiFailure as failure:
                revised = self._reviser.revise(story.prompt, story.attempts)
                if revised is None:
                    return story.given_up(failure)
                story.prompt = revised

    async def _ask(self, story: Story, facts: ImageFacts, budget: RetryBudget) -> Generation:
        """Call with the story's present prompt, again as long as waiting may help."""
        return await retry_handler.run(
            lambda timeout_s: self._attempt(story, facts, timeout_s),
            budget=budget,
            rng=self._rng,
            sleep=self._back_off,
            announce=lambda event: _log_retry(story.job, event),
        )

    async def _attempt(self, story: Story, facts: ImageFacts, timeout_s: float) -> Generation:
        """Make one call: a slot, leave from the limiter, the bytes, the request.

        An answer keeps its slot until it is stored: however slow the disk, a kill costs at most as many
        answers as there are slots.
        """
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._slots)
            self._stop.check()
            await self._limiter.acquire()
            data = await asyncio.to_thread(load_for_upload, story.job.path, facts)
            self._stop.check()
            request = GenerationRequest(
                key=story.job.key,
                image=data,
                mime_type=facts.send_mime_type,
                prompt=story.prompt.text,
                timeout_s=timeout_s,
            )
            self.in_flight += 1
            try:
                generation = await self._call(story, request)
            finally:
                self.in_flight -= 1
            story.slot = held.pop_all()
            return generation

    async def _call(self, story: Story, request: GenerationRequest) -> Generation:
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
        try:
            generation = await self._model.generate(request)
        except ApiFailure as failure:
            story.refused(begun, seconds=clock() - start_s, failure=failure)
            self._limiter.refused(failure)
            raise
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        except FatalError as error:
            story.ended_run(begun, seconds=clock() - start_s, error=error)
            raise
        story.answered(begun, seconds=clock() - start_s, usage=generation.usage)
        return generation

    @asynccontextmanager
    async def _one_at_a_time(self, sha256: str) -> AsyncIterator[None]:
        """Hold the turn of an image's bytes; entries live as long as somebody holds or awaits them."""
        turn = self._turns.setdefault(sha256, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[sha256]

    async def _back_off(self, delay_s: float) -> None:
        self.backing_off += 1
        try:
            await self._stop.sleep(delay_s)
        finally:
            self.backing_off -= 1

    def _new_budget(self) -> RetryBudget:
        calls = self._calls
        return RetryBudget(
            max_retries=calls.max_retries, timeout_s=calls.timeout_s, max_timeout_s=calls.max_timeout_s
        )


def _content(facts: ImageFacts) -> ImageContent:
    return ImageContent(
        sha256=facts.sha256,
        mime_type=facts.mime_type,
        width=facts.width,
        height=facts.height,
        notes=facts.notes,
    )


def _log_retry(job: ImageJob, event: RetryEvent) -> None:
    log.debug(
        "%s: %s; try %d follows in %.1f s (deadline %.0f s)",
        job.key,
        event.detail,
        event.failures + 1,
        event.wait_s,
        event.next_timeout_s,
    )
