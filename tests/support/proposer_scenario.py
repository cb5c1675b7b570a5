"""Scenario for tests of the prompt proposer: failed images, a scripted model, real pace and budget."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from app.prompt_proposer import PromptProposer, ProposerOptions
from costs.budget import Budget
from costs.optimizer_budget import OptimizerBudget
from costs.pricing import ModelPricing
from errors import ApiFailure, ErrorKind, FatalError
from models import Attempt, Generation, GenerationRequest, Prompt, Usage
from processing.stop_signal import StopSignal
from prompt_optimizer import PromptOptimizer
from prompts.candidates import MIN_FAILED_IMAGES, CandidatePool
from prompts.edit_stats import EditStats
from prompts.edits import load
from rate_limit.limiter import RateLimiter
from reports.tally import Tally
from tests.support.budgets import TODAY, load_pricing, new_budget
from tests.support.fakes import START, MaxJitter
from tests.support.virtual_loop import run_virtual
from utils.background import running

BASE = Prompt(text="Describe the picture")
OPTIMIZER = "gemini-3.8-flash"
TOOK = Usage(input_tokens=300, output_tokens=1_000)
Result = ApiFailure | FatalError | str


@dataclass(slots=True, kw_only=True)
class ScriptedProposer:
    """Model with scripted replies; the last one is repeated."""

    results: Sequence[Result]
    delay_s: float = 1.0
    requests: list[GenerationRequest] = field(default_factory=list)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Return or raise the next reply."""
        result = self.results[min(len(self.requests), len(self.results) - 1)]
        self.requests.append(request)
        await asyncio.sleep(self.delay_s)
        if isinstance(result, str):
            return Generation(text=result, usage=TOOK)
        raise result


class ProposerScenario:
    """A run without images: the optimizer, and the model beside it."""

    def __init__(
        self,
        *results: Result,
        delay_s: float = 1.0,
        max_cost: str = "0.25",
        model: str = OPTIMIZER,
        run_budget: Budget | None = None,
        prices: ModelPricing | None = None,
        is_priced: bool = True,
    ) -> None:
        self.stop, self.tally = StopSignal(), Tally()
        self.optimizer = PromptOptimizer(
            base=BASE,
            edits=load(),
            edit_stats=EditStats("m", "0" * 64),
            rng=random.Random(0),
            candidates=CandidatePool(prompt=BASE.text, can_request=True),
        )
        self.model = ScriptedProposer(results=results, delay_s=delay_s)
        self.limiter = RateLimiter(max_concurrent=2, sleep=self.stop.sleep, wait_for=self.stop.wait_for)
        self.run_budget = run_budget or new_budget()
        self.optimizer_budget = OptimizerBudget(
            run_budget=self.run_budget,
            pricing=(prices or load_pricing(OPTIMIZER)) if is_priced else None,
            max_cost=Decimal(max_cost),
            utcnow=lambda: TODAY,
        )
        self.proposer = PromptProposer(
            optimizer=self.optimizer,
            model=self.model,
            limiter=self.limiter,
            budget=self.optimizer_budget,
            options=ProposerOptions(
                model=model, is_run_model=model == "own", timeout_s=180.0, max_timeout_s=600.0
            ),
            on_usage=self.tally.add_proposal,
            stop=self.stop,
            rng=MaxJitter(),
        )

    @property
    def outcomes(self) -> list[str]:
        """Return the status of each candidate."""
        return [one.status.value for one in self.optimizer.candidates.reportable_candidates()]

    def fail(
        self, images: int = MIN_FAILED_IMAGES, kind: ErrorKind = ErrorKind.BLOCKED, detail: str = "no"
    ) -> None:
        """Let so many images fail twice alike."""
        for _ in range(images):
            repair, attempts = self.optimizer.begin_image(), list[Attempt]()
            for _ in range(2):
                attempts.append(failed(kind, len(attempts) + 1, detail))
                repair.on_failure(attempts)
                repair.revise(BASE, attempts)

    def run(self, *steps: Coroutine[Any, Any, None]) -> float:
        """Run the proposer during the steps; return the virtual time of its end, in seconds."""

        async def main() -> float:
            async with running(self.proposer.run()):
                await asyncio.sleep(0)
                for step in steps:
                    await step
            self.rate_limit_stats = self.limiter.stats()
            return asyncio.get_running_loop().time()

        return run_virtual(main())

    async def fail_and_wait(self, *kinds: ErrorKind, seconds: float = 900.0) -> None:
        """Let images fail with these kinds of error, and let time pass."""
        for kind in kinds or (ErrorKind.BLOCKED,):
            self.fail(kind=kind)
        await asyncio.sleep(seconds)


def failed(kind: ErrorKind, number: int, detail: str) -> Attempt:
    """Return a call that failed so."""
    begun = Attempt(number=number, started_at=START, seconds=1.0, prompt=BASE, timeout_s=1.0)
    return replace(begun, kind=kind, detail=detail)


def network() -> ApiFailure:
    """Return a failure that waiting may cure."""
    return ApiFailure(kind=ErrorKind.NETWORK, detail="the connection was lost")
