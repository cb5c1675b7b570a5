"""Rules of the virtual loop: exact time, a clock that waits for threads, an error for a deadlock."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from tests.support.virtual_loop import Deadlock, run_virtual

_REAL_S = 0.03
"""Real seconds that a thread works."""


def now_s() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


def test_a_coroutine_returns_its_result() -> None:
    """What the coroutine returns is returned."""

    async def main() -> str:
        return "done"

    assert run_virtual(main()) == "done"


def test_an_error_of_the_coroutine_comes_out() -> None:
    """An exception passes through unchanged."""

    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_virtual(main())


def test_the_clock_jumps_from_timer_to_timer_exactly() -> None:
    """Concurrent sleepers wake at exactly the sum of their sleeps, in order of time."""
    wakes: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps_s: float) -> None:
        for nap_s in naps_s:
            await asyncio.sleep(nap_s)
            wakes.append((name, now_s()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("a", 0.25, 0.25, 3600))
            group.create_task(sleeper("b", 0.4))

    run_virtual(main())

    assert wakes == [("a", 0.25), ("b", 0.4), ("a", 0.5), ("a", 3600.5)]


@pytest.mark.parametrize("start_s", [0.0, 1e6, 1e9], ids=["zero", "days", "decades"])
def test_the_clock_begins_where_it_is_told(start_s: float) -> None:
    """Time begins at the start given, and small sleeps still end where the clock is coarse."""

    async def main() -> tuple[float, float]:
        began_s = now_s()
        await asyncio.sleep(0.001)
        return began_s, now_s()

    assert run_virtual(main(), start_s=start_s) == (start_s, start_s + 0.001)


def test_timeouts_and_semaphores_live_on_virtual_time() -> None:
    """Two slots serve four jobs of ten seconds in twenty; a deadline cuts what takes longer."""

    async def job(slots: asyncio.Semaphore, ends_s: list[float]) -> None:
        async with slots:
            await asyncio.sleep(10)
        ends_s.append(now_s())

    async def main() -> list[float]:
        ends_s: list[float] = []
        slots = asyncio.Semaphore(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(25):
                await asyncio.gather(*(job(slots, ends_s) for _ in range(6)))
        return [*ends_s, now_s()]

    assert run_virtual(main()) == [10, 10, 20, 20, 25]


def test_the_clock_holds_still_while_a_thread_works() -> None:
    """A thread's real work takes no virtual time, however near the next timer is."""

    async def main() -> tuple[float, float]:
        nap = asyncio.create_task(asyncio.sleep(1e-6))
        await asyncio.to_thread(threading.Event().wait, _REAL_S)
        after_thread_s = now_s()
        await nap
        return after_thread_s, now_s()

    assert run_virtual(main()) == (0.0, 1e-6)


def test_a_cancelled_await_does_not_free_the_clock() -> None:
    """The clock also waits for a thread whose result is not awaited any more."""
    ended = threading.Event()

    def work() -> None:
        threading.Event().wait(_REAL_S)
        ended.set()

    async def main() -> bool:
        job = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        job.cancel()
        await asyncio.sleep(5)
        return ended.is_set()

    assert run_virtual(main())


def test_a_thread_that_outlives_the_coroutine_is_waited_for() -> None:
    """The loop closes after its threads, so nothing calls into a closed loop."""
    ended = threading.Event()

    def work() -> None:
        threading.Event().wait(_REAL_S)
        ended.set()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)

    run_virtual(main())

    assert ended.is_set()


def test_an_error_in_a_thread_comes_out() -> None:
    """What a thread raises is raised at the await."""

    async def main() -> None:
        await asyncio.to_thread(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run_virtual(main())


async def _wait_for_nobody() -> None:
    await asyncio.Event().wait()


async def _wait_for_each_other() -> None:
    lock = asyncio.Lock()
    async with lock, lock:
        """Never reached."""


async def _wait_after_sleeping() -> None:
    await asyncio.sleep(7)
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("wait", [_wait_for_nobody, _wait_for_each_other, _wait_after_sleeping])
def test_a_deadlock_is_an_error_that_names_the_place(wait: Callable[[], Awaitable[None]]) -> None:
    """Where real asyncio would wait forever, the error says which coroutine waits."""

    async def main() -> None:
        await wait()

    with pytest.raises(Deadlock, match=rf"nothing can run any more at \d.* waits in main .*{__name__[6:]}"):
        run_virtual(main())


def test_a_deadlock_still_runs_the_cleanup() -> None:
    """After a deadlock every task is cancelled, so that files and sockets are closed."""
    cleaned: list[str] = []

    async def main() -> None:
        try:
            await _wait_for_nobody()
        finally:
            cleaned.append("main")

    with pytest.raises(Deadlock):
        run_virtual(main())

    assert cleaned == ["main"]


def test_a_thread_that_waits_for_the_loop_is_an_error() -> None:
    """A thread that waits for virtual time to pass would stop the clock forever: an error, no hang."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(1), loop).exception())

    with pytest.raises(Deadlock, match=r"a thread kept the loop waiting for 0\.05 real seconds"):
        run_virtual(main(), thread_limit_s=0.05)
