"""Has something of this name happened since a moment ago?

Who looked at a moment ago and found nothing need not look again, unless something happened since. To
remember all that ever happened takes memory without end; so only the last names are remembered, and of a
moment before them nothing is known. This file must not know what happens.
"""

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
    """One turn at a time for each name."""

    def __init__(self) -> None:
        self._entries: dict[str, _LockEntry] = {}

    def count_users(self, key: str) -> int:
        """Return how many hold or await the turn of a name."""
        entry = self._entries.get(key)
        return entry.user_count if entry else 0

    @asynccontextmanager
    async def hold(self, key: str, *, on_registered: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """Hold the turn of a name; ``before`` is awaited first, when this user is counted already."""
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
    """Remembers the last names."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._keys: deque[str] = deque(maxlen=capacity)
        self._capacity = capacity
        self.position = 0
        """The present moment: how many names were heard until now."""

    def add(self, key: str) -> None:
        """Hear that something of this name happened."""
        self._keys.appendleft(key)
        self.position += 1

    def maybe_added_since(self, key: str, position: int) -> bool:
        """Return False where nothing of this name happened since that moment, for certain."""
        added = self.position - position
        return added > self._capacity or key in islice(self._keys, added)
