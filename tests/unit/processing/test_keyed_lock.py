"""Rules of processing/duplicates.py."""

import asyncio

from processing.duplicates import KeyedLock
from tests.support.virtual_loop import run_virtual


async def nothing(_: str) -> None:
    """Do nothing before a turn."""


def test_one_at_a_time_for_each_name_and_names_do_not_wait_for_each_other() -> None:
    """In the order in which they came."""
    seen: list[tuple[str, int, float]] = []

    async def user(locks: KeyedLock, name: str, number: int) -> None:
        async with locks.hold(name, on_registered=nothing):
            seen.append((name, number, asyncio.get_running_loop().time()))
            await asyncio.sleep(1.0)

    async def all_of_them() -> None:
        locks = KeyedLock()
        await asyncio.gather(*(user(locks, name, number) for number in range(3) for name in "ab"))

    run_virtual(all_of_them())
    assert seen == [(name, number, float(number)) for number in range(3) for name in "ab"]


def test_a_key_is_forgotten_when_unused() -> None:
    """Also after an error: a million names leave nothing behind."""

    async def fails(locks: KeyedLock) -> None:
        async with locks.hold("a", on_registered=nothing):
            assert locks.count_users("a") == 1
            raise KeyError

    async def run() -> KeyedLock:
        locks = KeyedLock()
        await asyncio.gather(fails(locks), return_exceptions=True)
        return locks

    locks = run_virtual(run())
    assert locks.count_users("a") == 0
    assert not locks._entries


def test_a_user_is_counted_before_the_first_await() -> None:
    """The holder of a lock can see that another user waits for it."""
    counts: list[int] = []

    async def run() -> None:
        locks = KeyedLock()

        async def count(name: str) -> None:
            counts.append(locks.count_users(name))

        async with locks.hold("a", on_registered=count):
            waiting = asyncio.ensure_future(locks.hold("a", on_registered=count).__aenter__())
            await asyncio.sleep(1.0)
            waiting.cancel()

    run_virtual(run())
    assert counts == [1, 2]
