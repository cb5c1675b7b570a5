"""Rules of costs/budget.py for a call that wants room: a wider bound, and still no cap is overrun."""

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
from tests.support.budgets import INPUT_TOKENS, MODEL, PICTURES, TODAY, Night, budget, tariff, took
from tests.support.virtual_loop import run_virtual


def roomy(of: Budget, *, wants_room: bool, output_tokens: int = 300) -> int | None:
    """Return the bound of one call, which wants room or does not."""

    async def scenario() -> int | None:
        reservation = await of.reserve(input_tokens=INPUT_TOKENS, wants_room=wants_room)
        reservation.settle(took(output_tokens))
        return reservation.max_output_tokens

    return run_virtual(scenario())


@pytest.mark.parametrize("model", [MODEL, PICTURES])
def test_without_a_cap_only_a_call_that_wants_room_is_bound(model: str) -> None:
    """By the longest that the model understands; the calls before and after it are as ever."""
    purse, longest = budget(model=model), answer_length(model, wants_images=model == PICTURES).longest

    found = [roomy(purse, wants_room=wants_room) for wants_room in (False, True, False)]

    assert found == [None, longest, None]


def test_with_a_cap_a_call_that_wants_room_gets_what_there_is_money_for() -> None:
    """The longest with much money; with less what that pays for, which is more than others get."""
    assert roomy(budget("9"), wants_room=True) == 65_536
    bound = roomy(budget("0.05"), wants_room=True)

    assert bound is not None
    assert 8192 < bound < 65_536
    assert tariff().cost(took(bound), TODAY) <= Decimal("0.05") < tariff().cost(took(bound + 1), TODAY)
    assert roomy(budget("0.05"), wants_room=False) == 8192


def test_with_too_little_money_for_room_a_call_is_made_all_the_same() -> None:
    """As long as it is worth asking for at all: a bound that is no wider may do, none would not."""
    assert roomy(budget("0.01"), wants_room=True) == roomy(budget("0.01"), wants_room=False)
    with pytest.raises(FatalError, match="the rest may not pay for one more"):
        roomy(budget("0.0001"), wants_room=True)


def test_the_room_of_one_call_widens_no_other() -> None:
    """A usual answer in a wide bound leaves the bounds of all others where they were."""
    purse = budget("9")
    before = roomy(purse, wants_room=False)
    roomy(purse, wants_room=True)

    assert roomy(purse, wants_room=False) == before == 8192


def test_who_wants_room_waits_for_the_money_in_flight() -> None:
    """While nothing is known about the length of answers, a shorter bound might cut it off again."""
    purse = budget("0.18")

    async def call(seconds: float, *, wants_room: bool) -> tuple[float, int | None]:
        reservation = await purse.reserve(input_tokens=INPUT_TOKENS, wants_room=wants_room)
        started_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        reservation.settle(took(100))
        return started_s, reservation.max_output_tokens

    async def scenario() -> list[tuple[float, int | None]]:
        calls = (call(7.0, wants_room=False), call(5.0, wants_room=True))
        return list(await asyncio.gather(*calls))

    assert run_virtual(scenario()) == [(0.0, 8192), (7.0, 65_536)]


@dataclass(kw_only=True)
class RoomyNight(Night):
    """A night in which some calls want room, and every answer takes as much of its own as it likes."""

    roomy_share: float

    async def image(self) -> None:
        """Ask until there is an answer or no money."""
        while True:
            wants_room = self.rng.random() < self.roomy_share
            try:
                reservation = await self.purse.reserve(input_tokens=INPUT_TOKENS, wants_room=wants_room)
            except FatalError as error:
                self.refusals.append(error)
                return
            await asyncio.sleep(self.rng.uniform(0, 5))
            if self.end(reservation):
                return


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cents=st.integers(0, 120),
    images=st.integers(1, 30),
    model=st.sampled_from([MODEL, PICTURES]),
    endings=st.sampled_from(["a", "ac", "acl", "aaarn", "alrnc", "c", "rna"]),
    roomy_share=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_wider_bounds_never_overrun_the_cap(
    *, seed: int, cents: int, images: int, model: str, endings: str, roomy_share: float
) -> None:
    """Whoever wants room, whatever it takes of it and in which order: true costs stay below the cap."""
    cap = Decimal(cents) / 100
    purse = budget(cap, model=model)
    rng = random.Random(seed)
    night = RoomyNight(purse=purse, model=model, rng=rng, endings=endings, roomy_share=roomy_share)

    run_virtual(night.run(images))

    now = purse.spending()
    assert night.true_cost <= now.spent <= cap
    assert now.reserved == 0
    assert now.requests == night.sent
    assert night.answered + len(night.refusals) == images
    assert {error.reason for error in night.refusals} <= {StopReason.BUDGET}
