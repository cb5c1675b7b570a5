"""What is one run of the program, from the first look at the directory to the last document?

Plan once, before any task exists; put in place what is already paid for; process the rest; keep
every outcome the moment it is there; tell. The parts are composed elsewhere (``main.compose``); this
file knows neither flags nor the environment.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePath
from typing import assert_never

from app.fail_fast import Canary
from archiver import Archiver, Written
from errors import FatalError, StopReason, StorageError
from models import Failed, ImageJob, Outcome, Reused, StoredAnswer, Succeeded
from processing.stop_signal import Stop
from processor import Processor
from reports.tally import Tally
from storage.journal import Ended, Journal, Plan, Selection
from utils.image_discovery import FoundImage, PassedOver, discover
from utils.micro_batching import Together, to_its_end
from utils.progress import Progress

log = logging.getLogger(__name__)

NOTHING_PLANNED = Plan(found=0, answered=0, copyable=0, todo=0, known_failures={}, not_selected=0, reasons={})
PROGRESS_EVERY_S = 0.5
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a run reads and writes."""

    input_dir: Path
    output_dir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """An outcome that is to be kept."""

    outcome: Outcome
    now: datetime
    stands: Callable[[], object]
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
        stop: Stop,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._folders = folders
        self._journal = journal
        self._archiver = archiver
        self._tally = tally
        self._progress = progress
        self._stop = stop
        self._utcnow = utcnow
        self._canary = Canary()
        self._writes = Together(self._store, name="writer")
        self._retrying = 0
        self.planned = NOTHING_PLANNED
        """The split of the images; empty until it is made."""

    def plan(self, selection: Selection) -> Plan:
        """Look at every file once and split the images into what is answered and what is to do; blocks."""
        self.planned = self._journal.plan(self._found(), selection=selection, hash_file=_sha256)
        return self.planned

    def has_space(self, bytes_per_answer: int) -> bool:
        """Compare the room on the disk with what the answers may take, before the first is paid for.

        With less than a tenth of that the run is stopped, with less than all of it there is a warning.
        """
        needed, free = self.planned.todo * bytes_per_answer, self._archiver.free_bytes()
        if free >= needed:
            return True
        said = (
            f"{free / 1e6:,.0f} MB are free in {self._folders.output_dir}, "
            f"the answers may take {needed / 1e6:,.0f} MB"
        )
        if free < needed / 10:
            self._stop.ask(FatalError(StopReason.STORAGE, said))
            return False
        log.warning("%s", said)
        return True

    def state(self) -> str:
        """Return in one line how far the run is."""
        counts = ", ".join(f"{number} {word}" for word, number in self._counts().items())
        return f"{self._tally.finished} of {self.planned.todo + self.planned.copyable}: {counts}"

    def place_copies(self) -> None:
        """Put answers that are already paid for in place under the images' new names; blocks."""
        try:
            for job, answer in self._journal.copies():
                if self._stop.cause is not None:
                    return
                self._place_copy(Reused(job=job, answer=answer))
        except StorageError as error:
            self._stop_for(error)

    async def process(self, processor: Processor, plan: Plan) -> None:
        """Take every image that is to do to its outcome, showing the progress."""
        self._progress.start(plan.todo + plan.copyable)
        try:
            async with self._shown(processor):
                await processor.run(self._jobs())
                await to_its_end(self._keep_all((held, _unheard) for held in self._canary.release()))
        finally:
            self._progress.close()
            if processor.cut_off:
                log.warning(
                    "%d calls were cancelled in flight; they may be billed all the same", processor.cut_off
                )

    def known_among(self, hashes: Sequence[str]) -> Collection[str]:
        """Return those for which ``recall`` may find an answer; blocks."""
        try:
            return self._journal.known_among(hashes)
        except StorageError:  # for ``recall`` to meet again, which stops the run
            return hashes

    async def recall(self, sha256: str) -> StoredAnswer | None:
        """Find an answer to these bytes that is already paid for, and whose files are what they were."""
        try:
            return await asyncio.to_thread(self._proven_answer, sha256)
        except StorageError as error:
            self._stop_for(error)  # and so this image is not asked about either
            return None

    async def keep(self, outcome: Outcome, stands: Callable[[], None]) -> None:
        """Keep an outcome, unless it is one of the first failures, which wait for a verdict.

        ``stands`` hears when the files of an answer do: from then on it is proven, with or without its row.
        """
        heard = partial(asyncio.get_running_loop().call_soon_threadsafe, stands)
        # A second Ctrl-C cancels waits and calls, but no answer that is here, behind whatever it is written.
        # The end waits for it: what came to stand after the journal was closed would be asked for again.
        ready = self._canary.judge(outcome)
        await to_its_end(self._keep_all((one, heard if one is outcome else _unheard) for one in ready))
        if self._canary.cause is not None:
            self._stop.ask(self._canary.cause)

    async def _keep_all(self, ready: Iterable[tuple[Outcome, Callable[[], object]]]) -> None:
        for outcome, stands in ready:
            await self._keep(outcome, stands)

    async def _keep(self, outcome: Outcome, stands: Callable[[], object]) -> None:
        """Store an outcome, record it, count it: in this order, so that a crash between loses nothing.

        An outcome that cannot be stored stops the run; whose it was is told at the end.
        """
        due = _Due(outcome=outcome, now=self._utcnow(), stands=stands)
        error = await self._writes.do(due)
        if error is not None:
            self._stop_for(error)
            # A failure or a deferral that is not noted loses nothing: the next run asks again.
            if isinstance(outcome, Succeeded | Reused):
                self._tally.lose(outcome)
            return
        self._tally.add(outcome)
        if isinstance(outcome, Failed):
            log.warning("%s failed: %s", outcome.job.key, outcome.detail)

    def _store(self, due: Sequence["_Due"]) -> list[StorageError | None]:
        """Store and record outcomes that came together; return for each why it is lost, or None."""
        outcomes = [one.outcome for one in due]
        try:
            replaced = self._journal.replaced_all([outcome.job.key for outcome in outcomes])
        except StorageError as error:
            return [error for _ in outcomes]
        written = self._archiver.store_all(list(zip(outcomes, replaced, strict=True)))
        failures = [_failure(outcome, files) for outcome, files in zip(outcomes, written, strict=True)]
        for one, failure in zip(due, failures, strict=True):
            if failure is None:
                one.stands()
        ended = [
            Ended(
                outcome=one.outcome,
                artefacts=files,
                finished_at=one.now,
                kept=self._archiver.kept(replaces),
            )
            for one, replaces, files, failure in zip(due, replaced, written, failures, strict=True)
            if failure is None and not isinstance(files, StorageError)
        ]
        unrecorded = self._record(ended)
        return [failure or unrecorded for failure in failures]

    def _record(self, ended: Sequence[Ended]) -> StorageError | None:
        try:
            if ended:
                self._journal.record_all(ended)
        except StorageError as error:
            return error
        return None

    def _proven_answer(self, sha256: str) -> StoredAnswer | None:
        answer = self._journal.find_answer(sha256)
        return answer if answer and all(map(self._archiver.proves, answer.artefacts)) else None

    def _jobs(self) -> Iterator[ImageJob]:
        # An exception here would cancel all workers, and with them the calls in flight, which are paid for.
        try:
            yield from self._journal.jobs()
        except StorageError as error:
            self._stop_for(error)

    def _place_copy(self, outcome: Reused) -> None:
        try:
            is_placed = self._put_in_place(outcome)
        except StorageError:
            self._tally.lose(outcome)
            raise
        if is_placed:
            self._tally.add(outcome)
        else:
            self._journal.ask_after_all(outcome.job)

    def _stop_for(self, error: StorageError) -> None:
        self._stop.ask(FatalError(StopReason.STORAGE, str(error)))
        log.error("%s", error)

    def _put_in_place(self, outcome: Reused) -> bool:
        replaces = self._journal.replaced(outcome.job.key)
        artefacts = self._archiver.put_copy(outcome.job, outcome.answer, replaces=replaces)
        if not artefacts:
            return False
        kept = self._archiver.kept(replaces)
        self._journal.record_copy(outcome.job, outcome.answer, artefacts, kept=kept)
        return True

    def _found(self) -> Iterator[ImageJob]:
        for item in discover(self._folders.input_dir, exclude=[self._folders.output_dir]):
            match item:
                case FoundImage():
                    yield ImageJob(
                        key=item.relative, path=item.path, size_bytes=item.size_bytes, mtime_ns=item.mtime_ns
                    )
                case PassedOver():
                    self._tally.pass_over(item.reason, PurePath(item.relative))
                case _:
                    assert_never(item)

    @asynccontextmanager
    async def _shown(self, processor: Processor) -> AsyncIterator[None]:
        async def refresh() -> None:
            while True:
                self._show(processor)
                await asyncio.sleep(PROGRESS_EVERY_S)

        task = asyncio.create_task(refresh())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._show(processor)

    def _show(self, processor: Processor) -> None:
        self._retrying = processor.waiting
        self._progress.show(self._counts(), self._tally.finished)

    def _counts(self) -> dict[str, int]:
        return {**self._tally.progress_counts(), "retrying": self._retrying}


def _unheard() -> None:
    """Say to nobody that an outcome stands which holds no slot."""


def _failure(outcome: Outcome, stored: Written) -> StorageError | None:
    if isinstance(stored, StorageError):
        return stored
    if isinstance(outcome, Reused) and not stored:
        return StorageError(f"the answer for {outcome.job.key} changed while it was copied")
    return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
