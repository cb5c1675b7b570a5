"""How do the user's settings become the parts of one run?

Each function takes ``Settings`` apart and hands plain values to one constructor; nobody else holds
them. Heavy parts are imported when they are made: the SDK only for a live run. Nothing is done here.
"""

import hashlib
import logging
import random
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TextIO

from app.batch import Batch, Folders
from app.finalize import QuotaSources, RunFinalizer
from app.outcome_store import OutcomeStore
from app.prompt_proposer import PromptProposer, ProposerOptions
from archiver import Archiver
from config import VERSION, ArchiveFormat, Settings
from costs.budget import Budget
from costs.optimizer_budget import MAX_CALLS, OptimizerBudget
from costs.price_book import Costs, PriceBook
from costs.token_estimates import answer_length, expected_input_tokens, max_input_tokens
from gemini.client import GeminiClient
from gemini.generation_config import changeable_parameters
from gemini.model_info import produces_images
from gemini.simulated import SimulatedModel
from models import Prompt, RunInfo
from processing.api_call import ApiCaller
from processing.stop_signal import StopSignal
from processor import WORKERS_PER_SLOT, Processor, PromptReviser, RetrySettings
from prompt_optimizer import PromptOptimizer
from prompts import edits
from prompts.candidates import CandidatePool
from prompts.edit_stats import EditStats
from prompts.policy import RepairLimits
from rate_limit.limiter import RateLimiter
from rate_limit.shared import QuotaMemory, Scope, key_fingerprint, state_path
from rate_limit.types import LearnedLimits, RateLimitStats
from reports.tally import Tally
from storage.journal import Journal, Selection
from storage.output.layout import JOURNAL
from storage.output.tree import has_real_run
from utils.progress import choose_progress

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


def new_run_info(settings: Settings, utcnow: Clock) -> RunInfo:
    """Name the run and note what is the same for all its images."""
    now = utcnow()
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


def build_price_book(settings: Settings, utcnow: Clock) -> PriceBook:
    """Return the prices of the run, which are looked up when they are needed."""
    return PriceBook(
        model=settings.model,
        dry_run=settings.dry_run,
        utcnow=utcnow,
        optimizer_model=settings.optimizer_model,
    )


def build_archiver(settings: Settings, run: RunInfo, price_book: PriceBook) -> Archiver:
    """Return what writes the output tree."""
    is_beside_real_run = run.dry_run and has_real_run(settings.output_dir)
    return Archiver(
        output_dir=settings.output_dir, run=run, has_real_run=is_beside_real_run, price=price_book.price
    )


def open_journal(settings: Settings, run: RunInfo, archiver: Archiver, utcnow: Clock) -> Journal:
    """Open the journal of the output directory."""
    return Journal.open(settings.output_dir / JOURNAL, run=run, is_present=archiver.is_present, utcnow=utcnow)


def build_outcome_store(
    journal: Journal, archiver: Archiver, *, tally: Tally, stop: StopSignal, utcnow: Clock
) -> OutcomeStore:
    """Return the store of the run's outcomes."""
    return OutcomeStore(journal=journal, archiver=archiver, tally=tally, stop=stop, utcnow=utcnow)


def build_batch(
    settings: Settings,
    journal: Journal,
    archiver: Archiver,
    store: OutcomeStore,
    *,
    tally: Tally,
    stop: StopSignal,
    stderr: TextIO,
    clock: Callable[[], float],
    status_text: Callable[[], str],
) -> Batch:
    """Return the images of the input directory."""
    return Batch(
        folders=Folders(input_dir=settings.input_dir, output_dir=settings.output_dir),
        journal=journal,
        archiver=archiver,
        tally=tally,
        progress=choose_progress(quiet=settings.quiet, stream=stderr, clock=clock, status_text=status_text),
        stop=stop,
        store=store,
    )


def build_selection(settings: Settings) -> Selection:
    """Return which images are to be asked about."""
    return Selection(retry_failed=settings.retry_failed, only=settings.only, force=settings.force)


def bytes_per_answer(settings: Settings) -> int:
    """Return about how much room an answer takes, twice where it is packed as well.

    Pictures of 1K were seen with 0.6 to 2 MB (November 2026); an answer in words takes a block of the
    disk, a line in the ledger and a row in the journal.
    """
    each = 2_000_000 if produces_images(settings.model) else 8_000
    return each * (1 if settings.archive_format is ArchiveFormat.NONE else 2)


def build_model(
    settings: Settings, *, on_connected: Callable[[float], None]
) -> GeminiClient | SimulatedModel:
    """Return what answers: the service, or the stand-in of a dry run; ``reached`` hears how near it is."""
    wants_images = produces_images(settings.model)
    if settings.dry_run or settings.api_key is None:
        return SimulatedModel(model=settings.model, wants_images=wants_images)
    return GeminiClient(
        api_key=settings.api_key.get_secret_value(),
        model=settings.model,
        base_url=settings.api_base_url,
        wants_images=wants_images,
        on_connected=on_connected,
    )


def open_shared_state(settings: Settings, run: RunInfo, utcnow: Clock) -> QuotaMemory | None:
    """Return what other nights learned and other runs on the key do; None in a dry run. Takes 0.1 s."""
    if settings.dry_run or settings.api_key is None:
        return None
    fingerprint = key_fingerprint(settings.api_key.get_secret_value(), settings.api_base_url)
    return QuotaMemory(
        state_path(settings.state_dir),
        scope=Scope(fingerprint=fingerprint, model=settings.model),
        run_id=run.run_id,
        utcnow=utcnow,
    )


