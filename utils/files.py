"""Files: atomic writes, and reading of regular files.

After a crash a file has its old content or its new one, never a part. Reading never waits on a pipe, and
checks the file that is open, not the path.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.atomic-[0-9a-f]{16}\.tmp")

# Not tempfile: its files have mode 0600 whatever the umask is, and its names may be too long.
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

# Without O_NONBLOCK, opening a pipe waits for a writer forever; a regular file ignores the flag.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# Random once per process, since each draw is a system call; O_EXCL reports a name that is taken.
_PROCESS_TOKEN = secrets.token_hex(4)
_numbers = count()

# What a sync of a directory means by these: its newest names may not be there. By all others, EIO and EBADF
# of some shares among them, it means that it cannot be done there; the file itself is synced before.
# Sources: github.com/microsoft/WSL/issues/2557, github.com/borgbackup/borg/issues/1961 (2026-11).
_NAMES_MAY_BE_LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT, errno.ESTALE})

# What sshfs, for one, gives where the server has no rename onto a file (man sshfs, workaround=rename).
_CANNOT_REPLACE = frozenset({errno.EEXIST, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL})

_COPY_BYTES = 1 << 20

_MAX_PATH_BYTES = 1023


def max_path_bytes(folder: Path) -> int:
    """Return how many bytes the path of a file below a folder may have, without the byte that ends it."""
    try:
        return os.pathconf(folder, "PC_PATH_MAX") - 1
    except (OSError, ValueError, AttributeError):  # the last two where there is no such figure
        return _MAX_PATH_BYTES


def is_temporary(name: str) -> bool:
    """Return True if ``name`` (without a folder) is one of our unfinished files or folders.

    A killed process leaves them behind; remove them only while no other process writes.
    """
    return _TEMPORARY.fullmatch(name) is not None


TEMPORARY_BYTES = len(".atomic-.tmp") + 16
"""Length of the name of an unfinished file."""


def unfinished_name() -> str:
    """Return a name for an unfinished file or folder that no other process uses."""
    return f".atomic-{_PROCESS_TOKEN}{next(_numbers) & 0xFFFFFFFF:08x}.tmp"


def create_unfinished(folder: Path | str) -> tuple[int, str]:
    """Create an unfinished file in a folder, for writing; return its descriptor and its path.

    Raises:
        OSError: it cannot be created.

    """
    while True:
        path = f"{folder}/{unfinished_name()}"
        try:
            return os.open(path, _CREATE, 0o666), path
        except FileExistsError:
            continue  # left by a process that was forked with the same token


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for writing bytes; it appears, whole, only when the block ends without an error.

    The bytes are written and synced to a hidden file in the same folder, which is then renamed.
    The file gets the permissions that the umask allows. A link called ``path`` is replaced, not followed.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, or the name is too long;
            nothing is left behind, and an earlier file called ``path`` is unchanged.

    """
    descriptor, name = create_unfinished(path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        # Outside the inner block: Windows cannot rename an open file.
        _replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def write_atomic(path: Path | str, data: bytes, *, sync: bool = True) -> None:
    """Write ``data`` to ``path`` in one step; see :func:`open_atomic`.

    Without ``sync`` the name may not survive a power cut until :func:`sync_directory` is called once
    for all files of a folder.

    Raises:
        OSError: as :func:`open_atomic` does.

    """
    folder = os.path.dirname(path)  # noqa: PTH120 -- for each answer; a Path costs ten times as much
    descriptor, temporary = create_unfinished(folder or ".")
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 -- as above
        raise
    if sync:
        sync_directory(folder or ".")


def _replace(temporary: str, path: Path | str) -> None:
    """Rename a file to ``path``; a share that cannot rename onto a file has that one moved aside first."""
    try:
        os.replace(temporary, path)  # noqa: PTH105 -- a Path costs ten times as much
    except OSError as exc:
        if exc.errno not in _CANNOT_REPLACE or not os.path.isfile(path):  # noqa: PTH113 -- as above
            raise
        old, aside = Path(path), Path(path).with_name(unfinished_name())
        old.rename(aside)
        try:
            Path(temporary).rename(path)
        except OSError:
            aside.rename(path)
            raise
        aside.unlink()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``.

    Raises:
        OSError: it cannot be written; a part of it may be in the file.

    """
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def move_file(source: Path, target: Path) -> None:
    """Move a file; to another file system it is copied, synced, and then removed where it was.

    Raises:
        OSError: it could not be moved and is unchanged; no part of it is left under ``target``.

    """
    try:
        source.rename(target)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        copy_file(source, target)
        try:
            source.unlink()
        except OSError:
            target.unlink()  # one answer never stands in two places
            raise


def copy_file(source: Path, target: Path) -> None:
    """Write a copy of a file, synced; nothing is left of it if that fails.

    Raises:
        OSError: it could not be read or written.

    """
    with open_regular(source) as old, open_atomic(target) as new:
        while piece := old.read(_COPY_BYTES):
            new.write(piece)


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, which must be free; a file system without such names gets a copy.

    Raises:
        OSError: neither is possible; nothing is left of it.

    """
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # another file system, none with links, or too many of them
        copy_file(source, target)


def make_folder(folder: Path, *, root: Path) -> None:
    """Create a folder and those above it up to ``root``, which is never created anew.

    Raises:
        OSError: ``root`` does not exist, or a folder cannot be created.

    """
    missing = [folder] if folder != root else []
    while missing:  # not by recursion: a path of 4,096 bytes can have 2,000 folders
        try:
            missing[-1].mkdir(exist_ok=True)
            missing.pop()
        except FileNotFoundError:
            if missing[-1].parent == root:
                raise
            missing.append(missing[-1].parent)


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    Raises:
        OSError: it cannot be opened, or is a pipe, a socket, a device or a directory.

    """
    descriptor = os.open(path, _READ)
    try:
        _require_regular(descriptor)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path | str, max_bytes: int) -> tuple[int, bytes]:
    """Return the size of a regular file and its bytes; if it grows meanwhile, one byte more than the size.

    No bytes are returned for a file with more than ``max_bytes``.

    Raises:
        OSError: as :func:`open_regular` does, or the file cannot be read.

    """
    descriptor = os.open(path, _READ)
    try:
        size = _require_regular(descriptor).st_size
        pieces: list[bytes] = []
        remaining = size + 1 if size <= max_bytes else 0
        # Saves the read that would return nothing: a read of exactly ``size`` bytes has met the end.
        while remaining > 1 and (piece := os.read(descriptor, remaining)):
            pieces.append(piece)
            remaining -= len(piece)
    finally:
        os.close(descriptor)
    return size, pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _require_regular(descriptor: int) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return status


def sync_directory(folder: Path | str) -> None:
    """Sync a folder, so that its renames survive a power cut, if the file system can do that.

    Raises:
        OSError: the folder is gone, or has no room for its newest names.

    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        if exc.errno in _NAMES_MAY_BE_LOST:
            raise
