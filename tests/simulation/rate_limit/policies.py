"""Interface of the clients that the simulation plays, and what they know about the world.

A usual client is given what its users give it: slots, or a limit to keep to.
"""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from errors import ApiFailure

UNLIMITED_RETRIES = 1_000_000
"""More retries than twenty minutes hold."""


class Permit(Protocol):
    """Permit for one call; exactly one of the three endings follows."""

    def on_sent(self) -> None:
        """Record that the call begins."""

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Record that it was answered."""

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Record that it failed."""

    def release(self) -> None:
        """Record that there will be no call."""


class Policy(Protocol):
    """One client's way to pace its calls."""

    @property
    def workers(self) -> int:
        """Return how many images are under way at most."""

    @property
    def max_retries(self) -> int:
        """Return how many failures an image survives."""

    @property
    def is_lenient(self) -> bool:
        """Return whether a rejection counts against an image only when nothing was accepted meanwhile."""

    def hold_image(self) -> AbstractAsyncContextManager[object]:
        """Return what an image holds from its first try to its last, waits included."""

    async def acquire(self, *, tokens: int, retry: bool) -> Permit:
        """Return when a call of so many estimated tokens may begin."""

    def wait_s(self, advised_s: float, failures: int) -> float:
        """Return the wait before the next try, where the program's own retry rule advises another."""

    def limits_to_save(self) -> object:
        """Return what the next run may start from; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Settings of a client."""

    max_concurrent: int
    right_rpm: float
    """The true limits, for clients that need them; what other clients use is unknown to all."""
    right_tpm: float | None
    rng: random.Random
    connect_s: float | None = None
    """How long it takes to connect to the service; None if unknown."""
    learned: object = None
    """What the same policy returned after the run before; None if unknown."""


PolicyFactory = Callable[[ClientSettings], Policy]
