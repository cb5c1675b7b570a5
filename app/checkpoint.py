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
from contextlib import asynccontextmanager

from errors import StorageError
from prompt_optimizer import PromptOptimizer
from storage.journal import Journal
from utils.background import running

log = logging.getLogger(__name__)

SAVE_INTERVAL_S = 60.0


@asynccontextmanager
async def checkpointing(optimizer: PromptOptimizer, journal: Journal) -> AsyncIterator[None]:
    """Keep what is learned while the block runs, also when it ends by an exception."""
    checkpointer = _Checkpointer(optimizer, journal)
    try:
        async with running(checkpointer.run()):
            yield
    finally:
        await asyncio.shield(checkpointer.save())


class _Checkpointer:
    """Writes what is new."""

    def __init__(self, optimizer: PromptOptimizer, journal: Journal) -> None:
        self._optimizer = optimizer
        self._journal = journal
        self._saved_lessons = self._saved_changes = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await self.save()

    async def save(self) -> None:
        try:
            await self._save_lessons()
            await self._save_candidates()
        except StorageError as error:
            log.warning("what was learned about other words could not be kept: %s", error)

    async def _save_lessons(self) -> None:
        lessons = self._optimizer.outcomes_learned
        if lessons == self._saved_lessons:
            return
        # Taken here and not in the thread: the pool goes on learning meanwhile.
        rows = tuple(self._optimizer.edit_stats.rows())
        await asyncio.to_thread(self._journal.save_lessons, rows)
        self._saved_lessons = lessons

    async def _save_candidates(self) -> None:
        trials, pool = self._optimizer.candidates, self._optimizer.edit_stats
        changes = trials.changes
        if changes == self._saved_changes:
            return
        rows = trials.rows()
        await asyncio.to_thread(self._journal.save_proposed_edits, pool.model, pool.prompt_sha256, rows)
        self._saved_changes = changes
