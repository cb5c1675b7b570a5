"""Rules of rate_limiter.py."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from rate_limiter import UNHINTED_PAUSE_S, RateLimiter
from tests.virtual_loop import run_virtual

PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"


def limited(hint_s: float | None = None, *quota_ids: str) -> ApiFailure:
    """Return a 429 that names these quotas."""
    return ApiFailure(
        kind=ErrorKind.RATE_LIMITED, detail="quota", retry_after_s=hint_s, quota_ids=tuple(quota_ids)
    )


async def starts(limiter: RateLimiter, count: int) -> list[float]:
    """Let so many callers ask at once; return when each was let go."""
    times: list[float] = []

    async def caller() -> None:
        await limiter.acquire()
        times.append(asyncio.get_running_loop().time())

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(caller())
    return times


def test_a_pace_spaces_requests_evenly() -> None:
    """30 a minute start every two seconds, the first at once."""

    async def scenario() -> list[float]:
        return await starts(RateLimiter(rpm=30, sleep=asyncio.sleep), 4)

    assert run_virtual(scenario()) == [0.0, 2.0, 4.0, 6.0]


def test_without_a_pace_all_start_at_once() -> None:
    """No limit of our own means no wait."""

    async def scenario() -> list[float]:
        return await starts(RateLimiter(rpm=None, sleep=asyncio.sleep), 50)

    assert run_virtual(scenario()) == [0.0] * 50


@settings(max_examples=40, deadline=None)
@given(rpm=st.floats(1, 5000), gaps=st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_the_pace_holds_in_every_minute(rpm: float, gaps: list[float]) -> None:
    """However the callers come, no window of 60 s sees more starts than the limit."""

    async def scenario() -> list[float]:
        limiter, times = RateLimiter(rpm=rpm, sleep=asyncio.sleep), []
        for gap in gaps:
            await asyncio.sleep(gap)
            times.extend(await starts(limiter, 2))
        return times

    times = run_virtual(scenario())

    for first in times:
        assert sum(first <= at < first + 60.0 - 1e-6 for at in times) <= max(1, rpm + 1e-6) + (rpm % 1 > 0)


def test_a_429_pauses_everybody_for_as_long_as_the_server_asks() -> None:
    """Callers that never saw the 429 wait as well."""

    async def scenario() -> list[float]:
        limiter = RateLimiter(rpm=None, sleep=asyncio.sleep)
        limiter.refused(limited(20.0))
        return await starts(limiter, 3)

    assert run_virtual(scenario()) == [20.0] * 3


def test_a_429_without_a_hint_pauses_everybody_a_little() -> None:
    """Silence about the time is not leave to go on at once."""

    async def scenario() -> list[float]:
        limiter = RateLimiter(rpm=None, sleep=asyncio.sleep)
        limiter.refused(limited())
        return await starts(limiter, 1)

    assert run_virtual(scenario()) == [UNHINTED_PAUSE_S]


def test_a_pause_that_begins_while_somebody_waits_holds_for_him_too() -> None:
    """Whoever waits for his turn in the pace waits for the pause as well."""

    async def scenario() -> list[float]:
        limiter = RateLimiter(rpm=6, sleep=asyncio.sleep)
        await limiter.acquire()
        asyncio.get_running_loop().call_later(5.0, limiter.refused, limited(30.0))
        return await starts(limiter, 2)

    assert run_virtual(scenario()) == [35.0, 45.0]


def test_a_shorter_hint_does_not_shorten_the_pause() -> None:
    """Of two 429s the later moment holds."""

    async def scenario() -> float:
        limiter = RateLimiter(rpm=None, sleep=asyncio.sleep)
        limiter.refused(limited(20.0))
        limiter.refused(limited(3.0))
        return limiter.paused_s()

    assert run_virtual(scenario()) == 20.0


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.RATE_LIMITED])
def test_other_failures_pause_nobody(kind: ErrorKind) -> None:
    """A bad image or a reset is nobody else's business."""

    async def scenario() -> float:
        limiter = RateLimiter(rpm=None, sleep=asyncio.sleep)
        limiter.refused(ApiFailure(kind=kind, detail="other", retry_after_s=9.0))
        return limiter.paused_s()

    assert run_virtual(scenario()) == 0.0


def test_a_daily_quota_is_obeyed_once_and_ends_the_run_the_second_time() -> None:
    """A quota per day with a short hint may be a mistake; refused again after the hint, it is not."""

    async def scenario() -> None:
        limiter = RateLimiter(rpm=None, sleep=asyncio.sleep)
        limiter.refused(limited(36.0, PER_DAY))
        limiter.refused(limited(36.0, PER_DAY))  # in flight at the same time: no new evidence
        await limiter.acquire()
        limiter.refused(limited(36.0, PER_DAY))

    with pytest.raises(FatalError) as caught:
        run_virtual(scenario())

    assert caught.value.reason is StopReason.DAILY_QUOTA


def test_a_daily_quota_beside_one_per_minute_never_ends_the_run() -> None:
    """Where both are named, the one per minute is what binds now."""

    async def scenario() -> None:
        limiter = RateLimiter(rpm=None, sleep=asyncio.sleep)
        for _ in range(5):
            limiter.refused(limited(10.0, PER_DAY, PER_MINUTE))
            await limiter.acquire()

    run_virtual(scenario())


def test_a_caller_that_is_cancelled_leaves_the_turn_to_the_next() -> None:
    """A cancelled wait blocks nobody."""

    async def scenario() -> list[float]:
        limiter = RateLimiter(rpm=6, sleep=asyncio.sleep)
        await limiter.acquire()
        impatient = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(1.0)
        impatient.cancel()
        return await starts(limiter, 1)

    assert run_virtual(scenario()) == [10.0]
