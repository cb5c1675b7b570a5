"""One run, from the plan to its documents.

The order is: make journal and output tree agree, plan, announce, process the images, write the documents,
print the summary. The lock and the exit code are ``main``'s; the parts come from ``app.composition`` and
``app.pipeline``.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app import composition
from app.announcement import announce
from app.checkpoint import checkpointing
from app.composition import Limits, RunContext, Storage
from app.deadline import Deadline, enforce
from app.other_run import describe_other_run, find_other_run
from app.output_folder import describe_fewer_answers, describe_lost_output
from app.pipeline import Pipeline, build_pipeline
from app.reconciliation import reconcile
from app.signals import stop_on_signals
from archiver import Archiver
from config import Settings
from errors import ExitCode
from rate_limit.shared import sync_with_peers
from reports.rate_limit_report import describe_limit
from storage.journal.plan import Plan
from storage.output.folders import working_dir
from utils.background import running
from utils.held_lock import HeldLock
from utils.micro_batching import run_to_completion
from utils.threads import FrugalThreads

if TYPE_CHECKING:
    from reports.documents import ProcessingStats

log = logging.getLogger(__name__)

_LOOK_UP_DELAY_S = 0.1
"""From the first connection to the look-up of prices, so that the first requests do not wait for the CPU."""


async def run(
    settings: Settings,
    command: str,
    *,
    lock: HeldLock,
    deadline: Deadline | None,
    utcnow: Callable[[], datetime],
) -> tuple[ExitCode, str]:
    """Process the images, with no new work after the deadline; return the exit code and the last line.

    Raises:
        UsageError: ``--max-cost`` cannot hold, because no price of the model is known.
        StorageError: the output directory cannot be written.
    """
    threads = FrugalThreads()
    threads.start()
    asyncio.get_running_loop().set_default_executor(threads)
    context = composition.build_context(settings, utcnow, lock)
    if settings.max_cost is not None:
        context.price_book.require()
    if other := find_other_run(settings):
        return ExitCode.LOCKED, other
    with composition.open_storage(context) as storage:
        reconcile(storage.journal, storage.archiver, dry_run=settings.dry_run)
        if lost := _find_lost_answers(settings, storage):
            return ExitCode.NO_OUTPUT, lost
        if settings.new_output and not settings.dry_run:
            storage.memory.forget()
        if holder := storage.journal.begin_run(is_alone=not settings.no_lock):
            return ExitCode.LOCKED, describe_other_run(settings, holder)
        current = _Run(context, storage)
        async with (
            enforce(deadline, context.stop, utcnow),
            stop_on_signals(
                context.stop, grace_s=settings.grace_s, describe_progress=current.describe_progress
            ),
        ):
            await current.process_images(deadline)
        stats, archive = await current.write_documents(command)
    return _print_summary(settings, storage.archiver, stats, archive)


def _find_lost_answers(settings: Settings, storage: Storage) -> str:
    """Return why the run must not begin, if most answers are gone; only warn in a dry run, or of a few."""
    lost = describe_lost_output(settings, storage.journal)
    if lost and not settings.dry_run:
        return lost
    if warning := lost or describe_fewer_answers(settings, storage.journal):
        log.warning("%s", warning)
    return ""


class _Run:
    """One run whose storage is open."""

    def __init__(self, context: RunContext, storage: Storage) -> None:
        self._context, self._settings, self._storage = context, context.settings, storage
        self._limits: Limits | None = None
        """None until there is something to ask; so is the pipeline."""
        self._pipeline: Pipeline | None = None
        self.batch = composition.build_batch(context, storage, status_text=self._status_text)

    async def process_images(self, deadline: Deadline | None) -> None:
        """Plan, announce, and process what is to do; load nothing heavy if there is nothing to ask."""
        gc.enable()  # ``main`` disabled it for the imports
        plan = await asyncio.to_thread(self.batch.plan, composition.build_selection(self._settings))
        await asyncio.to_thread(announce, self._settings, plan, self._context.price_book)
        await asyncio.to_thread(self._storage.outcomes.remove_outdated_reports)
        await asyncio.to_thread(self._remember_answers)
        if self._context.stop.cause is not None or not (plan.todo or plan.copyable):
            return
        if deadline is not None:
            log.info("%s", deadline.describe(self._context.utcnow()))
        if not self.batch.has_space(composition.bytes_per_answer(self._settings)):
            return
        await run_to_completion(asyncio.to_thread(self._storage.outcomes.place_copies))
        self._limits = await composition.build_limits(self._context)
        self._pipeline = await build_pipeline(self._context, self._storage, self._limits)
        await self._ask(plan, self._limits, self._pipeline)

    async def _ask(self, plan: Plan, limits: Limits, pipeline: Pipeline) -> None:
        """Send the images that are to do, beside the background tasks of a run."""
        async with AsyncExitStack() as stack:
            self._storage.outcomes.start()
            stack.callback(pipeline.loader.close)
            await pipeline.loader.start()
            if limits.shared_state:
                sync = sync_with_peers(limits.rate_limiter, limits.shared_state)
                await stack.enter_async_context(running(sync))
            if pipeline.optimizer and not self._settings.dry_run:
                await stack.enter_async_context(checkpointing(pipeline.optimizer, self._storage.journal))
            await stack.enter_async_context(running(_look_up_prices(limits)))
            await stack.enter_async_context(pipeline.model)
            await stack.enter_async_context(running(self._context.guard.watch()))
            gc.freeze()
            if pipeline.proposer:
                await stack.enter_async_context(running(pipeline.proposer.run()))
            await self.batch.process(pipeline.processor, plan)

    def _remember_answers(self) -> None:
        """Write outside of the output directory how many answers it holds."""
        answers = self._storage.journal.count_answers()
        if answers and not self._settings.dry_run:
            self._storage.memory.remember(answers, self._context.utcnow())

    async def write_documents(self, command: str) -> "tuple[ProcessingStats, Path | None]":
        """Write the documents and the archive; return the statistics, and the archive's path or None."""
        from app.finalize import to_proposal_entries

        await asyncio.to_thread(self._remember_answers)
        context, optimizer = self._context, self._pipeline.optimizer if self._pipeline else None
        finalizer = composition.build_finalizer(context, self._storage, self._limits, command=command)
        finalize = partial(
            finalizer.finalize,
            context.tally,
            self.batch.current_plan,
            context.stop.cause,
            optimizer.estimate_uplift() if optimizer else None,
            proposals=to_proposal_entries(optimizer) if optimizer else (),
            findings=optimizer.find_guilty_words() if optimizer else (),
        )
        return await asyncio.to_thread(finalize)

    def describe_progress(self) -> str:
        """Return in one line how far the run is, and what limits it."""
        return "; ".join(filter(None, (self.batch.describe_progress(), self._status_text())))

    def _status_text(self) -> str:
        """Return for the progress line what limits the run; empty until there is something to ask."""
        if self._limits is None:
            return ""
        return describe_limit(
            self._limits.rate_limiter.stats(),
            now_s=asyncio.get_running_loop().time(),
            utcnow=self._context.utcnow(),
            rpm=self._settings.rpm,
            tpm=self._settings.tpm,
        )


