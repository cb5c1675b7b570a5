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
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """One turn at a time for each name."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def users(self, name: str) -> int:
        """Return how many hold or await the turn of a name."""
        turn = self._turns.get(name)
        return turn.users if turn else 0

    @asynccontextmanager
    async def of(self, name: str, *, before: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """Hold the turn of a name; ``before`` is awaited first, when this user is counted already."""
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            await before(name)
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]


REMEMBERED: Final = 1_000


class Lately:
    """Remembers the last names."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._names: deque[str] = deque(maxlen=remembered)
        self._remembered = remembered
        self.now = 0
        """The present moment: how many names were heard until now."""

    def add(self, name: str) -> None:
        """Hear that something of this name happened."""
        self._names.appendleft(name)
        self.now += 1

    def may_hold(self, name: str, since: int) -> bool:
        """Return False where nothing of this name happened since that moment, for certain."""
        heard = self.now - since
        return heard > self._remembered or name in islice(self._names, heard)
