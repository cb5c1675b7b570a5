"""Rules of costs/budget.py: what a request may cost, who waits, what counts."""

import asyncio
from decimal import Decimal

import pytest

from costs.budget import Budget, Spending
from costs.token_estimates import answer_length
from errors import FatalError, StopReason
from models import Usage
from processing.stop_signal import RunStoppedError, Stop
from tests.support.budgets import INPUT_TOKENS, MODEL, PICTURES, TODAY, budget, tariff, took
from tests.support.virtual_loop import run_virtual


async def one(of: Budget, output_tokens: int) -> int | None:
    """Let one call take so much; return the bound that it was sent with."""
    reservation = await of.reserve(input_tokens=INPUT_TOKENS)
    reservation.settle(took(output_tokens))
    return reservation.max_output_tokens


def bounds_of(of: Budget, *outputs: int) -> list[int | None]:
    """Return the bounds of calls that take so much, one after the other."""

    async def scenario() -> list[int | None]:
        return [await one(of, tokens) for tokens in outputs]

    return run_virtual(scenario())


def test_without_caps_everything_is_let_go() -> None:
    """No bound is sent and nothing waits; what it costs is counted all the same."""
    purse = budget()

    assert bounds_of(purse, *[60_000] * 50) == [None] * 50
    assert purse.spending() == Spending(
        requests=50,
        spent=50 * tariff().cost(took(60_000), TODAY),
        unsure=Decimal(0),
        reserved=Decimal(0),
        left=None,
    )


def test_a_cap_on_requests_alone_bounds_no_answer() -> None:
    """Nothing is said about length, and the request after the last is refused in words."""
    purse = budget(max_requests=3)

    assert bounds_of(purse, 10, 10, 10) == [None] * 3
    with pytest.raises(FatalError, match="the budget of 3 requests is used up") as caught:
        bounds_of(purse, 10)
    assert caught.value.reason is StopReason.BUDGET


def test_an_unsent_request_is_given_back_and_a_refused_one_is_not() -> None:
    """A 429 was sent, and so it counts; it costs nothing."""
    purse = budget("1", max_requests=2)

    async def scenario() -> None:
        for sent in (False, True, True):
            (await purse.reserve(input_tokens=INPUT_TOKENS)).unused(sent=sent)
        with pytest.raises(FatalError):
            await purse.reserve(input_tokens=INPUT_TOKENS)

    run_virtual(scenario())

    now = purse.spending()
    assert (now.requests, now.spent, now.left) == (2, Decimal(0), Decimal(1))


def test_the_bound_follows_the_answers() -> None:
    """8,192 first; after five answers four times the longest, 2,048 at least."""
    assert bounds_of(budget("9"), 300, 300, 300, 300, 300, 300) == [8192] * 5 + [2048]
    assert bounds_of(budget("9"), 900, 300, 300, 300, 300, 1000, 1) == [8192] * 5 + [3600, 4000]


def test_an_answer_that_was_cut_off_widens_the_bound() -> None:
    """At once, and up to what the service understands."""
    assert bounds_of(budget("9"), 8192, 5) == [8192, 32768]
    assert bounds_of(budget("9"), 8192, 32768, 65536, 5) == [8192, 32768, 65536, 65536]
    assert bounds_of(budget("9"), *[300] * 5, 2048, 5) == [8192] * 5 + [2048, 8192]


def test_little_money_shortens_answers_to_what_it_pays_for() -> None:
    """A cap that does not hold one call of 8,192 tokens still pays for a shorter one."""
    (bound,) = bounds_of(budget("0.005"), 200)

    assert bound is not None
    assert 1024 <= bound < 8192
    assert tariff().cost(took(bound), TODAY) <= Decimal("0.005") < tariff().cost(took(bound + 1), TODAY)


@pytest.mark.parametrize(("cap", "answers"), [("0.0001", 0), ("0.0029", 0), ("0.003", 1)])
def test_too_little_money_sends_nothing(cap: str, answers: int) -> None:
    """An answer of less than 1,024 tokens is not worth asking for; the sentence names both sums."""
    purse = budget(cap)

    with pytest.raises(FatalError, match=rf"of \${cap} is spent, and the rest may not pay for one more"):
        bounds_of(purse, *[600] * (answers + 1))

    assert purse.spending().requests == answers


