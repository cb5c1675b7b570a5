"""Judgement of an answer by the exact bytes that were sent for it, without the program's parser."""

import json
import re

from tests.attack.mutations import NO_IMAGE
from tests.attack.raw_server import RawReply

_TEXT = re.compile(r'"text" *: *"((?:[^"\\]|\\.)*)"')
_CHARSETS = ("utf-8", "utf-16", "utf-32", "latin-1")
_WITHHELD = {"SAFETY", "MAX_TOKENS", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "OTHER", "SPII"}


def find_problem(text: str, reply: RawReply) -> str:
    """Return why this text is no answer in the reply, or an empty string."""
    if NO_IMAGE in text:
        return "the stray reply was taken for the answer"
    if reply.body is None or reply.status != 200:
        return "no whole reply was sent"
    said = _read_all(reply.body)
    if not all(line.strip() in said for line in text.splitlines()):
        return "the text is not in the reply"
    reason = _find_finish_reason(reply.body)
    return f"the reply ends with {reason}" if reason in _WITHHELD else ""


def _read_all(body: bytes) -> str:
    """Return all that a body may say, in any charset that was used."""
    readings = [body.decode(charset, "replace") for charset in _CHARSETS]
    pieces = ([_unescape(found) for found in _TEXT.findall(reading)] for reading in readings)
    return "\n".join([*readings, *map("".join, pieces)])  # a stream's pieces are joined


def _unescape(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _find_finish_reason(body: bytes) -> str:
    """Return the reason of the first candidate; empty where the document is of another shape."""
    try:
        document = json.loads(body)
        reason = document["candidates"][0]["finishReason"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return reason if isinstance(reason, str) else ""
