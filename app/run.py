"""What is one run, from the first look at the input to the last document?

Everything between the lock and the exit code, in the order in which it happens: make journal and tree
agree, plan, announce, ask, write the documents, tell. Signals, the lock and the dead-man's switch are
``main``'s; what each part is made of is ``compose``'s. Nothing here reads the environment.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from app import composition
from app.checkpoint import kept
from app.deadline import TimeLimit, enforced
from app.finalize import entries
from app.prompt_proposer import rewritten
from archiver import Archiver
from config import Settings
from costs.budget import Budget
from costs.price_book import Money
from errors import ExitCode
from gemini.model_info import produces_images
from models import RunInfo
from processing.stop_signal import Stop
from prompt_optimizer import AskAgain, PromptOptimizer, asks_for_picture
from rate_limit.limiter import RateLimiter
from rate_limit.shared import in_company
from rate_limit.types import PacingFigures
from reports.documents import ProcessingStats
from reports.rate_limit_report import progress_words
from reports.summary import Where, is_nothing_new, last_line, summary
from reports.tally import Tally
from storage.journal import Journal, Plan, TodoReason
from utils.micro_batching import to_its_end

log = logging.getLogger(__name__)

PICTURE_MODEL = "gemini-nano-banana-2.1"
"""Named to users whose prompt asks for pictures. Source: Google's list of models, November 2026."""

Work = Coroutine[None, None, None]
Guard = Callable[[Work, Stop, Callable[[], str]], Awaitable[None]]
"""Does the work until it is done or a signal ends it; the last argument tells how far the run is."""


@dataclass(slots=True, kw_only=True)
class _Means:
    """What a run uses up: the service's limits and the user's money; unknown until there is work."""

    money: Money
    limiter: RateLimiter | None = None
    budget: Budget | None = None
    optimizer: PromptOptimizer | None = None

    def figures(self) -> PacingFigures | None:
        return self.limiter.figures() if self.limiter else None


async def run(
    settings: Settings,
    command: str,
    *,
    limit: TimeLimit | None,
    utcnow: Callable[[], datetime],
    guard: Guard,
) -> tuple[ExitCode, str]:
    """Do one run, which takes no new work after its time limit; return its exit code and its last line.

    Raises:
        UsageError: ``--max-cost`` cannot hold, because no price of the model is known.
        StorageError: the output directory cannot be written.
    """
    info = composition.run_info(settings, utcnow)
    money = Money(
        model=settings.model,
        dry_run=settings.dry_run,
        utcnow=utcnow,
        optimizer_model=settings.optimizer_model,
    )
    means = _Means(money=money)
    if settings.max_cost is not None:
        means.money.require()
    archiver = composition.archiver(settings, info, means.money)
    archiver.check_writable()
    archiver.sweep()
    with composition.journal(settings, info, archiver, utcnow) as journal:
        _reconcile(journal, archiver)
        one = _Run(
            settings=settings, info=info, journal=journal, archiver=archiver, means=means, utcnow=utcnow
        )
        async with enforced(limit, one.stop, utcnow):
            await guard(one.do(limit), one.stop, one.batch.state)
        stats, archive = await one.documents(command)
    return _tell(settings, archiver, stats, archive)


