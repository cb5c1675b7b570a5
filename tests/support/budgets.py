"""Budgets for the tests of costs: real prices, real bounds, a clock that stands still."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from costs.budget import Budget, Reservation
from costs.pricing import ModelPricing, find_pricing
from costs.token_estimates import answer_length
from errors import FatalError
from models import Usage
from processing.stop_signal import StopSignal

TODAY = datetime(2026, 11, 25, 12, tzinfo=UTC)
MODEL = "gemini-3.5-flash-lite"
PICTURES = "gemini-nano-banana-2.1"
INPUT_TOKENS = 1200


def load_pricing(model: str = MODEL) -> ModelPricing:
    """Return real prices."""
    pricing = find_pricing(model)
    assert pricing is not None
    return pricing


def new_budget(
    max_cost: Decimal | str | None = None,
    *,
    max_requests: int | None = None,
    model: str = MODEL,
    stop: StopSignal | None = None,
) -> Budget:
    """Return a budget with real prices."""
    return Budget(
        max_requests=max_requests,
        max_cost=None if max_cost is None else Decimal(max_cost),
        pricing=load_pricing(model),
        answer_length=answer_length(model, wants_images=model == PICTURES),
        wait_for=(stop or StopSignal()).wait_for,
        utcnow=lambda: TODAY,
    )


def make_usage(output_tokens: int, *, pictures: int = 0) -> Usage:
    """Return what a call took."""
    return Usage(input_tokens=INPUT_TOKENS, output_tokens=output_tokens, image_output_tokens=pictures)


@dataclass(kw_only=True)
class SimulatedRun:
    """Many images, each sent until it is answered, and the true cost of that."""

    budget: Budget
    model: str
    rng: random.Random
    endings: str
    """One letter for each way in which a call may end, drawn at random."""
    true_cost: Decimal = Decimal(0)
    sent: int = 0
    answered: int = 0
    refusals: list[FatalError] = field(default_factory=list)

    async def process_image(self) -> None:
        """Send calls until there is an answer or no money."""
        while True:
            try:
                reservation = await self.budget.reserve(input_tokens=INPUT_TOKENS)
            except FatalError as error:
                self.refusals.append(error)
                return
            await asyncio.sleep(self.rng.uniform(0, 5))
            if self.end_call(reservation):
                return

    def end_call(self, reservation: Reservation) -> bool:
        """End a call in some way; return whether the image has its answer."""
        ending = self.rng.choice(self.endings)
        self.sent += ending != "n"
        if ending in "nr":  # not sent, rejected
            reservation.release(sent=ending == "r")
            return False
        bound = reservation.max_output_tokens or 3000
        output = bound if ending in "cl" else self.rng.randint(1, min(bound, 3000))  # cut off, lost
        usage = make_usage(output, pictures=self.rng.randint(0, output) if self.model == PICTURES else 0)
        self.true_cost += load_pricing(self.model).cost(usage, TODAY)
        if ending == "l":
            reservation.settle_unknown()
            return False
        reservation.settle(usage)
        self.answered += ending == "a"
        return ending == "a"

    async def run(self, images: int) -> None:
        """Send so many at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(images):
                group.create_task(self.process_image())