def build_rate_limiter(settings: Settings, learned: LearnedLimits | None, stop: StopSignal) -> RateLimiter:
    """Return what says when a request may start; a dry run has nothing to learn."""
    return RateLimiter(
        rpm=settings.rpm,
        tpm=settings.tpm,
        max_concurrent=settings.max_concurrent,
        sleep=stop.sleep,
        wait_for=stop.wait_for,
        outage_patience_s=settings.outage_patience_s,
        learned=learned,
        is_adaptive=not settings.dry_run,
    )


def build_budget(settings: Settings, price_book: PriceBook, *, stop: StopSignal, utcnow: Clock) -> Budget:
    """Return what says whether there is money for a request; a dry run spends none."""
    return Budget(
        max_requests=settings.max_requests,
        max_cost=None if settings.dry_run else settings.max_cost,
        pricing=price_book.pricing,
        answer_length=answer_length(settings.model, wants_images=produces_images(settings.model)),
        wait_for=stop.wait_for,
        utcnow=utcnow,
    )


def build_prompt_optimizer(settings: Settings, journal: Journal) -> PromptOptimizer | None:
    """Return what repairs prompts, with what earlier nights taught; None where nobody wants it; blocks."""
    if not settings.enable_prompt_optimization:
        return None
    prompt_sha256 = hashlib.sha256(settings.prompt.encode()).hexdigest()
    rows = () if settings.dry_run else journal.lessons(settings.model, prompt_sha256)
    book = edits.load(settings.prompt_edits)
    candidates = CandidatePool(
        prompt=settings.prompt,
        keep=settings.prompt_keep,
        rows=() if settings.dry_run else journal.proposed_edits(settings.model, prompt_sha256),
        reserved_names=[edit.name for edit in book.edits],
        can_request=settings.optimizer_model is not None and not settings.dry_run,
    )
    return PromptOptimizer(
        base=Prompt(text=settings.prompt),
        edits=book,
        edit_stats=EditStats.from_rows(settings.model, prompt_sha256, rows),
        rng=random.Random(),  # noqa: S311 - draws, not secrets
        keep=settings.prompt_keep,
        parameters=changeable_parameters(settings.model, wants_images=produces_images(settings.model)),
        # One further call for the plain second try, whatever the number of edits.
        limits=RepairLimits(max_edits=settings.max_prompt_edits, max_calls=settings.max_prompt_edits + 1),
        candidates=candidates,
    )


def build_prompt_proposer(
    settings: Settings,
    optimizer: PromptOptimizer | None,
    model: GeminiClient | SimulatedModel,
    *,
    limiter: RateLimiter,
    budget: Budget,
    price_book: PriceBook,
    tally: Tally,
    stop: StopSignal,
    utcnow: Clock,
) -> PromptProposer | None:
    """Return what asks a model for other words; None where nobody wants it, and in a dry run."""
    optimizer_model = settings.optimizer_model
    if optimizer_model is None or optimizer is None or settings.dry_run:
        return None
    pricing = price_book.optimizer_pricing
    if pricing is None:
        log.info(
            "no price is known for %s: --optimizer-max-cost cannot hold, at most %d calls are made",
            optimizer_model,
            MAX_CALLS,
        )
    return PromptProposer(
        optimizer=optimizer,
        model=model,
        limiter=limiter,
        budget=OptimizerBudget(
            run_budget=budget, pricing=pricing, max_cost=settings.optimizer_max_cost, utcnow=utcnow
        ),
        options=ProposerOptions(
            model=optimizer_model,
            is_run_model=optimizer_model.removeprefix("models/") == settings.model.removeprefix("models/"),
            timeout_s=settings.timeout_s,
            max_timeout_s=settings.max_timeout_s,
        ),
        on_usage=tally.add_proposal,
        stop=stop,
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
    )


def build_processor(
    settings: Settings,
    model: GeminiClient | SimulatedModel,
    store: OutcomeStore,
    *,
    limiter: RateLimiter,
    budget: Budget,
    reviser: PromptReviser,
    stop: StopSignal,
    utcnow: Clock,
) -> Processor:
    """Return what takes images to their outcomes."""
    prompt = Prompt(text=settings.prompt)
    caller = ApiCaller(
        model=model,
        limiter=limiter,
        budget=budget,
        estimate_tokens=partial(expected_input_tokens, settings.model),
        estimate_max_tokens=partial(max_input_tokens, settings.model),
        stop=stop,
        max_concurrent=settings.max_concurrent,
        utcnow=utcnow,
    )
    return Processor(
        caller=caller,
        reviser=reviser,
        store=store,
        stop=stop,
        prompt=prompt,
        workers=WORKERS_PER_SLOT * settings.max_concurrent,
        retry_settings=RetrySettings(
            max_retries=settings.max_retries,
            timeout_s=settings.timeout_s,
            max_timeout_s=settings.max_timeout_s,
        ),
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
    )


def build_finalizer(
    settings: Settings,
    run: RunInfo,
    journal: Journal,
    archiver: Archiver,
    *,
    rate_limit_stats: RateLimitStats | None,
    summarize_costs: Callable[[Tally], Costs | None],
    command: str,
    utcnow: Clock,
) -> RunFinalizer:
    """Return what writes the end of the run."""
    return RunFinalizer(
        run=run,
        journal=journal,
        archiver=archiver,
        archive_format=settings.archive_format,
        fail_on=settings.fail_on,
        command=command,
        utcnow=utcnow,
        quota_sources=QuotaSources(
            rate_limit_stats=rate_limit_stats, count_answered_since=journal.count_answered_since
        ),
        summarize_costs=summarize_costs,
    )
