"""Retry hints: how many seconds the service asks the client to wait.

Source: docs/api-facts.md, sections 3.3, 3.4 and 3.8; RFC 9110 for the header Retry-After.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

MAX_HINT_S = 1e9
"""Upper bound of a hint in seconds; larger numbers would overflow a clock."""

_MAX_SEARCHED = 20_000
"""At most so many characters of a message are searched."""
_MAX_HEADER = 100

_NUMBER = r"\d{1,400}(?:\.\d{1,400})?"
# Google prints durations as Go does: 36.429760048s, 850ms, 13h45m10.5s. Gateways write "5 minutes".
_UNIT = r"(?:ms|milliseconds?|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)"
_WITH_UNIT = rf"{_NUMBER}\s*{_UNIT}(?:[\s,]*(?:and\s+)?{_NUMBER}\s*{_UNIT}){{0,5}}"
# Compiled at their first use: most runs never need them.
_EXACT = rf"\s*({_NUMBER}|(?:{_NUMBER}{_UNIT}){{1,6}})\s*"
_RETRY_IN = rf"please retry in ({_WITH_UNIT}|{_NUMBER})(?![a-z0-9])"
_OTHER_WORDS = (
    r"(?:\b(?:retry|try again|try your request again|resets?|available(?: again)?|resumes?|renews?)"
    rf" (?:in|after)|\bwait(?: for)?) (?:about |at least |another )?({_WITH_UNIT})(?![a-z0-9])"
)
_PIECE = rf"({_NUMBER})\s*({_UNIT})?"
_FLAGS = re.IGNORECASE | re.ASCII
_UNIT_S = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def find_retry_hints_s(headers: Mapping[str, str], delays: Iterable[Any], message: str) -> list[float]:
    """Return every wait that is asked for, in seconds, each from 0 to ``MAX_HINT_S``.

    Args:
        headers: with names in lower case.
        delays: the ``retryDelay`` of each ``RetryInfo``, of whatever form.
        message: the error's message.
    """
    found = [*_find_in_headers(headers), *_find_in_delays(delays), *_find_in_message(message[:_MAX_SEARCHED])]
    return [min(hint_s, MAX_HINT_S) for hint_s in found]


def _find_in_headers(headers: Mapping[str, str]) -> Iterator[float]:
    if (milliseconds := headers.get("retry-after-ms", "")[:_MAX_HEADER].strip()).isdecimal():
        yield float(milliseconds) / 1000.0
    value = headers.get("retry-after", "")[:_MAX_HEADER]
    if match := re.fullmatch(_EXACT, value, _FLAGS):
        yield _duration_s(match[1])
    elif value.strip():
        try:
            # Counted from the server's own date, so that our clock does not matter.
            date = parsedate_to_datetime(headers.get("date", "")[:_MAX_HEADER])
            wait = parsedate_to_datetime(value) - date
        except (TypeError, ValueError, OverflowError, LookupError):
            return  # no date, or one that cannot be compared
        yield max(0.0, wait / timedelta(seconds=1))


def _find_in_delays(delays: Iterable[Any]) -> Iterator[float]:
    for delay in delays:
        if isinstance(delay, str) and (match := re.fullmatch(_EXACT, delay[:_MAX_HEADER], _FLAGS)):
            yield _duration_s(match[1])


def _find_in_message(message: str) -> Iterator[float]:
    for pattern in (_RETRY_IN, _OTHER_WORDS):
        yield from (_duration_s(match[1]) for match in re.finditer(pattern, message, _FLAGS))


def _duration_s(text: str) -> float:
    return sum(_piece_s(number, unit.lower()) for number, unit in re.findall(_PIECE, text, _FLAGS))


def _piece_s(number: str, unit: str) -> float:
    is_milliseconds = unit == "ms" or unit.startswith("milli")
    return float(number) * (0.001 if is_milliseconds else _UNIT_S[unit[:1]])
