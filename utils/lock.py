"""Lock: a lock file that one process holds and that no crash can leave locked.

The kernel holds the lock (flock) and releases it with the process. A file beside it names the holder for the
user, and proves nothing. Where the file system has no locks, ``soft_lock`` has one in their place.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
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


def find_lock_fault(folder: Path) -> str | None:
    """Return why the file system of a folder cannot lock a file for one process; None if it can."""
    return _find_fault(folder, fcntl.flock)


def find_range_lock_fault(folder: Path) -> str | None:
    """Return why the file system of a folder cannot lock parts of a file, as databases do; None if it can."""
    return _find_fault(folder, fcntl.lockf)


def soft_lock_path(path: Path) -> Path:
    """Return the file that stands for the lock where the file system has no locks."""
    return path.with_name(f"{path.name}.soft")


@contextmanager
def hold_lock(path: Path, *, wait_s: float, started_at: str, is_soft: bool = False) -> Iterator[None]:
    """Hold the lock while the block lasts.

    Args:
        path: the lock's file, created if missing; its folder must exist.
        wait_s: seconds to wait while another process holds the lock.
        started_at: start of this process, recorded for other processes.
        is_soft: the file system has no locks (``find_lock_fault``), so a file stands for this one.

    Raises:
        LockedError: another process still holds the lock, or a soft one may do so on another machine.
        OSError: the file cannot be created.
    """
    import socket  # noqa: PLC0415 - --status, which only reads, does without both

    from utils.files import write_atomic  # noqa: PLC0415

    holder = LockHolder(pid=os.getpid(), host=socket.gethostname(), started_at=started_at)
    with ExitStack() as stack:
        if is_soft:
            acquire = _prepare_soft_lock(path, holder, stack)
        else:
            acquire = partial(_try_acquire, stack.enter_context(path.open("ab")))
        if not _wait_for(acquire, wait_s=max(wait_s, _MIN_WAIT_S)):
            raise LockedError(_read_note(path))
        stack.callback(_remove_note, path)
        write_atomic(_note_path(path), json.dumps(asdict(holder)).encode())
        yield


def _prepare_soft_lock(path: Path, holder: LockHolder, stack: ExitStack) -> Callable[[], bool]:
    """Return what tries to take the soft lock; once taken it ends with the stack."""
    from utils import soft_lock  # noqa: PLC0415 - for such file systems alone

    marker = soft_lock_path(path)

    def try_acquire() -> bool:
        is_ours = soft_lock.try_acquire(marker, asdict(holder))
        if is_ours:
            stack.callback(soft_lock.release, marker)
        return is_ours

    return try_acquire


def _wait_for(acquire: Callable[[], bool], *, wait_s: float) -> bool:
    """Take the lock; return False if another process held it all the time."""
    pause, until_s = Event(), monotonic() + wait_s
    while not acquire():
        if monotonic() >= until_s:
            return False
        pause.wait(_POLL_S)
    return True


def _try_acquire(handle: IO[bytes]) -> bool:
    """Take the kernel's lock, which ends with the handle."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_holder(path: Path) -> LockHolder | None:
    """Return the process that holds the lock now; None if there is none or it is unknown."""
    return _read_note(path) if _is_held(path) else None


def _find_fault(folder: Path, lock: Callable[[int, int], object]) -> str | None:
    """Return why a file that no other process knows cannot be locked; None also if none can be made."""
    from utils.files import create_unfinished  # noqa: PLC0415 - as above

    try:
        descriptor, name = create_unfinished(folder)
    except OSError:
        return None
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.strerror
    finally:
        os.close(descriptor)
        with suppress(OSError):
            Path(name).unlink()
    return None


def _is_held(path: Path) -> bool:
    """Return True if the lock is held; the check takes the lock for an instant, see ``_MIN_WAIT_S``."""
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if not soft_lock_path(path).exists():
            return True
    except OSError:
        pass
    marker = soft_lock_path(path)
    if not marker.exists():
        return False
    from utils import soft_lock  # noqa: PLC0415 - for such file systems alone

    return soft_lock.is_held(marker)


def _read_note(path: Path) -> LockHolder | None:
    try:
        note = json.loads(_note_path(path).read_bytes())
        datetime.fromisoformat(note["started_at"])
        return LockHolder(pid=int(note["pid"]), host=str(note["host"]), started_at=str(note["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove_note(path: Path) -> None:
    """Remove the holder's name; where that cannot be done it stays, and proves nothing."""
    with suppress(OSError):
        _note_path(path).unlink(missing_ok=True)


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")
