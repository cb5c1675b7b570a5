"""What is worth keeping for the next night, and for how long is it true?

Writing down the latest is the naive way: after a night of three images it has replaced the limit by
"three a minute passed". And a limit that is only repeated from night to night must not look fresh for ever.
This file must not know how limits are found.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rate_limit.types import LearnedLimit, LearnedLimits

DOUBTED_AFTER_S = 7 * 86_400.0
"""What was learned longer ago is where to begin, and no more a limit to trust."""
FORGOTTEN_AFTER_S = 30 * 86_400.0

_WRONG_CLOCK_S = 86_400.0
"""Clocks are corrected by minutes all the time, by days only when one was wrong."""
_NOISE = 1.1
_PLAUSIBLE = (0.01, 1e9)
"""A value outside is a flipped bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One number that was learned."""

    value: float
    named: bool = False
    confirmed: bool = False
    age_s: float = 0.0
    """Negative when a clock was wrong."""

    @property
    def is_firm(self) -> bool:
        """Whether it is a limit, and not only what was seen to pass."""
        return self.named or self.confirmed


Facts = Mapping[str, Fact]
"""By the names of the fields of ``LearnedLimits``."""


def is_plausible(value: object) -> bool:
    """Tell whether a value may have been learned."""
    return isinstance(value, float) and _PLAUSIBLE[0] <= value <= _PLAUSIBLE[1]


def read(connection: sqlite3.Connection, whose: tuple[str, str], now: float) -> dict[str, Fact]:
    """Return what is kept, however old."""
    rows = connection.execute(
        "SELECT what, value, named, confirmed, seen_at FROM learned WHERE fingerprint = ? AND model = ?",
        whose,
    )
    return {
        what: Fact(value=value, named=bool(named), confirmed=bool(confirmed), age_s=now - seen_at)
        for what, value, named, confirmed, seen_at in rows
        if is_plausible(value) and isinstance(seen_at, float)
    }


def keep(
    connection: sqlite3.Connection, whose: tuple[str, str], now: float, facts: Facts, *, loaded: Facts
) -> None:
    """Write the facts that say more than those that are kept; ``loaded`` is what the run began with."""
    stored = read(connection, whose, now)
    for what, fact in facts.items():
        if is_plausible(fact.value) and _is_news(fact, stored.get(what), loaded.get(what)):
            connection.execute(
                "INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*whose, what, fact.value, fact.named, fact.confirmed, now),
            )


def packed(learned: LearnedLimits) -> Facts:
    """Return what was learned as facts."""
    limits = {"requests": learned.requests, "tokens": learned.tokens}
    facts = {
        what: Fact(value=float(limit.per_minute), named=limit.named, confirmed=limit.confirmed)
        for what, limit in limits.items()
        if limit is not None
    }
    if learned.latency_s is not None:
        facts["latency_s"] = Fact(value=float(learned.latency_s), confirmed=True)
    return facts


def unpacked(facts: Facts) -> LearnedLimits | None:
    """Return what a night may begin with; None for nothing."""
    known = {what: _doubted(fact) for what, fact in facts.items() if fact.age_s <= FORGOTTEN_AFTER_S}
    latency = known.get("latency_s")
    learned = LearnedLimits(
        requests=_limit(known.get("requests")),
        tokens=_limit(known.get("tokens")),
        latency_s=latency.value if latency else None,
    )
    return None if learned == LearnedLimits() else learned


def _is_news(fact: Fact, stored: Fact | None, loaded: Fact | None) -> bool:
    if stored is None or not -_WRONG_CLOCK_S <= stored.age_s <= FORGOTTEN_AFTER_S:
        return True
    if loaded is not None and replace(loaded, age_s=0.0) == fact:
        return False  # believed because it was loaded; it must not grow younger by that
    if fact.is_firm:
        return True
    return fact.value > stored.value * (_NOISE if stored.is_firm else 1.0)


def _doubted(fact: Fact) -> Fact:
    is_trusted = -_WRONG_CLOCK_S <= fact.age_s <= DOUBTED_AFTER_S
    return fact if is_trusted else replace(fact, named=False, confirmed=False)


def _limit(fact: Fact | None) -> LearnedLimit | None:
    if fact is None:
        return None
    return LearnedLimit(per_minute=fact.value, named=fact.named, confirmed=fact.confirmed)