class _Run:
    """One run, from the plan to its documents."""

    def __init__(
        self,
        *,
        settings: Settings,
        info: RunInfo,
        journal: Journal,
        archiver: Archiver,
        means: _Means,
        utcnow: Callable[[], datetime],
    ) -> None:
        self.settings, self.info, self.journal, self.archiver = settings, info, journal, archiver
        self.means, self.utcnow = means, utcnow
        self.stop, self.tally = Stop(), Tally(price=means.money.price)
        self.batch = composition.batch(
            settings,
            journal,
            archiver,
            tally=self.tally,
            stop=self.stop,
            stderr=sys.stderr,
            clock=asyncio.get_running_loop().time,
            aside=lambda: _aside(settings, means, utcnow),
            utcnow=utcnow,
        )

    async def documents(self, command: str) -> tuple[ProcessingStats, Path | None]:
        """Write what is to be said about the run, and the archive."""
        money, budget = self.means.money, self.means.budget
        epilogue = composition.epilogue(
            self.settings,
            self.info,
            self.journal,
            self.archiver,
            figures=self.means.figures(),
            costs=lambda tally: money.summary(answers=tally.succeeded, usage=tally.usage, budget=budget),
            command=command,
            utcnow=self.utcnow,
        )
        optimizer = self.means.optimizer
        write = partial(
            epilogue.write,
            self.tally,
            self.batch.planned,
            self.stop.cause,
            optimizer.uplift() if optimizer else None,
            proposals=entries(optimizer) if optimizer else (),
        )
        return await asyncio.to_thread(write)

    async def do(self, limit: TimeLimit | None) -> None:
        """Plan, announce, ask; nothing that costs time is loaded where there is nothing to ask."""
        plan = await asyncio.to_thread(self.batch.plan, composition.selection(self.settings))
        _announce(self.settings, plan)
        if self.stop.cause is not None or not (plan.todo or plan.copyable):
            return
        if limit is not None:
            log.info("%s", limit.announcement(self.utcnow()))
        if not self.batch.has_space(composition.bytes_per_answer(self.settings)):
            return
        await to_its_end(asyncio.to_thread(self.batch.place_copies))
        await self._ask(plan)

    async def _ask(self, plan: Plan) -> None:
        settings, stop, means = self.settings, self.stop, self.means
        await asyncio.to_thread(means.money.look_up)
        memory = await asyncio.to_thread(composition.quota_memory, settings, self.info, self.utcnow)
        learned = await asyncio.to_thread(memory.load) if memory else None
        limiter = means.limiter = composition.rate_limiter(settings, learned, stop)
        means.optimizer = await asyncio.to_thread(composition.prompt_optimizer, settings, self.journal)
        purse = means.budget = composition.budget(settings, means.money, stop=stop, utcnow=self.utcnow)
        async with AsyncExitStack() as stack:
            if memory:
                await stack.enter_async_context(in_company(limiter, memory))
            if means.optimizer and not settings.dry_run:
                await stack.enter_async_context(kept(means.optimizer, self.journal))
            async with composition.model(settings, reached=limiter.reached) as model:
                processor = composition.processor(
                    settings,
                    model,
                    self.batch,
                    limiter=limiter,
                    purse=purse,
                    reviser=means.optimizer or AskAgain(),
                    stop=stop,
                    utcnow=self.utcnow,
                )
                rewriter = composition.rewriter(
                    settings,
                    means.optimizer,
                    model,
                    limiter=limiter,
                    purse=purse,
                    money=means.money,
                    tally=self.tally,
                    stop=stop,
                    utcnow=self.utcnow,
                )
                gc.freeze()  # what is loaded by now stays: looking through it again and again is a standstill
                async with rewritten(rewriter) if rewriter else nullcontext():
                    await self.batch.process(processor, plan)


def _aside(settings: Settings, means: _Means, utcnow: Callable[[], datetime]) -> str:
    """Return why the run is not faster, for the progress."""
    if means.limiter is None:
        return ""
    now_s = asyncio.get_running_loop().time()
    figures = means.limiter.figures()
    return progress_words(figures, now_s=now_s, utcnow=utcnow(), rpm=settings.rpm, tpm=settings.tpm)


def _reconcile(journal: Journal, archiver: Archiver) -> None:
    """Make journal and tree agree again after a crash or damage."""
    for notice in journal.notices:
        log.warning("%s", notice)
    if journal.needs_ledger:
        adopted = journal.adopt(archiver.ledger(), archiver.proves)
        if adopted:
            log.info(
                "%d answers that the journal did not know were found in the tree and taken over", adopted
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


def _tell(
    settings: Settings, archiver: Archiver, stats: ProcessingStats, archive: Path | None
) -> tuple[ExitCode, str]:
    """Print how the run ended; nothing at all when a quiet run went well."""
    if settings.quiet and stats.exit_code == ExitCode.DONE:
        return ExitCode.DONE, last_line(stats)  # which only a log file hears
    where = Where(
        output_dir=str(settings.output_dir),
        metadata=str(archiver.documents),
        archive=str(archive) if archive else None,
    )
    if is_nothing_new(stats):  # one line is enough to say so
        return ExitCode.DONE, last_line(stats)
    sys.stdout.write(summary(stats, where, dry_run=settings.dry_run))
    sys.stdout.flush()
    return ExitCode(stats.exit_code), last_line(stats)
