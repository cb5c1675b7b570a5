"""Steady event loop: its clock stands still while the process does not run.

A stopped process (SIGSTOP, Ctrl-Z, a paused container or machine) wakes up with all its timers overdue, and
would give up answers that lie ready in its sockets, and blame the service. See docs/adr/0005.
"""

import asyncio
import logging
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import cast

from utils.threads import FrugalThreads

_log = logging.getLogger(__name__)

STOPPED_FROM_S = 5.0
"""A loop that comes so much later than planned was not just busy: nothing in it takes so long."""

_MAX_WAIT_S = 1.0
"""Longest wait at a time, because of a longer one it is unknown how much of it the process was stopped."""


def _read_boot_clock() -> float:
    """Return seconds since the boot, those included in which the machine slept."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SteadyLoop(asyncio.SelectorEventLoop):
    """Event loop whose clock leaves out the time in which the process did not run.

    Args:
        clock: seconds that stand still while the machine sleeps, if the system can tell.
        boot_clock: seconds that go on meanwhile.
    """

    _closed = True
    """Until it is made: a signal may come in the middle of that."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,  # noqa: TID251 - the clock itself
        boot_clock: Callable[[], float] = _read_boot_clock,
    ) -> None:
        self._clock, self._boot_clock = clock, boot_clock
        self._seen_s = clock()
        self._expected_s = 0.0
        """Seconds until the clock is read next, as far as the loop knows."""
        self._lost_s = 0.0
        self._threads: Executor | None = None
        self._offset_s = boot_clock() - clock()
        super().__init__(_Selector(self._expect, self.time))

    def time(self) -> float:
        """Return the seconds in which the process ran."""
        now_s = self._clock()
        overdue_s = now_s - self._seen_s - self._expected_s
        self._seen_s, self._expected_s = now_s, 0.0
        if overdue_s > STOPPED_FROM_S:
            self._lost_s += overdue_s
            if self.is_running():
                self.call_soon(_log.info, "the program was stopped for %.0f seconds: no outage", overdue_s)
        return now_s - self._lost_s

    def set_default_executor(self, executor: Executor) -> None:
        """Use these threads for blocking work."""
        self._threads = executor
        super().set_default_executor(cast("ThreadPoolExecutor", executor))  # all that asyncio takes

    async def shutdown_default_executor(self, _timeout: float | None = None) -> None:
        """End the loop's threads without waiting for work that nothing awaits any more.

        The standard library waits for it in a thread of its own, which may be refused.
        """
        if isinstance(self._threads, FrugalThreads):
            self._threads.abandon()

    def stopped_s(self) -> float:
        """Return the seconds so far in which the process was stopped or the machine slept."""
        return self._lost_s + self._boot_clock() - self._clock() - self._offset_s

    def _expect(self, wait_s: float) -> None:
        self.time()
        self._expected_s = wait_s


class _Selector(selectors.DefaultSelector):
    """A selector that announces each wait, and reads the clock after it."""

    def __init__(self, expect: Callable[[float], None], read_clock: Callable[[], float]) -> None:
        super().__init__()
        self._expect, self._read_clock = expect, read_clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, not longer than ``_MAX_WAIT_S``: the loop then waits again."""
        wait_s = _MAX_WAIT_S if timeout is None else min(max(0.0, timeout), _MAX_WAIT_S)
        self._expect(wait_s)
        try:
            return super().select(wait_s)
        finally:
            self._read_clock()


def stopped_s() -> float:
    """Return the seconds so far in which the process of the running loop did not run; 0.0 if unknown."""
    loop = asyncio.get_running_loop()
    return loop.stopped_s() if isinstance(loop, SteadyLoop) else 0.0
