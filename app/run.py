"""What is one run, from the first look at the input to the last document?

Everything between the lock and the exit code, in the order in which it happens: make journal and tree
agree, plan, announce, ask, write the documents, tell. Signals, the lock and the dead-man's switch are
``main``'s; what each part is made of is ``compose``'s. Nothing here reads the environment.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from app import composition
from app.checkpoint import checkpointing
from app.deadline import Deadline, enforce
from app.finalize import to_proposal_entries
from app.signals import stop_on_signals
from archiver import Archiver
from config import Settings
from costs.budget import Budget
from costs.price_book import PriceBook
from errors import ExitCode
from gemini.model_info import produces_images
from models import RunInfo
from processing.stop_signal import StopSignal
from prompt_optimizer import PromptOptimizer, RetryOnce, asks_for_picture
from rate_limit.limiter import RateLimiter
from rate_limit.shared import sync_with_peers
from rate_limit.types import RateLimitStats
from reports.documents import ProcessingStats
from reports.rate_limit_report import describe_limit
from reports.summary import OutputPaths, build_last_line, build_summary, is_nothing_new
from reports.tally import Tally
from storage.journal import Journal, Plan, TodoReason
from utils.background import running
from utils.micro_batching import run_to_completion

log = logging.getLogger(__name__)

PICTURE_MODEL = "gemini-nano-banana-2.1"
"""Named to users whose prompt asks for pictures. Source: Google's list of models, November 2026."""


@dataclass(slots=True, kw_only=True)
class _Resources:
    """What a run uses up: the service's limits and the user's money; unknown until there is work."""

    price_book: PriceBook
    limiter: RateLimiter | None = None
    budget: Budget | None = None
    optimizer: PromptOptimizer | None = None

    def rate_limit_stats(self) -> RateLimitStats | None:
        return self.limiter.stats() if self.limiter else None


async def run(
    settings: Settings,
    command: str,
    *,
    deadline: Deadline | None,
    utcnow: Callable[[], datetime],
) -> tuple[ExitCode, str]:
    """Do one run, which takes no new work after its time limit; return its exit code and its last line.

    Raises:
        UsageError: ``--max-cost`` cannot hold, because no price of the model is known.
        StorageError: the output directory cannot be written.
    """
    info = composition.new_run_info(settings, utcnow)
    resources = _Resources(price_book=composition.build_price_book(settings, utcnow))
    if settings.max_cost is not None:
        resources.price_book.require()
    archiver = composition.build_archiver(settings, info, resources.price_book)
    archiver.check_writable()
    archiver.remove_unfinished()
    with composition.open_journal(settings, info, archiver, utcnow) as journal:
        _reconcile(journal, archiver)
        current = _Run(
            settings=settings,
            info=info,
            journal=journal,
            archiver=archiver,
            resources=resources,
            utcnow=utcnow,
        )
        async with (
            enforce(deadline, current.stop, utcnow),
            stop_on_signals(
                current.stop, grace_s=settings.grace_s, describe_progress=current.batch.describe_progress
            ),
        ):
            await current.execute(deadline)
        stats, archive = await current.write_documents(command)
    return _print_summary(settings, archiver, stats, archive)


