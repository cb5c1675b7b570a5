"""How does a run end before its time?

Somebody asks: a worker that met a refused key, a signal, a limit. Everybody who waits hears of it at
once; everybody who is about to spend money checks first. This file knows neither why nor what for.
"""

import asyncio

from errors import FatalError


class RunStoppedError(Exception):
    """A wait ended because the run stops."""


class StopSignal:
    """The one way to end a run early; everybody may ask for it, the first reason counts."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self.cause: FatalError | None = None

    def request(self, cause: FatalError) -> None:
        """Take no new work from now on."""
        if self.cause is None:
            self.cause = cause
            self._requested.set()

    def raise_if_requested(self) -> None:
        """Raise RunStoppedError once a stop was asked for."""
        if self.cause is not None:
            raise RunStoppedError

    async def sleep(self, delay_s: float) -> None:
        """Wait so many seconds; raise RunStoppedError as soon as a stop is asked for."""
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
