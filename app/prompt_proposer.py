"""Prompt proposer: asks a model for prompt candidates while the images go on.

A task beside the workers waits until the optimizer wants a candidate; images never wait for it. A failure
is logged once and ends nothing but the asking. If the model is not the run's own, the rate limiter learns
nothing from its calls. Decisions about candidates are in ``prompts/``.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

import retry_handler
from costs.optimizer_budget import OptimizerBudget
from errors import ApiFailure, FatalError
from models import CHARACTERS_PER_TOKEN, Generation, GenerationRequest, Usage
from processing import stopped_call
from processing.api_call import grant_call, send
from processing.call_needs import GenerativeModel, Limiter, Permit
from processing.stop_signal import RunStoppedError, StopSignal
from prompt_optimizer import CandidateRequest, PromptOptimizer
from prompts.candidates import Candidate
from prompts.records import CandidateStatus
from retry_handler import RetryState

log = logging.getLogger(__name__)

MAX_RETRIES = 2
"""For one question; each counts as a call."""

OnUsage = Callable[[Usage, Decimal | None, int], None]
"""Receives the usage of each call, its cost (None if unknown) and the bytes that were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposerOptions:
    """Model and deadlines of the questions."""

    model: str
    is_run_model: bool
    """True if it is the model that answers the images, so that both have one quota."""
    timeout_s: float
    max_timeout_s: float


class PromptProposer:
    """Asks a model for a prompt candidate whenever the optimizer wants one.

    Args:
        optimizer: requests candidates, and takes the answers.
        model: answers requests.
        limiter: decides when a request may start.
        budget: calls and money that may be spent.
        options: model and deadlines.
        on_usage: receives the usage of each call.
        stop: ends the run early.
        rng: the source of jitter.
    """

    def __init__(
        self,
        *,
        optimizer: PromptOptimizer,
        model: GenerativeModel,
        limiter: Limiter,
        budget: OptimizerBudget,
        options: ProposerOptions,
        on_usage: OnUsage,
        stop: StopSignal,
        rng: random.Random,
    ) -> None:
        self._optimizer = optimizer
        self._model = model
        self._limiter = limiter if options.is_run_model else _OtherModelLimiter(limiter)
        self._budget = budget
        self._options = options
        self._on_usage = on_usage
        self._stop = stop
        self._rng = rng
        self._has_request = asyncio.Event()
        self._is_finished = False

    async def run(self) -> None:
        """Send a question whenever the optimizer wants one; return when no more may be sent."""
        self._optimizer.on_request = self._has_request.set
        while not self._is_finished:
            await self._has_request.wait()
            self._has_request.clear()
            while not self._is_finished and (request := self._optimizer.next_request()) is not None:
                if not await self._handle_request(request):
                    break

    async def _handle_request(self, request: CandidateRequest) -> bool:
        """Send one question; return True if another may follow at once."""
        totals = _RequestTotals()
        try:
            generation = await self._call_with_retries(request, totals)
        except (_NotGrantedError, RunStoppedError):
            self._on_not_granted()
            if totals.calls:
                self._record_rejection(request, "there was no room for another try", totals)
            return False
        except (ApiFailure, FatalError) as error:
            self._on_failure(request, error, totals)
            return True
        except asyncio.CancelledError:
            if totals.calls:
                log.warning(
                    "a question to %s was cut off; it may be billed all the same", self._options.model
                )
                self._record_rejection(request, "the run ended before an answer came", totals)
            raise
        candidate = self._optimizer.add_candidate(
            request.kind,
            generation.text,
            proposed_by=self._options.model,
            usage=totals.usage,
            cost=totals.cost,
        )
        _log_candidate(candidate)
        return True

    def _on_not_granted(self) -> None:
        """Record that no call is allowed now; money reserved for images may come back later."""
        self._is_finished = self._budget.is_exhausted or self._stop.cause is not None
        if self._budget.is_exhausted:
            log.info("%s is not asked for more words: its cap is reached", self._options.model)

    def _on_failure(
        self, request: CandidateRequest, error: ApiFailure | FatalError, totals: "_RequestTotals"
    ) -> None:
        """Record a failed question; a FatalError ends the asking."""
        if isinstance(error, FatalError):
            self._is_finished = True
            text = "could not be asked for words, and is not asked again in this run"
        else:
            text = "gave no words"
        log.warning("%s %s: %s", self._options.model, text, error.detail)
        if totals.calls:
            self._record_rejection(request, error.detail, totals)

    def _record_rejection(self, request: CandidateRequest, why: str, totals: "_RequestTotals") -> None:
        self._optimizer.candidates.add_rejected(
            request.kind, why, proposed_by=self._options.model, usage=totals.usage, cost=totals.cost
        )

    async def _call_with_retries(self, request: CandidateRequest, totals: "_RequestTotals") -> Generation:
        """Send a question, again as long as waiting may help."""
        retry_state = RetryState(
            max_retries=MAX_RETRIES,
            timeout_s=self._options.timeout_s,
            max_timeout_s=self._options.max_timeout_s,
        )
        return await retry_handler.run(
            lambda timeout_s: self._call(request.question, timeout_s, totals),
            retry_state=retry_state,
            rng=self._rng,
            sleep=self._stop.sleep,
            on_retry=lambda event: log.debug("%s: %s; asked again", self._options.model, event.detail),
        )

    async def _call(self, question: str, timeout_s: float, totals: "_RequestTotals") -> Generation:
        self._stop.raise_if_requested()
        reservation = self._budget.reserve(question)
        if reservation is None:
            raise _NotGrantedError
        request = GenerationRequest(
            key="",
            image=b"",
            mime_type="",
            prompt=question,
            timeout_s=timeout_s,
            max_output_tokens=reservation.max_output_tokens,
            model=self._options.model,
        )
        tokens, retry = len(question) // CHARACTERS_PER_TOKEN, bool(totals.calls)
        async with grant_call(self._limiter, reservation, tokens=tokens, retry=retry) as grant:
            self._stop.raise_if_requested()
            try:
                return await send(partial(stopped_call.generate, self._model.generate), request, grant)
            finally:
                totals.add(grant.usage, reservation.cost)
                self._on_usage(grant.usage, reservation.cost, request.sent.count)


