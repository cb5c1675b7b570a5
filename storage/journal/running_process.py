"""The process of a run that has not ended, by the journal: another run must not begin beside it.

The lock keeps other runs out, but its file can be removed. The row of a run that was killed, ended with a
reboot, or ran on another machine never counts as a living process.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from errors import StorageError, UsageError
from storage.journal.connection import open_for_reading
from utils.lock import LockHolder, find_range_lock_fault
from utils.process_identity import describe_process, is_alive


def describe_this_process() -> str:
    """Return the column ``process`` for a run of this process."""
    pid = os.getpid()
    return json.dumps({"pid": pid, "host": os.uname().nodename, **describe_process(pid)})


def find_living(connection: sqlite3.Connection, *, dry_run: bool) -> LockHolder | None:
    """Return the living process of another run that has not ended; None if there is none."""
    rows = connection.execute(
        "SELECT process, started_at FROM runs WHERE state = 'running' AND dry_run = ?", (dry_run,)
    )
    for process, started_at in rows.fetchall():
        if holder := _read_living(process, started_at):
            return holder
    return None


def find_living_in(path: Path, *, dry_run: bool) -> LockHolder | None:
    """Return what ``find_living`` does for the journal in a file, which is only read."""
    if not path.exists():
        return None
    try:
        # Without locks the journal of a living run looks busy for as long as it lasts.
        has_locks = find_range_lock_fault(path.parent) is None
        with closing(open_for_reading(path) if has_locks else _open_without_locks(path)) as connection:
            return find_living(connection, dry_run=dry_run)
    except (StorageError, UsageError, sqlite3.Error):  # opening it for the run tells what is wrong with it
        return None


def _open_without_locks(path: Path) -> sqlite3.Connection:
    """Return a connection that reads a rollback journal's file, as there is one on such a file system."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&nolock=1", uri=True)


def _read_living(process: str, started_at: str) -> LockHolder | None:
    try:
        record = json.loads(process or "{}")
        pid, host = int(record.pop("pid")), str(record.pop("host"))
        is_another = pid != os.getpid() and is_alive(pid, record)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return LockHolder(pid=pid, host=host, started_at=started_at) if is_another else None
