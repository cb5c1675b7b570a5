"""Rules of rate_limit/sliding_window.py: no window of 60 s exceeds a limit of the user."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rate_limit.request_log import SentRequest
from rate_limit.sliding_window import SlidingWindowLimit
from rate_limit.types import Unit
from tests.support.rate_limit_calls import new_limiter, now_s, rate_limited
from tests.support.virtual_loop import run_virtual

MINUTE_S = 60.0
A_CALLER = st.tuples(
    st.floats(0.0, 40.0),  # when it asks, after the one before
    st.floats(0.0, 90.0),  # from grant to departure: a slow disk
    st.integers(1, 5_000),  # tokens
    st.sampled_from(["answered", "refused", "unused"]),
)


@st.composite
def draw_callers(draw: st.DrawFn) -> list[tuple[float, float, int, str]]:
    """Return callers of which many ask and leave together."""
    callers = draw(st.lists(A_CALLER, min_size=1, max_size=60))
    haste = draw(st.sampled_from([0.0, 0.01, 1.0]))
    slow = draw(st.sampled_from([0.0, 0.02, 1.0]))
    return [(gap_s * haste, delay_s * slow, tokens, end) for gap_s, delay_s, tokens, end in callers]


def simulate_departures(
    callers: list[tuple[float, float, int, str]], rpm: float | None, tpm: float | None, *, learning: bool
) -> list[tuple[float, int]]:
    """Return when each request left, and its tokens."""
    left: list[tuple[float, int]] = []

    async def scenario() -> None:
        limiter = new_limiter(rpm=rpm, tpm=tpm, is_adaptive=learning, outage_patience_s=1e9)

        async def caller(delay_s: float, tokens: int, end: str) -> None:
            permit = await limiter.acquire(tokens=tokens)
            await asyncio.sleep(delay_s)
            if end == "unused":
                permit.release()
                return
            permit.on_sent()
            left.append((now_s(), tokens))
            await asyncio.sleep(1.0)
            if end == "refused":
                permit.on_failure(rate_limited(3.0), seconds=1.0)
            else:
                permit.on_success(input_tokens=tokens, seconds=1.0)

        async with asyncio.TaskGroup() as group:
            for gap_s, delay_s, tokens, end in callers:
                await asyncio.sleep(gap_s)
                group.create_task(caller(delay_s, tokens, end))

    run_virtual(scenario())
    return left


def find_overfull_windows(left: list[tuple[float, int]], window_s: float = MINUTE_S) -> list[list[int]]:
    """Return the tokens within each closed window that begins with a departure."""
    return [[tokens for at_s, tokens in left if first <= at_s <= first + window_s] for first, _ in left]


@settings(max_examples=120, deadline=None)
@given(callers=draw_callers(), rpm=st.sampled_from([1.0, 2.0, 2.5, 7.0, 20.0]), learning=st.booleans())
def test_rpm_is_never_exceeded(
    *, callers: list[tuple[float, float, int, str]], rpm: float, learning: bool
) -> None:
    """However long a request takes from its grant to its departure; rejected calls count, too."""
    windows = find_overfull_windows(simulate_departures(callers, rpm, None, learning=learning))

    assert all(len(window) <= rpm for window in windows)


@settings(max_examples=120, deadline=None)
@given(callers=draw_callers(), tpm=st.sampled_from([3_000.0, 12_000.5, 40_000.0]), learning=st.booleans())
def test_tpm_is_never_exceeded_but_by_a_request_that_alone_is_larger(
    *, callers: list[tuple[float, float, int, str]], tpm: float, learning: bool
) -> None:
    """Such a request has its minute to itself."""
    windows = find_overfull_windows(simulate_departures(callers, None, tpm, learning=learning))

    assert all(sum(window) <= tpm or len(window) == 1 for window in windows)


@settings(max_examples=40, deadline=None)
@given(callers=draw_callers(), rpm=st.floats(0.1, 0.99))
def test_less_than_one_a_minute_is_one_in_a_longer_window(
    callers: list[tuple[float, float, int, str]], rpm: float
) -> None:
    """Half a request a minute is one in two minutes."""
    windows = find_overfull_windows(
        simulate_departures(callers[:15], rpm, None, learning=False), MINUTE_S / rpm
    )

    assert all(len(window) == 1 for window in windows)


@pytest.mark.parametrize("rpm", [10, 60, 300])
def test_a_ceiling_is_used(rpm: int) -> None:
    """Caution costs less than one in a hundred."""
    user_limit, at_s, count = SlidingWindowLimit(Unit.REQUESTS, rpm), 0.0, 0
    while at_s < 600.0:
        request = SentRequest(estimated_tokens=1.0, tokens=1.0)
        user_limit.on_granted(request, at_s)
        user_limit.on_sent(request, at_s)
        count += 1
        start_s = user_limit.earliest_start_s(1.0, at_s)
        assert start_s is not None
        at_s = start_s

    assert count >= 0.99 * 10 * rpm


def test_a_pending_request_holds_its_place_until_it_leaves() -> None:
    """Its minute begins when it leaves, not when it was granted."""
    user_limit = SlidingWindowLimit(Unit.REQUESTS, 1)
    request = SentRequest(estimated_tokens=1.0, tokens=1.0)
    user_limit.on_granted(request, 0.0)
    assert user_limit.earliest_start_s(1.0, 500.0) is None

    user_limit.on_sent(request, 500.0)

    assert user_limit.earliest_start_s(1.0, 500.0) == pytest.approx(560.0, abs=0.3)


def test_what_was_billed_replaces_the_estimate() -> None:
    """The excess of an estimate that was too high may be used again."""
    user_limit = SlidingWindowLimit(Unit.TOKENS, 1_000)
    request = SentRequest(estimated_tokens=900.0, tokens=900.0)
    user_limit.on_granted(request, 0.0)
    user_limit.on_sent(request, 0.0)
    user_limit.on_billed(request, 100.0, 1.0)
    request.tokens = 100.0

    assert user_limit.earliest_start_s(850.0, 55.0) == 55.0
