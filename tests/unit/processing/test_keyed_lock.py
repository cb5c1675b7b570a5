"""Rules of processing/duplicates.py."""

import asyncio

from processing.duplicates import Turns
from tests.support.virtual_loop import run_virtual


async def nothing(_: str) -> None:
    """Do nothing before a turn."""


def test_one_at_a_time_for_each_name_and_names_do_not_wait_for_each_other() -> None:
    """In the order in which they came."""
    seen: list[tuple[str, int, float]] = []

    async def user(turns: Turns, name: str, number: int) -> None:
        async with turns.of(name, before=nothing):
            seen.append((name, number, asyncio.get_running_loop().time()))
            await asyncio.sleep(1.0)

    async def all_of_them() -> None:
        turns = Turns()
        await asyncio.gather(*(user(turns, name, number) for number in range(3) for name in "ab"))

    run_virtual(all_of_them())
    assert seen == [(name, number, float(number)) for number in range(3) for name in "ab"]


def test_a_name_is_forgotten_when_nobody_wants_it() -> None:
    """Also after an error: a million names leave nothing behind."""

    async def fails(turns: Turns) -> None:
        async with turns.of("a", before=nothing):
            assert turns.users("a") == 1
            raise KeyError

    async def run() -> Turns:
        turns = Turns()
        await asyncio.gather(fails(turns), return_exceptions=True)
        return turns

    turns = run_virtual(run())
    assert turns.users("a") == 0
    assert not turns._turns


def test_who_comes_is_counted_before_the_first_thing_that_is_awaited() -> None:
    """So that the one that has the turn knows that somebody waits for it."""
    counts: list[int] = []

    async def run() -> None:
        turns = Turns()

        async def count(name: str) -> None:
            counts.append(turns.users(name))

        async with turns.of("a", before=count):
            waiting = asyncio.ensure_future(turns.of("a", before=count).__aenter__())
            await asyncio.sleep(1.0)
            waiting.cancel()

    run_virtual(run())
    assert counts == [1, 2]
