"""Rules of utils/steady_loop.py: time in which the process did not run is no time for timers."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from utils.steady_loop import STOPPED_FROM_S, SteadyLoop, stopped_s


class Clocks:
    """Two clocks that a test moves on beside the real time."""

    def __init__(self) -> None:
        self.stopped_s = 0.0
        """Seconds of a stop that the clock counts."""
        self.slept_s = 0.0
        """Seconds of a sleep that only the boot clock counts."""

    def clock(self) -> float:
        """Return the seconds of a clock that stands still while the machine sleeps."""
        return time.monotonic() + self.stopped_s  # noqa: TID251 - the real clock, and a stop

    def boot_clock(self) -> float:
        """Return the seconds of a clock that goes on."""
        return self.clock() + self.slept_s


def run_steady(scenario: Callable[[Clocks], Awaitable[float]]) -> float:
    """Run a scenario on a steady loop."""
    clocks = Clocks()
    loop = SteadyLoop(clock=clocks.clock, boot_clock=clocks.boot_clock)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:

        async def main() -> float:
            return await scenario(clocks)

        return runner.run(main())


@pytest.mark.parametrize("stop_s", [6.0, 28.0, 100_000.0])
@pytest.mark.parametrize("where", ["while it computes", "while it waits", "while it waits for long"])
def test_a_stop_is_no_time(stop_s: float, where: str) -> None:
    """Timers fire after as much running time as they asked for, and what lies ready is read before."""

    async def scenario(clocks: Clocks) -> float:
        def stop() -> None:
            clocks.stopped_s += stop_s
            theirs.send(b"answer")

        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the library's signature
        with ours, theirs:
            begun_s = loop.time()
            if where == "while it computes":
                loop.call_soon(stop)
            else:
                threading.Timer(0.05, stop).start()
            async with asyncio.timeout(5.0 if where == "while it waits" else 900.0):
                assert await loop.sock_recv(ours, 100) == b"answer"
            return loop.time() - begun_s

    assert run_steady(scenario) < STOPPED_FROM_S


def test_a_timer_is_not_overdue_after_a_stop() -> None:
    """A wait of some time takes that time although a stop came in between."""

    async def scenario(clocks: Clocks) -> float:
        begun_s = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(0.05, setattr, clocks, "stopped_s", 60.0)
        await asyncio.sleep(0.2)
        return asyncio.get_running_loop().time() - begun_s

    assert 0.2 <= run_steady(scenario) < STOPPED_FROM_S


@pytest.mark.parametrize(
    ("stopped", "slept", "expected"),
    [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (30.0, 0.0, 30.0), (0.0, 3_600.0, 3_600.0), (30.0, 3_600.0, 3_630.0)],
)
def test_how_long_it_did_not_run(stopped: float, slept: float, expected: float) -> None:
    """Stops and sleeps add up; a loop that comes somewhat late was busy."""

    async def scenario(clocks: Clocks) -> float:
        before_s = stopped_s()
        clocks.stopped_s += stopped
        clocks.slept_s += slept
        await asyncio.sleep(0.01)
        return stopped_s() - before_s

    assert run_steady(scenario) == pytest.approx(expected, abs=1.0)


def test_another_loop_knows_of_no_stop() -> None:
    """On any other loop nothing is known."""

    async def scenario() -> float:
        return stopped_s()

    assert asyncio.run(scenario()) == 0.0
