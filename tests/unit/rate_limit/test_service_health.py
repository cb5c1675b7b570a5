"""Rules of rate_limit/service_health.py and retry_budget.py: distress slows the run, noise does not."""

import asyncio
import random
from itertools import pairwise

import pytest

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from rate_limit.limiter import RateLimiter
from rate_limit.retry_budget import RetryBudget
from rate_limit.service_health import ServiceHealth
from tests.support.rate_limit_calls import (
    answer,
    list_start_times,
    new_limiter,
    now_s,
    overloaded,
    rate_limited,
    refuse,
    send,
)
from tests.support.virtual_loop import run_virtual


def new_health(max_concurrent: int = 100) -> ServiceHealth:
    """Return the health of a service that was never asked."""
    return ServiceHealth(max_concurrent=max_concurrent, outage_patience_s=900.0, latency_s=5.0)


def play_calls(
    health: ServiceHealth, calls: int, failing: float, *, every_s: float, start_s: float = 0.0
) -> float:
    """Let so many calls end, a share of them with 503; return when."""
    chance, at_s = random.Random(1), start_s
    for _ in range(calls):
        at_s += every_s
        health.on_granted(at_s)
        health.on_ended(at_s, None)
        if chance.random() < failing:
            health.on_failure(overloaded(), at_s, 1.0, retry=False)
        else:
            health.on_reply(at_s, 5.0)
    return at_s


@pytest.mark.parametrize("every_s", [0.03, 0.2, 6.0])
def test_a_few_failures_among_many_answers_change_nothing(every_s: float) -> None:
    """Three 503s in a hundred are how the service is on a good day."""
    health = new_health()
    at_s = play_calls(health, 2_000, 0.03, every_s=every_s)

    assert health.allowed_concurrency(at_s, None) == 100
    assert not health.is_distressed(at_s)
    assert health.next_probe_s() is None


def test_a_burst_of_failures_lowers_concurrency_and_health_gives_it_back() -> None:
    """Fewer at once while it lasts, all of them a minute later."""
    health = new_health()
    at_s = play_calls(health, 100, 0.4, every_s=0.2)
    low = health.allowed_concurrency(at_s, None)
    for _ in range(70):
        at_s = play_calls(health, 5, 0.0, every_s=0.2, start_s=at_s)
        health.allowed_concurrency(at_s, None)

    assert low < 10
    assert health.allowed_concurrency(at_s, None) == 100


def test_concurrency_follows_pace_and_latency() -> None:
    """Twice what both make of it on average, four at least, never more than the user allows."""
    health = new_health()

    assert health.allowed_concurrency(0.0, 300.0) == 50
    assert health.allowed_concurrency(0.0, 6.0) == 4
    assert health.allowed_concurrency(0.0, 6_000.0) == 100


def test_a_dead_service_is_asked_by_single_calls_ever_less_often() -> None:
    """All others wait; at most a minute passes between two probes."""

    async def scenario() -> list[float]:
        limiter, asked = new_limiter(rpm=60, outage_patience_s=1e6), list[float]()

        async def caller() -> None:
            while now_s() < 400.0:
                permit = await send(limiter)
                asked.append(now_s())
                await asyncio.sleep(0.5)
                permit.on_failure(overloaded(), seconds=0.5)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(caller())
        return asked

    asked = [at_s for at_s in run_virtual(scenario()) if at_s < 400.0]
    gaps = [later - earlier for earlier, later in pairwise(asked)][5:]
    assert gaps == sorted(gaps)
    assert 5.0 <= gaps[0] < 7.0
    assert 59.0 < gaps[-1] < 62.0


def test_the_first_answer_lets_everybody_go_again() -> None:
    """A few at first, since a service that just got up falls easily."""

    async def scenario() -> tuple[float, list[float]]:
        limiter = new_limiter()
        for _ in range(7):
            await refuse(limiter, overloaded())
            await asyncio.sleep(1.0)
        await answer(limiter, seconds=1.0)
        return now_s(), await asyncio.wait_for(list_start_times(limiter, 4), 5.0)

    answered_s, times = run_virtual(scenario())
    assert times == [answered_s] * 4


def test_a_probe_that_was_never_sent_lets_another_look() -> None:
    """A cancelled probe does not keep all callers waiting for ever."""

    async def scenario() -> float:
        limiter = await make_dead(new_limiter())
        permit = await limiter.acquire(tokens=1)
        permit.release()
        await send(limiter)
        return now_s()

    assert run_virtual(scenario()) < 60.0


async def make_dead(limiter: RateLimiter) -> RateLimiter:
    """Let a service fail until all callers wait."""
    for _ in range(7):
        await refuse(limiter, overloaded())
        await asyncio.sleep(1.0)
    return limiter