class _Run:
    """One run, from the plan to its documents."""

    def __init__(
        self,
        *,
        settings: Settings,
        info: RunInfo,
        journal: Journal,
        archiver: Archiver,
        resources: _Resources,
        utcnow: Callable[[], datetime],
    ) -> None:
        self.settings, self.info, self.journal, self.archiver = settings, info, journal, archiver
        self.resources, self.utcnow = resources, utcnow
        self.stop, self.tally = StopSignal(), Tally(price=resources.price_book.price)
        self.store = composition.build_outcome_store(
            journal, archiver, tally=self.tally, stop=self.stop, utcnow=utcnow
        )
        self.batch = composition.build_batch(
            settings,
            journal,
            archiver,
            self.store,
            tally=self.tally,
            stop=self.stop,
            stderr=sys.stderr,
            clock=asyncio.get_running_loop().time,
            status_text=lambda: _status_text(settings, resources, utcnow),
        )

    async def write_documents(self, command: str) -> tuple[ProcessingStats, Path | None]:
        """Write what is to be said about the run, and the archive."""
        price_book, budget = self.resources.price_book, self.resources.budget
        finalizer = composition.build_finalizer(
            self.settings,
            self.info,
            self.journal,
            self.archiver,
            rate_limit_stats=self.resources.rate_limit_stats(),
            summarize_costs=lambda tally: price_book.summary(
                answers=tally.succeeded, usage=tally.usage, budget=budget
            ),
            command=command,
            utcnow=self.utcnow,
        )
        optimizer = self.resources.optimizer
        finalize = partial(
            finalizer.finalize,
            self.tally,
            self.batch.current_plan,
            self.stop.cause,
            optimizer.estimate_uplift() if optimizer else None,
            proposals=to_proposal_entries(optimizer) if optimizer else (),
        )
        return await asyncio.to_thread(finalize)

    async def execute(self, deadline: Deadline | None) -> None:
        """Plan, announce, ask; nothing that costs time is loaded where there is nothing to ask."""
        plan = await asyncio.to_thread(self.batch.plan, composition.build_selection(self.settings))
        _announce(self.settings, plan)
        if self.stop.cause is not None or not (plan.todo or plan.copyable):
            return
        if deadline is not None:
            log.info("%s", deadline.describe(self.utcnow()))
        if not self.batch.has_space(composition.bytes_per_answer(self.settings)):
            return
        await run_to_completion(asyncio.to_thread(self.store.place_copies))
        await self._process_images(plan)

    async def _process_images(self, plan: Plan) -> None:
        settings, stop, resources = self.settings, self.stop, self.resources
        await asyncio.to_thread(resources.price_book.look_up)
        state = await asyncio.to_thread(composition.open_shared_state, settings, self.info, self.utcnow)
        learned = await asyncio.to_thread(state.load) if state else None
        limiter = resources.limiter = composition.build_rate_limiter(settings, learned, stop)
        optimizer = await asyncio.to_thread(composition.build_prompt_optimizer, settings, self.journal)
        resources.optimizer = optimizer
        book = resources.price_book
        budget = resources.budget = composition.build_budget(settings, book, stop=stop, utcnow=self.utcnow)
        async with AsyncExitStack() as stack:
            if state:
                await stack.enter_async_context(running(sync_with_peers(limiter, state)))
            if optimizer and not settings.dry_run:
                await stack.enter_async_context(checkpointing(optimizer, self.journal))
            async with composition.build_model(settings, on_connected=limiter.on_connected) as model:
                processor = composition.build_processor(
                    settings,
                    model,
                    self.store,
                    limiter=limiter,
                    budget=budget,
                    reviser=optimizer or RetryOnce(),
                    stop=stop,
                    utcnow=self.utcnow,
                )
                proposer = composition.build_prompt_proposer(
                    settings,
                    optimizer,
                    model,
                    limiter=limiter,
                    budget=budget,
                    price_book=book,
                    tally=self.tally,
                    stop=stop,
                    utcnow=self.utcnow,
                )
                gc.freeze()
                async with running(proposer.run()) if proposer else nullcontext():
                    await self.batch.process(processor, plan)


def _status_text(settings: Settings, resources: _Resources, utcnow: Callable[[], datetime]) -> str:
    """Return why the run is not faster, for the progress."""
    if resources.limiter is None:
        return ""
    now_s = asyncio.get_running_loop().time()
    stats = resources.limiter.stats()
    return describe_limit(stats, now_s=now_s, utcnow=utcnow(), rpm=settings.rpm, tpm=settings.tpm)


def _reconcile(journal: Journal, archiver: Archiver) -> None:
    """Make journal and tree agree again after a crash or damage."""
    for notice in journal.notices:
        log.warning("%s", notice)
    if journal.needs_ledger:
        imported = journal.import_ledger(archiver.read_ledger(), archiver.has_expected_hash)
        if imported:
            log.info(
                "%d answers that the journal did not know were found in the tree and taken over", imported
            )
    journal.begin_run()


def _announce(settings: Settings, plan: Plan) -> None:
    """Say what is about to happen, before anything is paid for."""
    if settings.dry_run:
        log.info("dry run: nothing is sent and nothing is paid; every answer is simulated")
    log.info(
        "%d images in %s: %d to ask %s about, %d answered already, %d known to fail",
        plan.found,
        settings.input_dir,
        plan.todo,
        settings.model,
        plan.answered + plan.copyable,
        sum(plan.known_failures.values()),
    )
    lost = plan.reasons.get(TodoReason.LOST, 0)
    if lost:
        log.warning(
            "%d answers no longer stand as they were written: their images are asked about again", lost
        )
    if plan.todo and asks_for_picture(settings.prompt) and not produces_images(settings.model):
        log.info(
            "the prompt seems to ask for a picture, but %s answers in words; "
            "--model %s would return pictures (about $0.04 each, prices of November 2026)",
            settings.model,
            PICTURE_MODEL,
        )


def _print_summary(
    settings: Settings, archiver: Archiver, stats: ProcessingStats, archive: Path | None
) -> tuple[ExitCode, str]:
    """Print how the run ended; nothing at all when a quiet run went well."""
    if settings.quiet and stats.exit_code == ExitCode.DONE:
        return ExitCode.DONE, build_last_line(stats)  # which only a log file hears
    where = OutputPaths(
        output_dir=str(settings.output_dir),
        metadata=str(archiver.documents),
        archive=str(archive) if archive else None,
    )
    if is_nothing_new(stats):  # one line is enough to say so
        return ExitCode.DONE, build_last_line(stats)
    sys.stdout.write(build_summary(stats, where, dry_run=settings.dry_run))
    sys.stdout.flush()
    return ExitCode(stats.exit_code), build_last_line(stats)
