"""Lock of the output directory: one run at a time, also where the file system has no locks.

Two runs at once would pay for the same images twice, and both write the journal. SQLite's own locks are
missing on such a file system too; the journal is then written without them, since this lock is held.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from errors import StorageError
from utils.held_lock import HeldLock
from utils.lock import (
    LockHolder,
    find_lock_fault,
    find_range_lock_fault,
    hold_lock,
    read_holder,
    soft_lock_path,
)

if TYPE_CHECKING:
    from app.deadline import Deadline
    from config import Settings

log = logging.getLogger(__name__)


@contextmanager
def hold_output_dir(
    settings: "Settings", lock: Path, deadline: "Deadline | None", *, utcnow: Callable[[], datetime]
) -> Iterator[HeldLock]:
    """Hold the output directory, after a wait of at most ``--wait-lock``; with ``--no-lock`` only say so.

    Args:
        settings: of this run.
        lock: the lock's file, in the folder that the run writes to.
        deadline: ends the wait, too; None if there is none.
        utcnow: the wall clock.

    Raises:
        LockedError: another run holds it.
        StorageError: it cannot be written.
    """
    wait_s = settings.wait_lock_s
    if deadline:
        wait_s = min(wait_s, deadline.seconds_left(utcnow()))
    started_at = f"{utcnow():%Y-%m-%dT%H:%M:%SZ}"
    held = HeldLock(lock)
    with ExitStack() as stack:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            is_soft = _report_missing_locks(settings, lock)
            if not settings.no_lock:
                if wait_s and read_holder(lock):
                    log.info("another run holds %s: waiting for it", lock.parent)
                held = stack.enter_context(
                    hold_lock(lock, wait_s=wait_s, started_at=started_at, is_soft=is_soft)
                )
        except OSError as error:
            raise StorageError(f"{lock} cannot be written: {error.strerror}; nothing was asked") from error
        yield held


def describe_locked(lock: Path, holder: LockHolder | None) -> str:
    """Return who holds the output directory, and what to do."""
    who = f"process {holder.pid} on {holder.host} since {holder.started_at}" if holder else "another run"
    text = f"{lock.parent} is held by {who}: nothing was done. Next: wait for it, or use --wait-lock 1h."
    marker = soft_lock_path(lock)
    if not marker.exists():
        return text
    return (
        f"{text} The file system has no locks, so a run that was killed on another machine still counts:"
        f" if none is active, remove {marker}, or use --no-lock."
    )


def _report_missing_locks(settings: "Settings", lock: Path) -> bool:
    """Tell the user which locks the file system lacks; return True if a file must stand for the run's."""
    output_dir = lock.parent
    fault = find_lock_fault(output_dir)
    if settings.no_lock:
        log.info(
            "--no-lock: a second run in %s would not be noticed; the two would pay for the same images twice",
            output_dir,
        )
    elif fault:
        log.info(
            "the file system of %s has no locks (%s): the file %s keeps other runs out. After a crash on"
            " another machine remove it, or use --no-lock, which lets two runs in at once",
            output_dir,
            fault,
            soft_lock_path(lock).name,
        )
    elif range_fault := find_range_lock_fault(output_dir):
        log.info(
            "the file system of %s has no locks for databases (%s): the journal is written without them, by"
            " one run at a time",
            output_dir,
            range_fault,
        )
    return fault is not None
