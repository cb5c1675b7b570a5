"""Calls for the tests of the rate limiter, and how they end."""

import asyncio

from errors import ApiFailure, ErrorKind
from rate_limit.limiter import Permit, RateLimiter

PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"


def now_s() -> float:
    """Return the virtual time."""
    return asyncio.get_running_loop().time()


def rate_limited(hint_s: float | None = None, *quota_ids: str, value: int | None = None) -> ApiFailure:
    """Return a 429 that names these quotas."""
    return ApiFailure(
        kind=ErrorKind.RATE_LIMITED,
        detail="quota",
        http_status=429,
        retry_after_s=hint_s,
        quota_ids=tuple(quota_ids),
        quota_value=value,
    )


def overloaded() -> ApiFailure:
    """Return a 503."""
    return ApiFailure(kind=ErrorKind.SERVER, detail="HTTP 503: overloaded", http_status=503)


def new_limiter(
    *,
    rpm: float | None = None,
    tpm: float | None = None,
    max_concurrent: int = 1_000,
    outage_patience_s: float = 900.0,
    is_adaptive: bool = False,
) -> RateLimiter:
    """Return a limiter that learns nothing, unless ``is_adaptive``."""
    return RateLimiter(
        rpm=rpm,
        tpm=tpm,
        max_concurrent=max_concurrent,
        sleep=asyncio.sleep,
        wait_for=asyncio.Event.wait,
        outage_patience_s=outage_patience_s,
        is_adaptive=is_adaptive,
    )


async def send(limiter: RateLimiter, *, tokens: int = 1_000, retry: bool = False) -> Permit:
    """Return the permit of a request that leaves as soon as it may."""
    permit = await limiter.acquire(tokens=tokens, retry=retry)
    permit.on_sent()
    return permit


async def answer(limiter: RateLimiter, *, tokens: int = 1_000, seconds: float = 1.0) -> None:
    """Make a call that is answered."""
    permit = await send(limiter, tokens=tokens)
    await asyncio.sleep(seconds)
    permit.on_success(input_tokens=tokens, seconds=seconds)


async def refuse(
    limiter: RateLimiter, failure: ApiFailure, *, retry: bool = False, upload_bytes: int = 0
) -> None:
    """Make a call that fails at once."""
    permit = await send(limiter, retry=retry)
    permit.on_failure(failure, seconds=0.0, upload_bytes=upload_bytes)


async def list_start_times(limiter: RateLimiter, count: int) -> list[float]:
    """Start so many callers at once; return when each got its permit."""
    times: list[float] = []

    async def caller() -> None:
        await send(limiter)
        times.append(now_s())

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(caller())
    return times
