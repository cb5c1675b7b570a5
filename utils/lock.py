"""How does a program make sure that it is alone, in a way that no crash can leave locked?

The kernel holds the lock and drops it with the process, whatever ends that. Who holds it stands in a
file beside the lock, for people; it proves nothing. This file must not know what is locked.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from utils.files import write_atomic

_MIN_WAIT_S = 0.1
"""Everybody tries for so long, since somebody may only be asking whether the lock is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who holds a lock."""

    pid: int
    host: str
    started_at: str
    """ISO 8601 with its zone."""


class LockedError(Exception):
    """Somebody else holds the lock; ``holder`` is None when nothing is known about him."""

    def __init__(self, holder: LockHolder | None) -> None:
        super().__init__("the lock is held")
        self.holder = holder


@contextmanager
def hold_lock(path: Path, *, wait_s: float, started_at: str) -> Iterator[None]:
    """Hold the lock while the block lasts.

    Args:
        path: the lock's file, made when missing; its folder must exist.
        wait_s: how long to wait for another holder, in seconds.
        started_at: of this process, for others to read.

    Raises:
        LockedError: another process still holds it.
        OSError: the file cannot be made, or the file system has no locks.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=max(wait_s, _MIN_WAIT_S), poll_interval=0.05)
    except Timeout as error:
        raise LockedError(_read_note(path)) from error
    try:
        holder = LockHolder(pid=os.getpid(), host=socket.gethostname(), started_at=started_at)
        write_atomic(_note_path(path), json.dumps(asdict(holder)).encode())
        yield
    finally:
        with suppress(FileNotFoundError):
            _note_path(path).unlink()
        lock.release()


def read_holder(path: Path) -> LockHolder | None:
    """Return who holds the lock now, or None when nobody does or he has left no note."""
    return _read_note(path) if _is_held(path) else None


def _is_held(path: Path) -> bool:
    """Ask the kernel, for an instant; whoever wants the lock just then tries for ``_PATIENCE_S``."""
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
