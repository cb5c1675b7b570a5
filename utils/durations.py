"""Durations and times of day: parses what a user types, and formats a duration.

Few forms are accepted, each with one meaning only; a general date parser would also accept ``0530`` or ``6``.
"""

import re
from datetime import time

_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_BARE_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_LENGTH = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit}\s*)?" for unit in _UNITS_S))
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means: ``90s``, ``30m``, ``1h30m``, ``7d``, or a bare ``90``.

    Raises:
        ValueError: ``text`` is anything else, such as ``1h30``, whose 30 could be minutes or seconds.

    """
    normalized = text.strip().lower()
    if _BARE_SECONDS.fullmatch(normalized):
        return float(normalized)
    found = _LENGTH.fullmatch(normalized)
    if not normalized or found is None:
        raise ValueError(f"not a length of time: {text!r}")
    return sum(float(found[unit] or 0) * unit_s for unit, unit_s in _UNITS_S.items())


def format_duration(seconds: float) -> str:
    """Return a duration as a user would type it, to the millisecond: ``1h30m``, ``0.2s``."""
    rest_ms, counts = round(seconds * 1000), dict[str, float]()
    for unit in "dhm":
        counts[unit], rest_ms = divmod(rest_ms, _UNITS_S[unit] * 1000)
    counts["s"] = rest_ms / 1000
    return "".join(f"{count:g}{unit}" for unit, count in counts.items() if count) or "0s"


def parse_time_of_day(text: str) -> time:
    """Return the time of day that ``text`` means: ``06:00``, ``6:00``, ``23:59``.

    Raises:
        ValueError: ``text`` is anything else, also ``24:00``.

    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not a time of day: {text!r}")
    return time(int(found[1]), int(found[2]))
