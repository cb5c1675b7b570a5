"""Copies of one image: they wait for the first, and are looked up only if one was just finished."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final


@dataclass(slots=True)
class _LockEntry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    user_count: int = 0


class KeyedLock:
    """Locks by key; a key without users takes no memory."""

    def __init__(self) -> None:
        self._entries: dict[str, _LockEntry] = {}

    def count_users(self, key: str) -> int:
        """Return how many users hold or await the lock of a key."""
        entry = self._entries.get(key)
        return entry.user_count if entry else 0

    @asynccontextmanager
    async def hold(self, key: str, *, on_registered: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """Wait for the lock of a key and hold it during the block.

        ``on_registered`` is awaited before, when ``count_users`` counts this user already.
        """
        entry = self._entries.setdefault(key, _LockEntry())
        entry.user_count += 1
        try:
            await on_registered(key)
            async with entry.lock:
                yield
        finally:
            entry.user_count -= 1
            if not entry.user_count:
                del self._entries[key]


CAPACITY: Final = 1_000


class RecentKeys:
    """Bounded memory of recently finished keys; may report false positives, never false negatives."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._keys: deque[str] = deque(maxlen=capacity)
        self._capacity = capacity
        self.position = 0
        """Number of keys added so far; pass it to ``maybe_added_since``."""

    def add(self, key: str) -> None:
        """Record a finished key."""
        self._keys.appendleft(key)
        self.position += 1

    def maybe_added_since(self, key: str, position: int) -> bool:
        """Return False only if the key was certainly not added since ``position``."""
        added = self.position - position
        return added > self._capacity or key in islice(self._keys, added)
