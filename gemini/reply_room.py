"""Reply room: memory for the replies of all calls together, so that they do not fill the machine.

Short replies are not counted. A long one takes its room piece by piece as it is read, and gives it back when
it is parsed; when there is none left, one reply at a time is read to its end, and the others wait unread.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

TOTAL_BYTES: Final = 2**27
"""Room of all replies; ten pictures of 10 MB as they are sent."""
_STEP_BYTES: Final = 2**20


class ReplyRoom:
    """Room of one client.

    Args:
        total_bytes: for all replies that are read at a time, beside the one that may always go on.
    """

    def __init__(self, total_bytes: int = TOTAL_BYTES) -> None:
        self.free_bytes = total_bytes
        self.turn = asyncio.Lock()
        """Held by the reply that is read to its end though no room is free."""


class ReplyLease:
    """Room that one reply takes; give it back by leaving the ``with`` block."""

    def __init__(self, room: ReplyRoom) -> None:
        self._room = room
        self._held_bytes = 0
        self._has_turn = False

    def __enter__(self) -> Self:
        """Return itself, without any room."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the room back."""
        self._room.free_bytes += self._held_bytes
        self._held_bytes = 0
        if self._has_turn:
            self._has_turn = False
            self._room.turn.release()

    async def grow(self, size_bytes: int) -> None:
        """Take room for a reply of so many bytes; wait for it if there is none, and others have it."""
        if self._has_turn or size_bytes <= self._held_bytes:
            return
        more = -(-(size_bytes - self._held_bytes) // _STEP_BYTES) * _STEP_BYTES
        if more <= self._room.free_bytes:
            self._room.free_bytes -= more
            self._held_bytes += more
            return
        await self._room.turn.acquire()
        self._has_turn = True
