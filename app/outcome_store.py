"""Store of outcomes: finds answers that are already paid for, and keeps every new outcome.

The order of writing (ledger line, files, journal row) is that of docs/adr/0004.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from app.fail_fast import FailFast
from app.output_guard import OutputGuard
from archiver import Archiver, StoreResult
from errors import FatalError, ShortageError, StopReason, StorageError
from models import Deferred, Failed, Outcome, Predecessor, Reused, StoredAnswer, Succeeded
from processing.shortage_wait import ShortageWait
from processing.stop_signal import StopSignal
from reports.tally import Tally
from storage.journal.journal import Journal
from storage.journal.writes import FinishedImage
from utils.micro_batching import MicroBatcher, run_to_completion

log = logging.getLogger(__name__)


class OutcomeStore:
    """Files, journal and counts of one run's outcomes.

    An outcome that cannot be stored stops the run.

    Args:
        journal: opened for this run.
        archiver: of this run.
        tally: counts what was stored.
        stop: ends the run early.
        utcnow: the wall clock, for the record.
        load_prices: called in the thread that writes files; the event loop does not wait for it.
        on_first_answer: called in a thread once, when the first answer of the run is recorded.
        guard: notices if another run can begin in the output directory; None if there is no lock.
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
        on_first_answer: Callable[[], None] = lambda: None,
        guard: OutputGuard | None = None,
    ) -> None:
        self._guard = guard
        self._load_prices = load_prices
        self._on_first_answer: Callable[[], None] | None = on_first_answer
        self._journal = journal
        self._archiver = archiver
        self._tally = tally
        self._stop = stop
        self._utcnow = utcnow
        self._fail_fast = FailFast()
        self._shortage = ShortageWait(stop)
        self._file_writer = MicroBatcher(self._write_files, has_own_threads=True)
        self._row_writer = MicroBatcher(self._write_rows, has_own_threads=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the threads that write, before the first answer is paid for.

        Raises:
            NoThreadError: one cannot be started.
        """
        self._file_writer.start()
        self._row_writer.start()

    def filter_known(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which ``find_answer`` may find an answer; blocks."""
        try:
            return self._journal.filter_known(hashes)
        except StorageError:  # ``find_answer`` meets it again, and stops the run
            return hashes

    async def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Return an answer to these bytes that is already paid for, and whose files are unchanged.

        Raises:
            RunStoppedError: the run stopped while the system was too short of means to look.
        """
        while True:
            try:
                return await asyncio.to_thread(self._find_intact_answer, sha256)
            except ShortageError as error:
                await self._shortage.before_retry(error)
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

    def remove_outdated_reports(self) -> None:
        """Remove the reports of images that have their answer back; blocks."""
        try:
            for key in self._journal.answered_again():
                self._archiver.remove_report(key)
        except StorageError as error:
            self.stop_run(error)

    @asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        """Wait at the end of the block until all outcomes are recorded, also when the block is cancelled.

        The first failures, which wait for a verdict, are stored when the block ends by itself.
        """
        try:
            yield
            self._start(self._fail_fast.flush())
        except asyncio.CancelledError:
            self._shortage.hurry()
            raise
        finally:
            # A second Ctrl-C cancels no writing: files without a row would be missing in the documents.
            await run_to_completion(self._drain())

    async def store(self, outcome: Outcome) -> Awaitable[None]:
        """Write the files of an outcome; return an awaitable that ends when its row is written.

        A cancelled caller cancels no writing. The first failures of a run wait in memory for a verdict.
        """
        stored, recorded = self._start(self._fail_fast.observe(outcome))
        await stored.wait()
        return asyncio.shield(recorded)

    def stop_run(self, error: StorageError) -> None:
        """Stop the run, because the disk or the journal failed."""
        self._stop.request(FatalError(StopReason.STORAGE, str(error)))
        log.error("%s", error)

    def _start(self, outcomes: Sequence[Outcome]) -> tuple[asyncio.Event, asyncio.Task[None]]:
        stored = asyncio.Event()
        task = asyncio.create_task(self._store_all(outcomes, stored))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return stored, task

    async def _drain(self) -> None:
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks)
            for task in done:
                task.result()

    async def _store_all(self, outcomes: Sequence[Outcome], stored: asyncio.Event) -> None:
        """Write files, write rows, count: in this order, so that a crash in between loses nothing."""
        try:
            results = [await self._write_file(outcome, self._utcnow()) for outcome in outcomes]
        finally:
            stored.set()
            if self._guard:
                self._guard.stop_if_lost()
        for outcome, result in zip(outcomes, results, strict=True):
            if isinstance(result, FinishedImage):
                error = await self._write_row(result)
                self._count(result.outcome, error, keeps_answer=result.keeps_answer)
            else:
                self._count(outcome, result)
        if self._fail_fast.cause is not None:
            self._stop.request(self._fail_fast.cause)

    async def _write_file(self, outcome: Outcome, finished_at: datetime) -> FinishedImage | StorageError:
        """Write an outcome's files, again as long as the system is short of descriptors or memory."""
        while True:
            result = await self._file_writer.submit((outcome, finished_at))
            if not isinstance(result, ShortageError) or not await self._shortage.before_storing_again(result):
                return result

    async def _write_row(self, finished: FinishedImage) -> StorageError | None:
        """Write an outcome's row as ``_write_file`` does its files."""
        while True:
            error = await self._row_writer.submit(finished)
            if not isinstance(error, ShortageError) or not await self._shortage.before_storing_again(error):
                return error

    def _count(self, outcome: Outcome, error: StorageError | None, *, keeps_answer: bool = False) -> None:
        if error is not None:
            self.stop_run(error)
            # A failure or a deferral that is not recorded loses nothing: the next run asks again.
            if isinstance(outcome, Succeeded | Reused):
                self._tally.record_unsaved(outcome)
            return
        self._tally.add(outcome, keeps_answer=keeps_answer)
        if isinstance(outcome, Failed):
            log.warning("%s failed: %s", outcome.job.key, outcome.detail)
        for note in outcome.generation.notes if isinstance(outcome, Succeeded) else ():
            log.warning("%s: %s", outcome.job.key, note)

    def _write_files(self, pending: Sequence[tuple[Outcome, datetime]]) -> list[FinishedImage | StorageError]:
        try:
            return self._write_files_or_raise(pending)
        except StorageError as error:
            return [error for _ in pending]
        except MemoryError:
            return [ShortageError("there is no memory to store an answer") for _ in pending]

    def _write_files_or_raise(
        self, pending: Sequence[tuple[Outcome, datetime]]
    ) -> list[FinishedImage | StorageError]:
        self._load_prices()
        if self._guard:
            self._guard.check()
        predecessors = self._journal.find_predecessors([outcome.job.key for outcome, _ in pending])
        stored = self._archiver.store_all(
            [(outcome, before) for (outcome, _), before in zip(pending, predecessors, strict=True)]
        )
        return [
            self._to_finished(outcome, finished_at, files, before)
            for (outcome, finished_at), files, before in zip(pending, stored, predecessors, strict=True)
        ]

    def _to_finished(
        self, outcome: Outcome, finished_at: datetime, files: StoreResult, before: Predecessor
    ) -> FinishedImage | StorageError:
        if isinstance(files, StorageError):
            return files
        if isinstance(outcome, Reused) and not files:
            outcome = _defer_changed(outcome)
        return FinishedImage(
            outcome=outcome,
            artefacts=files,
            finished_at=finished_at,
            moved_to_history=self._archiver.find_in_history(before.artefacts),
            counts_for=before.counts_for,
            keeps_answer=isinstance(outcome, Failed) and self._has_answer(before),
        )

    def _has_answer(self, before: Predecessor) -> bool:
        return before.answer is not None and self._archiver.is_answer_present(before.answer)

    def _write_rows(self, finished: Sequence[FinishedImage]) -> list[StorageError | None]:
        try:
            self._journal.record(finished)
        except StorageError as error:
            return [error for _ in finished]
        if self._on_first_answer and any(isinstance(one.outcome, Succeeded) for one in finished):
            self._on_first_answer()
            self._on_first_answer = None
        return [None for _ in finished]

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


def _defer_changed(outcome: Reused) -> Deferred:
    """Return the outcome of an image whose answer another program changed while it was copied."""
    detail = "its answer changed, or could not be read, while it was copied"
    return Deferred(job=outcome.job, prompt=outcome.answer.prompt, detail=detail, kind=None, attempts=())
