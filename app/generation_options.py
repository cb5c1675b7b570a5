"""Options of the model for a run: from the settings to what is sent, and what that takes in tokens."""

from collections.abc import Iterator
from datetime import date
from functools import partial

from config import Settings
from costs.token_estimates import (
    AnswerLength,
    answer_length,
    expected_input_tokens,
    expected_text_tokens,
    max_input_tokens,
    max_text_tokens,
)
from errors import UsageError
from gemini.model_catalogue import ModelCatalogue, ModelFacts
from gemini.model_info import produces_images
from models import IMAGE_OUTPUT_TOKENS, KEEP_RATIO, GenerationOptions, ReferenceImage
from processing.call_needs import TokenEstimator

MAX_REFERENCE_BYTES = 7_000_000
"""Of all reference images together: they go with every call, in the request itself."""


def build_options(settings: Settings) -> GenerationOptions:
    """Return what is sent with every call; reads the reference images, so it blocks.

    Raises:
        UsageError: a reference image cannot be sent.
    """
    given = settings.model_options
    return GenerationOptions(
        system_instruction=given.system_instruction,
        temperature=given.temperature,
        top_p=given.top_p,
        seed=given.seed_model,
        max_output_tokens=given.max_output_tokens,
        thinking_level=given.thinking_level,
        media_resolution=given.media_resolution,
        safety=given.safety,
        aspect_ratio=given.aspect_ratio,
        image_size=given.image_size,
        reference_images=tuple(_load_references(settings)),
    )


def build_estimators(model: str, options: GenerationOptions) -> tuple[TokenEstimator, TokenEstimator]:
    """Return the estimate of a call's input tokens that is likely, and the one that is never exceeded."""
    instruction = options.system_instruction or ""
    sizes = [reference.size for reference in options.reference_images]
    likely = partial(expected_input_tokens, model, media_resolution=options.media_resolution)
    largest = partial(max_input_tokens, model, media_resolution=options.media_resolution)
    likely_extra = expected_text_tokens(instruction) + sum(
        likely(width=width, height=height, prompt="") for width, height in sizes
    )
    largest_extra = max_text_tokens(instruction) + sum(
        largest(width=width, height=height, prompt="") for width, height in sizes
    )
    return partial(likely, extra=likely_extra), partial(largest, extra=largest_extra)


def build_answer_length(settings: Settings) -> AnswerLength:
    """Return how long the answers of the run may become."""
    given = settings.model_options
    return answer_length(
        settings.model,
        wants_images=produces_images(settings.model),
        picture_tokens=picture_tokens(settings),
        limit=given.max_output_tokens,
    )


def picture_tokens(settings: Settings) -> int:
    """Return the output tokens of a picture of the size that is asked for; of an unknown size the most."""
    size = settings.model_options.image_size or "1K"
    known = load_facts(settings).picture_tokens or {}
    return known.get(size) or IMAGE_OUTPUT_TOKENS.get(size) or max(IMAGE_OUTPUT_TOKENS.values())


def load_facts(settings: Settings) -> ModelFacts:
    """Return what the catalogue knows of the run's model."""
    return ModelCatalogue(settings.model_catalogue).facts(settings.model)


def describe_doubts(settings: Settings, facts: ModelFacts, *, today: date) -> Iterator[str]:
    """Yield a sentence for what the service may refuse, as far as is known: the model, an option of it."""
    given, model = settings.model_options, settings.model
    if facts.retires is not None and facts.retires <= today:
        yield f"{model} was shut down on {facts.retires}, as far as is known: --model names another"
    level = (given.thinking_level or "").lower()
    if level and facts.thinking_levels and level not in facts.thinking_levels:
        known = ", ".join(facts.thinking_levels)
        yield f"{model} has the thinking levels {known}: it may refuse --thinking-level {level}"
    if (given.image_size or given.aspect_ratio) and not produces_images(model):
        yield f"{model} makes no pictures, as far as is known: it may refuse --image-size and --aspect-ratio"
        return
    if given.image_size and facts.picture_tokens and given.image_size not in facts.picture_tokens:
        known = ", ".join(facts.picture_tokens)
        yield f"{model} makes pictures of {known}: it may refuse --image-size {given.image_size}"
    ratio = given.aspect_ratio
    if ratio not in {None, KEEP_RATIO} and facts.aspect_ratios and ratio not in facts.aspect_ratios:
        known = ", ".join(facts.aspect_ratios)
        yield f"{model} has the aspect ratios {known}: it may refuse --aspect-ratio {ratio}"


def _load_references(settings: Settings) -> Iterator[ReferenceImage]:
    from utils.image_validator import UnreadableImage, load_for_upload, read_image  # noqa: PLC0415

    total = 0
    for file in settings.model_options.reference_image:
        try:
            facts, _ = read_image(
                file.path, max_edge=settings.max_image_size, strip_metadata=settings.strip_metadata
            )
            if facts.sha256 != file.sha256:
                raise UsageError(f"--reference-image: {file.path} changed while the program began")
            data = load_for_upload(file.path, facts)
        except UnreadableImage as error:
            raise UsageError(f"--reference-image: {file.path}: {error}") from error
        total += len(data)
        if total > MAX_REFERENCE_BYTES:
            limit = f"{MAX_REFERENCE_BYTES / 1e6:.0f} MB"
            raise UsageError(
                f"--reference-image: all of them together may have {limit}, since they go with every call: "
                "--max-image-size makes them smaller"
            )
        yield ReferenceImage(data=data, mime_type=facts.send_mime_type, size=facts.upload_size)
