"""Texts of the service, made safe for a log line, a JSON file and a terminal.

Sentences and words become one printable line of bounded length.
"""

import re

from utils.logger import make_redactor

MAX_SENTENCE = 270
"""Characters of a sentence of the service that are kept."""

MAX_WORD = 120
"""Characters of an id, a status or a type that are kept; the longest one seen from Google has 66."""

_MAX_READ = 20_000
"""Characters that are read; the page of a proxy can be longer, but its first words stand in these."""

_ELLIPSIS = "…"
# "<" alone is an ordinary word ("must be < 2"). No part of these patterns can scan far and then fail:
# with a hostile page that would block the event loop.
_HIDDEN = re.compile(r"<(?:script|style)\b[^<>]*>[^<]*", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)


def sanitize_sentence(text: str, limit: int = MAX_SENTENCE) -> str:
    """Return a text on one printable line, without markup, at most ``limit`` characters long."""
    return shorten(make_printable(_TAG.sub(" ", _HIDDEN.sub(" ", text[:_MAX_READ]))), limit)


def sanitize_word(text: str, limit: int = MAX_WORD) -> str:
    """Return an id or a status word on one printable line, at most ``limit`` characters long."""
    return shorten(make_printable(text[:_MAX_READ]), limit)


def make_printable(text: str) -> str:
    """Return the text with one space for each run of blanks and of unprintable characters.

    These are controls, terminal escapes, marks that reorder text, and halves of surrogate pairs.
    """
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(text.split())


def shorten(text: str, limit: int) -> str:
    """Return the text, or its beginning and an ellipsis, in at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + _ELLIPSIS


def repair_surrogates(text: str) -> str:
    """Return the text with surrogate pairs joined, and U+FFFD for halves, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def remove_secret(text: str, secret: str) -> str:
    """Return a shortened text without the secret, and without a part of it before the ellipsis."""
    text = make_redactor([secret])(text)
    for size in range(len(secret) - 1, 3, -1):
        text = text.replace(secret[:size] + _ELLIPSIS, _ELLIPSIS)
    return text
