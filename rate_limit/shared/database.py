"""Transactions on a small SQLite file that several runs share and that may fail at any time.

Each call opens the file, does one short transaction (below 1 ms) and closes it, so that a replaced file is
found. A rollback journal, not WAL: WAL needs memory that machines with a shared home directory do not share,
and touching it kills the process when a network drive fails. ``synchronous`` is OFF: one sync a second would
wear disks. A killed process loses nothing; a power cut may damage the file, and then a fresh one begins.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

VERSION = 1
"""Version of the tables, in ``PRAGMA user_version``."""

_LARGEST_VERSION = 1_000
"""A version above this is a flipped bit, not one of a newer program."""
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
"""The statements here are correct, so an SQL error means that another program made the tables."""
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

_T = TypeVar("_T")


class DamagedError(Exception):
    """The file is not what this program wrote."""


class NewerError(Exception):
    """A newer version of this program wrote the file; it is left alone."""


DATABASE_ERRORS = (sqlite3.Error, OSError, UnicodeError, DamagedError, NewerError)
"""All that ``run_transaction`` may raise; a message of SQLite that quotes damaged bytes fails to decode."""


def run_transaction(path: Path, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Return the result of the work, done in one transaction; a missing file is made with its folder.

    Raises:
        DATABASE_ERRORS: nothing was done.
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
    """Move the damaged file aside and return its new path; it replaces the last one that was moved.

    Its journal is removed first, or SQLite would play it into the fresh file.

    Raises:
        OSError: it cannot be moved.
    """
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    target = path.with_name(f"{path.stem}.damaged{path.suffix}")
    return path.replace(target)


def is_busy(error: Exception) -> bool:
    """Return whether another program held the file for longer than the timeout."""
    return _error_code(error) & 0xFF in _BUSY_CODES


def is_damage(error: Exception, path: Path) -> bool:
    """Return whether the file is damaged, as opposed to a full disk, a lock or a missing permission."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, DamagedError | UnicodeDecodeError)
    code = _error_code(error)
    if code == sqlite3.SQLITE_READONLY:  # SQLite's code for a header of a newer file format, too
        return all(_is_writable(one) for one in (path, path.parent))
    return code & 0xFF in _DAMAGE_CODES or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _create_file(path: Path) -> None:
    """Create the file before SQLite does, readable by its user only; its journal gets the same mode."""
    if not path.is_absolute():
        raise OSError("the user has no home directory")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Exclusive: to open and close a file that SQLite has open in this process drops SQLite's locks.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if not path.is_file():  # a pipe would block for ever
        raise OSError("it is not a regular file")


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _error_code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))
