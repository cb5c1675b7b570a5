"""The program's own ``RateLimiter`` as a client of the simulation.

It is used as the processor uses it: twice as many workers as slots, a slot before a permit, and nothing
held while an image backs off.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from errors import ApiFailure
from processor import WORKERS_PER_SLOT
from rate_limit.limiter import RateLimiter
from tests.simulation.rate_limit.policies import ClientSettings, Permit

_MAX_RETRIES = 5
"""As --max-retries is by default."""


class OurClient:
    """The program's rate limiter, which starts from what the run before learned."""

    is_lenient = True
    max_retries = _MAX_RETRIES

    def __init__(
        self, setting: ClientSettings, *, rpm: float | None = None, tpm: float | None = None
    ) -> None:
        learned: Any = setting.learned  # it came from this class's learned()
        self.workers = WORKERS_PER_SLOT * setting.max_concurrent
        self.limiter = RateLimiter(
            rpm=rpm,
            tpm=tpm,
            max_concurrent=setting.max_concurrent,
            sleep=asyncio.sleep,
            wait_for=asyncio.Event.wait,
            learned=learned,
        )
        if setting.connect_s is not None:
            self.limiter.on_connected(setting.connect_s)
        self._slots = asyncio.Semaphore(setting.max_concurrent)

    def hold_image(self) -> AbstractAsyncContextManager[object]:
        """Hold nothing but the worker."""
        return nullcontext()

    async def acquire(self, *, tokens: int, retry: bool) -> Permit:
        """Wait for a slot, then for a permit."""
        await self._slots.acquire()
        try:
            permit = await self.limiter.acquire(tokens=tokens, retry=retry)
        except BaseException:
            self._slots.release()
            raise
        return SlotPermit(permit, self._slots)

    def wait_s(self, advised_s: float, failures: int) -> float:  # noqa: ARG002
        """Take the advice."""
        return advised_s

    def limits_to_save(self) -> object:
        """Return what the limiter would store."""
        return self.limiter.limits_to_save()


@dataclass(slots=True)
class SlotPermit:
    """The limiter's permit and the slot that goes with it."""

    permit: Permit
    slots: asyncio.Semaphore

    def on_sent(self) -> None:
        """Pass it on."""
        self.permit.on_sent()

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Pass it on; the slot is free."""
        self.permit.on_success(input_tokens=input_tokens, seconds=seconds)
        self.slots.release()

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Pass it on; the slot is free, whatever the limiter makes of the failure."""
        try:
            self.permit.on_failure(failure, seconds=seconds, upload_bytes=upload_bytes)
        finally:
            self.slots.release()

    def release(self) -> None:
        """Pass it on; the slot is free."""
        self.permit.release()
        self.slots.release()
