"""How does a run use the memory of the quota without ever depending on it?

Passing errors on is the naive way: a full disk or a damaged file would end a night for the sake of a hint.
So no method here raises; each does what it can, and the first trouble is said once. This file must not
know how a limit is learned or divided.
"""

import asyncio
import logging
import math
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
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
"""How often runs speak; what one says is heard by the others within two turns."""

_SAVE_EVERY_S = 30.0

_T = TypeVar("_T")


class Limiter(Protocol):
    """What keeps to the limit, as far as other nights and other runs are concerned."""

    def limits_to_save(self) -> LearnedLimits:
        """Return what the next night starts from."""

    def own_status(self, now_s: float) -> PeerStatus:
        """Return what other runs should know."""

    def update_peers(self, now_s: float, peers: Sequence[PeerStatus]) -> None:
        """Hear what other runs do."""


class QuotaMemory:
    """The memory as one run sees it. Methods touch the disk, so they belong into a thread.

    Args:
        path: of the file; it and its folder are made when missing, for the user's eyes only.
        scope: whose quota it is.
        run_id: names this run among those at work.
        utcnow: the wall clock, which may jump.
    """

    def __init__(self, path: Path, *, scope: Scope, run_id: str, utcnow: Callable[[], datetime]) -> None:
        self._path = path
        self._run = RunIdentity(run_id=run_id, pid=os.getpid(), scope_key=scope.key)
        self._utcnow = utcnow
        # A cancelled caller does not end its thread, so that two calls may meet; what follows changes
        # in the turn of one of them only.
        self._lock = threading.Lock()
        self._loaded: learned_limits.StoredValues = {}
        self._peers = Peers()
        self._exchanged_s = -math.inf
        self._is_deregistered = False
        self._logged: set[str] = set()

    def load(self) -> LearnedLimits | None:
        """Return what other nights learned; None for nothing of use.

        What is older than a week, or from the future because a clock was wrong, is only where to begin;
        after 30 days it is forgotten.
        """
        with self._lock:
            self._loaded = self._transact(self._read_values, {})
            return learned_limits.from_stored(self._loaded)

    def save(self, learned: LearnedLimits) -> None:
        """Keep what was learned, unless what is known already is worth more."""
        with self._lock:
            self._transact(partial(self._write_values, learned_limits.to_stored(learned)), None)

    def exchange(self, status: PeerStatus, now_s: float) -> Sequence[PeerStatus]:
        """Tell the other runs on the key how this one stands; return how they do.

        A run that ended or was killed is among them for one more minute, wanting nothing. While the
        memory fails, what was heard last holds for 10 s.

        Args:
            status: instants on the clock of ``now_s``.
            now_s: now, on that clock; the instants of the others come back on it.
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
        """Say that this run wants nothing any more; it cannot come back."""
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
        """Do the work in one transaction; return ``otherwise`` where that cannot be."""
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


@asynccontextmanager
async def synced_with_peers(limiter: Limiter, memory: QuotaMemory) -> AsyncIterator[None]:
    """While the block runs, let the limiter and the other runs on the key hear of each other."""
    task = asyncio.create_task(sync_with_peers(limiter, memory))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def sync_with_peers(limiter: Limiter, memory: QuotaMemory, *, every_s: float = SYNC_EVERY_S) -> None:
    """Let the limiter and the other runs on the key hear of each other, until cancelled.

    What was learned is kept every half minute, and at the end.
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
