"""Lock: a lock file that one process holds and that no crash can leave locked.

The kernel holds the lock (flock) and releases it with the process. A file beside it names the holder for the
user, and proves nothing.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from time import monotonic  # noqa: TID251 - the lock is taken before there is an event loop
from typing import IO

_POLL_S = 0.05
_MIN_WAIT_S = 0.1
"""Shortest wait for the lock, because ``read_holder`` in another process may hold it for an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """The process that holds a lock."""

    pid: int
    host: str
    started_at: str
    """ISO 8601 with its time zone."""


class LockedError(Exception):
    """Another process holds the lock; ``holder`` is None if unknown."""

    def __init__(self, holder: LockHolder | None) -> None:
        super().__init__("the lock is held")
        self.holder = holder


@contextmanager
def hold_lock(path: Path, *, wait_s: float, started_at: str) -> Iterator[None]:
    """Hold the lock while the block lasts.

    Args:
        path: the lock's file, created if missing; its folder must exist.
        wait_s: seconds to wait while another process holds the lock.
        started_at: start of this process, recorded for other processes.

    Raises:
        LockedError: another process still holds the lock.
        OSError: the file cannot be created, or the file system has no locks.
    """
    import socket  # noqa: PLC0415 - --status, which only reads, does without both

    from utils.files import write_atomic  # noqa: PLC0415

    with path.open("ab") as handle:
        if not _acquire(handle, wait_s=max(wait_s, _MIN_WAIT_S)):
            raise LockedError(_read_note(path))
        try:
            holder = LockHolder(pid=os.getpid(), host=socket.gethostname(), started_at=started_at)
            write_atomic(_note_path(path), json.dumps(asdict(holder)).encode())
            yield
        finally:
            with suppress(FileNotFoundError):
                _note_path(path).unlink()


def _acquire(handle: IO[bytes], *, wait_s: float) -> bool:
    """Take the lock, which ends with the handle; return False if another process held it all the time."""
    pause, until_s = Event(), monotonic() + wait_s
    while not _try_acquire(handle):
        if monotonic() >= until_s:
            return False
        pause.wait(_POLL_S)
    return True


def _try_acquire(handle: IO[bytes]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_holder(path: Path) -> LockHolder | None:
    """Return the process that holds the lock now; None if there is none or it is unknown."""
    return _read_note(path) if _is_held(path) else None


def _is_held(path: Path) -> bool:
    """Return True if the lock is held; the check takes the lock for an instant, see ``_MIN_WAIT_S``."""
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read_note(path: Path) -> LockHolder | None:
    try:
        note = json.loads(_note_path(path).read_bytes())
        datetime.fromisoformat(note["started_at"])
        return LockHolder(pid=int(note["pid"]), host=str(note["host"]), started_at=str(note["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")
