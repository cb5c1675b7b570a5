"""Workers take images from one lazy iterator, each to exactly one outcome.

There are never more tasks than workers, twice as many as calls at a time: an image that backs off holds a
worker, but neither a slot nor its bytes (docs/adr/0003). A run ends early by ``StopSignal`` only: calls in
flight are finished, waits end at once, images without an answer are deferred. Once no image is left to
begin, those that keep timing out have ``max_timeout_s`` in all.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import retry_handler
from errors import ApiFailure, FatalError
from models import Attempt, ImageJob, Outcome, Prompt, Reused, StoredAnswer
from processing.api_call import ApiCaller
from processing.duplicates import KeyedLock, RecentKeys
from processing.image_loader import Inspector
from processing.image_state import ImageState, content_of
from processing.retry_queue import RetryQueue
from processing.stop_signal import RunStoppedError, StopSignal
from retry_handler import RetryState
from utils.image_validator import ImageFacts, UnreadableImage

log = logging.getLogger(__name__)

WORKERS_PER_SLOT = 2
NOT_ANSWERED = "the run stopped before this image was answered"
_TIMEOUT_MARGIN = 1.25
"""Factor from the time of the slowest answer to the first deadline of new images."""


class ImageRepair(Protocol):
    """Chooses the prompt of one image's next call."""

    @property
    def should_wait_for_others(self) -> bool:
        """True if outcomes of other images would make for a better choice."""
        ...

    def on_failure(self, attempts: Sequence[Attempt]) -> bool:
        """Record that the last call failed; return False if that says nothing about the image."""
        ...

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt of the next call (maybe the same); None to give the image up."""
        ...

    def on_success(self) -> None:
        """Record that the last call was answered."""
        ...


class PromptReviser(Protocol):
    """Chooses prompts for all images of the run."""

    def begin_image(self) -> ImageRepair:
        """Return the repair of one image."""
        ...


class Store(Protocol):
    """Store of outcomes; finds answers by the SHA-256 of an image's bytes."""

    def filter_known(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which there may be an answer; blocks."""
        ...

    async def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return an answer whose files are unchanged; None if there is none."""
        ...

    async def store(self, outcome: Outcome) -> Awaitable[None]:
        """Write the files of an outcome, which no kill can lose then; return an awaitable of its row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """Number of retries and deadlines for one image."""

    max_retries: int
    timeout_s: float
    """Deadline of the first try, in seconds; it grows with every try that times out."""
    max_timeout_s: float = 600.0
    """Longest deadline of a call, and of all calls that time out once no new image is left; in seconds."""
    max_wait_s: float = math.inf
    """Longest wait that the service may ask for, in seconds."""


@dataclass(slots=True, kw_only=True)
class _ActiveImage:
    """An image with a call under way, or in the retry queue."""

    state: ImageState
    facts: ImageFacts
    repair: ImageRepair
    retry_state: RetryState
    is_maybe_answered: bool
    """True if there may be an answer to these bytes already."""
    lock: AsyncExitStack
    """Lock of the image's bytes; closing it lets copies of the image go on."""
    failure: ApiFailure | None = None
    """How the last call failed, until the next prompt is chosen; None otherwise."""


class Processor:
    """Takes images to their outcomes, many at a time.

    Args:
        caller: sends one call.
        reviser: chooses another prompt after a failure that waiting cannot cure.
        store: finds answers and stores outcomes.
        stop: ends the run early.
        prompt: of the user.
        max_concurrent: calls at a time; an answer counts until its files stand.
        retry_settings: of the user.
        rng: the source of jitter.
    """

    def __init__(
        self,
        *,
        caller: ApiCaller,
        reviser: PromptReviser,
        store: Store,
        stop: StopSignal,
        prompt: Prompt,
        max_concurrent: int,
        retry_settings: RetrySettings,
        rng: random.Random,
    ) -> None:
        self._caller = caller
        self._reviser = reviser
        self._store = store
        self._stop = stop
        self._prompt = prompt
        self._slots = asyncio.Semaphore(max_concurrent)
        self._worker_count = WORKERS_PER_SLOT * max_concurrent
        self._retry_settings = retry_settings
        self._rng = rng
        self._image_locks = KeyedLock()
        self._recent_hashes = RecentKeys()
        self._inspector = Inspector(store.filter_known, caller.loader, stop.sleep)
        self._first_timeout_s = retry_settings.timeout_s
        self._retry_queue = RetryQueue[_ActiveImage]()
        self._is_draining = False
        self._last_round_s = 0.0
        self._backing_off_count = 0

    @property
    def waiting_count(self) -> int:
        """Number of images that wait for their next try."""
        return self._backing_off_count + len(self._retry_queue)

    @property
    def cancelled_count(self) -> int:
        """Number of requests that were cancelled in flight; they may be billed all the same."""
        return self._caller.cancelled_count

    async def run(self, jobs: Iterator[ImageJob]) -> None:
        """Start the workers; return when every job has its outcome, or the run stopped.

        Raises:
            ExceptionGroup: what ``store`` raised, and bugs.
        """
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._worker_count):
                workers.create_task(self._work(jobs))

    async def _work(self, jobs: Iterator[ImageJob]) -> None:
        while (image := self._next_image(jobs)) is not None:
            await (self._advance(image) if isinstance(image, _ActiveImage) else self.process(image))
        self._is_draining = True

    def _next_image(self, jobs: Iterator[ImageJob]) -> ImageJob | _ActiveImage | None:
        """Return a new image, or a waiting one if there is none or the retry queue is full."""
        # After a stop the waiting images still get their outcome.
        can_start = self._stop.cause is None and not self._retry_queue.is_full
        if can_start and (job := next(jobs, None)) is not None:
            return job
        image = self._retry_queue.pop()
        if image is not None:
            self._last_round_s = asyncio.get_running_loop().time()
        return image

    async def process(self, job: ImageJob) -> None:
        """Start one image; return when its outcome is stored, or when it waits in the retry queue.

        Failures of the image or of the service are not raised.
        """
        state = ImageState(job=job, prompt=self._prompt)
        position = self._recent_hashes.position
        try:
            inspected = await self._inspector.inspect(job)
        except UnreadableImage as error:
            await (await self._store.store(state.to_unreadable(error)))
            return
        except RunStoppedError:
            await (await self._store.store(state.to_deferred(NOT_ANSWERED)))
            return
        self._caller.loader.cache.put(job.key, inspected.image)
        facts, is_maybe_answered = inspected.facts, inspected.is_maybe_answered
        del inspected  # with the image's bytes
        state.content = content_of(facts)
        async with AsyncExitStack() as lock:
            # Copies of one image wait until the first is recorded, so that they find its answer.
            await lock.enter_async_context(
                self._image_locks.hold(facts.sha256, on_registered=self._resume_waiting)
            )
            image = _ActiveImage(
                state=state,
                facts=facts,
                repair=self._reviser.begin_image(),
                retry_state=self._new_retry_state(),
                is_maybe_answered=is_maybe_answered
                or self._recent_hashes.maybe_added_since(facts.sha256, position=position),
                lock=lock.pop_all(),
            )
        await self._advance(image)

    async def _advance(self, image: _ActiveImage) -> None:
        """Send the calls of an image until it has its outcome, or waits in the retry queue."""
        is_over = True
        try:
            recorded = await self._settle(image)
            if recorded is not None:
                await recorded
                self._recent_hashes.add(image.facts.sha256)
            else:
                is_over = False
                self._retry_queue.push(image.facts.sha256, image, calls=len(image.state.attempts))
        finally:
            self._caller.loader.cache.pop(image.state.job.key)
            if is_over:
                await image.lock.aclose()

    async def _resume_waiting(self, sha256: str) -> None:
        """Remove an image from the retry queue and go on with it, because a copy of it waits."""
        if (image := self._retry_queue.remove(sha256)) is not None:
            await self._advance(image)

    async def _settle(self, image: _ActiveImage) -> Awaitable[None] | None:
        """Return an awaitable of the row of the image's outcome; None if other images go first."""
        state = image.state
        outcome: Outcome
        try:
            is_lookup_due = image.is_maybe_answered and not state.attempts
            answer = await self._store.find_answer(image.facts.sha256) if is_lookup_due else None
            if answer is None:
                return await self._ask_until_settled(image)
            outcome = Reused(job=state.job, answer=answer)
        except UnreadableImage as error:  # it changed or vanished since it was inspected
            outcome = state.to_unreadable(error)
        except RunStoppedError:
            outcome = state.to_deferred(NOT_ANSWERED)
        except FatalError as error:
            self._stop.request(error)
            outcome = state.to_deferred(error.detail)
        return await self._store.store(outcome)

    async def _ask_until_settled(self, image: _ActiveImage) -> Awaitable[None] | None:
        """Send calls, each with the prompt that the repair chooses, until there is an outcome.

        Returns what ``_settle`` does.
        """
        state = image.state
        while True:
            previous = image.failure
            if image.failure is not None:
                revised = image.repair.revise(state.prompt, state.attempts)
                if revised is None:
                    return await self._store.store(state.to_failed_or_deferred(image.failure))
                state.prompt, image.failure = revised, None
            try:
                return await self._call_with_retries(image)
            except ApiFailure as failure:
                # A failure that a changed setting caused is not the reason why the image has no answer.
                is_relevant = image.repair.on_failure(state.attempts) or previous is None
                image.failure = failure if is_relevant else previous
            if self._should_wait(image):
                return None

    def _should_wait(self, image: _ActiveImage) -> bool:
        """Return True if an image goes into the retry queue; one whose copies wait for it does not."""
        is_alone = self._image_locks.count_users(image.facts.sha256) == 1
        can_wait = is_alone and not self._retry_queue.is_full and self._stop.cause is None
        return can_wait and image.repair.should_wait_for_others

    async def _call_with_retries(self, image: _ActiveImage) -> Awaitable[None]:
        """Send a call, again as long as waiting may help; return an awaitable of the answer's row."""
        state = image.state
        return await retry_handler.run(
            lambda timeout_s: self._call_and_store(image, timeout_s),
            retry_state=image.retry_state,
            others_are_served=lambda: self._others_are_served(state),
            rng=self._rng,
            sleep=self._back_off,
            on_retry=lambda event: log.debug("%s: %s", state.job.key, event),
        )

    async def _call_and_store(self, image: _ActiveImage, timeout_s: float) -> Awaitable[None]:
        """Send one call; hold its slot until the answer's files stand."""
        state = image.state
        async with self._slots:
            generation = await self._caller.call(state, image.facts, timeout_s)
            self._adapt_timeout(state.attempts[-1])
            image.repair.on_success()
            return await self._store.store(state.to_succeeded(content_of(image.facts), generation))

    def _others_are_served(self, state: ImageState) -> bool:
        """Return True if other calls were served since a quota last rejected this image."""
        are_others_served = self._caller.served_count > state.served_at_last_rejection
        state.served_at_last_rejection = self._caller.served_count
        return are_others_served

    def _adapt_timeout(self, attempt: Attempt) -> None:
        """Update the first deadline once an answer took longer: a timed-out call is paid for."""
        if attempt.seconds > self._first_timeout_s:
            longest_s = max(self._retry_settings.max_timeout_s, self._first_timeout_s)
            self._first_timeout_s = min(attempt.seconds * _TIMEOUT_MARGIN, longest_s)

    async def _back_off(self, delay_s: float) -> None:
        self._backing_off_count += 1
        try:
            await self._stop.sleep(delay_s)
        finally:
            self._backing_off_count -= 1

    def _new_retry_state(self) -> RetryState:
        return RetryState(
            max_retries=self._retry_settings.max_retries,
            timeout_s=self._first_timeout_s,
            max_timeout_s=self._retry_settings.max_timeout_s,
            max_wait_s=self._retry_settings.max_wait_s,
            get_time_left_s=self._get_time_left_s,
        )

    def _get_time_left_s(self) -> float:
        """Return how long calls that time out may still go on; unlimited while new images are left."""
        if not self._is_draining:
            return math.inf
        now_s = asyncio.get_running_loop().time()
        last_s = max(self._caller.last_first_call_s, self._last_round_s)
        return last_s + self._retry_settings.max_timeout_s - now_s
