"""How does a program make sure that it is alone, in a way that no crash can leave locked?

The kernel holds the lock and drops it with the process, whatever ends that. Who holds it stands in a
file beside the lock, for people; it proves nothing. This file must not know what is locked.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from utils.files import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock."""

    pid: int
    host: str
    started_at: str
    """ISO 8601 with its zone."""


class LockedError(Exception):
    """Somebody else holds the lock; ``holder`` is None when nothing is known about him."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("the lock is held")
        self.holder = holder


@contextmanager
def locked(path: Path, *, wait_s: float, started_at: str) -> Iterator[None]:
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
        lock.acquire(timeout=wait_s, poll_interval=0.2)
    except Timeout as error:
        raise LockedError(read_holder(path)) from error
    try:
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), started_at=started_at)
        write_atomic(_note(path), json.dumps(asdict(holder)).encode())
        yield
    finally:
        with suppress(FileNotFoundError):
            _note(path).unlink()
        lock.release()


def read_holder(path: Path) -> Holder | None:
    """Return who holds the lock by his own note, or None when there is none or he is gone."""
    try:
        note = json.loads(_note(path).read_bytes())
        holder = Holder(pid=int(note["pid"]), host=str(note["host"]), started_at=str(note["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return holder if _may_live(holder) else None


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def _may_live(holder: Holder) -> bool:
    """A process of another machine may live; one of this machine does when the kernel knows it."""
    if holder.host != socket.gethostname():
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
