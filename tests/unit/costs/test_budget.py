"""Rules of costs/budget.py: what a request may cost, which callers wait, what counts."""

import asyncio
from decimal import Decimal

import pytest

from costs.budget import Budget, BudgetStatus
from costs.token_estimates import answer_length
from errors import FatalError, StopReason
from models import Usage
from processing.stop_signal import RunStoppedError, StopSignal
from tests.support.budgets import INPUT_TOKENS, MODEL, PICTURES, TODAY, load_pricing, make_usage, new_budget
from tests.support.virtual_loop import run_virtual


async def make_call(budget: Budget, output_tokens: int) -> int | None:
    """Let one call take so much; return the bound that it was sent with."""
    reservation = await budget.reserve(input_tokens=INPUT_TOKENS)
    reservation.settle(make_usage(output_tokens))
    return reservation.max_output_tokens


def list_bounds(budget: Budget, *outputs: int) -> list[int | None]:
    """Return the bounds of calls that take so much, one after the other."""

    async def scenario() -> list[int | None]:
        return [await make_call(budget, tokens) for tokens in outputs]

    return run_virtual(scenario())


def test_without_caps_everything_is_let_go() -> None:
    """No bound is sent and nothing waits; what it costs is counted all the same."""
    budget = new_budget()

    assert list_bounds(budget, *[60_000] * 50) == [None] * 50
    assert budget.status() == BudgetStatus(
        requests=50,
        spent=50 * load_pricing().cost(make_usage(60_000), TODAY),
        unconfirmed=Decimal(0),
        reserved=Decimal(0),
        remaining=None,
    )


def test_a_cap_on_requests_alone_bounds_no_answer() -> None:
    """Nothing is said about length, and the request after the last is refused in words."""
    budget = new_budget(max_requests=3)

    assert list_bounds(budget, 10, 10, 10) == [None] * 3
    with pytest.raises(FatalError, match="the budget of 3 requests is used up") as caught:
        list_bounds(budget, 10)
    assert caught.value.reason is StopReason.BUDGET


def test_an_unsent_request_is_given_back_and_a_refused_one_is_not() -> None:
    """A 429 was sent, and so it counts; it costs nothing."""
    budget = new_budget("1", max_requests=2)

    async def scenario() -> None:
        for sent in (False, True, True):
            (await budget.reserve(input_tokens=INPUT_TOKENS)).release(sent=sent)
        with pytest.raises(FatalError):
            await budget.reserve(input_tokens=INPUT_TOKENS)

    run_virtual(scenario())

    now = budget.status()
    assert (now.requests, now.spent, now.remaining) == (2, Decimal(0), Decimal(1))


def test_the_bound_follows_the_answers() -> None:
    """8,192 first; after five answers four times the longest, 2,048 at least."""
    assert list_bounds(new_budget("9"), 300, 300, 300, 300, 300, 300) == [8192] * 5 + [2048]
    assert list_bounds(new_budget("9"), 900, 300, 300, 300, 300, 1000, 1) == [8192] * 5 + [3600, 4000]


def test_an_answer_that_was_cut_off_widens_the_bound() -> None:
    """At once, and up to what the service understands."""
    assert list_bounds(new_budget("9"), 8192, 5) == [8192, 32768]
    assert list_bounds(new_budget("9"), 8192, 32768, 65536, 5) == [8192, 32768, 65536, 65536]
    assert list_bounds(new_budget("9"), *[300] * 5, 2048, 5) == [8192] * 5 + [2048, 8192]


def test_little_money_shortens_answers_to_what_it_pays_for() -> None:
    """A cap that does not hold one call of 8,192 tokens still pays for a shorter one."""
    (bound,) = list_bounds(new_budget("0.005"), 200)

    assert bound is not None
    assert 1024 <= bound < 8192
    assert (
        load_pricing().cost(make_usage(bound), TODAY)
        <= Decimal("0.005")
        < load_pricing().cost(make_usage(bound + 1), TODAY)
    )


@pytest.mark.parametrize(("cap", "answers"), [("0.0001", 0), ("0.0029", 0), ("0.003", 1)])
def test_too_little_money_sends_nothing(cap: str, answers: int) -> None:
    """An answer of less than 1,024 tokens is not worth asking for; the sentence names both sums."""
    budget = new_budget(cap)

    with pytest.raises(FatalError, match=rf"of \${cap} is spent, and the rest may not pay for one more"):
        list_bounds(budget, *[600] * (answers + 1))

    assert budget.status().requests == answers