def run_into_outage(failure: ApiFailure) -> tuple[FatalError, float]:
    """Return how a service that always fails ends the run, and after how long."""
    ended_s = 0.0

    async def scenario() -> None:
        nonlocal ended_s
        limiter = new_limiter(outage_patience_s=900.0)
        while now_s() < 7_200.0:
            try:
                await refuse(limiter, failure)
            finally:
                ended_s = now_s()
            await asyncio.sleep(1.0)

    with pytest.raises(FatalError) as caught:
        run_virtual(scenario())
    return caught.value, ended_s


@pytest.mark.parametrize(
    "failure",
    [
        overloaded(),
        ApiFailure(kind=ErrorKind.TIMEOUT, detail="timed out"),
        ApiFailure(kind=ErrorKind.NETWORK, detail="no route", reached_server=False),
        rate_limited(20.0),
    ],
    ids=["503", "timeout", "no connection", "only 429s"],
)
def test_when_nothing_was_answered_for_long_enough_the_run_ends(failure: ApiFailure) -> None:
    """With the last error, so that the user knows what it was."""
    error, ended_s = run_into_outage(failure)

    assert error.reason is StopReason.OUTAGE
    assert failure.detail in error.detail
    assert 900.0 <= ended_s <= 965.0


def test_a_rest_without_calls_is_no_outage() -> None:
    """A service that got no call cannot have failed."""

    async def scenario() -> None:
        limiter = new_limiter()
        for _ in range(4):
            await refuse(limiter, overloaded())
            await asyncio.sleep(1_000.0)

    run_virtual(scenario())


def test_a_long_hint_that_is_obeyed_is_no_outage() -> None:
    """Waiting because a quota says so is not waiting for an answer."""

    async def scenario() -> None:
        limiter = new_limiter()
        for _ in range(2):
            await refuse(limiter, rate_limited(1_200.0))
        await answer(limiter)

    run_virtual(scenario())


def test_one_image_that_never_ends_is_no_outage() -> None:
    """Its tries time out for half an hour; that says nothing about the service."""

    async def scenario() -> None:
        limiter = new_limiter()
        for number in range(6):
            permit = await send(limiter, retry=number > 0)
            await asyncio.sleep(300.0)
            permit.on_failure(ApiFailure(kind=ErrorKind.TIMEOUT, detail="slow"), seconds=300.0)

    run_virtual(scenario())


@pytest.mark.parametrize("kind", [ErrorKind.BLOCKED, ErrorKind.EMPTY, ErrorKind.INVALID_REQUEST])
def test_an_answer_that_is_of_no_use_shows_that_the_service_works(kind: ErrorKind) -> None:
    """An image that the service declines is an answer."""

    async def scenario() -> None:
        limiter = new_limiter()
        while now_s() < 2_000.0:
            await refuse(limiter, overloaded())
            await refuse(limiter, ApiFailure(kind=kind, detail="no", http_status=200))
            await asyncio.sleep(10.0)

    run_virtual(scenario())


def test_in_distress_a_tenth_of_the_requests_are_retries() -> None:
    """Else the retries of all images together hold the service down."""

    async def scenario() -> tuple[int, int]:
        limiter, counts = new_limiter(max_concurrent=500), {False: 0, True: 0}
        chance = random.Random(3)

        async def caller(*, retry: bool) -> None:
            while now_s() < 400.0:
                permit = await send(limiter, retry=retry)
                counts[retry] += now_s() > 90.0  # those that queued before the distress are through
                await asyncio.sleep(1.0)
                if chance.random() < 0.6:
                    permit.on_failure(overloaded(), seconds=1.0)
                else:
                    permit.on_success(input_tokens=1, seconds=1.0)

        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(caller(retry=number % 2 == 0))
        return counts[False], counts[True]

    first_tries, retries = run_virtual(scenario())
    assert 0 < retries <= 0.13 * (first_tries + retries)


def test_retries_never_starve() -> None:
    """If no first tries are left to earn them, one starts every 30 s."""
    share = RetryBudget()
    share.on_granted(0.0, retry=True)

    assert share.earliest_start_s(1.0) == 30.0
    assert share.earliest_start_s(31.0) == 31.0


def test_ten_first_tries_earn_one_retry() -> None:
    """And a long calm does not save up for a storm of them."""
    share = RetryBudget()
    for _ in range(1_000):
        share.on_granted(0.0, retry=False)
    at_once = 0
    while share.earliest_start_s(1.0) == 1.0 and at_once < 50:
        share.on_granted(1.0, retry=True)
        at_once += 1

    assert at_once == 2
