"""What do the tests of rewriting need: images that fail, a model that is asked, real pace and money?"""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from app.prompt_proposer import Manner, Rewriter, rewritten
from costs.budget import Budget, Prices
from costs.optimizer_budget import Allowance
from errors import ApiFailure, ErrorKind, FatalError
from models import Attempt, Generation, GenerationRequest, Prompt, Usage
from processing.stop_signal import Stop
from prompt_optimizer import PromptOptimizer
from prompts.candidates import ENOUGH_IMAGES, Trials
from prompts.edit_stats import Pool
from prompts.edits import load
from rate_limit.limiter import RateLimiter
from reports.tally import Tally
from tests.support.budgets import TODAY, budget, tariff
from tests.support.fakes import START, MostJitter
from tests.support.virtual_loop import run_virtual

BASE = Prompt(text="Describe the picture")
OPTIMIZER = "gemini-3.8-flash"
TOOK = Usage(input_tokens=300, output_tokens=1_000)
Result = ApiFailure | FatalError | str


@dataclass(slots=True, kw_only=True)
class AskedModel:
    """Answers question after question with what is scripted, the last for ever."""

    results: Sequence[Result]
    takes_s: float = 1.0
    requests: list[GenerationRequest] = field(default_factory=list)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer or raise."""
        result = self.results[min(len(self.requests), len(self.results) - 1)]
        self.requests.append(request)
        await asyncio.sleep(self.takes_s)
        if isinstance(result, str):
            return Generation(text=result, usage=TOOK)
        raise result


class World:
    """A run without images: the optimizer, and the model beside it."""

    def __init__(
        self,
        *results: Result,
        takes_s: float = 1.0,
        most: str = "0.25",
        model: str = OPTIMIZER,
        purse: Budget | None = None,
        prices: Prices | None = None,
        is_priced: bool = True,
    ) -> None:
        self.stop, self.tally = Stop(), Tally()
        self.optimizer = PromptOptimizer(
            base=BASE,
            edits=load(),
            pool=Pool("m", "0" * 64),
            rng=random.Random(0),
            trials=Trials(prompt=BASE.text, asks=True),
        )
        self.model = AskedModel(results=results, takes_s=takes_s)
        self.limiter = RateLimiter(max_concurrent=2, sleep=self.stop.sleep)
        self.purse = purse or budget()
        self.allowance = Allowance(
            purse=self.purse,
            prices=(prices or tariff(OPTIMIZER)) if is_priced else None,
            max_cost=Decimal(most),
            utcnow=lambda: TODAY,
        )
        self.rewriter = Rewriter(
            optimizer=self.optimizer,
            asks=self.model,
            limiter=self.limiter,
            allowance=self.allowance,
            manner=Manner(model=model, is_runs_own=model == "own", timeout_s=180.0, max_timeout_s=600.0),
            told=self.tally.add_proposal,
            stop=self.stop,
            rng=MostJitter(),
        )

    @property
    def outcomes(self) -> list[str]:
        """Return what became of each proposal."""
        return [one.outcome.value for one in self.optimizer.trials.proposals()]

    def fail(
        self, images: int = ENOUGH_IMAGES, kind: ErrorKind = ErrorKind.BLOCKED, words: str = "no"
    ) -> None:
        """Let so many images fail twice alike."""
        for _ in range(images):
            repair, attempts = self.optimizer.begin(), list[Attempt]()
            for _ in range(2):
                attempts.append(failed(kind, len(attempts) + 1, words))
                repair.failed(attempts)
                repair.revise(BASE, attempts)

    def run(self, *steps: Coroutine[Any, Any, None]) -> float:
        """Ask while the steps last; return when the block was left, in seconds."""

        async def main() -> float:
            async with rewritten(self.rewriter):
                await asyncio.sleep(0)
                for step in steps:
                    await step
            self.figures = self.limiter.figures()
            return asyncio.get_running_loop().time()

        return run_virtual(main())

    async def fail_and_wait(self, *kinds: ErrorKind, seconds: float = 900.0) -> None:
        """Let images of these classes fail, and let time pass."""
        for kind in kinds or (ErrorKind.BLOCKED,):
            self.fail(kind=kind)
        await asyncio.sleep(seconds)


def failed(kind: ErrorKind, number: int, words: str) -> Attempt:
    """Return a call that failed so."""
    begun = Attempt(number=number, started_at=START, seconds=1.0, prompt=BASE, timeout_s=1.0)
    return replace(begun, kind=kind, detail=words)


def network() -> ApiFailure:
    """Return a failure that waiting may cure."""
    return ApiFailure(kind=ErrorKind.NETWORK, detail="the connection was lost")
