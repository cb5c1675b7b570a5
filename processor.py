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
_TIMEOUT_MARGIN = 1.25
"""New images get this much more time than the slowest answer took."""


class ImageRepair(Protocol):
    """Chooses the words of one image's next call."""

    @property
    def should_wait_for_others(self) -> bool:
        """True when what other images come to meanwhile makes for a better choice."""
        ...

    def on_failure(self, attempts: Sequence[Attempt]) -> bool:
        """Hear that the last call failed; return False where that says nothing about the image."""
        ...

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call (maybe the same), or None to give the image up."""
        ...

    def on_success(self) -> None:
        """Hear that the last call was answered."""
        ...


class PromptReviser(Protocol):
    """Chooses words for all images of the run."""

    def begin_image(self) -> ImageRepair:
        """Return what serves one image."""
        ...


class Store(Protocol):
    """Keeps outcomes, and finds answers by the SHA-256 of an image's bytes."""

    def filter_known(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which there may be one; blocks."""
        ...

    async def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return it, if its files are still what they were."""
        ...

    async def store(self, outcome: Outcome) -> Awaitable[None]:
        """Store the files of an outcome: no kill can lose it then; return what to await for its row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """How often and how long one image is tried."""

    max_retries: int
    timeout_s: float
    """For a call's first try, in seconds; it grows with every try that runs out of time."""
    max_timeout_s: float = 600.0
    """No call takes longer, nor do those that time out once no image is left to begin; in seconds."""


@dataclass(slots=True, kw_only=True)
class _ActiveImage:
    """An image that is being asked about, or waits for its next round."""

    state: ImageState
    facts: ImageFacts
    repair: ImageRepair
    retry_state: RetryState
    is_maybe_answered: bool
    """There may be an answer to these bytes already."""
    lock: AsyncExitStack
    """The turn of the image's bytes; closing it lets copies of the image go on."""
    failure: ApiFailure | None = None
    """How the last call failed, until it is decided what to do about it."""


class Processor:
    """Takes images to their outcomes, many at a time.

    Args:
        caller: makes one call.
        reviser: chooses other words after a failure that waiting cannot cure.
        store: finds answers and keeps outcomes.
        stop: ends the run early.
        prompt: the user's own.
        max_concurrent: calls at a time; an answer counts until its files stand.
        patience: the user's settings.
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
        self._inspector = Inspector(store.filter_known)
        self._first_timeout_s = retry_settings.timeout_s
        self._retry_queue = RetryQueue[_ActiveImage]()
        self._is_draining = False
        self._last_round_s = 0.0
        self._backing_off_count = 0

    @property
    def waiting_count(self) -> int:
        """Images that wait for their next try."""
        return self._backing_off_count + len(self._retry_queue)

    @property
    def cancelled_count(self) -> int:
        """Requests that were cancelled in flight; they may be billed all the same."""
        return self._caller.cancelled_count

    async def run(self, jobs: Iterator[ImageJob]) -> None:
        """Take every job to its outcome, or stop early.

        Raises:
            ExceptionGroup: whatever ``keep`` raised; nothing else escapes a worker but bugs.
        """
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._worker_count):
                workers.create_task(self._work(jobs))

    async def _work(self, jobs: Iterator[ImageJob]) -> None:
        while (image := self._next_image(jobs)) is not None:
            await (self._advance(image) if isinstance(image, _ActiveImage) else self.process(image))
        self._is_draining = True

    def _next_image(self, jobs: Iterator[ImageJob]) -> ImageJob | _ActiveImage | None:
        """Return what a worker does next: a new image, while there are any and the room has a place left."""
        # Those who wait have an outcome too, if only that the run stopped.
        can_start = self._stop.cause is None and not self._retry_queue.is_full
        if can_start and (job := next(jobs, None)) is not None:
            return job
        image = self._retry_queue.pop()
        if image is not None:
            self._last_round_s = asyncio.get_running_loop().time()
        return image

    async def process(self, job: ImageJob) -> None:
        """Take one image to its one outcome and keep that, or into the waiting room.

        Raises nothing that the image or the service did.
        """
        state = ImageState(job=job, prompt=self._prompt)
        position = self._recent_hashes.position
        try:
            inspected = await self._inspector.inspect(job)
        except UnreadableImage as error:
            await (await self._store.store(state.to_unreadable(error)))
            return
        self._caller.image_cache.put(job.key, inspected.image)
        facts, is_maybe_answered = inspected.facts, inspected.is_maybe_answered
        del inspected  # with the image's bytes
        state.content = content_of(facts)
        async with AsyncExitStack() as lock:
            # Copies of one image wait for the first to be kept, so that they find its answer.
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
        """Take an image to its outcome, or as far as it has to wait for others."""
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
            self._caller.image_cache.pop(image.state.job.key)
            if is_over:
                await image.lock.aclose()

    async def _resume_waiting(self, sha256: str) -> None:
        """Let an image go on that waits for its next round, because a copy of it has come."""
        if (image := self._retry_queue.remove(sha256)) is not None:
            await self._advance(image)

    async def _settle(self, image: _ActiveImage) -> Awaitable[None] | None:
        """Store the image's outcome; return what to await for its row, or None where others come first."""
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
            outcome = state.to_deferred("the run stopped before this image was answered")
        except FatalError as error:
            self._stop.request(error)
            outcome = state.to_deferred(error.detail)
        return await self._store.store(outcome)

    async def _ask_until_settled(self, image: _ActiveImage) -> Awaitable[None] | None:
        """Send calls, with another prompt after a failure that it may cure, as long as there is one to try.

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
                # What the model holds against a setting is no reason why the image has no answer.
                is_relevant = image.repair.on_failure(state.attempts) or previous is None
                image.failure = failure if is_relevant else previous
            if self._should_wait(image):
                return None

    def _should_wait(self, image: _ActiveImage) -> bool:
        """Tell whether an image waits for its next round; one whose copies wait for it does not."""
        is_alone = self._image_locks.count_users(image.facts.sha256) == 1
        can_wait = is_alone and not self._retry_queue.is_full and self._stop.cause is None
        return can_wait and image.repair.should_wait_for_others

    async def _call_with_retries(self, image: _ActiveImage) -> Awaitable[None]:
        """Send the call, again as long as waiting may help; return what to await for the answer's row."""
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
        """Tell whether others were served since this image was last refused: it only has to wait its turn."""
        are_others_served = self._caller.served_count > state.served_at_last_rejection
        state.served_at_last_rejection = self._caller.served_count
        return are_others_served

    def _adapt_timeout(self, attempt: Attempt) -> None:
        """Begin with a longer deadline once an answer took longer than the present one: each is paid for."""
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
            get_time_left_s=self._get_time_left_s,
        )

    def _get_time_left_s(self) -> float:
        """Return how long calls that time out may still go on: for ever while images are left to begin."""
        if not self._is_draining:
            return math.inf
        now_s = asyncio.get_running_loop().time()
        last_s = max(self._caller.last_first_call_s, self._last_round_s)
        return last_s + self._retry_settings.max_timeout_s - now_s
