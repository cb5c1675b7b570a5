"""Mark of the ledger: how far the journal has seen it, noted at the end of each run.

A journal restored from a backup lacks answers that the ledger proves, and so does one whose rows were deleted
by hand; a ledger restored from a backup lacks answers that the journal has. Where the mark shows that nothing
of this happened, which costs one ``stat``, the ledger is not read.
"""

import sqlite3
from enum import Enum, auto

from storage.journal import schema
from storage.journal.integrity import AnswerSums
from storage.output.ledger_state import LedgerState


class LedgerRelation(Enum):
    """The ledger beside the journal."""

    SAME = auto()
    """Both are as the last run left them."""
    UNKNOWN = auto()
    """No run that ended has noted how far it had seen the ledger."""
    LONGER = auto()
    """The ledger has lines that the journal has not seen: the journal is older."""
    OTHER = auto()
    """It is older than the journal, or another one."""
    ROWS_CHANGED = auto()
    """The ledger is as it was, but rows of answers are missing or added."""


def sum_answers(connection: sqlite3.Connection) -> AnswerSums:
    """Return the number of answers, and the sum of their seals."""
    answers, seals = connection.execute("SELECT count(*), sum(seal) FROM answers").fetchone()
    return answers, seals or 0


def compare(connection: sqlite3.Connection, ledger: LedgerState, sums: AnswerSums) -> LedgerRelation:
    """Return how the ledger stands to the journal; ``sums`` are those of the answers now.

    Raises:
        OSError: the ledger cannot be read.
    """
    row = connection.execute(
        "SELECT size, mtime, inode, tail_sha256, answers, seals FROM ledger_mark"
    ).fetchone()
    if row is None:
        return LedgerRelation.UNKNOWN
    size, mtime, inode, tail_sha256, *known = row
    is_untouched = (size, mtime, inode) == _to_columns(ledger)
    if not is_untouched and (ledger.size_bytes < size or ledger.hash_tail(size) != tail_sha256):
        return LedgerRelation.OTHER
    if ledger.size_bytes > size:
        return LedgerRelation.LONGER
    return LedgerRelation.SAME if tuple(known) == sums else LedgerRelation.ROWS_CHANGED


def write(connection: sqlite3.Connection, ledger: LedgerState, sums: AnswerSums) -> None:
    """Record that the journal has all answers of the ledger; the caller holds a transaction.

    Raises:
        OSError: the ledger cannot be read.
    """
    row = (*_to_columns(ledger), ledger.hash_tail(ledger.size_bytes), *sums)
    connection.execute("INSERT OR REPLACE INTO ledger_mark VALUES (1, ?, ?, ?, ?, ?, ?)", row)


def _to_columns(ledger: LedgerState) -> tuple[int, int, int]:
    return ledger.size_bytes, schema.clamp_mtime(ledger.mtime_ns), ledger.inode & schema.MAX_INTEGER
