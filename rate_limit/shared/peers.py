"""How do runs at work tell each other how they stand, though any of them may be killed at any moment?

A run that must sign off to be gone would be divided with for ever after a kill. So each writes its row
again and again, and who is silent is gone. Gone is not forgotten: what it sent in its last minute still
counts against the quota, so its row stays for that long, wanting nothing. Wall clocks jump: a row of the
future is from before the clock was set back, and its run writes it anew within a turn. This file must not
know what the others make of it.
"""

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rate_limit.shared.learned_limits import is_plausible
from rate_limit.types import LearnedLimit, LearnedLimits, Neighbour

LIVE_S = 10.0
"""A run that was silent for longer is gone."""

_WINDOW_S = 60.0
_LONGEST_PAUSE_S = 3_600.0
_MOST_A_MINUTE = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Who speaks."""

    run_id: str
    pid: int
    whose: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on two clocks."""

    now: float
    """Wall time."""
    now_s: float
    """On the clock of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What the other runs said last."""

    neighbours: Sequence[Neighbour] = ()
    pids: frozenset[int] = frozenset()
    """Of those at work."""


def tell(connection: sqlite3.Connection, run: Run, me: Neighbour, at: Moment) -> None:
    """Write how this run stands."""
    pause = None if me.paused_until_s is None else at.now + me.paused_until_s - at.now_s
    says = json.dumps(asdict(replace(me, paused_until_s=None)))
    connection.execute(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
        (run.run_id, run.pid, *run.whose, at.now, pause, says),
    )


def leave(connection: sqlite3.Connection, run: Run) -> None:
    """Note that the run wants nothing any more."""
    connection.execute("UPDATE runs SET gone = 1 WHERE run_id = ? AND pid = ?", (run.run_id, run.pid))


def hear(connection: sqlite3.Connection, run: Run, at: Moment) -> Others:
    """Return how the other runs stand, and sweep rows that say nothing any more."""
    connection.execute(
        "DELETE FROM runs WHERE seen_at < ? OR seen_at > ?", (at.now - _WINDOW_S, at.now + LIVE_S)
    )
    rows = connection.execute(
        "SELECT pid, seen_at, gone, paused_until, says FROM runs"
        " WHERE fingerprint = ? AND model = ? AND NOT (run_id = ? AND pid = ?)",
        (*run.whose, run.run_id, run.pid),
    ).fetchall()
    said = [(_neighbour(row, at), row) for row in rows]
    return Others(
        neighbours=tuple(neighbour for neighbour, _ in said if neighbour is not None),
        pids=frozenset(row[0] for neighbour, row in said if neighbour is not None and _is_live(row, at.now)),
    )


def _is_live(row: tuple[Any, ...], now: float) -> bool:
    _, seen_at, gone, *_ = row
    return not gone and bool(now - seen_at <= LIVE_S)


def _neighbour(row: tuple[Any, ...], at: Moment) -> Neighbour | None:
    """Return what a row says; None when it makes no sense."""
    _, seen_at, _, paused_until, says = row
    try:
        other = _parsed(json.loads(says))
    except (ValueError, TypeError, KeyError):
        return None
    if not _is_live(row, at.now):
        left = max(0.0, 1.0 - max(0.0, at.now - seen_at) / _WINDOW_S)
        other = replace(
            other,
            requests_60s=other.requests_60s * left,
            tokens_60s=other.tokens_60s * left,
            demand_rpm=0.0,
        )
    if not isinstance(paused_until, float) or paused_until <= at.now:
        return other
    return replace(other, paused_until_s=at.now_s + min(_LONGEST_PAUSE_S, paused_until - at.now))


def _parsed(says: dict[str, Any]) -> Neighbour:
    limits = says["limits"]
    latency_s = limits["latency_s"]
    return Neighbour(
        requests_60s=_number(says["requests_60s"], most=_MOST_A_MINUTE),
        tokens_60s=_number(says["tokens_60s"], most=_MOST_A_MINUTE),
        demand_rpm=_number(says["demand_rpm"], most=math.inf),
        limits=LearnedLimits(
            requests=_parsed_limit(limits["requests"]),
            tokens=_parsed_limit(limits["tokens"]),
            latency_s=None if latency_s is None else _number(latency_s, most=_MOST_A_MINUTE),
        ),
    )


def _parsed_limit(said: dict[str, Any] | None) -> LearnedLimit | None:
    if said is None or not is_plausible(said["per_minute"]):
        return None
    return LearnedLimit(
        per_minute=said["per_minute"], named=bool(said["named"]), confirmed=bool(said["confirmed"])
    )


def _number(said: object, *, most: float) -> float:
    if not isinstance(said, int | float) or not 0.0 <= said <= most:
        raise ValueError(said)
    return float(said)
