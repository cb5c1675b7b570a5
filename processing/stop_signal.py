"""Stop signal: ends a run before its time.

Any part may request the stop: a worker whose key was refused, a signal, a limit. All waits end at once, and
each part that is about to spend money checks it first.
"""

import asyncio

from errors import FatalError


class RunStoppedError(Exception):
    """A wait ended because the run stops."""


class StopSignal:
    """The stop of one run; it can be requested again, but the first cause stays."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self.cause: FatalError | None = None

    def request(self, cause: FatalError) -> None:
        """Stop the run: no new work is taken from now on."""
        if self.cause is None:
            self.cause = cause
            self._requested.set()

    def raise_if_requested(self) -> None:
        """Raise RunStoppedError if a stop was requested."""
        if self.cause is not None:
            raise RunStoppedError

    async def sleep(self, delay_s: float) -> None:
        """Wait so many seconds; raise RunStoppedError as soon as a stop is requested."""
        try:
            async with asyncio.timeout(delay_s):
                await self._requested.wait()
        except TimeoutError:
            return
        raise RunStoppedError

    async def wait_for(self, event: asyncio.Event) -> None:
        """Wait until ``event`` is set; raise RunStoppedError as soon as a stop is requested."""
        waits = [asyncio.ensure_future(one.wait()) for one in (event, self._requested)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self.raise_if_requested()
