"""How does the next night know what tonight taught about other words?

The naive answer writes everything down at the end, and a run that is killed at five in the morning has
learned nothing. Here what is known goes into the journal every so often and once more at the end, from
a thread, so that no disk holds up a call. A run that learned nothing writes nothing: the earlier
knowledge stays as it was. Words that a model proposed are kept too, for they are paid for. What cannot be
written costs no answer, so it is said and no more.

This file must not know what a lesson means.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from errors import StorageError
from prompt_optimizer import PromptOptimizer
from storage.journal import Journal

log = logging.getLogger(__name__)

KEEP_EVERY_S = 60.0


@asynccontextmanager
async def kept(optimizer: PromptOptimizer, journal: Journal) -> AsyncIterator[None]:
    """Keep what is learned while the block runs, also when it ends by an exception."""
    keeper = _Keeper(optimizer, journal)
    task = asyncio.create_task(keeper.keep_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.shield(keeper.keep())


class _Keeper:
    """Writes what is new."""

    def __init__(self, optimizer: PromptOptimizer, journal: Journal) -> None:
        self._optimizer = optimizer
        self._journal = journal
        self._written = self._changes_written = 0

    async def keep_on(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self.keep()

    async def keep(self) -> None:
        try:
            await self._keep_lessons()
            await self._keep_proposals()
        except StorageError as error:
            log.warning("what was learned about other words could not be kept: %s", error)

    async def _keep_lessons(self) -> None:
        known = self._optimizer.lessons
        if known == self._written:
            return
        # Taken here and not in the thread: the pool goes on learning meanwhile.
        rows = tuple(self._optimizer.pool.rows())
        await asyncio.to_thread(self._journal.keep_lessons, rows)
        self._written = known

    async def _keep_proposals(self) -> None:
        trials, pool = self._optimizer.trials, self._optimizer.pool
        changes = trials.changes
        if changes == self._changes_written:
            return
        rows = trials.rows()
        await asyncio.to_thread(self._journal.keep_proposed_edits, pool.model, pool.prompt_sha256, rows)
        self._changes_written = changes
