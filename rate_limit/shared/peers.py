"""Status of the runs at work: each writes one row every second and reads those of its peers.

The row is a heartbeat: a run that was silent for 10 s is gone, so a killed run needs no sign-off. Its row
stays for a minute with a demand of 0, because what it sent still counts against the quota. A row from the
future was written before the wall clock was set back; its run writes it anew within a second.
"""

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rate_limit.shared.learned_limits import is_plausible
from rate_limit.types import LearnedLimit, LearnedLimits, PeerStatus

LIVE_S = 10.0
"""A run that was silent for longer is gone (a heartbeat timeout)."""

_WINDOW_S = 60.0
_MAX_PAUSE_S = 3_600.0
_MAX_PER_MINUTE = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """Identity of one run at work, and the scope of its quota."""

    run_id: str
    pid: int
    scope_key: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """One instant on two clocks."""

    now: float
    """Wall time."""
    now_s: float
    """On the clock of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Last status of the other runs."""

    statuses: Sequence[PeerStatus] = ()
    pids: frozenset[int] = frozenset()
    """Process ids of the runs at work."""


def write_status(
    connection: sqlite3.Connection, run: RunIdentity, status: PeerStatus, clock: ClockReading
) -> None:
    """Write the status of this run."""
    pause = None if status.paused_until_s is None else clock.now + status.paused_until_s - clock.now_s
    says = json.dumps(asdict(replace(status, paused_until_s=None)))
    connection.execute(
        "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
        (run.run_id, run.pid, *run.scope_key, clock.now, pause, says),
    )


def deregister(connection: sqlite3.Connection, run: RunIdentity) -> None:
    """Record that the run has ended."""
    connection.execute("UPDATE runs SET gone = 1 WHERE run_id = ? AND pid = ?", (run.run_id, run.pid))


def read_peers(connection: sqlite3.Connection, run: RunIdentity, clock: ClockReading) -> Peers:
    """Return the status of the other runs, and remove rows that no longer count."""
    connection.execute(
        "DELETE FROM runs WHERE seen_at < ? OR seen_at > ?", (clock.now - _WINDOW_S, clock.now + LIVE_S)
    )
    rows = connection.execute(
        "SELECT pid, seen_at, gone, paused_until, says FROM runs"
        " WHERE fingerprint = ? AND model = ? AND NOT (run_id = ? AND pid = ?)",
        (*run.scope_key, run.run_id, run.pid),
    ).fetchall()
    parsed = [(_parse_row(row, clock), row) for row in rows]
    return Peers(
        statuses=tuple(status for status, _ in parsed if status is not None),
        pids=frozenset(row[0] for status, row in parsed if status is not None and _is_live(row, clock.now)),
    )


def _is_live(row: tuple[Any, ...], now: float) -> bool:
    _, seen_at, gone, *_ = row
    return not gone and bool(now - seen_at <= LIVE_S)


def _parse_row(row: tuple[Any, ...], clock: ClockReading) -> PeerStatus | None:
    """Return the status in a row; None if it cannot be parsed."""
    _, seen_at, _, paused_until, says = row
    try:
        status = _parse_status(json.loads(says))
    except (ValueError, TypeError, KeyError):
        return None
    if not _is_live(row, clock.now):
        remaining_share = max(0.0, 1.0 - max(0.0, clock.now - seen_at) / _WINDOW_S)
        status = replace(
            status,
            requests_60s=status.requests_60s * remaining_share,
            tokens_60s=status.tokens_60s * remaining_share,
            demand_rpm=0.0,
        )
    if not isinstance(paused_until, float) or paused_until <= clock.now:
        return status
    return replace(status, paused_until_s=clock.now_s + min(_MAX_PAUSE_S, paused_until - clock.now))


def _parse_status(says: dict[str, Any]) -> PeerStatus:
    limits = says["limits"]
    latency_s = limits["latency_s"]
    return PeerStatus(
        requests_60s=_parse_number(says["requests_60s"], maximum=_MAX_PER_MINUTE),
        tokens_60s=_parse_number(says["tokens_60s"], maximum=_MAX_PER_MINUTE),
        demand_rpm=_parse_number(says["demand_rpm"], maximum=math.inf),
        limits=LearnedLimits(
            requests=_parse_limit(limits["requests"]),
            tokens=_parse_limit(limits["tokens"]),
            latency_s=None if latency_s is None else _parse_number(latency_s, maximum=_MAX_PER_MINUTE),
        ),
    )


def _parse_limit(document: dict[str, Any] | None) -> LearnedLimit | None:
    if document is None or not is_plausible(document["per_minute"]):
        return None
    return LearnedLimit(
        per_minute=document["per_minute"],
        named=bool(document["named"]),
        confirmed=bool(document["confirmed"]),
    )


def _parse_number(value: object, *, maximum: float) -> float:
    if not isinstance(value, int | float) or not 0.0 <= value <= maximum:
        raise ValueError(value)
    return float(value)
