"""Scenario for tests of whole batches: small images, a scripted model, and the outcomes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

from PIL import Image

from costs.budget import Budget
from costs.token_estimates import answer_length, expected_input_tokens, max_input_tokens
from errors import ApiFailure, ErrorKind
from models import Attempt, ImageJob, Outcome, Prompt, Reused, StoredAnswer, Succeeded
from processing.api_call import ApiCaller
from processing.call_needs import GenerativeModel
from processing.stop_signal import StopSignal
from processor import Processor, PromptReviser, RetrySettings, Store
from prompt_optimizer import PromptOptimizer
from prompts.edit_stats import EditStats
from prompts.edits import load
from prompts.policy import RepairLimits
from prompts.retry_once import RetryOnce
from rate_limit.limiter import RateLimiter
from tests.support.budgets import new_budget
from tests.support.fakes import START, MaxJitter, utcnow
from tests.support.virtual_loop import run_virtual

BASE = Prompt(text="Describe the picture")


def rate_limited(hint_s: float) -> ApiFailure:
    """Return a 429 with a hint."""
    return ApiFailure(kind=ErrorKind.RATE_LIMITED, detail="quota", http_status=429, retry_after_s=hint_s)


def unavailable() -> ApiFailure:
    """Return a 503."""
    return ApiFailure(kind=ErrorKind.SERVER, detail="overloaded", http_status=503)


def failure(kind: ErrorKind) -> ApiFailure:
    """Return a failure of this kind."""
    return ApiFailure(kind=kind, detail=f"scripted {kind}")


def new_optimizer() -> PromptOptimizer:
    """Return an optimizer without statistics and without a control group."""
    return PromptOptimizer(
        base=BASE,
        edits=load(),
        edit_stats=EditStats("model", "0" * 64),
        rng=random.Random(0),
        limits=RepairLimits(control_share=0.0),
    )


def to_stored_answer(outcome: Succeeded) -> StoredAnswer:
    """Return the record of an answer."""
    return StoredAnswer(
        key=outcome.job.key,
        size_bytes=outcome.job.size_bytes,
        mtime_ns=outcome.job.mtime_ns,
        sha256=outcome.content.sha256,
        fingerprint="today",
        artefacts=(),
        prompt=outcome.prompt,
        usage=outcome.generation.usage,
        model_version="",
        response_id="",
        answered_at=START,
    )


def new_caller(
    model: GenerativeModel,
    stop: StopSignal,
    *,
    slots: int = 1,
    rpm: float | None = None,
    budget: Budget | None = None,
) -> ApiCaller:
    """Return a caller with a real rate limiter and a real budget, unlimited unless given."""
    return ApiCaller(
        model=model,
        limiter=RateLimiter(
            rpm=rpm, max_concurrent=slots, sleep=stop.sleep, wait_for=stop.wait_for, is_adaptive=False
        ),
        budget=budget
        or Budget(
            max_requests=None,
            max_cost=None,
            pricing=None,
            answer_length=answer_length("gemini-3.5-flash-lite", wants_images=False),
            wait_for=stop.wait_for,
            utcnow=utcnow,
        ),
        estimate_tokens=partial(expected_input_tokens, "gemini-3.5-flash-lite"),
        estimate_max_tokens=partial(max_input_tokens, "gemini-3.5-flash-lite"),
        stop=stop,
        utcnow=utcnow,
    )


def new_processor(
    caller: ApiCaller,
    store: Store,
    stop: StopSignal,
    *,
    slots: int = 1,
    reviser: PromptReviser | None = None,
    retries: int = 5,
) -> Processor:
    """Return a processor that draws the longest waits."""
    return Processor(
        caller=caller,
        reviser=reviser or RetryOnce(),
        store=store,
        stop=stop,
        prompt=BASE,
        max_concurrent=slots,
        retry_settings=RetrySettings(max_retries=retries, timeout_s=180.0, max_timeout_s=600.0),
        rng=MaxJitter(),
    )


@dataclass(slots=True, kw_only=True)
class Scenario:
    """A batch of small images, a scripted model, and the outcomes."""

    folder: Path
    names: Sequence[str]
    model: GenerativeModel
    slots: int = 1
    retries: int = 5
    rpm: float | None = None
    max_cost: Decimal | None = None
    optimize: bool = False
    on_start: Callable[[StopSignal], None] | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    finished_at: dict[str, float] = field(default_factory=dict)
    processor: Processor | None = None
    taken_count: int = 0
    max_waiting: int = 0

    def play(self) -> "Scenario":
        """Run the batch to its end on the virtual clock."""
        run_virtual(self.run())
        return self

    async def run(self) -> None:
        """Run the batch to its end on the present loop."""
        stop = StopSignal()
        if self.on_start:
            self.on_start(stop)
        budget = None if self.max_cost is None else new_budget(self.max_cost, stop=stop)
        caller = new_caller(self.model, stop, slots=self.slots, rpm=self.rpm, budget=budget)
        processor = new_processor(
            caller,
            self,
            stop,
            slots=self.slots,
            reviser=new_optimizer() if self.optimize else RetryOnce(),
            retries=self.retries,
        )
        self.processor = processor
        await processor.run(self._jobs())
        assert caller.in_flight == processor.waiting_count == 0

    async def store(self, outcome: Outcome) -> Awaitable[None]:
        """Record an outcome; its files and its row count as written at once."""
        self.outcomes.append(outcome)
        self.finished_at[outcome.job.key] = asyncio.get_running_loop().time()
        recorded = asyncio.get_running_loop().create_future()
        recorded.set_result(None)
        return recorded

    def filter_known(self, hashes: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - as it is called
        """Return no hash, as an empty journal does; the processor itself knows those of the present run."""
        return ()

    async def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return the answer that this batch has to the same bytes."""
        for outcome in self.outcomes:
            if isinstance(outcome, Succeeded) and outcome.content.sha256 == sha256:
                return to_stored_answer(outcome)
        return None

    def _jobs(self) -> Iterator[ImageJob]:
        for number, name in enumerate(self.names):
            self.max_waiting = max(self.max_waiting, self.processor.waiting_count if self.processor else 0)
            path = self.folder / name
            if not path.exists():
                Image.new("RGB", (2, 2), (number % 256, number // 256, 0)).save(path)
            self.taken_count += 1
            yield ImageJob(key=name, path=path, size_bytes=path.stat().st_size, mtime_ns=0)

    def outcome_of(self, key: str) -> Outcome:
        """Return the one outcome of an image."""
        (outcome,) = [outcome for outcome in self.outcomes if outcome.job.key == key]
        return outcome

    def attempts_of(self, key: str) -> tuple[Attempt, ...]:
        """Return the calls made for an image that was not reused."""
        outcome = self.outcome_of(key)
        assert not isinstance(outcome, Reused)
        return outcome.attempts
