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
from app.finalize import Epilogue, LimitSources
from app.prompt_proposer import Manner, Rewriter
from archiver import Archiver, holds_real_run
from config import VERSION, ArchiveFormat, Settings
from costs.budget import Budget
from costs.optimizer_budget import MOST_CALLS, Allowance
from costs.price_book import Costs, Money
from costs.token_estimates import answer_length, expected_input_tokens, most_input_tokens
from gemini.client import GeminiClient
from gemini.generation_config import changeable
from gemini.model_info import produces_images
from gemini.simulated import SimulatedModel
from models import Prompt, RunInfo
from processing.api_call import Caller
from processing.stop_signal import Stop
from processor import WORKERS_PER_SLOT, Patience, Processor, Reviser
from prompt_optimizer import PromptOptimizer
from prompts import edits
from prompts.candidates import Trials
from prompts.edit_stats import Pool
from prompts.policy import Limits
from rate_limit.limiter import RateLimiter
from rate_limit.shared import QuotaMemory, Scope, key_fingerprint, state_path
from rate_limit.types import LearnedLimits, PacingFigures
from reports.tally import Tally
from storage.journal import Journal, Selection
from storage.output.layout import JOURNAL
from utils.progress import choose_progress

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


def run_info(settings: Settings, utcnow: Clock) -> RunInfo:
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


def archiver(settings: Settings, run: RunInfo, money: Money) -> Archiver:
    """Return what writes the output tree."""
    beside_real = run.dry_run and holds_real_run(settings.output_dir)
    return Archiver(output_dir=settings.output_dir, run=run, beside_real=beside_real, price=money.price)


def journal(settings: Settings, run: RunInfo, writes: Archiver, utcnow: Clock) -> Journal:
    """Open the journal of the output directory."""
    return Journal.open(settings.output_dir / JOURNAL, run=run, stands=writes.stands, utcnow=utcnow)


def batch(
    settings: Settings,
    knows: Journal,
    writes: Archiver,
    *,
    tally: Tally,
    stop: Stop,
    stderr: TextIO,
    clock: Callable[[], float],
    aside: Callable[[], str],
    utcnow: Clock,
) -> Batch:
    """Return the run over the input directory."""
    return Batch(
        folders=Folders(input_dir=settings.input_dir, output_dir=settings.output_dir),
        journal=knows,
        archiver=writes,
        tally=tally,
        progress=choose_progress(quiet=settings.quiet, stream=stderr, clock=clock, aside=aside),
        stop=stop,
        utcnow=utcnow,
    )


def selection(settings: Settings) -> Selection:
    """Return which images are to be asked about."""
    return Selection(retry_failed=settings.retry_failed, only=settings.only, force=settings.force)


def bytes_per_answer(settings: Settings) -> int:
    """Return about how much room an answer takes, twice where it is packed as well.

    Pictures of 1K were seen with 0.6 to 2 MB (November 2026); an answer in words takes a block of the
    disk, a line in the ledger and a row in the journal.
    """
    each = 2_000_000 if produces_images(settings.model) else 8_000
    return each * (1 if settings.archive_format is ArchiveFormat.NONE else 2)


def model(settings: Settings, *, reached: Callable[[float], None]) -> GeminiClient | SimulatedModel:
    """Return what answers: the service, or the stand-in of a dry run; ``reached`` hears how near it is."""
    wants_images = produces_images(settings.model)
    if settings.dry_run or settings.api_key is None:
        return SimulatedModel(model=settings.model, wants_images=wants_images)
    return GeminiClient(
        api_key=settings.api_key.get_secret_value(),
        model=settings.model,
        base_url=settings.api_base_url,
        wants_images=wants_images,
        reached=reached,
    )


def quota_memory(settings: Settings, run: RunInfo, utcnow: Clock) -> QuotaMemory | None:
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


def rate_limiter(settings: Settings, learned: LearnedLimits | None, stop: Stop) -> RateLimiter:
    """Return what says when a request may start; a dry run has nothing to learn."""
    return RateLimiter(
        rpm=settings.rpm,
        tpm=settings.tpm,
        max_concurrent=settings.max_concurrent,
        sleep=stop.sleep,
        outage_patience_s=settings.outage_patience_s,
        learned=learned,
        learning=not settings.dry_run,
    )


