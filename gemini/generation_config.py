"""Generation config: the settings of a request, and which of them a model lets us change per call.

A change is offered only where the model is known to accept it: a model rejects a thinking level that it
does not know (400), and one whose default is the lowest level would think more.
Source: docs/api-facts.md, sections 4.2 and 4.3 (fields and spelling: 1.3 and 2.1).
"""

import re
from typing import Any

from gemini.model_catalogue import UNKNOWN, ModelFacts, nearest_ratio
from models import KEEP_RATIO, NO_OPTIONS, GenerationOptions, GenerationRequest, Parameter

_LOWER_LEVELS = (
    (re.compile(r".*flash-lite"), None),  # its default is already minimal
    (re.compile(r"(?:gemini-)?nano-banana-2\.1"), "MINIMAL"),  # its default is medium
    (re.compile(r".*(?:image|banana)"), None),  # unknown
    (re.compile(r"gemini-(?:[34][.-]|flash-latest|pro-latest)"), "LOW"),  # some of them reject MINIMAL
)
"""The first pattern that matches the start of a model's name counts; Gemini 2.5 has no levels."""

PART_RESOLUTION = "ULTRA_HIGH"
"""The media resolution that only a single image can have, not a request."""

_GOOGLE_PREFIX = re.compile(r"^(?:publishers/google/)?models/")
"""Prefixes of Google's own models; a tuned model is another one, whatever its name."""


def changeable_parameters(
    model: str, *, wants_images: bool, options: GenerationOptions = NO_OPTIONS
) -> frozenset[Parameter]:
    """Return the settings that can be changed for a single call; what the user set stays as it is."""
    parameters = set() if options.max_output_tokens else {Parameter.MORE_OUTPUT_TOKENS}
    if wants_images:
        parameters.add(Parameter.PICTURE_ONLY)
    if options.thinking_level is None and _lower_thinking_level(model) is not None:
        parameters.add(Parameter.LESS_THINKING)
    return frozenset(parameters)


def build_generation_config(
    request: GenerationRequest, *, model: str, wants_images: bool, facts: ModelFacts = UNKNOWN
) -> dict[str, Any]:
    """Return the ``generationConfig`` of a request, in the SDK's spelling.

    Args:
        request: the request, with the options that the user set.
        model: its model.
        wants_images: ask for pictures as well as words.
        facts: what is known of the model: which aspect ratio is nearest to the image's own.
    """
    options = request.options
    config: dict[str, Any] = {
        name: value
        for name, value in (
            ("temperature", options.temperature),
            ("topP", options.top_p),
            ("seed", options.seed),
        )
        if value is not None
    }
    if request.max_output_tokens is not None:
        config["maxOutputTokens"] = request.max_output_tokens
    if wants_images:
        is_alone = Parameter.PICTURE_ONLY in request.parameters
        config["responseModalities"] = ["IMAGE"] if is_alone else ["TEXT", "IMAGE"]
    if options.media_resolution is not None and options.media_resolution != PART_RESOLUTION:
        config["mediaResolution"] = f"MEDIA_RESOLUTION_{options.media_resolution}"
    if picture := _build_image_config(request, facts):
        config["imageConfig"] = picture
    level = options.thinking_level
    if Parameter.LESS_THINKING in request.parameters:
        level = _lower_thinking_level(model) or level
    if level is not None:
        config["thinkingConfig"] = {"thinking_level": level}
    return config


def _build_image_config(request: GenerationRequest, facts: ModelFacts) -> dict[str, str]:
    options = request.options
    ratio = options.aspect_ratio
    if ratio == KEEP_RATIO:
        ratio = nearest_ratio(facts, request.size)
    fields = {"aspectRatio": ratio, "imageSize": options.image_size}
    return {name: value for name, value in fields.items() if value is not None}


def _lower_thinking_level(model: str) -> str | None:
    """Return a lower thinking level than the model's default; None if unknown or if there is none."""
    bare = _GOOGLE_PREFIX.sub("", model.lower())
    return next((level for name, level in _LOWER_LEVELS if name.match(bare)), None)
