"""Composition root: the settings of a run become its parts.

They come in three groups: ``Storage`` is opened first; ``Limits`` and the pipeline (``app.pipeline``) are
built only when there is something to ask. Constructors get plain values: no part holds the settings.
"""

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from app.batch import Batch, Folders
from app.concurrency import limit_to_descriptors
from app.generation_options import build_answer_length
from app.input_selection import InputFilters, InputSelection
from app.outcome_store import OutcomeStore
from app.output_folder import open_memory
from app.output_guard import OutputGuard
from archiver import Archiver
from config import VERSION, ArchiveFormat, Settings
from costs.budget import Budget
from costs.price_book import Costs, PriceBook
from gemini.model_info import produces_images
from models import RunInfo
from processing.stop_signal import StopSignal
from rate_limit.limiter import RateLimiter
from rate_limit.shared import QuotaMemory, Scope, key_fingerprint, state_path
from rate_limit.types import LearnedLimits
from reports.tally import Tally
from storage.journal.journal import Journal
from storage.journal.plan import Selection
from storage.journal.snapshot import copy_for_dry_run
from storage.output.folders import JOURNAL, working_dir
from storage.output_memory import OutputMemory
from utils.held_lock import HeldLock
from utils.lock import find_range_lock_fault
from utils.progress import choose_progress

if TYPE_CHECKING:
    from app.finalize import RunFinalizer

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What all parts of one run share."""

    settings: Settings
    info: RunInfo
    price_book: PriceBook
    """Its prices are looked up when there is something to ask."""
    tally: Tally
    stop: StopSignal
    utcnow: Clock
    guard: OutputGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What writes and remembers the outcomes."""

    archiver: Archiver
    journal: Journal
    outcomes: OutcomeStore
    memory: OutputMemory
    """Outside of the output directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What decides when, and whether, the next request is sent."""

    price_book: PriceBook
    budget: Budget
    rate_limiter: RateLimiter
    shared_state: QuotaMemory | None
    """None in a dry run, and if there is no place for it."""
    max_concurrent: int
    """Calls at a time: as many as the user wants, or as the system has descriptors for."""
    connected: asyncio.Event
    """Set at the first connection to the service; never in a dry run."""


def build_context(settings: Settings, utcnow: Clock, lock: HeldLock) -> RunContext:
    """Name the run, and build what all its parts share."""
    price_book = PriceBook(
        model=settings.model,
        dry_run=settings.dry_run,
        utcnow=utcnow,
        optimizer_model=settings.optimizer_model,
    )
    stop = StopSignal()
    return RunContext(
        settings=settings,
        info=_new_run_info(settings, utcnow()),
        price_book=price_book,
        tally=Tally(price=price_book.price),
        stop=stop,
        utcnow=utcnow,
        guard=OutputGuard(lock, stop),
    )


def _new_run_info(settings: Settings, now: datetime) -> RunInfo:
    return RunInfo(
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
        started_at=now,
        version=VERSION,
        model=settings.model,
        prompt=settings.prompt,
        fingerprint=settings.fingerprint(),
        dry_run=settings.dry_run,
        options=settings.public_options(),
    )


@contextmanager
def open_storage(context: RunContext) -> Iterator[Storage]:
    """Open archiver and journal of the output directory; the journal is closed at the end of the block.

    Raises:
        StorageError: the output directory cannot be written.
    """
    archiver = build_archiver(context)
    rules = archiver.check_writable()
    if not_ordinary := rules.describe():
        log.info(
            "the file system of %s does not take every name (%s): a result that cannot have its image's"
            " name has one like it, with a hash",
            context.settings.output_dir,
            not_ordinary,
        )
    archiver.remove_unfinished()
    path = working_dir(context.settings.output_dir, dry_run=context.info.dry_run) / JOURNAL
    if context.info.dry_run:
        copy_for_dry_run(context.settings.output_dir / JOURNAL, path)
    memory = open_memory(context.settings)
    with Journal.open(
        path, run=context.info, is_present=archiver.is_present, utcnow=context.utcnow
    ) as journal:
        outcomes = OutcomeStore(
            journal=journal,
            archiver=archiver,
            tally=context.tally,
            stop=context.stop,
            utcnow=context.utcnow,
            load_prices=context.price_book.prepare,
            on_first_answer=lambda: _note_first_answer(context, memory),
            guard=context.guard,
        )
        yield Storage(archiver=archiver, journal=journal, outcomes=outcomes, memory=memory)


def _note_first_answer(context: RunContext, memory: OutputMemory) -> None:
    if not context.info.dry_run:
        memory.note_first_answer(context.utcnow())


def build_archiver(context: RunContext) -> Archiver:
    """Return the writer of the output tree."""
    return Archiver(output_dir=context.settings.output_dir, run=context.info, price=context.price_book.price)


