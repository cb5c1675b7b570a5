"""Who goes first among those that want the same thing, and who still wants it?

The naive answer keeps one lock for each name, for ever: a million images are a million locks. Here a name is
forgotten as soon as nobody holds or awaits its turn. Nothing is known of what a name stands for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


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
