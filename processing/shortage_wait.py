"""Waits for descriptors and memory: answers stay in memory meanwhile, and no retry is counted.

A run that stops meanwhile waits a little longer for the answers that it holds, and for nothing else.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from errors import ApiFailure, Cause
from models import Generation, GenerationRequest
from processing.stop_signal import RunStoppedError, StopSignal
from utils.memory import can_take

log = logging.getLogger(__name__)

ANSWER_BYTES: Final = 32_000_000
"""What stays free for an answer on its way to the disk: ten pictures, or any text."""
RETRY_S: Final = 0.5
"""From one try to the next."""
AFTER_STOP_S: Final = 20.0
"""How long a run that stops tries to store the answers that it holds."""
HURRIED_S: Final = 1.0
"""The same after a second signal, which ends the run."""
_REPORT_S: Final = 600.0


class ShortageWait:
    """Waits of one run for descriptors and memory.

    Args:
        stop: ends the run early.
    """

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop
        self._reported_s = -math.inf
        self._give_up_s = math.inf

    async def before_retry(self, why: object) -> None:
        """Wait before work is tried again for which nothing is paid yet.

        Raises:
            RunStoppedError: the run stops.
        """
        self._report(why)
        await self._stop.sleep(RETRY_S)

    async def until_answer_fits(self, in_flight: int) -> None:
        """Wait before a call until there is memory for its answer, which could not be kept otherwise.

        Args:
            in_flight: calls that may give memory back when they end.

        Raises:
            RunStoppedError: the run stops.
            MemoryError: there is no memory, and no call in flight takes it.
        """
        while not can_take(ANSWER_BYTES):
            if not in_flight:
                raise MemoryError
            await self.before_retry("no memory for another answer")

    async def before_storing_again(self, why: object) -> bool:
        """Wait before an answer is stored again; return False if the run cannot wait any longer."""
        self._report(why)
        try:
            await self._stop.sleep(RETRY_S)
        except RunStoppedError:
            now_s = asyncio.get_running_loop().time()
            self._give_up_s = min(self._give_up_s, now_s + AFTER_STOP_S)
            if now_s >= self._give_up_s:
                return False
            await asyncio.sleep(RETRY_S)
        return True

    async def generate(
        self, ask: Callable[[GenerationRequest], Awaitable[Generation]], request: GenerationRequest
    ) -> Generation:
        """Send a request, again as long as there is no descriptor for a connection: nothing was sent then."""
        while True:
            try:
                return await ask(request)
            except ApiFailure as failure:
                if failure.cause is not Cause.SHORTAGE or self._stop.cause is not None:
                    raise
                self._report(failure)
                with suppress(RunStoppedError):  # then the failure is raised
                    await self._stop.sleep(RETRY_S)

    def hurry(self) -> None:
        """Wait no longer than a moment from now on."""
        self._give_up_s = min(self._give_up_s, asyncio.get_running_loop().time() + HURRIED_S)

    def _report(self, why: object) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._reported_s >= _REPORT_S:
            self._reported_s = now_s
            log.warning("%s: the system is short of descriptors or memory, this is waited out", why)
