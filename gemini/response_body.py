"""Response body: parses a reply and decodes its pictures without blocking the event loop for long.

The base64 of pictures is taken out of the bytes before ``json.loads``. So the interpreter's lock, which a
thread holds as well, is held for 0.5 ms in place of 14 with a picture of 10 MB (docs/performance.md).
"""

import binascii
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

PIECE_CHARACTERS = 2**18
"""Characters decoded at once, which takes 1 ms; a multiple of 4, so that the pieces join."""

MIN_EXTRACTED_CHARACTERS = 2**16
"""Shorter strings are left in the JSON, where they cost little."""

_MAX_JSON_BYTES = 4_000_000
"""Longest JSON without its pictures; an answer of 65,536 tokens takes a tenth. It takes 30 times
as much memory as objects."""
_MAX_TEXT_BYTES = 24_000_000
"""The same where nearly all of it is base64, of pictures within a text or with escapes."""
_MAX_OTHER_BYTES = 500_000
_OF_BASE64 = bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123)) + b"+/=-_\\"

# In valid JSON these bytes can only be a key and the start of its value: within a string a quote has a
# backslash before it.
_DATA_KEY = re.compile(rb'"data"\s*:\s*"')
_PLACEHOLDER = b"-Infinity"
"""Replaces a picture: JSON has no such word, and Python's parser calls ``parse_constant`` for it."""

_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")

Encoded = str | memoryview
"""Base64 as received: taken out of the bytes, or a string of the parser."""


def extract_base64(body: bytes | bytearray) -> tuple[bytes | bytearray, list[memoryview]]:
    """Return a body of ASCII or UTF-8 without its pictures, and the pictures, for ``parse_json``.

    A body in which this could go wrong is returned whole.
    """
    pieces, pictures, at = [], [], 0
    for start, end in _find_long_strings(body) if len(body) >= MIN_EXTRACTED_CHARACTERS else ():
        pieces.append(body[at : start - 1])  # without the quotes
        pictures.append(memoryview(body)[start:end])
        at = end + 1
    pieces.append(body[at:])
    if any(_PLACEHOLDER in part for part in pieces):
        return body, []
    return _PLACEHOLDER.join(pieces), pictures


def check_size(rest: bytes | bytearray) -> None:
    """Raise ValueError for a body that is too much to be parsed, its pictures being taken out."""
    size = len(rest)
    if size <= _MAX_JSON_BYTES:
        return
    # What else is in it bounds the number of its objects.
    if size > _MAX_TEXT_BYTES or len(rest.translate(None, _OF_BASE64)) > _MAX_OTHER_BYTES:
        raise ValueError("a reply holds more than any answer")


def _find_long_strings(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each value of ``"data"`` that is long and has no escapes."""
    at = 0
    while found := _DATA_KEY.search(body, at):
        start = found.end()
        end = body.find(b'"', start)
        if end < 0:
            return
        if end - start >= MIN_EXTRACTED_CHARACTERS and body.find(b"\\", start, end) < 0:
            yield start, end
        at = end + 1


def parse_json(text: str, pictures: list[memoryview]) -> Any:
    """Return the parsed JSON of a body with its pictures in place; None for an empty body.

    A stream, of events or of lines, gives the list of its chunks.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    if not text.strip():
        return None
    try:
        return _parser(pictures)(text)
    except json.JSONDecodeError:
        from gemini.response_stream import parse_chunks, split_stream  # noqa: PLC0415 -- seldom needed

        texts = split_stream(text)
        if not texts:
            raise
        return parse_chunks(texts, _parser(pictures))


def _parser(pictures: list[memoryview]) -> Callable[[str], Any]:
    """Return a parser that puts the pictures back, one after the other."""
    remaining = iter(pictures)
    if not pictures:
        return json.loads
    return partial(
        json.loads,
        parse_constant=lambda word: next(remaining) if word == _PLACEHOLDER.decode() else float(word),
    )


def decode_base64(encoded: Encoded) -> bytes:
    """Return the bytes of base64 in either alphabet, padded or not; empty if it is not valid.

    Decodes in pieces, so that other threads get a turn: one call for a picture of 14 MB stops the event
    loop for 50 ms, even from a thread (docs/adr/0008).
    """
    try:
        data = memoryview(encoded.encode("ascii")) if isinstance(encoded, str) else encoded
        return b"".join([binascii.a2b_base64(piece, strict_mode=True) for piece in _decodable_pieces(data)])
    except ValueError:  # includes binascii.Error and UnicodeEncodeError
        return b""


def _decodable_pieces(data: memoryview) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE_CHARACTERS):
        piece = bytes(data[start : start + PIECE_CHARACTERS]).translate(_TO_STANDARD_ALPHABET)
        is_last = start + PIECE_CHARACTERS >= len(data)
        if not is_last and b"=" in piece:
            raise ValueError("something follows the padding")
        yield piece + b"=" * (-len(piece) % 4)
