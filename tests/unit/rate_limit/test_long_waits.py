"""Rules of rate_limit about --max-wait: a run does not hold its lock for half a day."""

import asyncio
import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from errors import ApiFailure, ErrorKind, ExitCode, FatalError, StopReason
from rate_limit.cooldown import is_daily
from rate_limit.limiter import RateLimiter
from rate_limit.types import LearnedLimits, PeerStatus
from reports.advice import STOPPED_BECAUSE
from reports.quota_forecast import forecast_quota
from retry_handler import RetryState
from tests.support.rate_limit_calls import PER_DAY, PER_MINUTE, answer, now_s, rate_limited, refuse, send
from tests.support.virtual_loop import run_virtual

S = StopReason
MAX_WAIT_S = 900.0
HALF_DAY_S = 45_256.0


def new_limiter(max_wait_s: float = MAX_WAIT_S) -> RateLimiter:
    """Return a limiter that learns nothing."""
    return RateLimiter(
        max_concurrent=9,
        sleep=asyncio.sleep,
        wait_for=asyncio.Event.wait,
        max_wait_s=max_wait_s,
        is_adaptive=False,
    )


def busy(hint_s: float | None) -> ApiFailure:
    """Return a 503 with a Retry-After."""
    return ApiFailure(kind=ErrorKind.SERVER, detail="HTTP 503", http_status=503, retry_after_s=hint_s)


@pytest.mark.parametrize(
    ("quotas", "hint_s", "max_wait_s", "reason"),
    [
        ((), 86_399.0, MAX_WAIT_S, S.LONG_WAIT),
        ((PER_MINUTE,), HALF_DAY_S, MAX_WAIT_S, S.LONG_WAIT),
        ((), 901.0, MAX_WAIT_S, S.LONG_WAIT),
        ((), 61.0, 60.0, S.LONG_WAIT),
        ((), 1e9, 604_800.0, S.LONG_WAIT),
        ((PER_DAY,), HALF_DAY_S, MAX_WAIT_S, S.DAILY_QUOTA),
        (("Request limit per day",), HALF_DAY_S, MAX_WAIT_S, S.DAILY_QUOTA),
        ((PER_DAY, PER_MINUTE), HALF_DAY_S, MAX_WAIT_S, S.LONG_WAIT),
        ((), 899.0, MAX_WAIT_S, None),
        ((), 900.0, MAX_WAIT_S, None),
        ((PER_DAY,), 36.0, MAX_WAIT_S, None),
        ((), HALF_DAY_S, 50_000.0, None),
        ((), None, 1.0, None),
    ],
)
def test_a_longer_wait_than_the_user_allows_ends_the_run(
    quotas: tuple[str, ...], hint_s: float | None, max_wait_s: float, reason: StopReason | None
) -> None:
    """The first 429 that asks for it is enough, since a quota belongs to the project; all others wait."""

    async def scenario() -> tuple[BaseException | None]:
        limiter = new_limiter(max_wait_s)
        return await asyncio.gather(refuse(limiter, rate_limited(hint_s, *quotas)), return_exceptions=True)

    (end,) = run_virtual(scenario())
    assert isinstance(end, FatalError) == (reason is not None)
    if isinstance(end, FatalError):
        assert (end.reason, end.retry_after_s, end.quota_ids) == (reason, hint_s, quotas)


def test_one_odd_503_ends_nothing() -> None:
    """A single server may ask for a day; the run ends when replies in a row do, with no answer between."""

    async def scenario(limiter: RateLimiter, answers: int, failures: int) -> None:
        for _ in range(answers):
            await refuse(limiter, busy(HALF_DAY_S))
            await answer(limiter)
        for _ in range(failures):
            await refuse(limiter, busy(HALF_DAY_S))

    run_virtual(scenario(new_limiter(), answers=10, failures=2))
    with pytest.raises(FatalError) as caught:
        run_virtual(scenario(new_limiter(), answers=10, failures=3))
    assert caught.value.reason is S.LONG_WAIT


@pytest.mark.parametrize("hint_s", [None, 5.0, 900.0])
def test_short_waits_of_an_outage_are_counted_by_its_patience(hint_s: float | None) -> None:
    """What the user allows to wait for never ends a run by itself."""

    async def scenario() -> float:
        limiter = new_limiter()
        for _ in range(5):
            await refuse(limiter, busy(hint_s))
        return now_s()

    assert run_virtual(scenario()) < 900.0


def test_an_image_is_not_kept_waiting_for_longer() -> None:
    """After a hint that is too long the image is left for the next run; a short one is obeyed."""
    state = RetryState(max_retries=5, timeout_s=9.0, max_timeout_s=9.0, max_wait_s=MAX_WAIT_S)

    assert state.should_retry(busy(30.0))
    assert not state.should_retry(busy(HALF_DAY_S))
    assert state.should_retry(busy(None))


def test_the_pause_of_another_run_counts_as_well() -> None:
    """A run that allows longer waits shares its pause; this one ends in place of waiting with it."""

    async def scenario(paused_s: float) -> float:
        limiter = new_limiter()
        peer = PeerStatus(
            requests_60s=1, tokens_60s=1, demand_rpm=math.inf, paused_until_s=paused_s, limits=LearnedLimits()
        )
        limiter.update_peers(now_s(), [peer])
        await send(limiter)
        return now_s()

    assert run_virtual(scenario(60.0)) == pytest.approx(60.0)
    with pytest.raises(FatalError) as caught:
        run_virtual(scenario(HALF_DAY_S))
    assert caught.value.reason is S.LONG_WAIT
    assert caught.value.retry_after_s == pytest.approx(HALF_DAY_S)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("GenerateContentRequestsPerDayPerProject", True),
        ("GenerateContent request limit per day", True),
        ("requests_per_day_per_model", True),
        ("GenerateRequestsPerMinutePerProject", False),
        ("Requests per minute", False),
        ("birthday requests", False),
    ],
)
def test_a_quota_of_a_day_is_known_by_its_name(quota: str, *, expected: bool) -> None:
    """In whatever spelling details and sentences use."""
    assert is_daily(rate_limited(None, quota)) is expected


def test_the_user_is_told_when_to_come_again() -> None:
    """Day and hour on the user's clock, and the exit code that cron understands."""
    stop = FatalError(S.LONG_WAIT, "HTTP 429: quota", retry_after_s=HALF_DAY_S)
    now = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)

    forecast = forecast_quota(stop, now=now, images_left=7, answered=5, zone=ZoneInfo("Europe/Berlin"))

    assert forecast.remedy == "run again after 11:34 on 1 Dec (local time); 7 images are left"
    assert forecast.resets_at == datetime(2026, 12, 1, 10, 34, 16, tzinfo=UTC)
    assert "--max-wait" in STOPPED_BECAUSE[S.LONG_WAIT]
    assert S.LONG_WAIT.exit_code is ExitCode.TRY_LATER
    endless = FatalError(S.LONG_WAIT, "x", retry_after_s=1e9)
    assert forecast_quota(endless, now=now, images_left=7, answered=5).resets_at
