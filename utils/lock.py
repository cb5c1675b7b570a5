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

from utils.held_lock import HeldLock, identify_file

_POLL_S = 0.05
_MAX_REPLACED = 20
"""Tries for a lock file that is replaced again and again."""
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
def hold_lock(path: Path, *, wait_s: float, started_at: str, is_soft: bool = False) -> Iterator[HeldLock]:
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
        prepare = partial(_prepare_soft_lock, path, holder) if is_soft else partial(_try_acquire, path)
        held = _wait_for(partial(prepare, stack), wait_s=max(wait_s, _MIN_WAIT_S))
        if held is None:
            raise LockedError(_read_note(path))
        stack.callback(_remove_note, path, note := json.dumps(asdict(holder)).encode())
        write_atomic(_note_path(path), note)
        yield held


def _prepare_soft_lock(path: Path, holder: LockHolder, stack: ExitStack) -> HeldLock | None:
    """Take the soft lock, which ends with the stack; return None if another process holds it."""
    from utils import soft_lock  # noqa: PLC0415 - for such file systems alone

    marker = soft_lock_path(path)
    if not soft_lock.try_acquire(marker, asdict(holder)):
        return None
    record = marker.read_bytes()
    stack.callback(soft_lock.release, marker, record)
    return HeldLock(marker, Path.read_bytes, record)


def _wait_for(acquire: Callable[[], HeldLock | None], *, wait_s: float) -> HeldLock | None:
    """Take the lock; return None if another process held it all the time."""
    pause, until_s = Event(), monotonic() + wait_s
    while (held := acquire()) is None:
        if monotonic() >= until_s:
            return None
        pause.wait(_POLL_S)
    return held


def _try_acquire(path: Path, stack: ExitStack) -> HeldLock | None:
    """Take the kernel's lock, which ends with the stack; return None if another process holds it.

    A file that was replaced after it was opened is a lock that no other process meets: the new one is taken.
    """
    for _ in range(_MAX_REPLACED):
        handle = path.open("ab")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = identify_file(handle.fileno())
            is_met = _identify_or_none(path) == locked
        except BlockingIOError:
            handle.close()
            return None
        except BaseException:
            handle.close()
            raise
        if is_met:
            stack.enter_context(handle)
            return HeldLock(path, identify_file, locked)
        handle.close()
    stack.enter_context(handle := path.open("ab"))  # the file system has no lasting inodes
    return HeldLock(path) if _can_lock(handle) else None


def _identify_or_none(path: Path) -> tuple[int, int] | None:
    try:
        return identify_file(path)
    except FileNotFoundError:
        return None


def _can_lock(handle: IO[bytes]) -> bool:
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


def _remove_note(path: Path, note: bytes) -> None:
    """Remove the note of this process; one that another process has written since stays."""
    with suppress(OSError):
        if _note_path(path).read_bytes() == note:
            _note_path(path).unlink()


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")
