"""Lock that is a file with its holder's name, for file systems whose kernel locks are missing.

The file of a process of this machine that has ended counts for nothing, so that a kill leaves nothing locked.
Another machine cannot be looked up: what it left stays locked until the user removes the file.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from utils.files import create_unfinished, write_all
from utils.process_identity import describe_process, has_ended


def try_acquire(path: Path, holder: dict[str, str | int]) -> bool:
    """Create the file for this process; return False if another process, or one of another machine, holds it.

    Raises:
        OSError: the file cannot be created.

    """
    record = json.dumps({**holder, **describe_process(os.getpid())}).encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return _remove_dead(path) and try_acquire(path, holder)
    try:
        write_all(descriptor, record)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def is_held(path: Path) -> bool:
    """Return True if the file exists and its holder has not certainly ended."""
    record = _read(path)
    return record is not None and not _has_ended(record)


def release(path: Path, record: bytes) -> None:
    """Remove the file of this process; one that another process has put in its place stays."""
    with suppress(OSError):
        if path.read_bytes() == record:
            path.unlink()


def _remove_dead(path: Path) -> bool:
    """Remove the file of a holder that has ended; return False if it may be alive."""
    record = _read(path)
    if record is None:
        return True
    if not _has_ended(record):
        return False
    descriptor, name = create_unfinished(path.parent)
    os.close(descriptor)
    aside = Path(name)
    try:
        # Of two processes that find it dead, one may move the fresh lock of the other: then it goes back.
        path.replace(aside)
        if _read(aside) != record and not path.exists():
            aside.replace(path)
            return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def _has_ended(record: bytes) -> bool:
    """Return True only if the holder was a process of this machine, and there is none like it any more."""
    try:
        holder = json.loads(record)
        then = {name: holder[name] for name in ("machine", "boot", "namespace", "start")}
        return has_ended(int(holder["pid"]), then)
    except (ValueError, TypeError, KeyError, OverflowError):
        return False


def _read(path: Path) -> bytes | None:
    """Return the file's bytes; None if there is none, nothing if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        return b""
