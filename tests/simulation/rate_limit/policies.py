"""When may a client call, and when may it try again?

The port that the simulation plays clients through, ours and the usual ones alike, and what they are
told about the world. A usual client is given what its users give it: slots, or a limit to keep to.
Must not know the scenario's quotas beyond that.
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
    """Leave for one call; exactly one of the three endings follows."""

    def on_sent(self) -> None:
        """Hear that the call begins."""

    def on_success(self, *, input_tokens: int, seconds: float) -> None:
        """Hear that it was answered."""

    def on_failure(self, failure: ApiFailure, *, seconds: float, upload_bytes: int = 0) -> None:
        """Hear that it failed."""

    def release(self) -> None:
        """Hear that there will be no call."""


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
        """Tell whether a refusal counts against an image only when nothing was accepted meanwhile."""

    def hold_image(self) -> AbstractAsyncContextManager[object]:
        """Return what an image holds from its first try to its last, waits included."""

    async def acquire(self, *, tokens: int, retry: bool) -> Permit:
        """Return when a call of so many estimated tokens may begin."""

    def wait_s(self, advised_s: float, failures: int) -> float:
        """Return the wait before the next try, where the program's own retry rule advises another."""

    def limits_to_save(self) -> object:
        """Return what the next night may start from; None for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What a client is told."""

    max_concurrent: int
    right_rpm: float
    """The true limits, for clients that must be told; what others take is not known to anybody."""
    right_tpm: float | None
    rng: random.Random
    connect_s: float | None = None
    """How long it takes to reach the service; None where nobody knows."""
    learned: object = None
    """What the same policy returned the night before."""


PolicyFactory = Callable[[ClientSettings], Policy]
