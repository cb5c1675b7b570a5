"""Rules of processing/memory_gate.py: never more at a time than fits, in the order of coming."""

import asyncio
import logging
from collections.abc import Callable
from random import Random

import pytest

from errors import FatalError, StopReason
from processing.memory_gate import MAX_BYTES, MemoryGate
from processing.stop_signal import RunStoppedError, StopSignal

_RESERVE = 160_000_000


def gate(total: int, stop: StopSignal | None = None) -> MemoryGate:
    """Return a gate for so many bytes."""
    if stop is None:
        return MemoryGate(total + _RESERVE, bound="a test")
    return MemoryGate(total + _RESERVE, bound="a test", wait_for=stop.wait_for)


async def use(memory: MemoryGate, size: int, on_change: Callable[[int], None]) -> None:
    """Hold some memory for some turns of the loop."""
    async with memory.hold(size):
        on_change(size)
        for _ in range(3):
            await asyncio.sleep(0)
        on_change(-size)


@pytest.mark.parametrize("seed", range(5))
def test_never_more_than_there_is_is_held(seed: int) -> None:
    """However work comes, its sizes together fit, and all of it is done."""
    random, held, most, done = Random(seed), 0, 0, 0

    def on_change(size: int) -> None:
        nonlocal held, most, done
        held += size
        most = max(most, held)
        done += size < 0

    async def scenario() -> None:
        memory = gate(100)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(200):
                tasks.create_task(use(memory, random.randrange(1, 100), on_change))

    asyncio.run(scenario())

    assert done == 200
    assert 60 < most <= 100


def test_what_is_too_large_goes_alone() -> None:
    """Work that needs more than there is waits until nothing else is held, and holds all of it."""
    order: list[str] = []

    async def work(memory: MemoryGate, name: str, size: int) -> None:
        async with memory.hold(size):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async def scenario() -> None:
        memory = gate(100)
        async with asyncio.TaskGroup() as tasks:
            for name, size in (("a", 50), ("giant", 10_000), ("b", 1)):
                tasks.create_task(work(memory, name, size))

    asyncio.run(scenario())

    assert order == ["a begins", "a ends", "giant begins", "giant ends", "b begins", "b ends"]


def test_work_that_is_cancelled_gives_its_memory_back() -> None:
    """Whoever stops waiting, before or just after its turn came, holds up nobody."""

    async def scenario() -> bool:
        memory = gate(100)
        for _ in range(20):
            async with memory.hold(100):
                waiting = [asyncio.create_task(use(memory, 100, lambda _: None)) for _ in range(3)]
                await asyncio.sleep(0)
                waiting[0].cancel()
            waiting[1].cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(1), memory.hold(100):
            return True

    assert asyncio.run(scenario())


def test_a_stop_ends_the_wait() -> None:
    """Who waits for memory when the run stops hears of it at once."""

    async def scenario() -> None:
        stop = StopSignal()
        memory = gate(100, stop)
        async with memory.hold(100):
            waiting = asyncio.create_task(use(memory, 1, lambda _: None))
            await asyncio.sleep(0)
            stop.request(FatalError(StopReason.TERMINATED, "enough"))
            with pytest.raises(RunStoppedError):
                await waiting
        assert memory.total_bytes == 100

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("free", "total", "is_told"),
    [
        (None, MAX_BYTES, False),
        (100 * MAX_BYTES, MAX_BYTES, False),
        (200_000_000, 40_000_000, True),
        (0, 1, True),
    ],
)
def test_little_memory_is_told_once(
    free: int | None, total: int, caplog: pytest.LogCaptureFixture, *, is_told: bool
) -> None:
    """A sentence says that fewer images are worked on, when the first has to wait, and what the bound is."""

    async def scenario() -> MemoryGate:
        memory = MemoryGate(free, bound="ulimit -v")
        for _ in range(2):
            async with asyncio.TaskGroup() as tasks, memory.hold(memory.total_bytes):
                tasks.create_task(use(memory, 1, lambda _: None))
                await asyncio.sleep(0)
        return memory

    with caplog.at_level(logging.INFO):
        memory = asyncio.run(scenario())

    told = [record.getMessage() for record in caplog.records]
    assert memory.total_bytes == total
    assert len(told) == is_told
    assert all("ulimit -v leaves" in line and "fewer images" in line for line in told)