def build_batch(context: RunContext, storage: Storage, *, status_text: Callable[[], str]) -> Batch:
    """Return the images of the input directory."""
    settings = context.settings
    return Batch(
        folders=Folders(input_dir=settings.input_dir, output_dir=settings.output_dir),
        inputs=InputSelection(
            filters=_build_filters(settings), input_dir=settings.input_dir, now=context.utcnow()
        ),
        journal=storage.journal,
        archiver=storage.archiver,
        tally=context.tally,
        progress=choose_progress(
            quiet=settings.quiet,
            stream=sys.stderr,
            clock=asyncio.get_running_loop().time,
            status_text=status_text,
        ),
        stop=context.stop,
        store=storage.outcomes,
    )


def _build_filters(settings: Settings) -> InputFilters:
    return InputFilters(
        include=settings.include,
        exclude=settings.exclude,
        newer_than_s=settings.newer_than_s,
        input_list=settings.input_list,
        null_separated=settings.null_separated,
        sample=settings.sample,
        seed=settings.seed,
        limit=settings.limit,
    )


def build_selection(settings: Settings) -> Selection:
    """Return which images are to be asked about."""
    return Selection(
        retry_failed=settings.retry_failed,
        only=settings.only,
        force=settings.force,
        keep_answers=settings.keep_answers,
    )


def bytes_per_answer(settings: Settings) -> int:
    """Return about how many bytes an answer takes on the disk, twice as many if it is archived as well.

    Pictures of 1K took 0.6 to 2 MB (November 2026); a text takes a block of the disk, a line of the ledger
    and a row of the journal.
    """
    each = 2_000_000 if produces_images(settings.model) else 8_000
    return each * (1 if settings.archive_format is ArchiveFormat.NONE else 2)


async def build_limits(context: RunContext) -> Limits:
    """Return the budget and the rate limiter, with the limits that earlier runs learned.

    Without caps on money, prices are looked up beside the first requests, see ``app.run``.
    """
    if context.settings.optimizer_model is not None:
        await asyncio.to_thread(context.price_book.look_up)
    shared_state = await asyncio.to_thread(_open_shared_state, context)
    learned = await asyncio.to_thread(shared_state.load) if shared_state else None
    max_concurrent = context.settings.max_concurrent
    if not context.info.dry_run:
        max_concurrent = limit_to_descriptors(max_concurrent)
    return Limits(
        price_book=context.price_book,
        budget=_build_budget(context),
        rate_limiter=_build_rate_limiter(context, learned, max_concurrent),
        shared_state=shared_state,
        max_concurrent=max_concurrent,
        connected=asyncio.Event(),
    )


def _open_shared_state(context: RunContext) -> QuotaMemory | None:
    """Return what earlier runs learned and other runs on the key share, if anything can; takes 0.1 s."""
    settings = context.settings
    if settings.dry_run or settings.api_key is None:
        return None
    path = state_path(settings.state_dir)
    if path is None:
        log.info(
            "there is no home directory: what is learned about the quota is neither kept for the next run "
            "nor shared with others; --state-dir names a place for it"
        )
        return None
    # Without locks two runs would damage it: unlike the journal it is written by several at once.
    if fault := find_range_lock_fault(path.parent):
        log.warning(
            "what is known about the quota can be neither kept nor shared: the file system of %s has no locks"
            " (%s); --state-dir names another place",
            path.parent,
            fault,
        )
        return None
    fingerprint = key_fingerprint(settings.api_key.get_secret_value(), settings.api_base_url)
    return QuotaMemory(
        path,
        scope=Scope(fingerprint=fingerprint, model=settings.model),
        run_id=context.info.run_id,
        utcnow=context.utcnow,
    )


def _build_rate_limiter(
    context: RunContext, learned: LearnedLimits | None, max_concurrent: int
) -> RateLimiter:
    settings = context.settings
    return RateLimiter(
        rpm=settings.rpm,
        tpm=settings.tpm,
        max_concurrent=max_concurrent,
        sleep=context.stop.sleep,
        wait_for=context.stop.wait_for,
        outage_patience_s=settings.outage_patience_s,
        max_wait_s=settings.max_wait_s,
        learned=learned,
        is_adaptive=not settings.dry_run,
    )


def _build_budget(context: RunContext) -> Budget:
    settings = context.settings
    return Budget(
        max_requests=settings.max_requests,
        max_cost=None if settings.dry_run else settings.max_cost,
        pricing=context.price_book.pricing,
        answer_length=build_answer_length(settings),
        wait_for=context.stop.wait_for,
        utcnow=context.utcnow,
    )


def build_finalizer(
    context: RunContext, storage: Storage, limits: Limits | None, *, command: str
) -> "RunFinalizer":
    """Return the writer of the run's documents; ``limits`` is None if there was nothing to ask."""
    from app.finalize import QuotaSources, RunFinalizer

    def summarize_costs(tally: Tally) -> Costs | None:
        budget = limits.budget if limits else None
        return context.price_book.summary(answers=tally.succeeded, usage=tally.usage, budget=budget)

    return RunFinalizer(
        run=context.info,
        journal=storage.journal,
        archiver=storage.archiver,
        archive_format=context.settings.archive_format,
        fail_on=context.settings.fail_on,
        command=command,
        utcnow=context.utcnow,
        quota_sources=QuotaSources(
            rate_limit_stats=limits.rate_limiter.stats() if limits else None,
            count_answered_since=storage.journal.count_answered_since,
        ),
        summarize_costs=summarize_costs,
    )
