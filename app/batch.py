"""Batch of images: the plan of the run, and its progress."""

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import assert_never

from app.input_selection import InputSelection
from app.outcome_store import OutcomeStore
from archiver import Archiver
from errors import FatalError, StopReason, StorageError
from models import ImageJob
from processing.stop_signal import StopSignal
from processor import Processor
from reports.tally import Tally
from storage.journal.journal import Journal
from storage.journal.plan import Plan, Selection
from storage.output.own_tree import find_own_parts
from utils.background import running
from utils.files import open_regular
from utils.image_discovery import FoundImage, PassedOver, PassedOverReason, discover
from utils.progress import Progress

log = logging.getLogger(__name__)

EMPTY_PLAN = Plan(found=0, answered=0, copyable=0, todo=0, known_failures={}, not_selected=0, reasons={})
_WORTH_SAYING = {PassedOverReason.OTHER_OUTPUT_DIRECTORY, PassedOverReason.PATH_TOO_LONG}
"""Reasons that users did not expect to meet."""
PROGRESS_INTERVAL_S = 0.5
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Directories of a run."""

    input_dir: Path
    output_dir: Path


class Batch:
    """Images of one input directory, from the plan to the last outcome.

    Args:
        folders: where to read and write.
        inputs: which images of the input directory belong to the run.
        journal: opened for this run.
        archiver: of this run.
        tally: counts what happens.
        progress: shows it.
        stop: ends the run early.
        store: of the outcomes.
    """

    def __init__(
        self,
        *,
        folders: Folders,
        inputs: InputSelection,
        journal: Journal,
        archiver: Archiver,
        tally: Tally,
        progress: Progress,
        stop: StopSignal,
        store: OutcomeStore,
    ) -> None:
        self._folders = folders
        self._inputs = inputs
        self._journal = journal
        self._archiver = archiver
        self._tally = tally
        self._progress = progress
        self._stop = stop
        self._store = store
        self._retrying_count = 0
        self.current_plan = EMPTY_PLAN
        """How the images split; empty before ``plan``."""

    def plan(self, selection: Selection) -> Plan:
        """Read the input directory once and return how its images split into answered and to do; blocks."""
        plan = self._journal.plan(self._discover_jobs(), selection=selection, hash_file=_hash_file)
        left_out = self._inputs.left_out
        self.current_plan = replace(
            plan, found=plan.found + left_out, not_selected=plan.not_selected + left_out
        )
        return self.current_plan

    def has_space(self, bytes_per_answer: int) -> bool:
        """Check whether the disk has space for the answers, before the first is paid for.

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

    async def process(self, processor: Processor, plan: Plan) -> None:
        """Start the processor and show the progress; return when every image to do has its outcome."""
        self._progress.start(plan.todo + plan.copyable)
        try:
            async with running(self._refresh_progress(processor)), self._store.draining():
                await processor.run(self._iterate_jobs())
        finally:
            self._show_progress(processor)
            self._progress.close()
            if processor.cancelled_count:
                log.warning(
                    "%d calls were cancelled in flight; they may be billed all the same",
                    processor.cancelled_count,
                )

    def _iterate_jobs(self) -> Iterator[ImageJob]:
        # An exception here would cancel all workers, and with them the calls in flight, which are paid for.
        try:
            yield from self._journal.jobs()
        except StorageError as error:
            self._store.stop_run(error)

    def _discover_jobs(self) -> Iterator[ImageJob]:
        folders = self._folders
        walk = partial(
            discover, folders.input_dir, exclude=[folders.output_dir], find_own_parts=find_own_parts
        )
        for item in self._inputs.select(walk):
            match item:
                case FoundImage():
                    yield ImageJob(
                        key=item.relative,
                        path=item.path,
                        size_bytes=item.size_bytes,
                        mtime_ns=item.mtime_ns,
                        ctime_ns=item.ctime_ns,
                        inode=item.inode,
                    )
                case PassedOver():
                    level = logging.INFO if item.reason in _WORTH_SAYING else logging.DEBUG
                    name = item.relative or self._folders.input_dir
                    log.log(level, "%s skipped: %s", name, item.reason.meaning)
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


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as handle:  # another program may have put a pipe or a device there meanwhile
        while chunk := handle.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
