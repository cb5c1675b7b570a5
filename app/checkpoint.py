"""Checkpoints: what the optimizer learned is saved every minute, and at the end of the run.

Saving at the end alone would lose all of a run that is killed. Journal writes are made in a thread. A run
that learned nothing writes nothing. An error of the disk costs no answer, so it is logged and no more.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from errors import StorageError
from storage.journal.journal import Journal
from utils.background import running

if TYPE_CHECKING:
    from prompt_optimizer import PromptOptimizer

log = logging.getLogger(__name__)

SAVE_INTERVAL_S = 60.0


@asynccontextmanager
async def checkpointing(optimizer: "PromptOptimizer", journal: Journal) -> AsyncIterator[None]:
    """Write what is learned to the journal while the block runs, and once more at its end."""
    checkpointer = _Checkpointer(optimizer, journal)
    try:
        async with running(checkpointer.run()):
            yield
    finally:
        await asyncio.shield(checkpointer.save())


class _Checkpointer:
    """Writer of what was learned since the last save."""

    def __init__(self, optimizer: "PromptOptimizer", journal: Journal) -> None:
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
            log.warning("what was learned about edited prompts could not be saved: %s", error)

    async def _save_lessons(self) -> None:
        lessons = self._optimizer.outcomes_learned
        if lessons == self._saved_lessons:
            return
        # Rows are made before the thread starts: the statistics change meanwhile.
        rows = tuple(self._optimizer.lessons())
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
