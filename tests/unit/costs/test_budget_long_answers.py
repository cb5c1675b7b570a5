"""Rules of costs/budget.py for a call that needs a longer answer: a wider bound, within the cap."""

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costs.budget import Budget
from costs.token_estimates import answer_length
from errors import FatalError, StopReason
from tests.support.budgets import (
    INPUT_TOKENS,
    MODEL,
    PICTURES,
    TODAY,
    SimulatedRun,
    load_pricing,
    make_usage,
    new_budget,
)
from tests.support.virtual_loop import run_virtual


def find_bound(budget: Budget, *, wants_long_answer: bool, output_tokens: int = 300) -> int | None:
    """Return the bound of one call, which needs a long answer or does not."""

    async def scenario() -> int | None:
        reservation = await budget.reserve(input_tokens=INPUT_TOKENS, wants_long_answer=wants_long_answer)
        reservation.settle(make_usage(output_tokens))
        return reservation.max_output_tokens

    return run_virtual(scenario())


@pytest.mark.parametrize("model", [MODEL, PICTURES])
def test_without_a_cap_only_a_call_that_wants_room_is_bound(model: str) -> None:
    """By the longest that the model understands; the calls before and after it are as ever."""
    budget, longest = new_budget(model=model), answer_length(model, wants_images=model == PICTURES).maximum

    found = [
        find_bound(budget, wants_long_answer=wants_long_answer) for wants_long_answer in (False, True, False)
    ]

    assert found == [None, longest, None]


def test_with_a_cap_a_call_that_wants_room_gets_what_there_is_money_for() -> None:
    """The longest with much money; with less what that pays for, which is more than others get."""
    assert find_bound(new_budget("9"), wants_long_answer=True) == 65_536
    bound = find_bound(new_budget("0.05"), wants_long_answer=True)

    assert bound is not None
    assert 8192 < bound < 65_536
    assert (
        load_pricing().cost(make_usage(bound), TODAY)
        <= Decimal("0.05")
        < load_pricing().cost(make_usage(bound + 1), TODAY)
    )
    assert find_bound(new_budget("0.05"), wants_long_answer=False) == 8192


def test_with_too_little_money_for_room_a_call_is_made_all_the_same() -> None:
    """As long as it is worth asking for at all: a bound that is no wider may do, none would not."""
    assert find_bound(new_budget("0.01"), wants_long_answer=True) == find_bound(
        new_budget("0.01"), wants_long_answer=False
    )
    with pytest.raises(FatalError, match="the rest may not pay for one more"):
        find_bound(new_budget("0.0001"), wants_long_answer=True)


def test_the_room_of_one_call_widens_no_other() -> None:
    """A usual answer in a wide bound leaves the bounds of all others where they were."""
    budget = new_budget("9")
    before = find_bound(budget, wants_long_answer=False)
    find_bound(budget, wants_long_answer=True)

    assert find_bound(budget, wants_long_answer=False) == before == 8192


def test_who_wants_room_waits_for_the_money_in_flight() -> None:
    """While nothing is known about the length of answers, a shorter bound might cut it off again."""
    budget = new_budget("0.18")

    async def call(seconds: float, *, wants_long_answer: bool) -> tuple[float, int | None]:
        reservation = await budget.reserve(input_tokens=INPUT_TOKENS, wants_long_answer=wants_long_answer)
        started_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        reservation.settle(make_usage(100))
        return started_s, reservation.max_output_tokens

    async def scenario() -> list[tuple[float, int | None]]:
        calls = (call(7.0, wants_long_answer=False), call(5.0, wants_long_answer=True))
        return list(await asyncio.gather(*calls))

    assert run_virtual(scenario()) == [(0.0, 8192), (7.0, 65_536)]


@dataclass(kw_only=True)
class LongAnswerRun(SimulatedRun):
    """A run in which some calls need long answers, and answers are of any length within their bounds."""

    long_answer_share: float

    async def process_image(self) -> None:
        """Ask until there is an answer or no money."""
        while True:
            wants_long_answer = self.rng.random() < self.long_answer_share
            try:
                reservation = await self.budget.reserve(
                    input_tokens=INPUT_TOKENS, wants_long_answer=wants_long_answer
                )
            except FatalError as error:
                self.refusals.append(error)
                return
            await asyncio.sleep(self.rng.uniform(0, 5))
            if self.end_call(reservation):
                return


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cents=st.integers(0, 120),
    images=st.integers(1, 30),
    model=st.sampled_from([MODEL, PICTURES]),
    endings=st.sampled_from(["a", "ac", "acl", "aaarn", "alrnc", "c", "rna"]),
    long_answer_share=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_wider_bounds_never_overrun_the_cap(
    *, seed: int, cents: int, images: int, model: str, endings: str, long_answer_share: float
) -> None:
    """Whichever calls need long answers, however long and in which order: true costs stay below the cap."""
    cap = Decimal(cents) / 100
    budget = new_budget(cap, model=model)
    rng = random.Random(seed)
    run = LongAnswerRun(
        budget=budget, model=model, rng=rng, endings=endings, long_answer_share=long_answer_share
    )

    run_virtual(run.run(images))

    now = budget.status()
    assert run.true_cost <= now.spent <= cap
    assert now.reserved == 0
    assert now.requests == run.sent
    assert run.answered + len(run.refusals) == images
    assert {error.reason for error in run.refusals} <= {StopReason.BUDGET}
