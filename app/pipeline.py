"""Composition of the pipeline: what takes images to their outcomes, built from the settings."""

import asyncio
import hashlib
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.composition import Limits, RunContext, Storage
from app.generation_options import (
    build_estimators,
    build_options,
    describe_doubts,
    load_facts,
    picture_tokens,
)
from config import Settings
from gemini.client import GeminiClient
from gemini.generation_config import changeable_parameters
from gemini.model_info import produces_images
from gemini.simulated import SimulatedModel
from models import GenerationOptions, Prompt
from processing.api_call import ApiCaller
from processing.image_loader import ImageLoader
from processing.memory_gate import MemoryGate
from processor import Processor, RetrySettings
from prompts.retry_once import RetryOnce
from storage.journal.journal import Journal
from utils.memory import read_free_memory
from utils.standard_streams import capture_library_output

if TYPE_CHECKING:
    from app.prompt_proposer import PromptProposer
    from costs.optimizer_budget import OptimizerBudget
    from prompt_optimizer import PromptOptimizer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What takes images to their outcomes."""

    model: GeminiClient | SimulatedModel
    """Not opened yet."""
    caller: ApiCaller
    optimizer: "PromptOptimizer | None"
    """None if prompts are not repaired."""
    proposer: "PromptProposer | None"
    """None if no model is asked for prompts."""
    processor: Processor
    loader: ImageLoader
    """To be closed at the end."""


async def build_pipeline(context: RunContext, storage: Storage, limits: Limits) -> Pipeline:
    """Return what asks about images; the model is still to be opened."""
    settings = context.settings
    options = await asyncio.to_thread(build_options, settings)
    for doubt in describe_doubts(settings, load_facts(settings), today=context.utcnow().date()):
        log.warning("%s", doubt)
    optimizer = await asyncio.to_thread(_build_prompt_optimizer, settings, storage.journal, options)
    model = _build_model(settings, limits, options)
    loader = _build_loader(context)
    caller = _build_caller(context, model, limits, loader=loader, options=options)
    processor = Processor(
        caller=caller,
        reviser=optimizer or RetryOnce(),
        store=storage.outcomes,
        stop=context.stop,
        prompt=Prompt(text=settings.prompt),
        max_concurrent=limits.max_concurrent,
        retry_settings=RetrySettings(
            max_retries=settings.max_retries,
            timeout_s=settings.timeout_s,
            max_timeout_s=settings.max_timeout_s,
            max_wait_s=settings.max_wait_s,
        ),
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
    )
    proposer = _build_prompt_proposer(context, optimizer, model, limits)
    return Pipeline(
        model=model,
        caller=caller,
        optimizer=optimizer,
        proposer=proposer,
        processor=processor,
        loader=loader,
    )


def _build_loader(context: RunContext) -> ImageLoader:
    """Return the reader of images, with what is free of the memory now."""
    capture_library_output()
    free = read_free_memory()
    memory = MemoryGate(
        free.size_bytes if free else None,
        bound=free.bound if free else "",
        wait_for=context.stop.wait_for,
    )
    return ImageLoader(
        memory,
        max_edge=context.settings.max_image_size,
        strip_metadata=context.settings.strip_metadata,
    )


def _build_model(
    settings: Settings, limits: Limits, options: GenerationOptions
) -> GeminiClient | SimulatedModel:
    """Return the service, or the simulated model of a dry run."""

    def on_connected(seconds: float) -> None:
        limits.rate_limiter.on_connected(seconds)
        limits.connected.set()

    wants_images = produces_images(settings.model)
    if settings.dry_run or settings.api_key is None:
        estimate_tokens, _ = build_estimators(settings.model, options)
        return SimulatedModel(
            model=settings.model,
            wants_images=wants_images,
            picture_tokens=picture_tokens(settings),
            estimate_tokens=estimate_tokens,
        )
    return GeminiClient(
        api_key=settings.api_key.get_secret_value(),
        model=settings.model,
        base_url=settings.api_base_url,
        wants_images=wants_images,
        facts=load_facts(settings),
        on_connected=on_connected,
    )


def _build_caller(
    context: RunContext,
    model: GeminiClient | SimulatedModel,
    limits: Limits,
    *,
    loader: ImageLoader,
    options: GenerationOptions,
) -> ApiCaller:
    estimate_tokens, estimate_max_tokens = build_estimators(context.settings.model, options)
    return ApiCaller(
        model=model,
        limiter=limits.rate_limiter,
        budget=limits.budget,
        estimate_tokens=estimate_tokens,
        estimate_max_tokens=estimate_max_tokens,
        stop=context.stop,
        utcnow=context.utcnow,
        loader=loader,
        options=options,
    )


def _build_prompt_optimizer(
    settings: Settings, journal: Journal, options: GenerationOptions
) -> "PromptOptimizer | None":
    """Return the optimizer with what earlier runs learned; None if prompts are not repaired; blocks."""
    if not settings.enable_prompt_optimization:
        return None
    from prompt_optimizer import PromptOptimizer
    from prompts import edits
    from prompts.candidates import CandidatePool
    from prompts.edit_stats import EditStats
    from prompts.policy import RepairLimits

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
        parameters=changeable_parameters(
            settings.model, wants_images=produces_images(settings.model), options=options
        ),
        # One further call for the plain second try, whatever the number of edits.
        limits=RepairLimits(max_edits=settings.max_prompt_edits, max_calls=settings.max_prompt_edits + 1),
        candidates=candidates,
    )


def _build_prompt_proposer(
    context: RunContext,
    optimizer: "PromptOptimizer | None",
    model: GeminiClient | SimulatedModel,
    limits: Limits,
) -> "PromptProposer | None":
    """Return what asks a model for prompts; None if no model is named, and in a dry run."""
    settings, optimizer_model = context.settings, context.settings.optimizer_model
    if optimizer_model is None or optimizer is None or settings.dry_run:
        return None
    from app.prompt_proposer import PromptProposer, ProposerOptions

    return PromptProposer(
        optimizer=optimizer,
        model=model,
        limiter=limits.rate_limiter,
        budget=_build_optimizer_budget(context, limits, optimizer_model),
        options=ProposerOptions(
            model=optimizer_model,
            is_run_model=optimizer_model.removeprefix("models/") == settings.model.removeprefix("models/"),
            timeout_s=settings.timeout_s,
            max_timeout_s=settings.max_timeout_s,
        ),
        on_usage=context.tally.add_proposal,
        stop=context.stop,
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
    )


def _build_optimizer_budget(context: RunContext, limits: Limits, optimizer_model: str) -> "OptimizerBudget":
    from costs.optimizer_budget import MAX_CALLS, OptimizerBudget

    pricing = limits.price_book.optimizer_pricing
    if pricing is None:
        log.info(
            "no price is known for %s: --optimizer-max-cost cannot hold, at most %d calls are made",
            optimizer_model,
            MAX_CALLS,
        )
    return OptimizerBudget(
        run_budget=limits.budget,
        pricing=pricing,
        max_cost=context.settings.optimizer_max_cost,
        utcnow=context.utcnow,
    )
