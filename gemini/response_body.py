"""How is a reply that holds megabytes of pictures read, while everything else goes on?

``json.loads`` over 13 MB of base64 copies them twice and holds the interpreter's lock for 14 ms, in a
thread as well, and for several such replies at a time these add up. So what stands in ``"data"`` is cut
out of the bytes first, only the rest is parsed, and pictures are decoded piece by piece where somebody
wants them. A reply in which the cut could go wrong is left whole. This file does not know what a reply
means.
"""

import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

PIECE_CHARACTERS = 2**18
"""Of a picture, decoded at once: a millisecond. A multiple of 4, so that pieces join."""

MIN_EXTRACTED_CHARACTERS = 2**16
"""Shorter strings are not worth it."""

# In valid JSON these bytes are the end of a key and the beginning of its value, whatever stands in other
# strings: there a quote has a backslash before it.
_DATA_KEY = re.compile(rb'"data"\s*:\s*"')
_PLACEHOLDER = b"-Infinity"
"""Stands in for what was cut out: Python's parser asks for the value of this word, and JSON has none."""

_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")

Encoded = str | memoryview
"""Base64 as it came: what was cut out, or what the parser returned."""


def extract_base64(body: bytes | bytearray) -> tuple[bytes | bytearray, list[memoryview]]:
    """Return a body of ASCII or UTF-8 without its pictures, and these; ``parsed`` joins them again."""
    pieces, pictures, at = [], [], 0
    for start, end in _find_long_strings(body) if len(body) >= MIN_EXTRACTED_CHARACTERS else ():
        pieces.append(body[at : start - 1])  # without the quotes
        pictures.append(memoryview(body)[start:end])
        at = end + 1
    pieces.append(body[at:])
    if any(_PLACEHOLDER in part for part in pieces):
        return body, []
    return _PLACEHOLDER.join(pieces), pictures


def _find_long_strings(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield where the values of ``"data"`` begin and end, of those that are long and have no escapes."""
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
    """Return the JSON of a body, with its pictures where they were; nothing for one without a word.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested without end.
    """
    if not text.strip():
        return None
    if not pictures:
        return json.loads(text)
    remaining = iter(pictures)
    return json.loads(
        text, parse_constant=lambda word: next(remaining) if word == _PLACEHOLDER.decode() else float(word)
    )


def decode_base64(encoded: Encoded) -> bytes:
    """Decode base64 of either alphabet, padded or not; nothing where it is none.

    In pieces, between which other threads have their turn: one call for a picture of 14 MB would stop
    the event loop for 50 ms, even from a thread (Python 3.11, November 2026).
    """
    try:
        data = memoryview(encoded.encode("ascii")) if isinstance(encoded, str) else encoded
        return b"".join([binascii.a2b_base64(piece, strict_mode=True) for piece in _decodable_pieces(data)])
    except ValueError:  # its own error, and that of text which is not ASCII
        return b""


def _decodable_pieces(data: memoryview) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE_CHARACTERS):
        piece = bytes(data[start : start + PIECE_CHARACTERS]).translate(_TO_STANDARD_ALPHABET)
        is_last = start + PIECE_CHARACTERS >= len(data)
        if not is_last and b"=" in piece:
            raise ValueError("something follows the padding")
        yield piece + b"=" * (-len(piece) % 4)
