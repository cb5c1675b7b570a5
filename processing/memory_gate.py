"""Memory gate: work on images starts when the memory that it takes is free, first come, first served.

With little memory fewer images are worked on at a time. The sizes are estimates: what is too large for all of
the memory starts alone, and decoding itself checks what is left (``utils.image_decoding``).
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

log = logging.getLogger(__name__)

MAX_BYTES: Final = 2_000_000_000
"""Images take no more at a time, however much memory there is, unless a single one needs more."""

_PROGRAM_BYTES: Final = 160_000_000
"""Left for the rest of the program; Google's SDK, for uploads of large images, takes about 60 MB of it."""


async def wait_for_event(event: asyncio.Event) -> None:
    """Wait until an event is set."""
    await event.wait()


class MemoryGate:
    """Bytes of memory that work on images may take at a time.

    Args:
        free_bytes: memory that may still be taken; None if unknown.
        bound: what bounds it, in words for the user.
        wait_for: waits for an event, or raises because the run stops.
    """

    def __init__(
        self,
        free_bytes: int | None = None,
        *,
        bound: str = "",
        wait_for: Callable[[asyncio.Event], Awaitable[None]] = wait_for_event,
    ) -> None:
        usable = MAX_BYTES if free_bytes is None else min(MAX_BYTES, max(1, free_bytes - _PROGRAM_BYTES))
        self.total_bytes = self._free = usable
        """What images may take together."""
        self._bound = bound
        self._wait_for = wait_for
        self._waiting: deque[tuple[int, asyncio.Event]] = deque()
        self._has_told = usable == MAX_BYTES

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold so much memory for the block, all of it if there is less; wait until it is free."""
        size = min(size_bytes, self.total_bytes)
        if self._waiting or size > self._free:
            await self._wait(size)
        else:
            self._free -= size
        try:
            yield
        finally:
            self._give_back(size)

    async def _wait(self, size: int) -> None:
        if not self._has_told:
            self._has_told = True
            log.info(
                "there is little memory (%s leaves %.0f MB for images): fewer images are worked on at a time",
                self._bound,
                self.total_bytes / 1e6,
            )
        event = asyncio.Event()
        self._waiting.append((size, event))
        try:
            await self._wait_for(event)
        except BaseException:
            if event.is_set():
                self._give_back(size)
            else:
                self._waiting.remove((size, event))
                self._admit()
            raise

    def _give_back(self, size: int) -> None:
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, event = self._waiting.popleft()
            self._free -= size
            event.set()