def test_a_picture_has_room_in_every_bound() -> None:
    """A bound that cuts off the picture pays for nothing."""

    async def scenario() -> list[int]:
        bounds: list[int] = []
        budget = new_budget("0.60", model=PICTURES)
        while True:
            try:
                reservation = await budget.reserve(input_tokens=INPUT_TOKENS)
            except FatalError:
                return bounds
            bounds.append(reservation.max_output_tokens or 0)
            reservation.settle(make_usage(1300, pictures=1120))

    bounds = run_virtual(scenario())

    assert len(bounds) >= 13
    assert min(bounds) >= 1.5 * 1300


def test_who_cannot_be_paid_yet_waits_for_those_in_flight() -> None:
    """What a call leaves over pays for the next one; it starts the moment that is known."""
    budget = new_budget("0.03")

    async def call(seconds: float) -> float:
        reservation = await budget.reserve(input_tokens=INPUT_TOKENS)
        started_s = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        reservation.settle(make_usage(100))
        return started_s

    async def scenario() -> list[float]:
        return await asyncio.gather(*(call(7.0) for _ in range(3)))

    assert run_virtual(scenario()) == [0.0, 7.0, 14.0]


def test_a_wait_for_money_ends_when_the_run_stops() -> None:
    """All callers that wait, however many, get the error at once."""
    stop = StopSignal()
    budget = new_budget("0.03", stop=stop)

    async def scenario() -> float:
        await budget.reserve(input_tokens=INPUT_TOKENS)
        waiting = [asyncio.create_task(budget.reserve(input_tokens=INPUT_TOKENS)) for _ in range(5)]
        await asyncio.sleep(2)
        stop.request(FatalError(StopReason.INTERRUPTED, "enough"))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RunStoppedError}
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 2.0


def test_a_cancelled_wait_holds_nothing() -> None:
    """The caller that waited behind it has the money."""
    budget = new_budget("0.03")

    async def scenario() -> None:
        first = await budget.reserve(input_tokens=INPUT_TOKENS)
        impatient = asyncio.create_task(budget.reserve(input_tokens=INPUT_TOKENS))
        patient = asyncio.create_task(budget.reserve(input_tokens=INPUT_TOKENS))
        await asyncio.sleep(1)
        impatient.cancel()
        await asyncio.sleep(1)
        first.settle(make_usage(10))
        (await patient).settle(make_usage(10))

    run_virtual(scenario())

    assert budget.status().reserved == 0


def test_a_lost_call_counts_in_full() -> None:
    """So does an answer that does not say what it took."""
    budget = new_budget("1")

    async def scenario() -> Decimal:
        first = await budget.reserve(input_tokens=INPUT_TOKENS)
        second = await budget.reserve(input_tokens=INPUT_TOKENS)
        first.settle_unknown()
        second.settle(Usage())
        return first.amount + second.amount

    whole = run_virtual(scenario())

    assert budget.status().spent == budget.status().unconfirmed == whole > Decimal("0.04")


def test_a_blocked_prompt_is_billed_for_its_question_alone() -> None:
    """It says nothing about how long answers are."""
    budget = new_budget("9")

    assert list_bounds(budget, *[0] * 7) == [8192] * 7
    assert budget.status().spent == 7 * INPUT_TOKENS * Decimal("0.30") / 10**6


def test_an_end_is_told_once() -> None:
    """A second one is a bug that shows."""

    async def scenario() -> None:
        reservation = await new_budget("1").reserve(input_tokens=INPUT_TOKENS)
        reservation.settle_unknown()
        with pytest.raises(RuntimeError, match="twice"):
            reservation.release(sent=True)

    run_virtual(scenario())


def test_a_service_that_breaks_the_bound_is_not_trusted_again(caplog: pytest.LogCaptureFixture) -> None:
    """A call that cost twice its worst case makes every later one count twice, and is logged."""
    budget = new_budget("9")

    async def scenario() -> tuple[Decimal, Decimal]:
        first = await budget.reserve(input_tokens=INPUT_TOKENS)
        first.settle(make_usage(2 * 8192))
        second = await budget.reserve(input_tokens=INPUT_TOKENS)
        return first.amount, second.amount / load_pricing().worst_case_cost(
            input_tokens=INPUT_TOKENS, output_tokens=second.max_output_tokens or 0, at=TODAY
        )

    amount, factor = run_virtual(scenario())

    assert factor == load_pricing().cost(make_usage(2 * 8192), TODAY) / amount > Decimal("1.9")
    assert "more than the $" in caplog.text


def test_a_cap_on_money_without_prices_is_a_bug() -> None:
    """The composition calls ``require_pricing`` first."""
    with pytest.raises(ValueError, match="needs prices"):
        Budget(
            max_requests=None,
            max_cost=Decimal(1),
            pricing=None,
            answer_length=answer_length(MODEL, wants_images=False),
            wait_for=asyncio.Event.wait,
            utcnow=lambda: TODAY,
        )
