"""Rules of rate_limit/limiter.py: which callers wait, for what, and in which order."""

import asyncio

import pytest

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from processing.stop_signal import RunStoppedError, StopSignal
from rate_limit.cooldown import UNHINTED_PAUSE_S
from rate_limit.limiter import RateLimiter
from rate_limit.types import PeerStatus, WaitCause
from tests.support.rate_limit_calls import (
    PER_DAY,
    PER_MINUTE,
    TOKENS,
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


def test_a_ceiling_spaces_requests_evenly() -> None:
    """30 a minute start every two seconds, the first at once; a little slower, as arrivals are less even."""

    async def scenario() -> list[float]:
        return await list_start_times(new_limiter(rpm=30), 4)

    assert run_virtual(scenario()) == pytest.approx([0.0, 2.0, 4.0, 6.0], abs=0.1)


def test_without_limits_all_start_at_once() -> None:
    """The strategy without learning and without limits of the user waits for nothing."""

    async def scenario() -> list[float]:
        return await list_start_times(new_limiter(), 50)

    assert run_virtual(scenario()) == [0.0] * 50


def test_a_429_pauses_everybody_for_as_long_as_the_server_asks() -> None:
    """Callers that never saw the 429 wait as well."""

    async def scenario() -> list[float]:
        limiter = new_limiter()
        await refuse(limiter, rate_limited(20.0))
        return await list_start_times(limiter, 3)

    assert all(20.0 <= at_s <= 20.2 for at_s in run_virtual(scenario()))


def test_a_429_without_a_hint_pauses_everybody_a_little() -> None:
    """Without a hint, requests do not go on at once."""

    async def scenario() -> list[float]:
        limiter = new_limiter()
        await refuse(limiter, rate_limited())
        return await list_start_times(limiter, 1)

    assert run_virtual(scenario()) == [UNHINTED_PAUSE_S]


def test_a_pause_that_begins_while_somebody_waits_holds_for_him_too() -> None:
    """A caller that waits for its turn in the pace waits for the pause as well."""

    async def scenario() -> list[float]:
        limiter = new_limiter(rpm=6)
        permit = await send(limiter)

        def fail() -> None:
            permit.on_failure(rate_limited(30.0), seconds=5.0)

        asyncio.get_running_loop().call_later(5.0, fail)
        return await list_start_times(limiter, 2)

    first, second = run_virtual(scenario())
    assert 35.0 <= first <= 35.2
    assert 45.0 <= second <= 45.3


def test_a_shorter_hint_does_not_shorten_the_pause() -> None:
    """Of two 429s the later moment holds."""

    async def scenario() -> list[float]:
        limiter = new_limiter()
        permits = [await send(limiter) for _ in range(2)]
        permits[0].on_failure(rate_limited(20.0), seconds=0.2)
        permits[1].on_failure(rate_limited(3.0), seconds=0.2)
        return await list_start_times(limiter, 1)

    assert run_virtual(scenario())[0] >= 20.0


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.RATE_LIMITED])
def test_other_failures_pause_nobody(kind: ErrorKind) -> None:
    """A bad image or a reset pauses no other request."""

    async def scenario() -> list[float]:
        limiter = new_limiter()
        await refuse(limiter, ApiFailure(kind=kind, detail="other", retry_after_s=9.0))
        return await list_start_times(limiter, 1)

    assert run_virtual(scenario()) == [0.0]


def test_a_daily_quota_is_obeyed_once_and_ends_the_run_the_second_time() -> None:
    """A quota per day with a short hint may be a mistake; if it rejects again after the hint, it is not."""

    async def scenario() -> None:
        limiter = new_limiter()
        permits = [await send(limiter) for _ in range(2)]
        for permit in permits:  # in flight at the same time: the second proves nothing new
            permit.on_failure(rate_limited(36.0, PER_DAY), seconds=0.2)
        await refuse(limiter, rate_limited(36.0, PER_DAY))

    with pytest.raises(FatalError) as caught:
        run_virtual(scenario())
    assert caught.value.reason is StopReason.DAILY_QUOTA


def test_another_daily_quota_is_obeyed_once_as_well() -> None:
    """Requests a day and tokens a day are two quotas."""

    async def scenario() -> float:
        limiter = new_limiter()
        await refuse(limiter, rate_limited(36.0, PER_DAY))
        await refuse(limiter, rate_limited(36.0, PER_DAY.replace("Requests", "Tokens")))
        return now_s()

    assert run_virtual(scenario()) >= 36.0


def test_a_daily_quota_beside_one_per_minute_never_ends_the_run() -> None:
    """Where both are named, the one per minute is what binds now."""

    async def scenario() -> float:
        limiter = new_limiter()
        for _ in range(5):
            await refuse(limiter, rate_limited(10.0, PER_DAY, PER_MINUTE))
        return now_s()

    assert run_virtual(scenario()) >= 40.0


def test_a_permit_ended_by_a_fatal_error_is_ended() -> None:
    """The slot it held is free, whatever was raised."""

    async def scenario() -> int:
        limiter = new_limiter()
        await refuse(limiter, rate_limited(1.0, PER_DAY))
        with pytest.raises(FatalError):
            await refuse(limiter, rate_limited(1.0, PER_DAY))
        return limiter.stats().in_flight

    assert run_virtual(scenario()) == 0


