"""Budget of the calls that ask a model for prompt candidates.

Each call has two reservations: one in the run's budget, whose caps hold over all calls, and one here, so
that a model ten times as dear as the run's own cannot spend the money of the images. The number of calls is
bounded even if no price is known.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from costs.budget import Budget, Reservation
from costs.pricing import ModelPricing
from models import Usage

MAX_CALLS = 8
"""In one run, retries included."""
ANSWER_TOKENS = 8192
"""Bound of an answer; its thoughts take 2,000 to 4,000 tokens.

Source: docs/prompt-repair-evidence.md, section 1.2, November 2026.
"""
_WRAPPING_TOKENS = 64
"""Tokens that the service may add around the question."""


class OptimizerBudget:
    """Calls and money for prompt proposals in one run.

    Args:
        run_budget: the budget of the run.
        pricing: of the model that is asked; None if unknown.
        max_cost: cap in US dollars; holds only with a pricing.
        utcnow: the wall clock, because prices change by the day.
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
        """US dollars that are neither spent nor reserved."""
        self.calls = 0
        """Sent, or about to be."""
        self.is_exhausted = False
        """True if no further call is allowed in this run."""

    def reserve(self, question: str) -> "OptimizerReservation | None":
        """Return a reservation for one call; None if the caps do not allow it now."""
        # A token is at least one byte.
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
        """Return what these tokens cost; None if unknown."""
        return None if self._pricing is None else self._pricing.cost(usage, self._utcnow())


@dataclass(slots=True, kw_only=True)
class OptimizerReservation:
    """Money reserved for one call; exactly one of its three ends is called."""

    budget: OptimizerBudget
    reservation: Reservation
    worst_case: Decimal
    """US dollars."""
    cost: Decimal | None = field(default=None, init=False)
    """What was billed, in US dollars; None if unknown."""

    @property
    def max_output_tokens(self) -> int | None:
        """Bound of the answer; None if unlimited."""
        return self.reservation.max_output_tokens

    def settle(self, usage: Usage) -> None:
        """Record what was billed; without a usage to believe, the whole reservation counts."""
        self.reservation.settle(usage)
        if not usage.at_least and (usage.input_tokens or usage.output_tokens):
            self.cost = self.budget.cost(usage)
        self.budget.remaining += self.worst_case - (self.worst_case if self.cost is None else self.cost)

    def settle_unknown(self) -> None:
        """Record that the call was sent, and that its bill is unknown."""
        self.reservation.settle_unknown()

    def release(self, *, sent: bool) -> None:
        """Record that nothing was billed."""
        self.reservation.release(sent=sent)
        self.cost = self.budget.cost(Usage())
        self.budget.remaining += self.worst_case
        self.budget.calls -= not sent
