"""Shared state of the quota as one run uses it, without depending on it.

A full disk or a damaged file must not end a run, so no method of ``QuotaMemory`` raises for it; the first
error of each kind is logged once.
"""

import asyncio
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from rate_limit.shared import database, learned_limits, peers
from rate_limit.shared.peers import ClockReading, Peers, RunIdentity
from rate_limit.shared.scope import Scope
from rate_limit.types import LearnedLimits, PeerStatus

log = logging.getLogger(__name__)

SYNC_EVERY_S = 1.0
"""Seconds between two exchanges; a status reaches the peers within two of them."""

_SAVE_EVERY_S = 30.0

_T = TypeVar("_T")


class Limiter(Protocol):
    """The part of a rate limiter that later runs and other runs need."""

    def limits_to_save(self) -> LearnedLimits:
        """Return what the next run starts from."""

    def own_status(self, now_s: float) -> PeerStatus:
        """Return the status of this run, for its peers."""

    def update_peers(self, now_s: float, peers: Sequence[PeerStatus]) -> None:
        """Update the status of the peers."""


class QuotaMemory:
    """The shared file as one run uses it. Methods access the disk: call them in a thread.

    Args:
        path: path of the file; a missing file and its folder are made, readable by the user only.
        scope: scope of the quota.
        run_id: name of this run among those at work.
        utcnow: the wall clock, which may jump.
    """

    def __init__(self, path: Path, *, scope: Scope, run_id: str, utcnow: Callable[[], datetime]) -> None:
        self._path = path
        self._run = RunIdentity(run_id=run_id, pid=os.getpid(), scope_key=scope.key)
        self._utcnow = utcnow
        # A cancelled caller does not end its thread, so two calls may run at once: this lock guards the
        # fields below.
        self._lock = threading.Lock()
        self._loaded: learned_limits.StoredValues = {}
        self._peers = Peers()
        self._exchanged_s = -math.inf
        self._is_deregistered = False
        self._logged: set[str] = set()

    def load(self) -> LearnedLimits | None:
        """Return what other runs learned; None if unknown.

        A limit that is older than a week, or from the future because a clock was wrong, is only where to
        begin; after 30 days it is ignored.
        """
        with self._lock:
            self._loaded = self._transact(self._read_values, {})
            return learned_limits.from_stored(self._loaded)

    def save(self, learned: LearnedLimits) -> None:
        """Write what was learned, unless the value on disk says more."""
        with self._lock:
            self._transact(partial(self._write_values, learned_limits.to_stored(learned)), None)

    def exchange(self, status: PeerStatus, now_s: float) -> Sequence[PeerStatus]:
        """Write the status of this run; return that of the other runs on the key.

        A run that ended or was killed is among them for one more minute, with a demand of 0. While the file
        fails, the last status of the peers holds for 10 s.

        Args:
            status: instants on the clock of ``now_s``.
            now_s: now, on that clock; the instants of the peers come back on it.
        """
        with self._lock:
            received = self._transact(partial(self._write_and_read, status, now_s), None)
            if received is not None:
                self._log_changes(received)
                self._peers, self._exchanged_s = received, now_s
            elif now_s - self._exchanged_s > peers.LIVE_S:
                self._peers = Peers()
            return self._peers.statuses

    def deregister(self) -> None:
        """Record that this run has ended; later calls of ``exchange`` only read."""
        with self._lock:
            self._is_deregistered = True
            self._transact(partial(peers.deregister, run=self._run), None)

    def _now(self) -> float:
        return self._utcnow().timestamp()

    def _read_values(self, connection: sqlite3.Connection) -> learned_limits.StoredValues:
        return learned_limits.read(connection, self._run.scope_key, self._now())

    def _write_values(self, values: learned_limits.StoredValues, connection: sqlite3.Connection) -> None:
        learned_limits.write(connection, self._run.scope_key, self._now(), values, loaded=self._loaded)

    def _write_and_read(self, status: PeerStatus, now_s: float, connection: sqlite3.Connection) -> Peers:
        clock = ClockReading(now=self._now(), now_s=now_s)
        if not self._is_deregistered:
            peers.write_status(connection, self._run, status, clock)
        return peers.read_peers(connection, self._run, clock)

    def _log_changes(self, received: Peers) -> None:
        if received.pids - self._peers.pids:
            processes = ", ".join(sorted(map(str, received.pids)))
            log.info("other runs use the same key and model (process %s): they share its limit", processes)
        elif self._peers.pids and not received.pids:
            log.info("no other run uses this key and model any more")

    def _transact(self, work: Callable[[sqlite3.Connection], _T], default: _T) -> _T:
        """Return the result of the work, done in one transaction; ``default`` if the file fails."""
        try:
            try:
                return database.run_transaction(self._path, work)
            except database.DATABASE_ERRORS as error:
                if not database.is_damage(error, self._path):
                    raise
                self._replace_damaged_file(error)
                return database.run_transaction(self._path, work)
        except database.DATABASE_ERRORS as error:
            self._log_error(error)
            return default

    def _replace_damaged_file(self, error: Exception) -> None:
        quarantined = database.quarantine(self._path)
        self._log_once(
            logging.INFO,
            "what was known about the quota is damaged and begins afresh: %s: %s",
            quarantined,
            error,
        )

    def _log_error(self, error: Exception) -> None:
        if database.is_busy(error):
            self._log_once(logging.INFO, "%s is busy, its turn is left out: %s", self._path, error)
            return
        self._log_once(
            logging.WARNING,
            "what is known about the quota can be neither kept nor shared, the run goes on without: %s: %s",
            self._path,
            error,
        )

    def _log_once(self, level: int, message: str, path: Path, error: Exception) -> None:
        if message not in self._logged:
            self._logged.add(message)
            log.log(level, message, path, error)


async def sync_with_peers(limiter: Limiter, memory: QuotaMemory, *, every_s: float = SYNC_EVERY_S) -> None:
    """Update the limiter and the peers from each other every ``every_s`` seconds, until cancelled.

    What was learned is saved every 30 s, and at the end.
    """
    clock = asyncio.get_running_loop().time
    saved_s = clock()
    try:
        while True:
            now_s = clock()
            peers = await asyncio.to_thread(memory.exchange, limiter.own_status(now_s), now_s)
            limiter.update_peers(clock(), peers)
            if now_s - saved_s >= _SAVE_EVERY_S:
                saved_s = now_s
                await asyncio.to_thread(memory.save, limiter.limits_to_save())
            await asyncio.sleep(every_s)
    finally:
        await asyncio.to_thread(_save_and_deregister, memory, limiter.limits_to_save())


def _save_and_deregister(memory: QuotaMemory, learned: LearnedLimits) -> None:
    memory.save(learned)
    memory.deregister()
