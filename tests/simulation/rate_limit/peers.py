"""The usual clients, and how they pace themselves.

Fixed slots with exponential backoff, additive increase and multiplicative decrease of the slots, and a
token bucket with a configured limit, right or wrong. Each is written from its description alone and is as
considerate as that allows.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import ClassVar

from errors import ApiFailure, ErrorKind
from tests.simulation.rate_limit.policies import UNLIMITED_RETRIES, ClientSettings, Permit
from tests.simulation.rate_limit.scenarios import MINUTE_S, loop_clock

_BACKOFF_S = (2.0, 60.0)


@dataclass(slots=True)
class IgnoringPermit:
    """Permit that records nothing."""

    def on_sent(self) -> None:
        """Do nothing."""

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Do nothing."""

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


class UsualClient:
    """What the usual clients share: exponential backoff for each image by itself, and no memory."""

    is_lenient: ClassVar[bool] = False

    def __init__(self, rng: random.Random, *, workers: int, max_retries: int) -> None:
        self.workers = workers
        self.max_retries = max_retries
        self._rng = rng

    def hold_image(self) -> AbstractAsyncContextManager[object]:
        """Hold nothing but the worker."""
        return nullcontext()

    async def acquire(self, *, tokens: int, retry: bool) -> Permit:  # noqa: ARG002
        """Call at once."""
        return IgnoringPermit()

    def wait_s(self, advised_s: float, failures: int) -> float:  # noqa: ARG002
        """Double the wait from 2 to 60 s; the upper half of it is drawn."""
        shortest_s, longest_s = _BACKOFF_S
        upper_s = min(longest_s, shortest_s * 2.0 ** min(failures - 1, 10))
        return self._rng.uniform(upper_s / 2, upper_s)

    def limits_to_save(self) -> object:
        """Keep nothing."""
        return None


def five_slots(setting: ClientSettings) -> UsualClient:
    """Five slots, five tries: the usual script."""
    return UsualClient(setting.rng, workers=5, max_retries=4)


def fifty_slots(setting: ClientSettings) -> UsualClient:
    """Fifty slots, five tries: the usual script in a hurry."""
    return UsualClient(setting.rng, workers=50, max_retries=4)


@dataclass(slots=True)
class Slots:
    """A semaphore whose size may change; shrinking waits until slots come back."""

    size: float
    taken: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold one slot."""
        if self.taken >= int(self.size):
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        else:
            self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self.hand_out()

    def hand_out(self) -> None:
        """Give free slots to callers that wait."""
        while self.waiting and self.taken < int(self.size):
            turn = self.waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)


class AimdClient(UsualClient):
    """Slots between 10 and 100 from 20: doubled each round until the first rejection, then one more a round.

    A rejection removes a fifth of them, at most once in 15 s. An image keeps its slot while it backs off.
    """

    def __init__(self, setting: ClientSettings) -> None:
        super().__init__(setting.rng, workers=100, max_retries=UNLIMITED_RETRIES)
        self._slots = Slots(20.0)
        self._was_refused = False
        self._ignores_until_s = 0.0

    def hold_image(self) -> AbstractAsyncContextManager[object]:
        """Hold a slot."""
        return self._slots.hold()

    async def acquire(self, *, tokens: int, retry: bool) -> Permit:  # noqa: ARG002
        """Call at once."""
        return AimdPermit(self)

    def grow(self) -> None:
        """Count one clean answer."""
        step = 1.0 / self._slots.size if self._was_refused else 1.0
        self._slots.size = min(100.0, self._slots.size + step)
        self._slots.hand_out()

    def shrink(self) -> None:
        """Count one rejection."""
        self._was_refused = True
        if loop_clock() >= self._ignores_until_s:
            self._slots.size = max(10.0, self._slots.size * 0.8)
            self._ignores_until_s = loop_clock() + 15.0


@dataclass(slots=True)
class AimdPermit(IgnoringPermit):
    """Permit whose outcome changes the number of slots."""

    owner: AimdClient

    def on_success(self, *, input_tokens: int, seconds: float) -> None:  # noqa: ARG002
        """Grow."""
        self.owner.grow()

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:  # noqa: ARG002
        """Shrink on rejections; other failures say nothing about a limit."""
        if failure.kind is ErrorKind.RATE_LIMITED:
            self.owner.shrink()


@dataclass(slots=True)
class Bucket:
    """A whole minute's worth at the start, then a steady rate; takers may go into debt and wait."""

    per_minute: float
    level: float
    at_s: float = 0.0

    def debt_s(self, amount: float, now_s: float) -> float:
        """Take the amount; return when it will have been there, in seconds from now."""
        rate = self.per_minute / MINUTE_S
        self.level = min(self.per_minute, self.level + (now_s - self.at_s) * rate) - amount
        self.at_s = now_s
        return max(0.0, -self.level / rate)


class BucketClient(UsualClient):
    """A configured limit on requests and tokens, in both dimensions `factor` times the true one."""

    def __init__(self, setting: ClientSettings, factor: float) -> None:
        super().__init__(setting.rng, workers=setting.max_concurrent, max_retries=UNLIMITED_RETRIES)
        self._requests = _full_bucket(setting.right_rpm * factor)
        self._tokens = _full_bucket(setting.right_tpm * factor) if setting.right_tpm else None

    async def acquire(self, *, tokens: int, retry: bool) -> Permit:  # noqa: ARG002
        """Wait until both buckets have had enough."""
        now_s = loop_clock()
        waits_s = [self._requests.debt_s(1.0, now_s)]
        if self._tokens:
            waits_s.append(self._tokens.debt_s(tokens, now_s))
        await asyncio.sleep(max(waits_s))
        return IgnoringPermit()


def _full_bucket(per_minute: float) -> Bucket:
    return Bucket(per_minute=per_minute, level=per_minute)


def right_bucket(setting: ClientSettings) -> UsualClient:
    """A bucket with the true limits configured."""
    return BucketClient(setting, 1.0)


def doubled_bucket(setting: ClientSettings) -> UsualClient:
    """A bucket with twice the true limits configured."""
    return BucketClient(setting, 2.0)
