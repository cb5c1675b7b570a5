"""Which image has the next turn: a new one, or one that keeps failing and is to be tried with other words?

The naive answer takes each image to its end before the next. Then the first that fail pay for everything
that is to be learned about edits, and have used up their tries when it is known; and while they are
argued with, images that would be answered at once wait.

Here an image that is to see an edit steps aside until no new image is left, or the room is full. Then those
with the fewest calls go first, so that each learns from the round before. The room has a bound; an image in
it has no worker, no slot and no bytes. Nothing here is awaited, and nothing is known of calls or words.
"""

import heapq
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_WAITING = 512
"""Images that wait at a time; a few KB of memory each. After a kill, their calls are forgotten."""


class RetryQueue(Generic[T]):
    """Images that wait for their next round, each under a name of its own.

    Args:
        size: how many may wait at a time.
    """

    def __init__(self, capacity: int = MAX_WAITING) -> None:
        self._capacity = capacity
        self._waiting: dict[str, T] = {}
        self._order: list[tuple[int, int, str]] = []
        self._arrivals = count()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """True when somebody has to go before anybody else may come."""
        return len(self._waiting) >= self._capacity

    def push(self, key: str, image: T, *, calls: int) -> None:
        """Let an image wait that has had so many calls; nobody else of that name may be waiting."""
        if key in self._waiting:
            raise ValueError(f"{key} waits already")
        self._waiting[key] = image
        heapq.heappush(self._order, (calls, next(self._arrivals), key))

    def pop(self) -> T | None:
        """Let the one with the fewest calls go, of these the one that came first; None when nobody waits."""
        if not self._order:
            return None
        _, _, key = heapq.heappop(self._order)
        return self._waiting.pop(key)

    def remove(self, key: str) -> T | None:
        """Let this one go before its turn, if it waits."""
        image = self._waiting.pop(key, None)
        if image is not None:
            self._order = [place for place in self._order if place[2] != key]
            heapq.heapify(self._order)
        return image
