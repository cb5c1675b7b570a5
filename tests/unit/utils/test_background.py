"""Rules of utils/background.py."""

import asyncio

import pytest

from tests.support.virtual_loop import run_virtual
from utils.background import running


def test_the_work_goes_on_while_the_block_does() -> None:
    """The work runs beside the block, and no longer."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1.0)

    async def scenario() -> None:
        async with running(tick()):
            await asyncio.sleep(2.5)
        await asyncio.sleep(10.0)

    run_virtual(scenario())
    assert ticks == [0.0, 1.0, 2.0]


def test_the_block_ends_after_what_the_work_does_at_its_end() -> None:
    """Cancelled work may still await something; the block waits for that."""
    events: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(5.0)
            events.append("work ended")

    async def scenario() -> float:
        async with running(work()):
            await asyncio.sleep(1.0)
        events.append("block ended")
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 6.0
    assert events == ["work ended", "block ended"]


def test_work_that_is_done_before_the_block_holds_nothing_up() -> None:
    """The end of the work is not the end of the block."""

    async def work() -> None:
        await asyncio.sleep(1.0)

    async def scenario() -> float:
        async with running(work()):
            await asyncio.sleep(3.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 3.0


def test_an_exception_of_the_work_is_raised_at_the_end_of_the_block() -> None:
    """A bug in background work is not swallowed."""

    async def work() -> None:
        raise ValueError("a bug")

    async def scenario() -> None:
        async with running(work()):
            await asyncio.sleep(3.0)

    with pytest.raises(ValueError, match="a bug"):
        run_virtual(scenario())


def test_an_exception_of_the_block_ends_the_work_and_is_raised() -> None:
    """The work is over before the exception goes on."""
    is_over = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            is_over.set()

    async def scenario() -> None:
        async with running(work()):
            await asyncio.sleep(1.0)
            raise KeyError("of the block")

    with pytest.raises(KeyError, match="of the block"):
        run_virtual(scenario())
    assert is_over.is_set()


def test_a_cancelled_caller_waits_for_the_work_and_is_cancelled() -> None:
    """A cancellation that arrives while the block waits for its work is neither lost nor early."""
    events: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            await asyncio.sleep(5.0)
            events.append("work ended")

    async def caller() -> None:
        async with running(work()):
            await asyncio.sleep(1.0)
        events.append("block ended")

    async def scenario() -> float:
        task = asyncio.create_task(caller())
        await asyncio.sleep(2.0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 6.0
    assert events == ["work ended"]
