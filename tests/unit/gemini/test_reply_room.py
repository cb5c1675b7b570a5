"""Rules of gemini/reply_room.py: all replies together have a bound, and none waits for ever."""

import asyncio
import random

import pytest

from gemini.reply_room import ReplyLease, ReplyRoom
from tests.support.virtual_loop import run_virtual

_MB = 2**20


@pytest.mark.parametrize("seed", range(5))
def test_all_replies_together_have_a_bound(seed: int) -> None:
    """However long they become and in whatever order; one at a time goes beyond it, and all end."""
    rng = random.Random(seed)
    room = ReplyRoom(16 * _MB)
    held: dict[int, int] = {}
    totals: list[int] = []

    async def read(number: int, size: int) -> None:
        try:
            with ReplyLease(room) as lease:
                for part in range(_MB // 2, size + 1, _MB // 2):
                    await lease.grow(part)
                    held[number] = part
                    totals.append(sum(held.values()))
                    await asyncio.sleep(rng.random())
                if rng.random() < 0.1:
                    raise ValueError
        finally:
            held.pop(number, None)

    async def play() -> None:
        sizes = [rng.choice((1, 3, 10, 40)) * _MB for _ in range(60)]
        reads = (read(number, size) for number, size in enumerate(sizes))
        await asyncio.gather(*reads, return_exceptions=True)

    run_virtual(play())

    assert max(totals) <= (16 + 40) * _MB
    assert room.free_bytes == 16 * _MB
    assert not room.turn.locked()


def test_a_cancelled_reply_gives_its_room_back() -> None:
    """While it waits for its turn as well."""

    async def play() -> ReplyRoom:
        room = ReplyRoom(_MB)
        with ReplyLease(room) as first:
            await first.grow(5 * _MB)

            async def second() -> None:
                with ReplyLease(room) as lease:
                    await lease.grow(_MB // 2)
                    await lease.grow(3 * _MB)

            waiting = asyncio.create_task(second())
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return room

    room = run_virtual(play())

    assert room.free_bytes == _MB
    assert not room.turn.locked()
