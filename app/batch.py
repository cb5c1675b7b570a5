"""What is one run of the program, from the first look at the directory to the last document?

Plan once, before any task exists; put in place what is already paid for; process the rest; keep
every outcome the moment it is there; tell. The parts are composed elsewhere (``main.compose``); this
file knows neither flags nor the environment.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePath
from typing import assert_never

from app.fail_fast import FailFast
from archiver import Archiver, StoreResult
from errors import FatalError, StopReason, StorageError
from models import Failed, ImageJob, Outcome, Reused, StoredAnswer, Succeeded
from processing.stop_signal import StopSignal
from processor import Processor
from reports.tally import Tally
from storage.journal import FinishedImage, Journal, Plan, Selection
from utils.background import running
from utils.image_discovery import FoundImage, PassedOver, discover
from utils.micro_batching import MicroBatcher, run_to_completion
from utils.progress import Progress

log = logging.getLogger(__name__)

EMPTY_PLAN = Plan(found=0, answered=0, copyable=0, todo=0, known_failures={}, not_selected=0, reasons={})
PROGRESS_INTERVAL_S = 0.5
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a run reads and writes."""

    input_dir: Path
    output_dir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingOutcome:
    """An outcome that is to be kept."""

    outcome: Outcome
    now: datetime
    on_stored: Callable[[], object]
    """Hears that its files do; called in the writer's thread."""


class Batch:
    """One run over one input directory.

    Args:
        folders: where to read and write.
        journal: opened for this run.
        archiver: of this run.
        tally: counts what happens.
        progress: shows it.
        stop: ends the run early.
        utcnow: the wall clock, for the record.
    """

    def __init__(
        self,
        *,
        folders: Folders,
        journal: Journal,
        archiver: Archiver,
        tally: Tally,
        progress: Progress,
        stop: StopSignal,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._folders = folders
        self._journal = journal
        self._archiver = archiver
        self._tally = tally
        self._progress = progress
        self._stop = stop
        self._utcnow = utcnow
        self._fail_fast = FailFast()
        self._writer = MicroBatcher(self._write_batch, name="writer")
        self._retrying_count = 0
        self.current_plan = EMPTY_PLAN
        """The split of the images; empty until it is made."""

    def plan(self, selection: Selection) -> Plan:
        """Look at every file once and split the images into what is answered and what is to do; blocks."""
        self.current_plan = self._journal.plan(
            self._discover_jobs(), selection=selection, hash_file=_hash_file
        )
        return self.current_plan

    def has_space(self, bytes_per_answer: int) -> bool:
        """Compare the room on the disk with what the answers may take, before the first is paid for.

        With less than a tenth of that the run is stopped, with less than all of it there is a warning.
        """
        needed, free = self.current_plan.todo * bytes_per_answer, self._archiver.free_bytes()
        if free >= needed:
            return True
        text = (
            f"{free / 1e6:,.0f} MB are free in {self._folders.output_dir}, "
            f"the answers may take {needed / 1e6:,.0f} MB"
        )
        if free < needed / 10:
            self._stop.request(FatalError(StopReason.STORAGE, text))
            return False
        log.warning("%s", text)
        return True

    def describe_progress(self) -> str:
        """Return in one line how far the run is."""
        counts = ", ".join(f"{number} {word}" for word, number in self._progress_counts().items())
        return f"{self._tally.finished} of {self.current_plan.todo + self.current_plan.copyable}: {counts}"

    def place_copies(self) -> None:
        """Put answers that are already paid for in place under the images' new names; blocks."""
        try:
            for job, answer in self._journal.copies():
                if self._stop.cause is not None:
                    return
                self._place_copy(Reused(job=job, answer=answer))
        except StorageError as error:
            self._stop_on_error(error)

    async def process(self, processor: Processor, plan: Plan) -> None:
        """Take every image that is to do to its outcome, showing the progress."""
        self._progress.start(plan.todo + plan.copyable)
        try:
            async with running(self._refresh_progress(processor)):
                await processor.run(self._iterate_jobs())
                await run_to_completion(
                    self._store_all((held, _do_nothing) for held in self._fail_fast.flush())
                )
        finally:
            self._show_progress(processor)
            self._progress.close()
            if processor.cancelled_count:
                log.warning(
                    "%d calls were cancelled in flight; they may be billed all the same",
                    processor.cancelled_count,
                )

    def filter_known(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which ``recall`` may find an answer; blocks."""
        try:
            return self._journal.filter_known(hashes)
        except StorageError:  # for ``recall`` to meet again, which stops the run
            return hashes

    async def find_answer(self, sha256: str) -> StoredAnswer | None:
        """Find an answer to these bytes that is already paid for, and whose files are what they were."""
        try:
            return await asyncio.to_thread(self._find_intact_answer, sha256)
        except StorageError as error:
            self._stop_on_error(error)  # and so this image is not asked about either
            return None

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
            self._stop_on_error(error)
            # A failure or a deferral that is not noted loses nothing: the next run asks again.
            if isinstance(outcome, Succeeded | Reused):
                self._tally.record_unsaved(outcome)
            return
        self._tally.add(outcome)
        if isinstance(outcome, Failed):
            log.warning("%s failed: %s", outcome.job.key, outcome.detail)

    def _write_batch(self, pending: Sequence["_PendingOutcome"]) -> list[StorageError | None]:
        """Store and record outcomes that came together; return for each why it is lost, or None."""
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

    def _iterate_jobs(self) -> Iterator[ImageJob]:
        # An exception here would cancel all workers, and with them the calls in flight, which are paid for.
        try:
            yield from self._journal.jobs()
        except StorageError as error:
            self._stop_on_error(error)

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

    def _stop_on_error(self, error: StorageError) -> None:
        self._stop.request(FatalError(StopReason.STORAGE, str(error)))
        log.error("%s", error)

    def _copy_answer(self, outcome: Reused) -> bool:
        replaces = self._journal.find_replaced(outcome.job.key)
        artefacts = self._archiver.put_copy(outcome.job, outcome.answer, replaced=replaces)
        if not artefacts:
            return False
        moved_to_history = self._archiver.find_in_history(replaces)
        self._journal.record_copy(outcome.job, outcome.answer, artefacts, moved_to_history=moved_to_history)
        return True

    def _discover_jobs(self) -> Iterator[ImageJob]:
        for item in discover(self._folders.input_dir, exclude=[self._folders.output_dir]):
            match item:
                case FoundImage():
                    yield ImageJob(
                        key=item.relative, path=item.path, size_bytes=item.size_bytes, mtime_ns=item.mtime_ns
                    )
                case PassedOver():
                    self._tally.skip(item.reason, PurePath(item.relative))
                case _:
                    assert_never(item)

    async def _refresh_progress(self, processor: Processor) -> None:
        while True:
            self._show_progress(processor)
            await asyncio.sleep(PROGRESS_INTERVAL_S)

    def _show_progress(self, processor: Processor) -> None:
        self._retrying_count = processor.waiting_count
        self._progress.show(self._progress_counts(), self._tally.finished)

    def _progress_counts(self) -> dict[str, int]:
        return {**self._tally.progress_counts(), "retrying": self._retrying_count}


def _do_nothing() -> None:
    """Say to nobody that an outcome stands which holds no slot."""


def _find_error(outcome: Outcome, stored: StoreResult) -> StorageError | None:
    if isinstance(stored, StorageError):
        return stored
    if isinstance(outcome, Reused) and not stored:
        return StorageError(f"the answer for {outcome.job.key} changed while it was copied")
    return None


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
