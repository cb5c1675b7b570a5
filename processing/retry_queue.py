"""Queue of images that keep failing and wait for their next round of calls.

New images go first, then those with the fewest calls, so that each prompt edit is chosen with what the round
before taught. An image in the queue holds no worker, no slot and no bytes.
"""

import heapq
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_WAITING = 512
"""A few KB of memory for each image; after a kill, the calls of all of them are forgotten."""


class RetryQueue(Generic[T]):
    """Priority queue of images by key; fewest calls first, then first come first served.

    Args:
        capacity: how many images may wait at a time.
    """

    def __init__(self, capacity: int = MAX_WAITING) -> None:
        self._capacity = capacity
        self._waiting: dict[str, T] = {}
        self._order: list[tuple[int, int, str]] = []
        self._arrivals = count()

    def __len__(self) -> int:
        """Return the number of waiting images."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """True if an image has to be popped before the next push."""
        return len(self._waiting) >= self._capacity

    def push(self, key: str, image: T, *, calls: int) -> None:
        """Add an image that has had so many calls; raise ValueError if its key waits already."""
        if key in self._waiting:
            raise ValueError(f"{key} waits already")
        self._waiting[key] = image
        heapq.heappush(self._order, (calls, next(self._arrivals), key))

    def pop(self) -> T | None:
        """Remove and return the image with the fewest calls; None if the queue is empty."""
        if not self._order:
            return None
        _, _, key = heapq.heappop(self._order)
        return self._waiting.pop(key)

    def remove(self, key: str) -> T | None:
        """Remove and return the image of a key before its turn; None if it does not wait."""
        image = self._waiting.pop(key, None)
        if image is not None:
            self._order = [place for place in self._order if place[2] != key]
            heapq.heapify(self._order)
        return image
