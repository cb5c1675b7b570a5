"""Who asks a model for new words while the images go on, and what may that take?

The naive answer asks in the worker whose image failed: that image waits for a long answer, all others
behind it, and a model that is slow, unknown or dear stops the night. Here one task beside the workers waits
until the optimizer wants words, and asks. Images never wait for it; it is cancelled when they are done. What
goes wrong is said once and ends nothing but the asking.

The call goes the way of all calls: leave from the pacer, money set aside, the retries of the table. But what
the quota or the speed of another model is says nothing about the run's own, so the pacer hears of such a
call only that it was sent and that it is over. This file decides neither when words are wanted nor whether
an answer may be used (``repair``).
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal

import retry_handler
from costs.optimizer_budget import Allowance, Held
from errors import ApiFailure, FatalError
from models import Generation, GenerationRequest, Usage
from processing.api_call import Leave, Limiter, Model, Permit
from processing.stop_signal import RunStoppedError, Stop
from prompt_optimizer import PromptOptimizer, Wanted
from prompts.candidates import Proposal, Standing
from retry_handler import RetryBudget

log = logging.getLogger(__name__)

MAX_RETRIES = 2
"""Of one question; each counts as a call."""
_CHARACTERS_PER_TOKEN = 4

Told = Callable[[Usage, Decimal | None], None]
"""Hears what each call took, and cost if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the model is asked."""

    model: str
    is_runs_own: bool
    """It is the model that answers the images, so that both have one quota."""
    timeout_s: float
    max_timeout_s: float


class Rewriter:
    """Asks a model for words whenever the optimizer wants some.

    Args:
        optimizer: says what it wants, and takes the answer.
        asks: answers requests.
        limiter: says when a request may start.
        allowance: what may be asked and spent.
        manner: how to ask.
        told: hears what each call took.
        stop: ends the run early.
        rng: the source of jitter.
    """

    def __init__(
        self,
        *,
        optimizer: PromptOptimizer,
        asks: Model,
        limiter: Limiter,
        allowance: Allowance,
        manner: Manner,
        told: Told,
        stop: Stop,
        rng: random.Random,
    ) -> None:
        self._optimizer = optimizer
        self._asks = asks
        self._limiter = limiter
        self._allowance = allowance
        self._manner = manner
        self._told = told
        self._stop = stop
        self._rng = rng
        self._is_wanted = asyncio.Event()
        self._is_over = False

    async def keep_on(self) -> None:
        """Ask for what is wanted, until nobody may ask any more."""
        self._optimizer.on_wanted = self._is_wanted.set
        while not self._is_over:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while not self._is_over and (wanted := self._optimizer.wanted()) is not None:
                if not await self._ask(wanted):
                    break

    async def _ask(self, wanted: Wanted) -> bool:
        """Put one question; return whether another may follow at once."""
        paid = _Paid()
        try:
            generation = await self._answer(wanted, paid)
        except (_NoLeaveError, RunStoppedError):
            self._leave_it()
            if paid.calls:
                self._refuse(wanted, "there was no room for another try", paid)
            return False
        except (ApiFailure, FatalError) as error:
            self._failed(wanted, error, paid)
            return True
        except asyncio.CancelledError:
            if paid.calls:
                log.warning("a question to %s was cut off; it may be billed all the same", self._manner.model)
                self._refuse(wanted, "the run ended before an answer came", paid)
            raise
        proposal = self._optimizer.propose(
            wanted.kind, generation.text, proposed_by=self._manner.model, usage=paid.usage, cost=paid.cost
        )
        _say(proposal)
        return True

    def _leave_it(self) -> None:
        """Leave a question that may not be put now; money set aside for images may come back."""
        self._is_over = self._allowance.is_spent or self._stop.cause is not None
        if self._allowance.is_spent:
            log.info("%s is not asked for more words: its cap is reached", self._manner.model)

    def _failed(self, wanted: Wanted, error: ApiFailure | FatalError, paid: "_Paid") -> None:
        """Say once what went wrong; where it would for every question, ask no more."""
        if isinstance(error, FatalError):
            self._is_over = True
            what = "could not be asked for words, and is not asked again in this run"
        else:
            what = "gave no words"
        log.warning("%s %s: %s", self._manner.model, what, error.detail)
        if paid.calls:
            self._refuse(wanted, error.detail, paid)

    def _refuse(self, wanted: Wanted, why: str, paid: "_Paid") -> None:
        self._optimizer.trials.refuse(
            wanted.kind, why, proposed_by=self._manner.model, usage=paid.usage, cost=paid.cost
        )

    async def _answer(self, wanted: Wanted, paid: "_Paid") -> Generation:
        """Ask, again as long as waiting may help."""
        budget = RetryBudget(
            max_retries=MAX_RETRIES,
            timeout_s=self._manner.timeout_s,
            max_timeout_s=self._manner.max_timeout_s,
        )
        return await retry_handler.run(
            lambda timeout_s: self._call(wanted.question, timeout_s, paid),
            budget=budget,
            rng=self._rng,
            sleep=self._stop.sleep,
            announce=lambda event: log.debug("%s: %s; asked again", self._manner.model, event.detail),
        )

    async def _call(self, question: str, timeout_s: float, paid: "_Paid") -> Generation:
        self._stop.check()
        held = self._allowance.take(question)
        if held is None:
            raise _NoLeaveError
        with ExitStack() as unless_granted:
            unless_granted.callback(held.unused, sent=False)
            tokens = len(question) // _CHARACTERS_PER_TOKEN
            permit = await self._limiter.acquire(tokens=tokens, retry=bool(paid.calls))
            unless_granted.pop_all()
        request = GenerationRequest(
            key="",
            image=b"",
            mime_type="",
            prompt=question,
            timeout_s=timeout_s,
            max_output_tokens=held.max_output_tokens,
            model=self._manner.model,
        )
        told = permit if self._manner.is_runs_own else _AnotherModels(permit)
        leave = Leave(permit=told, reservation=held)
        try:
            self._stop.check()
            return await self._send(request, leave, held, paid)
        finally:
            leave.abandoned(may_be_billed=False)

    async def _send(self, request: GenerationRequest, leave: Leave, held: Held, paid: "_Paid") -> Generation:
        clock = asyncio.get_running_loop().time
        start_s, usage = clock(), Usage()
        leave.sent()
        try:
            generation = await self._asks.generate(request)
            usage = generation.usage
            leave.answered(usage, clock() - start_s)
        except ApiFailure as failure:
            usage = _usage(failure)
            leave.failed(failure, usage, clock() - start_s, 0)
            raise
        except asyncio.CancelledError:
            leave.abandoned(may_be_billed=True)
            raise
        except FatalError:
            leave.abandoned(may_be_billed=False)
            raise
        finally:
            paid.add(usage, held.cost)
            self._told(usage, held.cost)
        return generation


@asynccontextmanager
async def rewritten(rewriter: Rewriter) -> AsyncIterator[None]:
    """Ask for words while the block runs; a question that is under way at its end is cancelled."""
    task = asyncio.create_task(rewriter.keep_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _NoLeaveError(Exception):
    """The caps do not allow a call now."""


@dataclass(slots=True)
class _Paid:
    """What one question took, with all its calls."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal | None = None

    def add(self, usage: Usage, cost: Decimal | None) -> None:
        self.calls += 1
        self.usage += usage
        if cost is not None:
            self.cost = (self.cost or Decimal(0)) + cost


@dataclass(slots=True)
class _AnotherModels:
    """A permit whose pacer hears that the request was sent and is over, and nothing that it could learn."""

    permit: Permit

    def sent(self) -> None:
        self.permit.sent()

    def answered(self, *, input_tokens: int, seconds: float) -> None:  # noqa: ARG002 - another model's
        self.permit.unused()

    def failed(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:  # noqa: ARG002
        self.permit.unused()

    def unused(self) -> None:
        self.permit.unused()


def _usage(failure: ApiFailure) -> Usage:
    return Usage(
        input_tokens=failure.input_tokens,
        output_tokens=failure.output_tokens,
        image_output_tokens=failure.image_output_tokens,
    )


def _say(proposal: Proposal) -> None:
    if proposal.outcome is Standing.REFUSED:
        log.info("an answer of %s is not used as a prompt: %s", proposal.proposed_by, proposal.why)
    else:
        log.info("%s proposed an edit, which is on trial now: %s", proposal.proposed_by, proposal.name)
