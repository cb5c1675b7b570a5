"""Rules of costs/budget.py under any interleaving.

No cap is overrun, no caller waits for ever, little is wasted.
"""

import asyncio
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import StopReason
from tests.support.budgets import INPUT_TOKENS, MODEL, PICTURES, SimulatedRun, make_usage, new_budget
from tests.support.virtual_loop import run_virtual


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cents=st.integers(0, 40),
    max_requests=st.none() | st.integers(0, 60),
    images=st.integers(1, 40),
    model=st.sampled_from([MODEL, PICTURES]),
    endings=st.sampled_from(["a", "aaal", "aaarn", "ac", "alrnc", "l", "rna"]),
)
def test_no_interleaving_overruns_a_cap(
    *, seed: int, cents: int, max_requests: int | None, images: int, model: str, endings: str
) -> None:
    """Whatever calls do and in which order, true costs stay below the cap, and requests as well."""
    cap = Decimal(cents) / 100
    budget = new_budget(cap, max_requests=max_requests, model=model)
    run = SimulatedRun(budget=budget, model=model, rng=random.Random(seed), endings=endings)

    async def scenario() -> float:
        await run.run(images)
        return asyncio.get_running_loop().time()

    ended_s = run_virtual(scenario())

    now = budget.status()
    assert run.true_cost <= now.spent <= cap
    assert now.requests == run.sent <= (max_requests if max_requests is not None else run.sent)
    assert now.reserved == 0
    # No caller is forgotten: a call takes 5 s at most, and callers wait only while one is in flight.
    assert ended_s <= 5.0 * (run.sent + images * 50)
    assert run.answered + len(run.refusals) == images
    assert {error.reason for error in run.refusals} <= {StopReason.BUDGET}


@pytest.mark.parametrize(("model", "cap", "typical"), [(MODEL, "0.10", 300), (PICTURES, "1.50", 1300)])
def test_a_small_cap_is_not_wasted(model: str, cap: str, typical: int) -> None:
    """With usual answers, nine tenths of the cap and more are spent on them, forty at a time."""
    budget = new_budget(cap, model=model)

    async def image() -> None:
        reservation = await budget.reserve(input_tokens=INPUT_TOKENS)
        await asyncio.sleep(3)
        reservation.settle(make_usage(typical, pictures=1120 if model == PICTURES else 0))

    async def worker() -> None:
        while True:
            await image()

    async def scenario() -> None:
        await asyncio.gather(*(worker() for _ in range(40)), return_exceptions=True)

    run_virtual(scenario())

    assert Decimal("0.9") * Decimal(cap) <= budget.status().spent <= Decimal(cap)
