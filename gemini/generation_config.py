"""What is said beside the question, and which of it can be changed for a single call?

The naive answer changes a setting and hopes. But a model that does not know a thinking level refuses the
whole request (400), and one that thinks as little as it can by default would think more. So a change is
only offered where the model is known to take it.

Sources: gemini-api.md, sections 1.5, 2 and 4 (Google's pages on thinking and on models, November 2026).
"""

import re
from typing import Any

from models import GenerationRequest, Parameter

_LOWER_LEVELS = (
    (re.compile(r".*flash-lite"), None),  # 3.5: minimal is the default
    (re.compile(r"(?:gemini-)?nano-banana-2\.1"), "MINIMAL"),  # by default medium
    (re.compile(r".*(?:image|banana)"), None),  # not known
    (re.compile(r"gemini-(?:[34][.-]|flash-latest|pro-latest)"), "LOW"),  # MINIMAL is refused by some
)
"""The first that a model's name begins with counts; Gemini 2.5 has budgets in place of levels."""

_GOOGLE_PREFIX = re.compile(r"^(?:publishers/google/)?models/")
"""What may stand before the name; a model that somebody tuned is another, whatever it is called."""


def changeable_parameters(model: str, *, wants_images: bool) -> frozenset[Parameter]:
    """Return the settings that can be changed for a model, one call at a time."""
    parameters = {Parameter.MORE_OUTPUT_TOKENS}
    if wants_images:
        parameters.add(Parameter.PICTURE_ONLY)
    if _lower_thinking_level(model) is not None:
        parameters.add(Parameter.LESS_THINKING)
    return frozenset(parameters)


def build_generation_config(request: GenerationRequest, *, model: str, wants_images: bool) -> dict[str, Any]:
    """Return the ``generationConfig`` of a request, in the SDK's spelling and order."""
    config: dict[str, Any] = {}
    if request.max_output_tokens is not None:
        config["maxOutputTokens"] = request.max_output_tokens
    if wants_images:
        is_alone = Parameter.PICTURE_ONLY in request.parameters
        config["responseModalities"] = ["IMAGE"] if is_alone else ["TEXT", "IMAGE"]
    level = _lower_thinking_level(model) if Parameter.LESS_THINKING in request.parameters else None
    if level is not None:
        config["thinkingConfig"] = {"thinking_level": level}
    return config


def _lower_thinking_level(model: str) -> str | None:
    """Return a lower thinking level than the model's own; None where there is none, or none is known."""
    bare = _GOOGLE_PREFIX.sub("", model.lower())
    return next((level for name, level in _LOWER_LEVELS if name.match(bare)), None)
