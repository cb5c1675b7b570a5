"""Guard of the output directory: a run that is no longer alone in it stops before it pays for more.

The lock is a file. Where it is removed or replaced during the run (a cleanup, a sync, a restore), a second
run can begin, and both would pay for the same images.
"""

import asyncio

from errors import FatalError, StopReason
from processing.stop_signal import StopSignal
from utils.held_lock import HeldLock

_INTERVAL_S = 0.25
"""Between two looks at the lock while calls are made; a share that hangs holds a thread, not the loop."""


class OutputGuard:
    """Check of the lock before each group of answers, and all the while that calls are made.

    Args:
        lock: of the output directory.
        stop: ends the run early.
    """

    def __init__(self, lock: HeldLock, stop: StopSignal) -> None:
        self._lock = lock
        self._stop = stop
        self.is_lost = False

    def check(self) -> bool:
        """Return False if another run may have begun; in any thread."""
        self.is_lost = self.is_lost or self._lock.is_lost()
        return not self.is_lost

    def stop_if_lost(self) -> None:
        """Stop the run if a check has found that another one may have begun; call it in the event loop."""
        if self.is_lost:
            self._stop.request(FatalError(StopReason.LOCK_LOST, self.describe()))

    async def watch(self) -> None:
        """Check until the run stops."""
        while not self.is_lost:
            await asyncio.to_thread(self.check)
            self.stop_if_lost()
            await asyncio.sleep(_INTERVAL_S)

    def describe(self) -> str:
        """Return what happened, for the user."""
        return (
            f"{self._lock.path} was removed or replaced during the run, so that another run can begin here:"
            " no further image is asked about; every answer that was paid for is kept"
        )