async def _look_up_prices(limits: Limits) -> None:
    """Look the prices up in a thread, 0.2 s of CPU, once the first requests are on their way."""
    await limits.connected.wait()
    await asyncio.sleep(_LOOK_UP_DELAY_S)
    await asyncio.to_thread(limits.price_book.prepare)
    gc.freeze()


def _print_summary(
    settings: Settings, archiver: Archiver, stats: "ProcessingStats", archive: Path | None
) -> tuple[ExitCode, str]:
    """Write the summary to stdout, unless a quiet run went well; return the exit code and the last line."""
    from reports.summary import OutputPaths, build_last_line, build_reminder, build_summary, is_nothing_new

    if reminder := build_reminder(stats):
        log.warning("%s", reminder)  # also of a quiet run: these images have no answer
    if settings.quiet and stats.exit_code == ExitCode.DONE:
        return ExitCode.DONE, build_last_line(stats)  # only a log file shows it
    where = OutputPaths(
        output_dir=str(working_dir(settings.output_dir, dry_run=settings.dry_run)),
        metadata=str(archiver.documents),
        archive=str(archive) if archive else None,
    )
    if is_nothing_new(stats):  # the last line says it
        return ExitCode.DONE, build_last_line(stats)
    sys.stdout.write(build_summary(stats, where, dry_run=settings.dry_run))
    sys.stdout.flush()
    return ExitCode(stats.exit_code), build_last_line(stats)
