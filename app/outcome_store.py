"""Store of outcomes: finds answers that are already paid for, and keeps every new outcome.

The order of writing (ledger line, files, journal row) is that of docs/adr/0004.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.fail_fast import FailFast
from archiver import Archiver, StoreResult
from errors import FatalError, StopReason, StorageError
from models import Failed, Outcome, Reused, StoredAnswer, Succeeded
from processing.stop_signal import StopSignal
from reports.tally import Tally
from storage.journal import FinishedImage, Journal
from utils.micro_batching import MicroBatcher, run_to_completion

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingOutcome:
    """An outcome that is to be kept."""

    outcome: Outcome
    now: datetime
    on_stored: Callable[[], object]
    """Hears that its files do; called in the writer's thread."""


class OutcomeStore:
    """Files, journal and counts of one run's outcomes.

    An outcome that cannot be stored stops the run.

    Args:
        journal: opened for this run.
        archiver: of this run.
        tally: counts what was stored.
        stop: ends the run early.
        utcnow: the wall clock, for the record.
        load_prices: called in the writer's thread, so that the tally does not block the event loop for them.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        archiver: Archiver,
        tally: Tally,
        stop: StopSignal,
        utcnow: Callable[[], datetime],
        load_prices: Callable[[], None],
    ) -> None:
        self._load_prices = load_prices
        self._journal = journal
        self._archiver = archiver
        self._tally = tally
        self._stop = stop
        self._utcnow = utcnow
        self._fail_fast = FailFast()
        self._writer = MicroBatcher(self._write_batch, name="writer")

    def filter_known(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which ``find_answer`` may find an answer; blocks."""
        try:
            return self._journal.filter_known(hashes)
        except StorageError:  # ``find_answer`` meets it again, and stops the run
            return hashes

    async def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return an answer to these bytes that is already paid for, and whose files are unchanged."""
        try:
            return await asyncio.to_thread(self._find_intact_answer, sha256)
        except StorageError as error:
            self.stop_run(error)  # and so this image is not asked about either
            return None

    def place_copies(self) -> None:
        """Write answers that are already paid for under the images' new names; blocks."""
        try:
            for job, answer in self._journal.copies():
                if self._stop.cause is not None:
                    return
                self._place_copy(Reused(job=job, answer=answer))
        except StorageError as error:
            self.stop_run(error)

    async def store(self, outcome: Outcome, on_stored: Callable[[], None]) -> None:
        """Keep an outcome, unless it is one of the first failures, which wait for a verdict.

        ``stands`` hears when the files of an answer do: from then on it is proven, with or without its row.
        """
        on_stored_threadsafe = partial(asyncio.get_running_loop().call_soon_threadsafe, on_stored)
        # A second Ctrl-C cancels waits and calls, but no answer that is here, behind whatever it is written.
        # The end waits for it: what came to stand after the journal was closed would be asked for again.
        ready = self._fail_fast.observe(outcome)
        await run_to_completion(
            self._store_all((one, on_stored_threadsafe if one is outcome else _do_nothing) for one in ready)
        )
        if self._fail_fast.cause is not None:
            self._stop.request(self._fail_fast.cause)

    async def store_held_back(self) -> None:
        """Store the first failures, which no verdict will come for any more."""
        await run_to_completion(self._store_all((held, _do_nothing) for held in self._fail_fast.flush()))

    def stop_run(self, error: StorageError) -> None:
        """Stop the run, because the disk or the journal failed."""
        self._stop.request(FatalError(StopReason.STORAGE, str(error)))
        log.error("%s", error)

    async def _store_all(self, ready: Iterable[tuple[Outcome, Callable[[], object]]]) -> None:
        for outcome, on_stored in ready:
            await self._store_one(outcome, on_stored)

    async def _store_one(self, outcome: Outcome, on_stored: Callable[[], object]) -> None:
        """Store an outcome, record it, count it: in this order, so that a crash between loses nothing.

        An outcome that cannot be stored stops the run; whose it was is told at the end.
        """
        pending = _PendingOutcome(outcome=outcome, now=self._utcnow(), on_stored=on_stored)
        error = await self._writer.submit(pending)
        if error is not None:
            self.stop_run(error)
            # A failure or a deferral that is not noted loses nothing: the next run asks again.
            if isinstance(outcome, Succeeded | Reused):
                self._tally.record_unsaved(outcome)
            return
        self._tally.add(outcome)
        if isinstance(outcome, Failed):
            log.warning("%s failed: %s", outcome.job.key, outcome.detail)

    def _write_batch(self, pending: Sequence["_PendingOutcome"]) -> list[StorageError | None]:
        """Store and record outcomes that came together; return for each why it is lost, or None."""
        self._load_prices()
        outcomes = [one.outcome for one in pending]
        try:
            replaced = self._journal.find_all_replaced([outcome.job.key for outcome in outcomes])
        except StorageError as error:
            return [error for _ in outcomes]
        stored = self._archiver.store_all(list(zip(outcomes, replaced, strict=True)))
        failures = [_find_error(outcome, files) for outcome, files in zip(outcomes, stored, strict=True)]
        for one, failure in zip(pending, failures, strict=True):
            if failure is None:
                one.on_stored()
        finished = [
            FinishedImage(
                outcome=one.outcome,
                artefacts=files,
                finished_at=one.now,
                moved_to_history=self._archiver.find_in_history(replaces),
            )
            for one, replaces, files, failure in zip(pending, replaced, stored, failures, strict=True)
            if failure is None and not isinstance(files, StorageError)
        ]
        record_error = self._record(finished)
        return [failure or record_error for failure in failures]

    def _record(self, finished: Sequence[FinishedImage]) -> StorageError | None:
        try:
            if finished:
                self._journal.record(finished)
        except StorageError as error:
            return error
        return None

    def _find_intact_answer(self, sha256: str) -> StoredAnswer | None:
        answer = self._journal.find_answer(sha256)
        return answer if answer and all(map(self._archiver.has_expected_hash, answer.artefacts)) else None

    def _place_copy(self, outcome: Reused) -> None:
        try:
            is_placed = self._copy_answer(outcome)
        except StorageError:
            self._tally.record_unsaved(outcome)
            raise
        if is_placed:
            self._tally.add(outcome)
        else:
            self._journal.requeue(outcome.job)

    def _copy_answer(self, outcome: Reused) -> bool:
        replaces = self._journal.find_replaced(outcome.job.key)
        artefacts = self._archiver.put_copy(outcome.job, outcome.answer, replaced=replaces)
        if not artefacts:
            return False
        moved_to_history = self._archiver.find_in_history(replaces)
        self._journal.record_copy(outcome.job, outcome.answer, artefacts, moved_to_history=moved_to_history)
        return True


def _do_nothing() -> None:
    """Say to nobody that an outcome stands which holds no slot."""


def _find_error(outcome: Outcome, stored: StoreResult) -> StorageError | None:
    if isinstance(stored, StorageError):
        return stored
    if isinstance(outcome, Reused) and not stored:
        return StorageError(f"the answer for {outcome.job.key} changed while it was copied")
    return None
