"""Tokens of a call before it is made: the likely number, and an upper bound.

The rate limiter needs the likely number, since too high a guess wastes the quota. The budget needs a number
that is never exceeded; for the same reason a bound of the answer's length is sent along.
Sources: docs/api-facts.md, section 2.7 (Google's page on media resolution, November 2026);
docs/prompt-repair-evidence.md, section 1.2 (thoughts take at least 2,000 to 3,000 tokens, and an answer
limited to less than 4,000 may not come at all).
"""

import re
from dataclasses import dataclass

from models import CHARACTERS_PER_TOKEN, IMAGE_INPUT_TOKENS, IMAGE_OUTPUT_TOKENS

_WRAPPING_TOKENS = 32
"""Tokens that the service may add around question and picture."""

_PAN_AND_SCAN = (256, 2048)
"""Gemini 2.5: tokens of the whole image, and at most of its parts."""
_TILE_TOKENS, _TILE_PX, _ONE_TILE_PX = 258, 768, 384
"""Gemini 2.0: tiles; an image of up to 384 px on both sides is one tile."""
_SMALLEST_CROP_PX = 256

_RESOLUTION_TOKENS = {"LOW": 280, "MEDIUM": 560, "HIGH": 1120, "ULTRA_HIGH": 2240}
"""Gemini 3 and 4: tokens of an image by its media resolution, whatever its pixels."""
_LOW_2_5_TOKENS = 64

_BYTES_PER_FOREIGN_TOKEN = 3
"""Beyond ASCII: a Chinese character is three bytes and about one token."""

_TEXT_TOKENS = 8192
_THOUGHTS_TOKENS = 4096
_MIN_TOKENS = 1024
_MAX_TEXT_TOKENS, _MAX_IMAGE_ANSWER_TOKENS = 65_536, 32_768
_MAX_GEMINI_2_0_TOKENS = 8192

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLength:
    """Bounds for ``maxOutputTokens``, in tokens of words, thoughts and pictures together."""

    initial: int
    """The bound while no answer to this prompt is known."""
    minimum: int
    """Below this an answer is hardly worth its call."""
    maximum: int
    """The service refuses a larger bound."""


def expected_input_tokens(
    model: str, *, width: int, height: int, prompt: str, media_resolution: str | None = None, extra: int = 0
) -> int:
    """Return the likely input tokens of a call.

    Args:
        model: its model.
        width: of the image, in pixels.
        height: of the image, in pixels.
        prompt: the text beside it.
        media_resolution: such as ``LOW``; None for the model's own.
        extra: tokens that go with every call: the system instruction, reference images.
    """
    image_tokens = _expect_image_tokens(_parse_generation(model), width, height, media_resolution)
    return image_tokens + expected_text_tokens(prompt) + extra


def max_input_tokens(
    model: str, *, width: int, height: int, prompt: str, media_resolution: str | None = None, extra: int = 0
) -> int:
    """Return an upper bound of the input tokens of a call; see ``expected_input_tokens``."""
    image_tokens = _max_image_tokens(_parse_generation(model), width, height, media_resolution)
    return image_tokens + max_text_tokens(prompt) + _WRAPPING_TOKENS + extra


def expected_text_tokens(text: str) -> int:
    """Return the likely tokens of a text."""
    ascii_characters = sum(character.isascii() for character in text)
    foreign_bytes = max_text_tokens(text) - ascii_characters
    return _divide_up(ascii_characters, CHARACTERS_PER_TOKEN) + _divide_up(
        foreign_bytes, _BYTES_PER_FOREIGN_TOKEN
    )


def max_text_tokens(text: str) -> int:
    """Return an upper bound of the tokens of a text: no token is less than one byte."""
    return len(text.encode("utf-8", "surrogatepass"))


def answer_length(
    model: str,
    *,
    wants_images: bool,
    picture_tokens: int = IMAGE_OUTPUT_TOKENS["1K"],
    limit: int | None = None,
) -> AnswerLength:
    """Return the bounds for a model's answers: words, or one picture of so many tokens with some words.

    ``limit`` is the user's own bound, which none of them exceeds; None if there is none.
    """
    longest = _MAX_GEMINI_2_0_TOKENS if _parse_generation(model) == (2, 0) else _MAX_TEXT_TOKENS
    if wants_images:
        bounds = (picture_tokens + _THOUGHTS_TOKENS, picture_tokens + _MIN_TOKENS, _MAX_IMAGE_ANSWER_TOKENS)
    else:
        bounds = (_TEXT_TOKENS, _MIN_TOKENS, longest)
    initial, minimum, maximum = (min(bound, limit or bound) for bound in bounds)
    return AnswerLength(initial=initial, minimum=minimum, maximum=maximum)


def _parse_generation(model: str) -> tuple[int, int] | None:
    """Return a model's version; None if unknown, as for ``gemini-flash-latest``."""
    found = _VERSION.match(model.lower().removeprefix("models/"))
    return (int(found[1]), int(found[2] or 0)) if found else None


def _expect_image_tokens(
    generation: tuple[int, int] | None, width: int, height: int, resolution: str | None
) -> int:
    if generation is None or generation >= (3, 0):
        return _RESOLUTION_TOKENS.get(resolution or "", IMAGE_INPUT_TOKENS)
    if generation >= (2, 5) and resolution == "LOW":
        return _LOW_2_5_TOKENS
    tiles = _TILE_TOKENS * _count_tiles(width, height, _TILE_PX)
    return min(tiles, sum(_PAN_AND_SCAN)) if generation >= (2, 5) else tiles


def _max_image_tokens(
    generation: tuple[int, int] | None, width: int, height: int, resolution: str | None
) -> int:
    if generation is not None and generation < (2, 5):
        # Google's page also has tiles smaller than 768 px for small images; the larger count is the bound.
        crop_px = max(_SMALLEST_CROP_PX, min(_TILE_PX, int(min(width, height) / 1.5)))
        return _TILE_TOKENS * max(_count_tiles(width, height, _TILE_PX), _count_tiles(width, height, crop_px))
    # A model may not know the resolution, and then takes its own.
    most = max(IMAGE_INPUT_TOKENS, _RESOLUTION_TOKENS.get(resolution or "", 0))
    return most if generation and generation >= (3, 0) else max(most, sum(_PAN_AND_SCAN))


def _count_tiles(width: int, height: int, tile_px: int) -> int:
    if max(width, height) <= _ONE_TILE_PX:
        return 1
    return _divide_up(width, tile_px) * _divide_up(height, tile_px)


def _divide_up(count: int, unit: int) -> int:
    return -(-count // unit)
