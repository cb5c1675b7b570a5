"""Signals while a run is at work: the first stops it, the second cancels it, others report or reopen."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from errors import ExitCode, FatalError, StopReason
from processing.stop_signal import StopSignal
from utils.logger import reopen_log_file

log = logging.getLogger(__name__)


_MARGIN_S = 1.0
"""Time for documents, after the grace, of a run that was cancelled; then the process leaves."""


class LeftError(KeyboardInterrupt):
    """The run did not end in time after a second signal, so the process leaves with work undone."""

    def __init__(self, code: ExitCode, name: str) -> None:
        super().__init__(name)
        self.code = code
        self.line = (
            f"stopped by {name}: something that cannot be ended (a disk, a decoder) did not end in time, so"
            " the documents of this run may be missing; every answer that stands is kept. Next: run the same"
            f" command again to go on. (exit code {code:d})"
        )


@asynccontextmanager
async def stop_on_signals(
    stop: StopSignal, *, grace_s: float, describe_progress: Callable[[], str]
) -> AsyncIterator[None]:
    """Stop the block on SIGINT and SIGTERM; a block that was cancelled for it ends without an exception.

    The handlers stay after the block, so that no first signal cuts off the documents that follow. After a
    second one the process leaves at last: ``LeftError`` is raised through the event loop.

    Args:
        stop: ends the block early.
        grace_s: how long calls in flight may go on after the first signal before they are cancelled.
        describe_progress: returns the line that SIGUSR1 prints.
    """
    loop, canceller = asyncio.get_running_loop(), _Canceller(stop, grace_s)
    loop.add_signal_handler(signal.SIGINT, canceller.on_signal, StopReason.INTERRUPTED, "Ctrl-C")
    loop.add_signal_handler(signal.SIGTERM, canceller.on_signal, StopReason.TERMINATED, "SIGTERM")
    loop.add_signal_handler(signal.SIGHUP, reopen_log_file)
    loop.add_signal_handler(signal.SIGUSR1, lambda: sys.stderr.write(f"{describe_progress()}\n"))
    try:
        yield
    except asyncio.CancelledError:
        if stop.cause is None:
            raise
        canceller.uncancel()
    finally:
        canceller.close()


class _Canceller:
    """Requests the stop of the current task's block on the first signal, and cancels it on the second."""

    def __init__(self, stop: StopSignal, grace_s: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a block that signals can stop needs a task")
        self._task = task
        self._stop = stop
        self._grace_s = grace_s
        self._grace: asyncio.TimerHandle | None = None
        """None before the first signal: a run that stops for another reason gives its calls the grace too."""
        self._is_closed = False
        self._signal_count = 0

    def on_signal(self, reason: StopReason, name: str) -> None:
        self._signal_count += 1
        if self._signal_count == 2:
            loop = asyncio.get_running_loop()
            loop.call_later(self._grace_s + _MARGIN_S, _leave, reason, name)
        if self._is_closed:
            log.warning(
                "%s: all calls have ended; only the documents and the archive are still written", name
            )
        elif self._grace is not None:
            self._task.cancel()
        else:
            log.warning(
                "%s: calls in flight are finished (at most %.0f s); again cancels them", name, self._grace_s
            )
            self._stop.request(FatalError(reason, f"stopped by {name}"))
            self._grace = asyncio.get_running_loop().call_later(self._grace_s, self._task.cancel)

    def uncancel(self) -> None:
        while self._task.cancelling():
            self._task.uncancel()

    def close(self) -> None:
        """Cancel nothing any more: what follows the block must be written."""
        self._is_closed = True
        if self._grace is not None:
            self._grace.cancel()


def _leave(reason: StopReason, name: str) -> None:
    """Raise through the event loop, which does not catch this."""
    raise LeftError(reason.exit_code, name)