class _NotGrantedError(Exception):
    """The caps allow no call now."""


@dataclass(slots=True)
class _RequestTotals:
    """Usage and cost of one question, over all its calls."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal | None = None

    def add(self, usage: Usage, cost: Decimal | None) -> None:
        self.calls += 1
        self.usage += usage
        if cost is not None:
            self.cost = (self.cost or Decimal(0)) + cost


@dataclass(frozen=True, slots=True)
class _OtherModelLimiter:
    """The rate limiter for calls from which it learns nothing, because they go to another model."""

    limiter: Limiter

    async def acquire(self, *, tokens: int, retry: bool = False) -> Permit:
        return _OtherModelPermit(await self.limiter.acquire(tokens=tokens, retry=retry))


@dataclass(slots=True)
class _OtherModelPermit:
    """A permit that reports only that the request was sent and is over."""

    permit: Permit

    def on_sent(self) -> None:
        self.permit.on_sent()

    def on_success(self, *, input_tokens: int, seconds: float) -> None:  # noqa: ARG002 - another model's
        self.permit.release()

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:  # noqa: ARG002
        self.permit.release()

    def release(self) -> None:
        self.permit.release()


def _log_candidate(candidate: Candidate) -> None:
    if candidate.status is CandidateStatus.REJECTED:
        log.info("an answer of %s is not used as a prompt: %s", candidate.proposed_by, candidate.why)
    else:
        log.info("%s proposed an edit, which is on trial now: %s", candidate.proposed_by, candidate.name)
