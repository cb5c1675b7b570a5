"""How do several runs share a small file that may fail at any time and must stop nobody?

The usual ways, a connection kept open and WAL, fit a file that matters and one machine. Here instead:

* Every call opens the file, does one short transaction and closes it (below a millisecond). A file that
  somebody removed or replaced is simply the one that the next call opens.
* A rollback journal, not WAL. WAL needs memory that machines sharing a home directory do not share, and
  when a network drive fails, touching such memory kills the process. Calls are too short to need it.
* ``synchronous`` is OFF: one sync a second would wear disks for nothing. A kill loses nothing; a power cut
  may damage the file, and then a fresh one begins.

This file must not know what the values mean.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

VERSION = 1
"""Of the tables; ``PRAGMA user_version``."""

_LARGEST_VERSION = 1_000
"""A version above this is a flipped bit, not a program of the far future."""
_BUSY_TIMEOUT_S = 0.2

_STATEMENTS = (
    """
    CREATE TABLE learned (
        fingerprint TEXT NOT NULL,
        model TEXT NOT NULL,
        what TEXT NOT NULL,
        value REAL NOT NULL,
        named INTEGER NOT NULL,
        confirmed INTEGER NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (fingerprint, model, what)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE runs (
        run_id TEXT NOT NULL,
        pid INTEGER NOT NULL,
        fingerprint TEXT NOT NULL,
        model TEXT NOT NULL,
        seen_at REAL NOT NULL,
        gone INTEGER NOT NULL,
        paused_until REAL,
        says TEXT NOT NULL,
        PRIMARY KEY (run_id, pid)
    ) WITHOUT ROWID""",
    f"PRAGMA user_version = {VERSION}",
)
"""Instants are wall time, in seconds since 1970: runs share no other clock."""

_DAMAGE_CODES = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
}
"""Our statements are right, so that an error in one says that the tables are not ours."""
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

_T = TypeVar("_T")


class DamagedError(Exception):
    """The file is not what this program wrote."""


class NewerError(Exception):
    """A newer version of this program wrote the file; it is left alone."""


DATABASE_ERRORS = (sqlite3.Error, OSError, UnicodeError, DamagedError, NewerError)
"""All that ``transaction`` may raise; Python fails to decode SQLite's words when they quote damaged bytes."""


def run_transaction(path: Path, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Do the work in one transaction; the file and its folder are made when missing.

    Raises:
        TROUBLES: nothing was done.
    """
    _create_file(path)
    with closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if VERSION < version <= _LARGEST_VERSION:
            raise NewerError("a newer version of this program wrote it")
        if version not in {0, VERSION}:
            raise DamagedError("it has no such format")
        if version == 0:
            for statement in _STATEMENTS:
                connection.execute(statement)
        result = work(connection)
        connection.execute("COMMIT")
        return result


def quarantine(path: Path) -> Path:
    """Make room for a fresh file; the damaged one is kept until the next is damaged.

    Its journal goes first: left behind, it would be played into the fresh file.

    Raises:
        OSError: it cannot be moved.
    """
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    target = path.with_name(f"{path.stem}.damaged{path.suffix}")
    return path.replace(target)


def is_busy(error: Exception) -> bool:
    """Tell whether another program merely holds the file for longer than we wait."""
    return _error_code(error) & 0xFF in _BUSY_CODES


def is_damage(error: Exception, path: Path) -> bool:
    """Tell a damaged file from a full disk, a lock or missing permission."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, DamagedError | UnicodeDecodeError)
    code = _error_code(error)
    if code == sqlite3.SQLITE_READONLY:  # as SQLite says of a header that asks for a format to come
        return all(_is_writable(one) for one in (path, path.parent))
    return code & 0xFF in _DAMAGE_CODES or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _create_file(path: Path) -> None:
    """Make the file before SQLite does, so that nobody else may read it; its journal follows its mode."""
    if not path.is_absolute():
        raise OSError("the user has no home directory")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Exclusively: opening and closing a file that SQLite holds open elsewhere drops its locks.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if not path.is_file():  # a pipe would keep us waiting for ever
        raise OSError("it is not a regular file")


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _error_code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))
