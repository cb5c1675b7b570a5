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
from rate_limit.shared.peers import Moment, Others, Run
from rate_limit.shared.scope import Scope
from rate_limit.types import LearnedLimits, Neighbour

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""How often runs speak; what one says is heard by the others within two turns."""

_SAVE_EVERY_S = 30.0

_T = TypeVar("_T")


class Limiter(Protocol):
    """What keeps to the limit, as far as other nights and other runs are concerned."""

    def learned(self) -> LearnedLimits:
        """Return what the next night starts from."""

    def tell(self, now_s: float) -> Neighbour:
        """Return what other runs should know."""

    def hear_of_others(self, now_s: float, others: Sequence[Neighbour]) -> None:
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
        self._run = Run(run_id=run_id, pid=os.getpid(), whose=scope.columns)
        self._utcnow = utcnow
        # A cancelled caller does not end its thread, so that two calls may meet; what follows changes
        # in the turn of one of them only.
        self._turn = threading.Lock()
        self._loaded: learned_limits.Facts = {}
        self._others = Others()
        self._heard_s = -math.inf
        self._has_left = False
        self._told: set[str] = set()

    def load(self) -> LearnedLimits | None:
        """Return what other nights learned; None for nothing of use.

        What is older than a week, or from the future because a clock was wrong, is only where to begin;
        after 30 days it is forgotten.
        """
        with self._turn:
            self._loaded = self._transact(self._read, {})
            return learned_limits.unpacked(self._loaded)

    def save(self, learned: LearnedLimits) -> None:
        """Keep what was learned, unless what is known already is worth more."""
        with self._turn:
            self._transact(partial(self._keep, learned_limits.packed(learned)), None)

    def meet(self, me: Neighbour, now_s: float) -> Sequence[Neighbour]:
        """Tell the other runs on the key how this one stands; return how they do.

        A run that ended or was killed is among them for one more minute, wanting nothing. While the
        memory fails, what was heard last holds for 10 s.

        Args:
            me: instants on the clock of ``now_s``.
            now_s: now, on that clock; the instants of the others come back on it.
        """
        with self._turn:
            others = self._transact(partial(self._exchange, me, now_s), None)
            if others is not None:
                self._notice(others)
                self._others, self._heard_s = others, now_s
            elif now_s - self._heard_s > peers.LIVE_S:
                self._others = Others()
            return self._others.neighbours

    def leave(self) -> None:
        """Say that this run wants nothing any more; it cannot come back."""
        with self._turn:
            self._has_left = True
            self._transact(partial(peers.leave, run=self._run), None)

    def _now(self) -> float:
        return self._utcnow().timestamp()

    def _read(self, connection: sqlite3.Connection) -> learned_limits.Facts:
        return learned_limits.read(connection, self._run.whose, self._now())

    def _keep(self, news: learned_limits.Facts, connection: sqlite3.Connection) -> None:
        learned_limits.keep(connection, self._run.whose, self._now(), news, loaded=self._loaded)

    def _exchange(self, me: Neighbour, now_s: float, connection: sqlite3.Connection) -> Others:
        at = Moment(now=self._now(), now_s=now_s)
        if not self._has_left:
            peers.tell(connection, self._run, me, at)
        return peers.hear(connection, self._run, at)

    def _notice(self, others: Others) -> None:
        if others.pids - self._others.pids:
            processes = ", ".join(sorted(map(str, others.pids)))
            log.info("other runs use the same key and model (process %s): they share its limit", processes)
        elif self._others.pids and not others.pids:
            log.info("no other run uses this key and model any more")

    def _transact(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        """Do the work in one transaction; return ``otherwise`` where that cannot be."""
        try:
            try:
                return database.transaction(self._path, work)
            except database.TROUBLES as trouble:
                if not database.is_damage(trouble, self._path):
                    raise
                self._begin_afresh(trouble)
                return database.transaction(self._path, work)
        except database.TROUBLES as trouble:
            self._tell(trouble)
            return otherwise

    def _begin_afresh(self, trouble: Exception) -> None:
        aside = database.put_aside(self._path)
        self._say_once(
            logging.INFO,
            "what was known about the quota is damaged and begins afresh: %s: %s",
            aside,
            trouble,
        )

    def _tell(self, trouble: Exception) -> None:
        if database.is_busy(trouble):
            self._say_once(logging.INFO, "%s is busy, its turn is left out: %s", self._path, trouble)
            return
        self._say_once(
            logging.WARNING,
            "what is known about the quota can be neither kept nor shared, the run goes on without: %s: %s",
            self._path,
            trouble,
        )

    def _say_once(self, level: int, sentence: str, path: Path, trouble: Exception) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.log(level, sentence, path, trouble)


@asynccontextmanager
async def in_company(limiter: Limiter, memory: QuotaMemory) -> AsyncIterator[None]:
    """While the block runs, let the limiter and the other runs on the key hear of each other."""
    peers = asyncio.create_task(keep_company(limiter, memory))
    try:
        yield
    finally:
        peers.cancel()
        await asyncio.wait([peers])


async def keep_company(limiter: Limiter, memory: QuotaMemory, *, every_s: float = EVERY_S) -> None:
    """Let the limiter and the other runs on the key hear of each other, until cancelled.

    What was learned is kept every half minute, and at the end.
    """
    clock = asyncio.get_running_loop().time
    saved_s = clock()
    try:
        while True:
            now_s = clock()
            others = await asyncio.to_thread(memory.meet, limiter.tell(now_s), now_s)
            limiter.hear_of_others(clock(), others)
            if now_s - saved_s >= _SAVE_EVERY_S:
                saved_s = now_s
                await asyncio.to_thread(memory.save, limiter.learned())
            await asyncio.sleep(every_s)
    finally:
        await asyncio.to_thread(_part, memory, limiter.learned())


def _part(memory: QuotaMemory, learned: LearnedLimits) -> None:
    memory.save(learned)
    memory.leave()
