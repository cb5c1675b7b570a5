"""May a model be asked for words once more, and what did that cost?

The naive answer takes the money for it from the same purse and looks no further: a model that is ten times
as dear as the run's own would then eat the money of the images. So such a call has two purses: the run's,
whose caps hold over all calls, and a small one of its own, with a number of calls that holds even where no
price is known. The worst case is set aside in both before anything is sent. This file knows neither words
nor HTTP.

Source: thoughts take 2,000 to 4,000 tokens of an answer (field-notes.md, section 2.1, November 2026).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from costs.budget import Budget, Reservation
from costs.pricing import ModelPricing
from models import Usage

MAX_CALLS = 8
"""In one run, retries counted."""
ANSWER_TOKENS = 8192
"""The bound of an answer, thoughts included."""
_WRAPPING_TOKENS = 64
"""What the service may add around the question."""


class OptimizerBudget:
    """What the calls for words may take in one run.

    Args:
        purse: of the run.
        prices: of the model that is asked; None when they are not known.
        max_cost: the most money, in US dollars; holds where there are prices.
        utcnow: the wall clock: prices go by the day.
    """

    def __init__(
        self,
        *,
        run_budget: Budget,
        pricing: ModelPricing | None,
        max_cost: Decimal,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._run_budget = run_budget
        self._pricing = pricing
        self._utcnow = utcnow
        self.remaining = max_cost
        """US dollars that are neither spent nor set aside."""
        self.calls = 0
        """Sent, or about to be."""
        self.is_exhausted = False
        """No call will be allowed in this run any more."""

    def reserve(self, question: str) -> "OptimizerReservation | None":
        """Set one call aside; None where the caps do not allow it now. No token is less than one byte."""
        tokens, worst_case = len(question.encode()) + _WRAPPING_TOKENS, Decimal(0)
        if self._pricing is not None:
            worst_case = self._pricing.worst_case_cost(
                input_tokens=tokens, output_tokens=ANSWER_TOKENS, at=self._utcnow()
            )
        self.is_exhausted = self.calls >= MAX_CALLS or worst_case > self.remaining
        if self.is_exhausted:
            return None
        reservation = self._run_budget.try_reserve(
            input_tokens=tokens, output_tokens=ANSWER_TOKENS, pricing=self._pricing
        )
        if reservation is None:
            return None
        self.calls += 1
        self.remaining -= worst_case
        return OptimizerReservation(budget=self, reservation=reservation, worst_case=worst_case)

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what these tokens cost; None when nobody knows."""
        return None if self._pricing is None else self._pricing.cost(usage, self._utcnow())


@dataclass(slots=True, kw_only=True)
class OptimizerReservation:
    """What is set aside for one call; exactly one of its three ends is told."""

    budget: OptimizerBudget
    reservation: Reservation
    worst_case: Decimal
    """US dollars."""
    cost: Decimal | None = field(default=None, init=False)
    """What was billed; None as long as nobody knows."""

    @property
    def max_output_tokens(self) -> int | None:
        """What the answer may take at most."""
        return self.reservation.max_output_tokens

    def settle(self, usage: Usage) -> None:
        """Hear what was billed; a reply that does not say it counts with all that was set aside."""
        self.reservation.settle(usage)
        if usage.input_tokens or usage.output_tokens:
            self.cost = self.budget.cost(usage)
        self.budget.remaining += self.worst_case - (self.worst_case if self.cost is None else self.cost)

    def settle_unknown(self) -> None:
        """Hear that it was sent, and that nobody knows what was billed."""
        self.reservation.settle_unknown()

    def release(self, *, sent: bool) -> None:
        """Hear that nothing was billed."""
        self.reservation.release(sent=sent)
        self.cost = self.budget.cost(Usage())
        self.budget.remaining += self.worst_case
        self.budget.calls -= not sent