def budget(settings: Settings, money: Money, *, stop: Stop, utcnow: Clock) -> Budget:
    """Return what says whether there is money for a request; a dry run spends none."""
    return Budget(
        max_requests=settings.max_requests,
        max_cost=None if settings.dry_run else settings.max_cost,
        prices=money.tariff,
        bounds=answer_length(settings.model, wants_images=produces_images(settings.model)),
        sleep=stop.sleep,
        utcnow=utcnow,
    )


def prompt_optimizer(settings: Settings, knows: Journal) -> PromptOptimizer | None:
    """Return what repairs prompts, with what earlier nights taught; None where nobody wants it; blocks."""
    if not settings.enable_prompt_optimization:
        return None
    prompt_sha256 = hashlib.sha256(settings.prompt.encode()).hexdigest()
    rows = () if settings.dry_run else knows.lessons(settings.model, prompt_sha256)
    book = edits.load(settings.prompt_edits)
    trials = Trials(
        prompt=settings.prompt,
        keep=settings.prompt_keep,
        rows=() if settings.dry_run else knows.proposed_edits(settings.model, prompt_sha256),
        taken=[edit.name for edit in book.edits],
        asks=settings.optimizer_model is not None and not settings.dry_run,
    )
    return PromptOptimizer(
        base=Prompt(text=settings.prompt),
        edits=book,
        pool=Pool.from_rows(settings.model, prompt_sha256, rows),
        rng=random.Random(),  # noqa: S311 - draws, not secrets
        keep=settings.prompt_keep,
        parameters=changeable(settings.model, wants_images=produces_images(settings.model)),
        # One further call for the plain second try, whatever the number of edits.
        limits=Limits(max_edits=settings.max_prompt_edits, max_calls=settings.max_prompt_edits + 1),
        trials=trials,
    )


def rewriter(
    settings: Settings,
    optimizer: PromptOptimizer | None,
    asks: GeminiClient | SimulatedModel,
    *,
    limiter: RateLimiter,
    purse: Budget,
    money: Money,
    tally: Tally,
    stop: Stop,
    utcnow: Clock,
) -> Rewriter | None:
    """Return what asks a model for other words; None where nobody wants it, and in a dry run."""
    model = settings.optimizer_model
    if model is None or optimizer is None or settings.dry_run:
        return None
    prices = money.optimizer_tariff
    if prices is None:
        log.info(
            "no price is known for %s: --optimizer-max-cost cannot hold, at most %d calls are made",
            model,
            MOST_CALLS,
        )
    return Rewriter(
        optimizer=optimizer,
        asks=asks,
        limiter=limiter,
        allowance=Allowance(purse=purse, prices=prices, max_cost=settings.optimizer_max_cost, utcnow=utcnow),
        manner=Manner(
            model=model,
            is_runs_own=model.removeprefix("models/") == settings.model.removeprefix("models/"),
            timeout_s=settings.timeout_s,
            max_timeout_s=settings.max_timeout_s,
        ),
        told=tally.add_proposal,
        stop=stop,
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
    )


def processor(
    settings: Settings,
    asks: GeminiClient | SimulatedModel,
    run: Batch,
    *,
    limiter: RateLimiter,
    purse: Budget,
    reviser: Reviser,
    stop: Stop,
    utcnow: Clock,
) -> Processor:
    """Return what takes images to their outcomes."""
    prompt = Prompt(text=settings.prompt)
    caller = Caller(
        model=asks,
        limiter=limiter,
        purse=purse,
        expected_tokens=partial(expected_input_tokens, settings.model),
        most_tokens=partial(most_input_tokens, settings.model),
        stop=stop,
        max_concurrent=settings.max_concurrent,
        utcnow=utcnow,
    )
    return Processor(
        caller=caller,
        reviser=reviser,
        answers=run,
        keep=run.keep,
        stop=stop,
        prompt=prompt,
        workers=WORKERS_PER_SLOT * settings.max_concurrent,
        patience=Patience(
            max_retries=settings.max_retries,
            timeout_s=settings.timeout_s,
            max_timeout_s=settings.max_timeout_s,
        ),
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
    )


def epilogue(
    settings: Settings,
    run: RunInfo,
    knows: Journal,
    writes: Archiver,
    *,
    figures: PacingFigures | None,
    costs: Callable[[Tally], Costs | None],
    command: str,
    utcnow: Clock,
) -> Epilogue:
    """Return what writes the end of the run."""
    return Epilogue(
        run=run,
        journal=knows,
        archiver=writes,
        archive_format=settings.archive_format,
        fail_on=settings.fail_on,
        command=command,
        utcnow=utcnow,
        limits=LimitSources(figures=figures, answered_since=knows.answered_since),
        costs=costs,
    )
