"""Retry hints: how many seconds the service asks the client to wait.

Source: docs/api-facts.md, sections 3.3 and 3.4; RFC 9110 for the header Retry-After.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

MAX_HINT_S = 1e9
"""Upper bound of a hint in seconds; larger numbers would overflow a clock."""

_MAX_SEARCHED = 20_000
"""At most so many characters of a message are searched."""
_MAX_HEADER = 100

_NUMBER = r"\d{1,400}(?:\.\d{1,400})?"
_SECONDS = re.compile(rf"\s*({_NUMBER})s?\s*", re.ASCII)
# Google prints durations as Go does: 36.429760048s, 850ms, 13h45m10.5s. Gateways write "5 minutes".
_UNIT = r"(?:ms|milliseconds?|hours?|h|minutes?|mins?|m|seconds?|secs?|s)"
_RETRY_IN = re.compile(
    rf"please retry in ({_NUMBER}(?:\s*{_UNIT}(?:\s*{_NUMBER}\s*{_UNIT}){{0,5}})?)(?![a-z0-9])",
    re.IGNORECASE | re.ASCII,
)
_PIECE = re.compile(rf"({_NUMBER})\s*({_UNIT})?", re.IGNORECASE | re.ASCII)
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}


def find_retry_hints_s(headers: Mapping[str, str], delays: Iterable[str], message: str) -> list[float]:
    """Return every wait that is asked for, in seconds, each from 0 to ``MAX_HINT_S``.

    Args:
        headers: with names in lower case.
        delays: the ``retryDelay`` of each ``RetryInfo``.
        message: the error's message.
    """
    found = [*_find_in_headers(headers), *_find_in_delays(delays), *_find_in_message(message[:_MAX_SEARCHED])]
    return [min(hint_s, MAX_HINT_S) for hint_s in found]


def _find_in_headers(headers: Mapping[str, str]) -> Iterator[float]:
    value = headers.get("retry-after", "")[:_MAX_HEADER]
    if match := _SECONDS.fullmatch(value):
        yield float(match[1])
    elif value.strip():
        try:
            # Counted from the server's own date, so that our clock does not matter.
            date = parsedate_to_datetime(headers.get("date", "")[:_MAX_HEADER])
            wait = parsedate_to_datetime(value) - date
        except (TypeError, ValueError, OverflowError, LookupError):
            return  # no date, or one that cannot be compared
        yield max(0.0, wait / timedelta(seconds=1))


def _find_in_delays(delays: Iterable[str]) -> Iterator[float]:
    for delay in delays:
        if match := _SECONDS.fullmatch(delay[:_MAX_HEADER]):
            yield float(match[1])


def _find_in_message(message: str) -> Iterator[float]:
    for match in _RETRY_IN.finditer(message):
        yield sum(_piece_s(number, unit.lower()) for number, unit in _PIECE.findall(match[1]))


def _piece_s(number: str, unit: str) -> float:
    is_milliseconds = unit == "ms" or unit.startswith("milli")
    return float(number) * (0.001 if is_milliseconds else _UNIT_S[unit[:1]])
