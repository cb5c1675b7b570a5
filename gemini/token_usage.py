"""Token usage: what a reply says that it took, held against its own text and pictures.

A count that cannot be read is not zero, and one that its answer refutes is not believed: the usage is then a
lower bound (``Usage.at_least``), and the budget keeps the whole reservation of the call.
Source of the fields: docs/api-facts.md, section 2.4, November 2026.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gemini.fields import get_count, get_field, to_dict, to_text
from models import IMAGE_OUTPUT_TOKENS, Usage

_LONGEST_TOKEN_BYTES = 16
"""Tokens are shorter on average in every text: an English one has four bytes, a Chinese character three."""
_WORDS_PER_TOKEN = 2
"""No tokenizer joins words; two are allowed, so that no honest count is doubted."""
_PICTURE_BYTES_PER_TOKEN = 1024
_MAX_PICTURE_FLOOR = min(IMAGE_OUTPUT_TOKENS.values()) * 9 // 10
"""No picture is billed for fewer tokens than the smallest size; small files are thumbnails, or tests."""


def min_text_tokens(text: str) -> int:
    """Return how many tokens a text has at least."""
    words = text.split()
    return max(len(words) // _WORDS_PER_TOKEN, sum(map(len, words)) // _LONGEST_TOKEN_BYTES, bool(words))


@lru_cache(maxsize=8)
def min_prompt_tokens(prompt: str) -> int:
    """Return how many tokens a question about an image has at least."""
    return min_text_tokens(prompt) + 1


def min_picture_tokens(size_bytes: int) -> int:
    """Return how many tokens a picture of so many bytes took at least."""
    return min(_MAX_PICTURE_FLOOR, size_bytes // _PICTURE_BYTES_PER_TOKEN)


def parse_usage(
    metadata: Mapping[str, Any],
    *,
    text: str,
    has_pictures: bool,
    picture_bytes: int = 0,
    prompt: str = "",
) -> Usage:
    """Return what a call was billed for.

    Args:
        metadata: the reply's ``usageMetadata``; empty if there is none.
        text: of the answer.
        has_pictures: the answer has pictures.
        picture_bytes: of all of them, roughly.
        prompt: the question; empty if it is not known.
    """
    asked, tools = get_count(metadata, "promptTokenCount"), get_count(metadata, "toolUsePromptTokenCount")
    said, thought = get_count(metadata, "candidatesTokenCount"), get_count(metadata, "thoughtsTokenCount")
    is_read = None not in {asked, tools, said, thought}
    asked, tools, said, thought = asked or 0, tools or 0, said or 0, thought or 0
    picture_floor = min_picture_tokens(picture_bytes)
    floor = picture_floor + _floor_above(text, said - picture_floor)
    prompt_floor = min_prompt_tokens(prompt) if prompt else 0
    total = get_count(metadata, "totalTokenCount") or 0
    answer_tokens = max(said, floor)
    return Usage(
        input_tokens=max(asked, prompt_floor) + tools,
        # What the total has beyond the question is answer and thoughts, whatever is said of these.
        output_tokens=max(answer_tokens + thought, total - max(asked, prompt_floor) - tools),
        image_output_tokens=min(
            answer_tokens, max(picture_floor, _picture_tokens(metadata, said, has_pictures=has_pictures))
        ),
        at_least=not is_read or said < floor or asked < prompt_floor,
    )


def _floor_above(text: str, said: int) -> int:
    """Return the least tokens of a text if they are more than is said, which is seldom worth a count."""
    # Half of the words, or a sixteenth of at most four bytes a character, are no more than this.
    return 0 if text == "" or said * 4 > len(text) else min_text_tokens(text)


def _picture_tokens(metadata: Mapping[str, Any], answer_tokens: int, *, has_pictures: bool) -> int:
    """Return the tokens of the answer's pictures; without details, all tokens of an answer with pictures.

    The estimate is high rather than low, because a cost that is counted too low overruns ``--max-cost``.
    """
    details = get_field(metadata, "candidatesTokensDetails")
    pictures = others = 0
    for detail in details if isinstance(details, list) else ():
        count = get_count(to_dict(detail), "tokenCount") or 0
        if to_text(to_dict(detail).get("modality")).upper() == "IMAGE":
            pictures += count
        else:
            others += count
    return pictures or (max(0, answer_tokens - others) if has_pictures else 0)