def test_a_picture_has_room_in_every_bound() -> None:
    """A bound that cuts off the picture pays for nothing."""

    async def scenario() -> list[int]:
        bounds: list[int] = []
        purse = budget("0.60", model=PICTURES)
        while True:
            try:
                reservation = await purse.reserve(input_tokens=INPUT_TOKENS)
            except FatalError:
                return bounds
            bounds.append(reservation.max_output_tokens or 0)
            reservation.settle(took(1300, pictures=1120))

    bounds = run_virtual(scenario())

    assert len(bounds) >= 13
    assert min(bounds) >= 1.5 * 1300


def test_who_cannot_be_paid_yet_waits_for_those_in_flight() -> None:
    """What a call leaves over pays for the next one; it starts the moment that is known."""
    purse = budget("0.03")

    async def call(seconds: float) -> float:
        reservation = await purse.reserve(input_tokens=INPUT_TOKENS)
        started_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        reservation.settle(took(100))
        return started_s

    async def scenario() -> list[float]:
        return await asyncio.gather(*(call(7.0) for _ in range(3)))

    assert run_virtual(scenario()) == [0.0, 7.0, 14.0]


def test_a_wait_for_money_ends_when_the_run_stops() -> None:
    """All who wait, however many, hear of it at once."""
    stop = Stop()
    purse = budget("0.03", stop=stop)

    async def scenario() -> float:
        await purse.reserve(input_tokens=INPUT_TOKENS)
        waiting = [asyncio.create_task(purse.reserve(input_tokens=INPUT_TOKENS)) for _ in range(5)]
        await asyncio.sleep(2)
        stop.ask(FatalError(StopReason.INTERRUPTED, "enough"))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RunStoppedError}
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 2.0


def test_a_cancelled_wait_holds_nothing() -> None:
    """Whoever waited behind it has the money."""
    purse = budget("0.03")

    async def scenario() -> None:
        first = await purse.reserve(input_tokens=INPUT_TOKENS)
        impatient = asyncio.create_task(purse.reserve(input_tokens=INPUT_TOKENS))
        patient = asyncio.create_task(purse.reserve(input_tokens=INPUT_TOKENS))
        await asyncio.sleep(1)
        impatient.cancel()
        await asyncio.sleep(1)
        first.settle(took(10))
        (await patient).settle(took(10))

    run_virtual(scenario())

    assert purse.spending().reserved == 0


def test_a_lost_call_counts_in_full() -> None:
    """So does an answer that does not say what it took."""
    purse = budget("1")

    async def scenario() -> Decimal:
        first = await purse.reserve(input_tokens=INPUT_TOKENS)
        second = await purse.reserve(input_tokens=INPUT_TOKENS)
        first.lost()
        second.settle(Usage())
        return first.amount + second.amount

    whole = run_virtual(scenario())

    assert purse.spending().spent == purse.spending().unsure == whole > Decimal("0.04")


def test_a_blocked_prompt_is_billed_for_its_question_alone() -> None:
    """It says nothing about how long answers are."""
    purse = budget("9")

    assert bounds_of(purse, *[0] * 7) == [8192] * 7
    assert purse.spending().spent == 7 * INPUT_TOKENS * Decimal("0.30") / 10**6


def test_an_end_is_told_once() -> None:
    """A second one is a bug that shows."""

    async def scenario() -> None:
        reservation = await budget("1").reserve(input_tokens=INPUT_TOKENS)
        reservation.lost()
        with pytest.raises(RuntimeError, match="twice"):
            reservation.unused(sent=True)

    run_virtual(scenario())


def test_a_service_that_breaks_the_bound_is_not_trusted_again(caplog: pytest.LogCaptureFixture) -> None:
    """A call that cost twice its worst case makes every later one count twice, and is told."""
    purse = budget("9")

    async def scenario() -> tuple[Decimal, Decimal]:
        first = await purse.reserve(input_tokens=INPUT_TOKENS)
        first.settle(took(2 * 8192))
        second = await purse.reserve(input_tokens=INPUT_TOKENS)
        return first.amount, second.amount / tariff().most(
            input_tokens=INPUT_TOKENS, output_tokens=second.max_output_tokens or 0, at=TODAY
        )

    amount, factor = run_virtual(scenario())

    assert factor == tariff().cost(took(2 * 8192), TODAY) / amount > Decimal("1.9")
    assert "more than the $" in caplog.text


def test_a_cap_on_money_without_prices_is_a_bug() -> None:
    """Who wires it asks ``required_tariff`` first."""
    with pytest.raises(ValueError, match="needs prices"):
        Budget(
            max_requests=None,
            max_cost=Decimal(1),
            prices=None,
            bounds=answer_length(MODEL, wants_images=False),
            sleep=asyncio.sleep,
            utcnow=lambda: TODAY,
        )
