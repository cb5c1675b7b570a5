"""Values kept for the next run: which replace those on disk, and for how long they hold.

A run of three images must not replace the limit by "three a minute passed". A limit that is only repeated
from run to run keeps its age.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rate_limit.types import LearnedLimit, LearnedLimits

UNTRUSTED_AFTER_S = 7 * 86_400.0
"""An older limit is only where to begin, not a limit to trust."""
EXPIRED_AFTER_S = 30 * 86_400.0

_WRONG_CLOCK_S = 86_400.0
"""Clocks are corrected by minutes all the time, by days only when one was wrong."""
_NOISE_FACTOR = 1.1
_PLAUSIBLE_RANGE = (0.01, 1e9)
"""A value outside is a flipped bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """One number that was learned."""

    value: float
    named: bool = False
    confirmed: bool = False
    age_s: float = 0.0
    """Negative if a clock was wrong."""

    @property
    def is_limit(self) -> bool:
        """Whether it is a limit, not only a number that was seen to pass."""
        return self.named or self.confirmed


StoredValues = Mapping[str, StoredValue]
"""Values by the name of their field in ``LearnedLimits``."""


def is_plausible(value: object) -> bool:
    """Return whether a value can have been learned."""
    return isinstance(value, float) and _PLAUSIBLE_RANGE[0] <= value <= _PLAUSIBLE_RANGE[1]


def read(connection: sqlite3.Connection, scope_key: tuple[str, str], now: float) -> dict[str, StoredValue]:
    """Return the stored values, however old."""
    rows = connection.execute(
        "SELECT what, value, named, confirmed, seen_at FROM learned WHERE fingerprint = ? AND model = ?",
        scope_key,
    )
    return {
        what: StoredValue(value=value, named=bool(named), confirmed=bool(confirmed), age_s=now - seen_at)
        for what, value, named, confirmed, seen_at in rows
        if is_plausible(value) and isinstance(seen_at, float)
    }


def write(
    connection: sqlite3.Connection,
    scope_key: tuple[str, str],
    now: float,
    values: StoredValues,
    *,
    loaded: StoredValues,
) -> None:
    """Write the values that say more than those on disk; ``loaded`` is what the run started from."""
    stored = read(connection, scope_key, now)
    for what, value in values.items():
        if is_plausible(value.value) and _should_replace(value, stored.get(what), loaded.get(what)):
            connection.execute(
                "INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*scope_key, what, value.value, value.named, value.confirmed, now),
            )


def to_stored(learned: LearnedLimits) -> StoredValues:
    """Return learned limits as values to store."""
    limits = {"requests": learned.requests, "tokens": learned.tokens}
    values = {
        what: StoredValue(value=float(limit.per_minute), named=limit.named, confirmed=limit.confirmed)
        for what, limit in limits.items()
        if limit is not None
    }
    if learned.latency_s is not None:
        values["latency_s"] = StoredValue(value=float(learned.latency_s), confirmed=True)
    return values


def from_stored(values: StoredValues) -> LearnedLimits | None:
    """Return what a run starts from; None if unknown."""
    usable = {
        what: _drop_trust_if_old(value) for what, value in values.items() if value.age_s <= EXPIRED_AFTER_S
    }
    latency = usable.get("latency_s")
    learned = LearnedLimits(
        requests=_to_limit(usable.get("requests")),
        tokens=_to_limit(usable.get("tokens")),
        latency_s=latency.value if latency else None,
    )
    return None if learned == LearnedLimits() else learned


def _should_replace(value: StoredValue, stored: StoredValue | None, loaded: StoredValue | None) -> bool:
    if stored is None or not -_WRONG_CLOCK_S <= stored.age_s <= EXPIRED_AFTER_S:
        return True
    if loaded is not None and replace(loaded, age_s=0.0) == value:
        return False  # known only because it was loaded: its age must not start again
    if value.is_limit:
        return True
    return value.value > stored.value * (_NOISE_FACTOR if stored.is_limit else 1.0)


def _drop_trust_if_old(value: StoredValue) -> StoredValue:
    is_trusted = -_WRONG_CLOCK_S <= value.age_s <= UNTRUSTED_AFTER_S
    return value if is_trusted else replace(value, named=False, confirmed=False)


def _to_limit(value: StoredValue | None) -> LearnedLimit | None:
    if value is None:
        return None
    return LearnedLimit(per_minute=value.value, named=value.named, confirmed=value.confirmed)
