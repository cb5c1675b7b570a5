"""What happens to one image, and to the whole batch?

The naive answer is one task for each image and one ``gather`` around them. With a million images
that is a million tasks; one slow image holds back the results of all; an image that waits after an
error keeps its place in the queue of requests; and an exception in one ends them all.

Here a few workers share one lazy iterator of images, so that there are never more tasks than
workers. Each worker takes an image through ``process`` to exactly one ``Outcome`` and hands that to
``keep`` before it takes the next. There are about twice as many workers as slots: an image that
backs off holds a worker, but neither a slot nor its bytes, and meanwhile every slot works. An image that
keeps failing and is to see other words waits until all others had their turn (``waiting_room``). Once
no image is left to begin, those that keep timing out have ``max_timeout_s`` in all: the last one never
holds up the night.

A run ends early in one way only: somebody asks ``Stop`` for it (a refused key, a signal). Calls in
flight are then finished, since they are paid for; waits end at once; images that have no answer
become ``Deferred``. What this file needs from outside it names as a Protocol; it imports no adapter.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import retry_handler
from errors import ApiFailure, FatalError
from models import Attempt, Generation, ImageJob, Outcome, Prompt, Reused, StoredAnswer
from processing.api_call import Caller
from processing.duplicates import Lately, Turns
from processing.image_loader import Inspector
from processing.image_state import Story, content_of
from processing.retry_queue import WaitingRoom
from processing.stop_signal import RunStoppedError, Stop
from retry_handler import RetryBudget
from utils.image_validator import ImageFacts, UnreadableImage

log = logging.getLogger(__name__)

WORKERS_PER_SLOT = 2
_TIMEOUT_MARGIN = 1.25
"""New images get this much more time than the slowest answer took."""


class Repair(Protocol):
    """Chooses the words of one image's next call."""

    @property
    def learns_from_others(self) -> bool:
        """True when what other images come to meanwhile makes for a better choice."""
        ...

    def failed(self, attempts: Sequence[Attempt]) -> bool:
        """Hear that the last call failed; return False where that says nothing about the image."""
        ...

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call (maybe the same), or None to give the image up."""
        ...

    def answered(self) -> None:
        """Hear that the last call was answered."""
        ...


class Reviser(Protocol):
    """Chooses words for all images of the run."""

    def begin(self) -> Repair:
        """Return what serves one image."""
        ...


class Answers(Protocol):
    """Finds answers by the SHA-256 of an image's bytes."""

    def known_among(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which there may be one; blocks."""
        ...

    async def recall(self, sha256: str) -> StoredAnswer | None:
        """Return it, if its files are still what they were."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long one image is tried."""

    max_retries: int
    timeout_s: float
    """For a call's first try, in seconds; it grows with every try that runs out of time."""
    max_timeout_s: float = 600.0
    """No call takes longer, nor do those that time out once no image is left to begin; in seconds."""


@dataclass(slots=True, kw_only=True)
class _Case:
    """An image that is being asked about, or waits for its next round."""

    story: Story
    facts: ImageFacts
    repair: Repair
    budget: RetryBudget
    may_be_known: bool
    """There may be an answer to these bytes already."""
    turn: AsyncExitStack
    """The turn of the image's bytes; closing it lets copies of the image go on."""
    failure: ApiFailure | None = None
    """How the last call failed, until it is decided what to do about it."""


class Processor:
    """Takes images to their outcomes, many at a time.

    Args:
        caller: makes one call.
        reviser: chooses other words after a failure that waiting cannot cure.
        answers: those that are already paid for.
        keep: stores an outcome, and says when its files stand: from then on no kill can lose it; an image
            counts as finished when it returned.
        stop: ends the run early.
        prompt: the user's own.
        workers: how many images are on their way at a time.
        patience: the user's settings.
        rng: the source of jitter.
    """

    def __init__(
        self,
        *,
        caller: Caller,
        reviser: Reviser,
        answers: Answers,
        keep: Callable[[Outcome, Callable[[], None]], Awaitable[None]],
        stop: Stop,
        prompt: Prompt,
        workers: int,
        patience: Patience,
        rng: random.Random,
    ) -> None:
        self._caller = caller
        self._reviser = reviser
        self._answers = answers
        self._keep = keep
        self._stop = stop
        self._prompt = prompt
        self._workers = workers
        self._patience = patience
        self._rng = rng
        self._turns = Turns()
        self._kept = Lately()
        self._inspector = Inspector(answers.known_among)
        self._first_timeout_s = patience.timeout_s
        self._room = WaitingRoom[_Case]()
        self._is_tail = False
        self._last_turn_s = 0.0
        self._backing_off = 0

    @property
    def waiting(self) -> int:
        """Images that wait for their next try."""
        return self._backing_off + len(self._room)

    @property
    def cut_off(self) -> int:
        """Requests that were cancelled in flight; they may be billed all the same."""
        return self._caller.cut_off

    async def run(self, jobs: Iterator[ImageJob]) -> None:
        """Take every job to its outcome, or stop early.

        Raises:
            ExceptionGroup: whatever ``keep`` raised; nothing else escapes a worker but bugs.
        """
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._work(jobs))

    async def _work(self, jobs: Iterator[ImageJob]) -> None:
        while (image := self._next(jobs)) is not None:
            await (self._carry_on(image) if isinstance(image, _Case) else self.process(image))
        self._is_tail = True

    def _next(self, jobs: Iterator[ImageJob]) -> ImageJob | _Case | None:
        """Return what a worker does next: a new image, while there are any and the room has a place left."""
        # Those who wait have an outcome too, if only that the run stopped.
        may_begin = self._stop.cause is None and not self._room.is_full
        if may_begin and (job := next(jobs, None)) is not None:
            return job
        waited = self._room.next()
        if waited is not None:
            self._last_turn_s = asyncio.get_running_loop().time()
        return waited

    async def process(self, job: ImageJob) -> None:
        """Take one image to its one outcome and keep that, or into the waiting room.

        Raises nothing that the image or the service did.
        """
        story = Story(job=job, prompt=self._prompt)
        begun = self._kept.now
        try:
            seen = await self._inspector.inspect(job)
        except UnreadableImage as error:
            await self._keep(story.unreadable(error), story.slot.close)
            return
        self._caller.shelf.put(job.key, seen.image)
        facts, may_be_known = seen.facts, seen.may_be_known
        del seen  # with the image's bytes
        story.content = content_of(facts)
        async with AsyncExitStack() as turn:
            # Copies of one image wait for the first to be kept, so that they find its answer.
            await turn.enter_async_context(self._turns.of(facts.sha256, before=self._call_up))
            case = _Case(
                story=story,
                facts=facts,
                repair=self._reviser.begin(),
                budget=self._new_budget(),
                may_be_known=may_be_known or self._kept.may_hold(facts.sha256, since=begun),
                turn=turn.pop_all(),
            )
        await self._carry_on(case)

    async def _carry_on(self, case: _Case) -> None:
        """Take an image to its outcome, or as far as it has to wait for others."""
        is_over = True
        try:
            outcome = await self._outcome(case)
            if outcome is not None:
                await self._keep(outcome, case.story.slot.close)
                self._kept.add(case.facts.sha256)
            else:
                is_over = False
                self._room.enter(case.facts.sha256, case, calls=len(case.story.attempts))
        finally:
            self._caller.shelf.take(case.story.job.key)
            case.story.slot.close()
            if is_over:
                await case.turn.aclose()

    async def _call_up(self, sha256: str) -> None:
        """Let an image go on that waits for its next round, because a copy of it has come."""
        if (first := self._room.fetch(sha256)) is not None:
            await self._carry_on(first)

    async def _outcome(self, case: _Case) -> Outcome | None:
        story = case.story
        try:
            is_due = case.may_be_known and not story.attempts
            known = await self._answers.recall(case.facts.sha256) if is_due else None
            return Reused(job=story.job, answer=known) if known else await self._answer(case)
        except UnreadableImage as error:  # it changed or vanished since it was inspected
            return story.unreadable(error)
        except RunStoppedError:
            return story.deferred("the run stopped before this image was answered")
        except FatalError as error:
            self._stop.ask(error)
            return story.deferred(error.detail)

    async def _answer(self, case: _Case) -> Outcome | None:
        """Ask, with other words after a failure that words may cure, until there is nothing left to try.

        Returns None where others come first.
        """
        story = case.story
        while True:
            before = case.failure
            if case.failure is not None:
                revised = case.repair.revise(story.prompt, story.attempts)
                if revised is None:
                    return story.given_up(case.failure)
                story.prompt, case.failure = revised, None
            try:
                generation = await self._ask(story, case.facts, case.budget)
                case.repair.answered()
                return story.succeeded(content_of(case.facts), generation)
            except ApiFailure as failure:
                # What the model holds against a setting is no reason why the image has no answer.
                counts = case.repair.failed(story.attempts) or before is None
                case.failure = failure if counts else before
            if self._lets_others_go_first(case):
                return None

    def _lets_others_go_first(self, case: _Case) -> bool:
        """Tell whether an image waits for its next round; one whose copies wait for it does not."""
        is_alone = self._turns.users(case.facts.sha256) == 1
        may_wait = is_alone and not self._room.is_full and self._stop.cause is None
        return may_wait and case.repair.learns_from_others

    async def _ask(self, story: Story, facts: ImageFacts, budget: RetryBudget) -> Generation:
        """Call with the story's present prompt, again as long as waiting may help."""
        generation = await retry_handler.run(
            lambda timeout_s: self._caller.call(story, facts, timeout_s),
            budget=budget,
            is_crowded=lambda: self._is_crowded(story),
            rng=self._rng,
            sleep=self._back_off,
            announce=lambda event: log.debug("%s: %s", story.job.key, event),
        )
        self._learn_timeout(story.attempts[-1])
        return generation

    def _is_crowded(self, story: Story) -> bool:
        """Tell whether others were served since this image was last refused: it only has to wait its turn."""
        others_served = self._caller.served > story.served_before
        story.served_before = self._caller.served
        return others_served

    def _learn_timeout(self, answered: Attempt) -> None:
        """Begin with a longer deadline once an answer took longer than the present one: each is paid for."""
        if answered.seconds > self._first_timeout_s:
            longest_s = max(self._patience.max_timeout_s, self._first_timeout_s)
            self._first_timeout_s = min(answered.seconds * _TIMEOUT_MARGIN, longest_s)

    async def _back_off(self, delay_s: float) -> None:
        self._backing_off += 1
        try:
            await self._stop.sleep(delay_s)
        finally:
            self._backing_off -= 1

    def _new_budget(self) -> RetryBudget:
        return RetryBudget(
            max_retries=self._patience.max_retries,
            timeout_s=self._first_timeout_s,
            max_timeout_s=self._patience.max_timeout_s,
            tail_s=self._tail_s,
        )

    def _tail_s(self) -> float:
        """Return how long calls that time out may still go on: for ever while images are left to begin."""
        if not self._is_tail:
            return math.inf
        now_s = asyncio.get_running_loop().time()
        last_s = max(self._caller.last_begun_s, self._last_turn_s)
        return last_s + self._patience.max_timeout_s - now_s
