"""Rules of costs/budget.py for what cannot be believed: the whole reservation is kept, or more."""

from decimal import Decimal

import pytest

from models import Usage
from tests.support.budgets import INPUT_TOKENS, TODAY, load_pricing, new_budget
from tests.support.virtual_loop import run_virtual


@pytest.mark.parametrize("tokens", [0, 1, 4000, 60_000])
@pytest.mark.parametrize("cap", [None, "10"])
def test_the_reservation_is_kept(tokens: int, cap: str | None) -> None:
    """What it took at least may be more than was set aside; then that counts."""
    budget = new_budget(cap)
    usage = Usage(input_tokens=INPUT_TOKENS, output_tokens=tokens, at_least=True)

    async def call() -> Decimal:
        reservation = await budget.reserve(input_tokens=INPUT_TOKENS)
        reservation.settle(usage)
        return reservation.amount

    amount = run_virtual(call())

    status = budget.status()
    assert status.spent == status.unconfirmed == max(amount, load_pricing().cost(usage, TODAY))
    assert status.reserved == 0