def test_no_more_calls_are_in_flight_than_the_user_allows() -> None:
    """The next starts when one ends, in whatever way it does."""

    async def scenario() -> tuple[int, list[float]]:
        limiter = new_limiter(max_concurrent=2)
        first, second = await send(limiter), await limiter.acquire(tokens=1)
        loop = asyncio.get_running_loop()
        loop.call_later(3.0, lambda: first.on_success(input_tokens=1, seconds=3.0))
        loop.call_later(5.0, second.release)
        times = await list_start_times(limiter, 2)
        return limiter.stats().in_flight, times

    assert run_virtual(scenario()) == (2, [3.0, 5.0])


def test_callers_start_in_the_order_in_which_they_asked() -> None:
    """First come, first served, retries included while the service is well."""

    async def scenario() -> list[int]:
        limiter, order = new_limiter(rpm=60), list[int]()

        async def caller(number: int) -> None:
            await limiter.acquire(tokens=1, retry=number % 2 == 0)
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(caller(number))
        return order

    assert run_virtual(scenario()) == list(range(8))


def test_a_caller_that_is_cancelled_leaves_the_turn_to_the_next() -> None:
    """A cancelled wait blocks no caller and uses no quota."""

    async def scenario() -> list[float]:
        limiter = new_limiter(rpm=6)
        await send(limiter)
        impatient = asyncio.create_task(limiter.acquire(tokens=1))
        await asyncio.sleep(1.0)
        impatient.cancel()
        return await list_start_times(limiter, 1)

    assert run_virtual(scenario())[0] == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize("max_concurrent", [1, 100])
def test_a_stop_ends_every_wait_and_loses_no_permit(max_concurrent: int) -> None:
    """Whether they wait for a pause or for a call in flight."""

    async def scenario() -> tuple[int, int, float]:
        stop = StopSignal()
        limiter = RateLimiter(
            max_concurrent=max_concurrent, sleep=stop.sleep, wait_for=stop.wait_for, is_adaptive=False
        )
        permit = await send(limiter)
        if max_concurrent > 1:
            permit.on_failure(rate_limited(500.0), seconds=0.1)
        waiting = [asyncio.create_task(limiter.acquire(tokens=1)) for _ in range(5)]
        await asyncio.sleep(2.0)
        stop.request(FatalError(StopReason.INTERRUPTED, "Ctrl-C"))
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        if max_concurrent == 1:
            permit.release()
        stopped = sum(isinstance(end, RunStoppedError) for end in ends)
        return stopped, limiter.stats().in_flight, now_s()

    assert run_virtual(scenario()) == (5, 0, 2.0)


def test_the_figures_tell_what_is_waited_for_and_until_when() -> None:
    """For the progress line."""

    async def scenario() -> tuple[int, WaitCause | None, float | None]:
        limiter = new_limiter()
        await refuse(limiter, rate_limited(60.0))
        waiting = [asyncio.create_task(limiter.acquire(tokens=1)) for _ in range(3)]
        await asyncio.sleep(1.0)
        figures = limiter.stats()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return figures.waiting, figures.waiting_for, figures.waiting_until_s

    waiting, cause, until_s = run_virtual(scenario())
    assert (waiting, cause) == (3, WaitCause.QUOTA)
    assert until_s == pytest.approx(60.0, abs=0.2)


def test_the_figures_tell_what_waiting_and_refusals_cost() -> None:
    """For the report: time by cause, rejections by quota, bytes that were uploaded for nothing."""

    async def scenario() -> tuple[float, dict[str, int], int, int, int]:
        limiter = new_limiter()
        await refuse(limiter, rate_limited(10.0, PER_MINUTE), upload_bytes=500)
        await refuse(limiter, rate_limited(5.0, TOKENS), upload_bytes=70)
        await refuse(limiter, rate_limited(), upload_bytes=3)
        await refuse(limiter, overloaded(), upload_bytes=1_000)
        figures = limiter.stats()
        return (
            figures.waited_s[WaitCause.QUOTA],
            dict(figures.rejections),
            figures.wasted_upload_bytes,
            figures.rejected,
            figures.requests,
        )

    waited_s, refusals, wasted, refused, requests = run_virtual(scenario())
    assert waited_s == pytest.approx(20.0, abs=0.3)
    assert refusals == {PER_MINUTE: 1, TOKENS: 1, "unnamed": 1}
    assert (wasted, refused, requests) == (573, 3, 4)


def test_the_pause_of_another_run_on_the_key_is_joined() -> None:
    """A quota belongs to the project, so the rejection of a peer counts for us, too."""

    async def scenario() -> list[float]:
        limiter = new_limiter()
        limiter.update_peers(now_s(), [PeerStatus(paused_until_s=12.0)])
        return await list_start_times(limiter, 1)

    assert run_virtual(scenario()) == [12.0]


def test_a_run_tells_others_of_its_pause_and_its_calls() -> None:
    """So that its peers keep the pause and count the calls."""

    async def scenario() -> PeerStatus:
        limiter = new_limiter()
        for _ in range(3):
            await answer(limiter, tokens=700)
        await refuse(limiter, rate_limited(30.0))
        return limiter.own_status(now_s())

    told = run_virtual(scenario())
    assert (told.requests_60s, told.tokens_60s) == (3.0, 2_100.0)
    assert told.paused_until_s == pytest.approx(33.0, abs=0.2)
